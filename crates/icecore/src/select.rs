//! Which snapshot a person means.

use std::collections::BTreeSet;

use icecore_store::Snapshot;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::nearest::did_you_mean;
use crate::time::parse_time_point;
use crate::{Error, Result};

/// Fewer hexadecimal digits are no id.
const ID_PREFIX_MIN: usize = 4;
/// Candidates named in an error.
const CANDIDATES_MAX: usize = 5;

/// What a restore tags the snapshot with that it takes of what it is about to replace.
pub const SAFETY_TAG: &str = "before-restore";

/// What the names of these snapshots end with: they are a series of their own beside that of their source.
pub const SAFETY_SUFFIX: &str = ".before-restore";

/// Whether a restore took a snapshot, of what it was about to replace. Nobody means that by `latest`.
pub fn is_safety(snapshot: &Snapshot) -> bool {
    snapshot.labels.tags.contains(SAFETY_TAG)
}

/// A selector, understood but not yet applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The newest of all snapshots but those that restores took, or one some steps before it.
    Latest(usize),
    /// The number that `list` shows.
    Index(usize),
    /// An id's beginning, a source, or whichever of the two there is.
    Text(String),
    /// The newest of a source, or one some steps before it.
    Series(String, usize),
    /// The newest of a source with a tag, or at or before a time.
    At(String, String),
}

impl Selector {
    /// Understands `latest`, `#3`, `NAME`, `NAME~2`, `NAME@TAG`, `NAME@TIME`, and id prefixes.
    pub fn parse(text: &str) -> Self {
        if let Some(index) = text.strip_prefix('#').and_then(|number| number.parse().ok()) {
            return Self::Index(index);
        }
        if text == "latest" {
            return Self::Latest(0);
        }
        if let Some((name, steps)) = text.rsplit_once('~')
            && let Ok(steps) = steps.parse()
            && !name.is_empty()
        {
            return if name == "latest" { Self::Latest(steps) } else { Self::Series(name.to_owned(), steps) };
        }
        match text.split_once('@') {
            Some((name, point)) if !name.is_empty() && !point.is_empty() => {
                Self::At(name.to_owned(), point.to_owned())
            }
            _ => Self::Text(text.to_owned()),
        }
    }
}

/// The snapshot that `text` selects among `snapshots`, which are all there are, newest first. `now` and `zone` are for times.
pub fn resolve<'s>(
    snapshots: &'s [Snapshot],
    text: &str,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<&'s Snapshot> {
    let selector = Selector::parse(text);
    // A file may be called anything, even `a@b` or `x~1`, and so may its source. It is meant unless the text makes sense in both ways.
    if let Some(newest) = snapshots.iter().find(|snapshot| snapshot.info().source == text)
        && !matches!(selector, Selector::Text(_))
    {
        return match select(snapshots, &selector, now, zone) {
            Ok(other) if other.id != newest.id => {
                let candidates = format!("the source {text}, {} of {}", other.id, other.info().source);
                Err(Error::Ambiguous { selector: text.to_owned(), candidates })
            }
            _ => Ok(newest),
        };
    }
    select(snapshots, &selector, now, zone)
}

/// The snapshot that `selector` selects.
pub fn select<'s>(
    snapshots: &'s [Snapshot],
    selector: &Selector,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<&'s Snapshot> {
    match selector {
        Selector::Latest(steps) => latest(snapshots, *steps),
        Selector::Index(index) => index.checked_sub(1).and_then(|at| snapshots.get(at)).ok_or_else(|| {
            none(&format!("#{index}"), Some(format!("the store has {}", count(snapshots.len()))))
        }),
        Selector::Series(name, steps) => {
            let series = series_of(snapshots, name)?;
            series.get(*steps).copied().ok_or_else(|| {
                none(&format!("{name}~{steps}"), Some(format!("{name} has {}", count(series.len()))))
            })
        }
        Selector::At(name, point) => at(snapshots, name, point, now, zone),
        Selector::Text(text) => by_text(snapshots, text),
    }
}

fn latest(snapshots: &[Snapshot], steps: usize) -> Result<&Snapshot> {
    let meant = snapshots.iter().filter(|snapshot| !is_safety(snapshot));
    meant.clone().nth(steps).ok_or_else(|| {
        let selector = if steps == 0 { "latest".to_owned() } else { format!("latest~{steps}") };
        let others = if snapshots.iter().any(is_safety) { " besides those that restores took" } else { "" };
        none(&selector, Some(format!("the store has {}{others}", count(meant.count()))))
    })
}

fn at<'s>(
    snapshots: &'s [Snapshot],
    name: &str,
    point: &str,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<&'s Snapshot> {
    let selector = format!("{name}@{point}");
    let series = if name == "latest" { snapshots.iter().collect() } else { series_of(snapshots, name)? };
    if let Some(tagged) = series.iter().find(|snapshot| snapshot.labels.tags.contains(point)) {
        return Ok(tagged);
    }
    let Ok(time) = parse_time_point(point, now, zone, true) else {
        let near = did_you_mean(point, tags_of(series.iter().copied()));
        let reason = format!("{name} has no snapshot tagged {point:?}, and that is no time{near}");
        return Err(none(&selector, Some(reason)));
    };
    let taken_before = |snapshot: &&&Snapshot| {
        let is_meant = name != "latest" || !is_safety(snapshot);
        is_meant && snapshot.info().created_at.parse::<Timestamp>().is_ok_and(|taken| taken <= time)
    };
    series
        .iter()
        .find(taken_before)
        .copied()
        .ok_or_else(|| none(&selector, Some(format!("{name} has no snapshot as old as that"))))
}

fn by_text<'s>(snapshots: &'s [Snapshot], text: &str) -> Result<&'s Snapshot> {
    let newest = snapshots.iter().find(|snapshot| snapshot.info().source == text);
    let is_prefix = text.len() >= ID_PREFIX_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let prefix = text.to_ascii_lowercase();
    let matching: Vec<_> = match is_prefix {
        true => snapshots.iter().filter(|snapshot| snapshot.id.to_string().starts_with(&prefix)).collect(),
        false => Vec::new(),
    };
    match (newest, matching.as_slice()) {
        (Some(snapshot), []) => Ok(snapshot),
        (None, [snapshot]) => Ok(snapshot),
        (None, []) if is_prefix || text.is_empty() => Err(none(text, None)),
        (None, []) if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let sources = sources_of(snapshots, text);
            Err(none(text, Some(format!("an id needs at least {ID_PREFIX_MIN} digits, and {sources}"))))
        }
        (None, []) => Err(none(text, Some(sources_of(snapshots, text)))),
        (newest, matching) => {
            let source = newest.map(|snapshot| format!("the source {}", snapshot.info().source));
            let ids = matching.iter().take(CANDIDATES_MAX).map(|snapshot| {
                let id = snapshot.id.to_string();
                format!("{} of {}", id.get(..text.len().max(8) + 4).unwrap_or(&id), snapshot.info().source)
            });
            let candidates = source.into_iter().chain(ids).collect::<Vec<_>>().join(", ");
            Err(Error::Ambiguous { selector: text.to_owned(), candidates })
        }
    }
}

fn series_of<'s>(snapshots: &'s [Snapshot], name: &str) -> Result<Vec<&'s Snapshot>> {
    let series: Vec<_> = snapshots.iter().filter(|snapshot| snapshot.info().source == name).collect();
    if series.is_empty() { Err(none(name, Some(sources_of(snapshots, name)))) } else { Ok(series) }
}

/// All tags that there are.
pub fn tags_of<'s>(snapshots: impl IntoIterator<Item = &'s Snapshot>) -> BTreeSet<&'s str> {
    snapshots.into_iter().flat_map(|snapshot| &snapshot.labels.tags).map(String::as_str).collect()
}

/// Which sources there are, and which of them may have been `meant`.
fn sources_of(snapshots: &[Snapshot], meant: &str) -> String {
    let names: BTreeSet<_> = snapshots.iter().map(|snapshot| snapshot.info().source.as_str()).collect();
    if names.is_empty() {
        return "the store has no snapshots".to_owned();
    }
    let near = did_you_mean(meant, names.iter().copied());
    let more = if names.len() > CANDIDATES_MAX { " ..." } else { "" };
    let named = names.into_iter().take(CANDIDATES_MAX).collect::<Vec<_>>().join(", ");
    format!("the store has {named}{more}{near}")
}

fn count(n: usize) -> String {
    match n {
        0 => "no snapshots".to_owned(),
        1 => "1 snapshot".to_owned(),
        n => format!("{n} snapshots"),
    }
}

fn none(selector: &str, reason: Option<String>) -> Error {
    Error::NoSnapshot { selector: selector.to_owned(), reason }
}

#[cfg(test)]
mod tests;
