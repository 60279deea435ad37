//! `icecore export --format store`

use std::collections::BTreeSet;
use std::time::Instant;

use icecore::{Carried, Counter, Error, Snapshot, SnapshotId};
use jiff::Timestamp;
use serde_json::json;

use super::{ExportArgs, confirm};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::Listing;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// What goes into the file.
struct Chosen<'s> {
    snapshots: Vec<&'s Snapshot>,
    /// What came before, newest first, and is where the file goes.
    earlier: Vec<Snapshot>,
}

/// Writes a store.
pub(super) fn run(ui: &mut Ui, context: &Context, args: &ExportArgs) -> Result<ExitStatus> {
    let named: Option<&str> = args.snapshots.first().map(String::as_str);
    let named = args.service.or_positional(named)?;
    if args.decrypt || args.is_to_stdout() || (named.is_none() && !args.all) {
        let what = match (args.decrypt, args.is_to_stdout()) {
            (true, _) => "a store is exported as it is, encrypted or not",
            (false, true) => "a store cannot go to standard output",
            (false, false) => "say which snapshots, or --all",
        };
        return Err(CommandError::usage(what).hint("icecore export --all --format store --output FILE"));
    }
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let chosen = choose(context, &listing, named, args)?;
    let ids: Vec<SnapshotId> = chosen.snapshots.iter().map(|snapshot| snapshot.id).collect();
    let attempt = |ui: &Ui, replace: bool| {
        let started = Instant::now();
        let drawing = Progress::begin(ui, context, Counter::StoredBytes, "Exporting");
        let place = (args.output.as_path(), replace);
        let here = (context.host(), &*opened.real_dir());
        let carried =
            icecore::export_store(&opened.store, &ids, &chosen.earlier, place, here, &*drawing.monitor());
        drawing.end();
        carried.map(|carried| (carried, Millis::since(started)))
    };
    let (carried, duration) = match attempt(ui, false) {
        Err(Error::TargetExists { path }) => {
            confirm(ui, &path)?;
            attempt(ui, true)?
        }
        carried => carried?,
    };
    report(ui, &carried, duration)?;
    if !ui.json && !ui.quiet {
        told_further(ui, &chosen, args.since.is_some());
    }
    Ok(if listing.damaged > 0 { ExitStatus::Damaged } else { ExitStatus::Success })
}

fn choose<'s>(
    context: &Context,
    listing: &'s Listing,
    named: Option<String>,
    args: &ExportArgs,
) -> Result<Chosen<'s>> {
    let texts: Vec<String> =
        if args.snapshots.is_empty() { named.into_iter().collect() } else { args.snapshots.clone() };
    let snapshots: Vec<&Snapshot> = match args.all {
        true => listing.snapshots.iter().collect(),
        false => listing.resolve_all(context, &texts)?,
    };
    match &args.since {
        Some(since) => leave_out_earlier(context, listing, snapshots, since, args.all),
        None => Ok(Chosen { snapshots, earlier: Vec::new() }),
    }
}

/// Of these what came after `since`, and what of their sources is at hand from before.
fn leave_out_earlier<'s>(
    context: &Context,
    listing: &'s Listing,
    mut snapshots: Vec<&'s Snapshot>,
    since: &str,
    all: bool,
) -> Result<Chosen<'s>> {
    let first = first_earlier(context, listing, since)?;
    let (later, earlier) = listing.snapshots.split_at(first);
    let later: BTreeSet<SnapshotId> = later.iter().map(|snapshot| snapshot.id).collect();
    let is_later = |snapshot: &&Snapshot| later.contains(&snapshot.id);
    if !all && let Some(old) = snapshots.iter().find(|snapshot| !is_later(snapshot)) {
        let (id, since) = (old.id.brief(), printable(since));
        return Err(CommandError::usage(format!("snapshot {id} did not come after {since}"))
            .hint("with --since name what came after it, or --all"));
    }
    snapshots.retain(is_later);
    if snapshots.is_empty() {
        let message = format!("no snapshot came after {}", printable(since));
        return Err(CommandError::new(ExitStatus::NotFound, message).hint("nothing was written"));
    }
    let sources: BTreeSet<&str> = snapshots.iter().map(|snapshot| snapshot.info().source.as_str()).collect();
    let of_these = |snapshot: &&Snapshot| sources.contains(snapshot.info().source.as_str());
    let earlier = earlier.iter().filter(of_these).cloned().collect();
    Ok(Chosen { snapshots, earlier })
}

/// The place in the list, which is the newest first, of the first snapshot that did not come after a snapshot, or that was taken before a time.
fn first_earlier(context: &Context, listing: &Listing, since: &str) -> Result<usize> {
    let place = |is_earlier: &dyn Fn(&Snapshot) -> bool| {
        listing.snapshots.iter().position(is_earlier).unwrap_or(listing.snapshots.len())
    };
    let error = match listing.resolve(context, since) {
        Ok(snapshot) => return Ok(place(&|it| it.id == snapshot.id)),
        Err(error) => error,
    };
    match icecore::parse_time_point(since, context.now, &context.zone, false) {
        Ok(time) => {
            let taken = |it: &Snapshot| it.info().created_at.parse::<Timestamp>();
            Ok(place(&|it| taken(it).is_ok_and(|taken| taken < time)))
        }
        Err(_) => Err(error.if_not_found(
            "`icecore list` shows the snapshots there are; times look like 2026-11-20, 2026-11-20T10:00 or \"2 days ago\"",
        )),
    }
}

fn report(ui: &mut Ui, carried: &Carried, duration: Millis) -> Result<()> {
    let target = carried.target.display().to_string();
    if ui.json {
        return ui.document(&json!({
            "output": target,
            "snapshots": carried.sent.published,
            "packs": carried.sent.packs,
            "labels": carried.sent.labels,
            "earlier": carried.earlier,
            "written_bytes": carried.written_bytes,
            "duration_ms": duration.0,
        }));
    }
    if ui.quiet {
        return ui.line(target);
    }
    let what = if carried.earlier.is_empty() { " as a store" } else { "" };
    ui.line(format_args!(
        "Exported {}{what} to {}: {} written, {duration}",
        counted(carried.sent.published.len() as u64, "snapshot"),
        printable(&target),
        Bytes(carried.written_bytes),
    ))
}

/// What the file is good for, and what comes next.
fn told_further(ui: &mut Ui, chosen: &Chosen<'_>, is_later: bool) {
    match (chosen.earlier.first(), is_later) {
        (Some(newest), _) => ui.hint(format_args!(
            "`icecore import FILE` brings them to where {} {} and what came before it are",
            printable(&newest.info().source),
            newest.id.brief(),
        )),
        (None, true) => ui.status("Nothing of these sources came before: the file is a whole store."),
        (None, false) => ui.hint(
            "`icecore import FILE` brings them into the same store elsewhere, `icecore init --from FILE` makes it",
        ),
    }
    let newest = chosen.snapshots.iter().max_by(|a, b| a.info().created_at.cmp(&b.info().created_at));
    if let Some(newest) = newest {
        ui.hint(format_args!(
            "`--since {}` exports what comes after these, the next time",
            newest.id.brief()
        ));
    }
}
