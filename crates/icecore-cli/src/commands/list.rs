//! `icecore list`

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use icecore::{Selector, Snapshot, parse_time_point, place_of};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::args::ServiceArgs;
use crate::commands::init::ORIGIN;
use crate::context::Context;
use crate::evidence;
use crate::failure::Result;
use crate::select::Listing;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::{Bytes, counted, printable};

/// List snapshots, newest first
///
/// The numbers count all snapshots of the store, whatever is shown; `#3` selects by them. If the record of a snapshot is damaged, the others
/// are listed all the same, and the exit status is 13. A column says of which it is known that they were read whole (`verify --record`) or
/// restored (`verify --restore`), or that the last attempt failed. Where snapshots of one name come from different places, a column says from where. On a
/// terminal, those of the last 24 hours are bold.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Only of this source
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    /// The same, as `push` and `pull` have it
    #[arg(long = "source", value_name = "SOURCE", conflicts_with = "source")]
    named: Option<String>,
    /// Only with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only at or after: 2026-11-20, 2026-11-20T10:00, "2 hours ago", 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only at or before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only with this text in the source's name, its engine, a tag or the note
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// At most so many; with --group, of each source
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// What comes first: the newest, the largest, what added most, or by the sources' names
    #[arg(long, value_name = "ORDER", default_value = "created")]
    sort: Order,
    /// A table for each source
    #[arg(long)]
    group: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What comes first in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Created,
    Size,
    Added,
    Source,
}

/// A snapshot with the number by which it is selected.
type Numbered<'s> = (u64, &'s Snapshot);

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ListArgs) -> Result<ExitStatus> {
    let source = args.service.or_positional(args.source.as_deref().or(args.named.as_deref()))?;
    let time = |text: &Option<String>, end_of_day| {
        text.as_deref().map(|text| parse_time_point(text, context.now, &context.zone, end_of_day)).transpose()
    };
    let since = time(&args.since, false)?;
    let until = time(&args.until, true)?;
    let search = args.search.as_ref().map(|text| text.to_lowercase());
    let Listing { snapshots, damaged } = context.open()?.listing(ui)?;

    if let Some(source) = &source
        && damaged == 0
        && snapshots.iter().all(|snapshot| snapshot.info().source != *source)
    {
        // The same words as everywhere else where a source is named that is not there.
        icecore::select(&snapshots, &Selector::Series(source.to_string(), 0), context.now, &context.zone)?;
    }
    let fits = |snapshot: &Snapshot| {
        let taken: Option<Timestamp> = snapshot.info().created_at.parse().ok();
        source.as_ref().is_none_or(|source| snapshot.info().source == *source)
            && args.tag.as_ref().is_none_or(|tag| snapshot.labels.tags.contains(tag))
            && since.is_none_or(|since| taken.is_some_and(|taken| taken >= since))
            && until.is_none_or(|until| taken.is_some_and(|taken| taken <= until))
            && search.as_ref().is_none_or(|text| mentions(snapshot, text))
    };
    let fitting = (1_u64..).zip(&snapshots).filter(|(_, snapshot)| fits(snapshot)).collect();
    let listed = in_order(fitting, args);
    if ui.json {
        let entries: Vec<_> = listed.iter().map(|(index, snapshot)| entry(*index, snapshot)).collect();
        ui.document(&json!({ "snapshots": entries }))?;
    } else if ui.quiet {
        for (_, snapshot) in &listed {
            ui.line(snapshot.id)?;
        }
    } else if listed.is_empty() {
        if snapshots.is_empty() {
            ui.status("There are no snapshots yet.");
            // Whoever has joined a store wants what is there.
            // Whoever has none that can be read is told so when they are needed.
            match context.remotes().ok().as_ref().and_then(|remotes| remotes.name_of(ORIGIN)) {
                Some(origin) if !context.is_remote_named() => {
                    ui.hint(format_args!("`icecore pull {origin}` brings those that are elsewhere"));
                }
                _ => ui.hint("`icecore create SOURCE` takes the first"),
            }
        } else {
            let count = counted(snapshots.len() as u64, "snapshot");
            let tags = icecore::tags_of(&snapshots);
            let mistyped = args.tag.as_deref().filter(|tag| !tags.contains(tag));
            let near = mistyped.map(|tag| icecore::did_you_mean(tag, tags)).filter(|near| !near.is_empty());
            let end = near.unwrap_or(".".to_owned());
            ui.status(format_args!("Nothing fits of what the store has: {count}{end}"));
        }
    } else {
        match args.group {
            false => show(ui, context, &listed)?,
            true => show_groups(ui, context, &listed)?,
        }
    }
    // What is not listed because it is damaged must not pass unnoticed.
    Ok(if damaged == 0 { ExitStatus::Success } else { ExitStatus::Damaged })
}

/// Sorted, and no more than were asked for. The numbers stay those of the whole store.
fn in_order<'s>(mut listed: Vec<Numbered<'s>>, args: &ListArgs) -> Vec<Numbered<'s>> {
    // Stable: what is equal comes newest first.
    match args.sort {
        Order::Created => (),
        Order::Size => listed.sort_by_key(|(_, it)| std::cmp::Reverse(it.info().logical_bytes)),
        Order::Added => listed.sort_by_key(|(_, it)| std::cmp::Reverse(it.stored_bytes())),
        Order::Source => listed.sort_by_key(|(_, it)| it.info().source.as_str()),
    }
    if args.group {
        listed.sort_by_key(|(_, it)| it.info().source.as_str());
    }
    let limit = args.limit.unwrap_or(u32::MAX);
    let mut shown: BTreeMap<&str, u32> = BTreeMap::new();
    listed.retain(|(_, it)| {
        let count = shown.entry(if args.group { &it.info().source } else { "" }).or_default();
        *count += 1;
        *count <= limit
    });
    listed
}

/// One table for each source, under its name.
fn show_groups(ui: &mut Ui, context: &Context, listed: &[Numbered<'_>]) -> Result<()> {
    let groups = listed.chunk_by(|(_, a), (_, b)| a.info().source == b.info().source);
    for (at, group) in groups.enumerate() {
        if at > 0 {
            ui.line("")?;
        }
        if let Some((_, first)) = group.first() {
            let source = ui.bold(&printable(&first.info().source));
            ui.line(format_args!("{source}: {}", counted(group.len() as u64, "snapshot")))?;
        }
        show(ui, context, group)?;
    }
    Ok(())
}

/// Two databases of one name are one series: of what comes from different places, the place is shown.
fn show(ui: &mut Ui, context: &Context, listed: &[Numbered<'_>]) -> Result<()> {
    let places = icecore::places_of_series(listed.iter().map(|(_, snapshot)| *snapshot));
    let mut head = HEAD.to_vec();
    let mut rows: Vec<_> = listed.iter().map(|(index, snapshot)| row(context, *index, snapshot)).collect();
    if !places.is_empty() {
        head.insert(FROM, ("FROM", Column::Left));
        for (row, (_, snapshot)) in rows.iter_mut().zip(listed) {
            let origin = snapshot.info().origin.as_deref();
            row.insert(FROM, printable(&origin.map(place_of).unwrap_or_default()));
        }
    }
    let words: Vec<&str> = listed.iter().map(|(_, snapshot)| evidence::word(snapshot)).collect();
    if words.iter().any(|word| !word.is_empty()) {
        // Before the tags and the note, which are as long as people like.
        let at = head.len() - 1;
        head.insert(at, ("PROOF", Column::Left));
        for (row, word) in rows.iter_mut().zip(words) {
            row.insert(at, word.to_owned());
        }
    }
    let since = context.now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
    let is_recent = |snapshot: &Snapshot| {
        let taken = snapshot.info().created_at.parse::<Timestamp>();
        taken.is_ok_and(|taken| taken >= since && taken <= context.now)
    };
    let recent = listed.iter().enumerate().filter(|(_, (_, snapshot))| is_recent(snapshot));
    ui.table_with(&head, rows, &recent.map(|(at, _)| at).collect::<BTreeSet<_>>())
}

/// What is not older stands out on a terminal.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// Before which column the place stands, if it is shown.
const FROM: usize = 4;

const HEAD: [(&str, Column); 9] = [
    ("#", Column::Right),
    ("ID", Column::Left),
    ("SOURCE", Column::Left),
    ("ENGINE", Column::Left),
    ("CREATED", Column::Left),
    ("SIZE", Column::Right),
    ("ADDED", Column::Right),
    ("PARTS", Column::Right),
    ("TAGS, NOTE", Column::Left),
];

/// What is to be said of a snapshot in words.
pub(crate) fn remarks(snapshot: &Snapshot) -> String {
    let tags = snapshot.labels.tags.iter().cloned().collect::<Vec<_>>().join(", ");
    let note = snapshot.labels.note.as_deref().unwrap_or_default();
    let incomplete = if snapshot.info().findings.is_empty() { "" } else { "(not taken whole)" };
    let remarks = [incomplete, &tags, note].into_iter().filter(|remark| !remark.is_empty());
    printable(&remarks.collect::<Vec<_>>().join("; "))
}

fn row(context: &Context, index: u64, snapshot: &Snapshot) -> Vec<String> {
    let info = snapshot.info();
    vec![
        index.to_string(),
        snapshot.id.brief(),
        printable(&info.source),
        info.engine.clone(),
        context.local_time(&info.created_at),
        Bytes(info.logical_bytes).to_string(),
        Bytes(snapshot.stored_bytes()).to_string(),
        info.parts.to_string(),
        remarks(snapshot),
    ]
}

fn entry(index: u64, snapshot: &Snapshot) -> Value {
    let info = snapshot.info();
    json!({
        "index": index,
        "id": snapshot.id,
        "source": info.source,
        "engine": info.engine,
        "created_at": info.created_at,
        "tags": snapshot.labels.tags,
        "note": snapshot.labels.note,
        "logical_bytes": info.logical_bytes,
        "stored_bytes": snapshot.stored_bytes(),
        "parts": info.parts,
        "verified": evidence::brief(snapshot.labels.verified()),
        "restored": evidence::brief(snapshot.labels.restored()),
    })
}

/// `text` is in lower case.
fn mentions(snapshot: &Snapshot, text: &str) -> bool {
    let info = snapshot.info();
    let said = [Some(&info.source), Some(&info.engine), info.origin.as_ref(), snapshot.labels.note.as_ref()];
    said.into_iter().flatten().chain(&snapshot.labels.tags).any(|said| said.to_lowercase().contains(text))
}
