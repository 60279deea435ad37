//! Snapshots in arguments and in what is shown of them.

use icecore::{Error, Selector, Snapshot};

use crate::context::Context;
use crate::failure::Result;

/// Ids are shown with this many digits.
pub(crate) const SHORT_ID_LEN: usize = 8;

/// An id as people see it.
pub(crate) fn short_id(snapshot: &Snapshot) -> String {
    shortened(&snapshot.id.to_string())
}

/// A long id as people see it.
pub(crate) fn shortened(id: &str) -> String {
    id.get(..SHORT_ID_LEN).unwrap_or(id).to_owned()
}

/// The snapshot that a selector means.
pub(crate) fn resolve<'s>(context: &Context, snapshots: &'s [Snapshot], text: &str) -> Result<&'s Snapshot> {
    Ok(icecore::resolve(snapshots, text, context.now, &context.zone)?)
}

/// The snapshots that several selectors mean, each once, in the order of the selectors.
pub(crate) fn resolve_all<'s>(
    context: &Context,
    snapshots: &'s [Snapshot],
    texts: &[String],
) -> Result<Vec<&'s Snapshot>> {
    let mut chosen: Vec<&Snapshot> = Vec::new();
    for text in texts {
        let snapshot = resolve(context, snapshots, text)?;
        if !chosen.iter().any(|known| known.id == snapshot.id) {
            chosen.push(snapshot);
        }
    }
    Ok(chosen)
}

/// The options by which `restore` chooses, besides a selector.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) text: Option<&'a str>,
    pub(crate) index: Option<usize>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) at: Option<&'a str>,
}

impl Wanted<'_> {
    /// The newest snapshot of which everything is true that was asked for.
    pub(crate) fn find<'s>(&self, context: &Context, snapshots: &'s [Snapshot]) -> Result<&'s Snapshot> {
        if let Some(index) = self.index {
            return Ok(icecore::select(snapshots, &Selector::Index(index), context.now, &context.zone)?);
        }
        if self.tag.is_none() && self.at.is_none() {
            return resolve(context, snapshots, self.text.unwrap_or("latest"));
        }
        let latest = match self.at {
            Some(text) => Some(icecore::parse_time_point(text, context.now, &context.zone, true)?),
            None => None,
        };
        let fits = |snapshot: &&Snapshot| {
            let info = snapshot.info();
            self.text.is_none_or(|name| name == "latest" || info.source == name)
                && self.tag.is_none_or(|tag| snapshot.labels.tags.contains(tag))
                && latest.is_none_or(|latest| {
                    info.created_at.parse().is_ok_and(|taken: jiff::Timestamp| taken <= latest)
                })
        };
        let found = snapshots.iter().find(fits);
        Ok(found.ok_or_else(|| Error::NoSnapshot { selector: self.describe(), reason: None })?)
    }

    fn describe(&self) -> String {
        let tag = self.tag.map(|tag| format!("--tag {tag}"));
        let at = self.at.map(|at| format!("--at {at}"));
        [self.text.map(str::to_owned), tag, at].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
