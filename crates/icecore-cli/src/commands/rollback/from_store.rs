//! Rollbacks to a snapshot, where nothing was put aside or nothing else helps.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use icecore::{Database, Destination, RestoreOptions, Snapshot, Source};
use icecore_engine::sqlite as engine;

use super::meant::{Meant, real};
use crate::commands::restore::chosen::Chosen;
use crate::commands::restore::database_args::DatabaseArgs;
use crate::commands::restore::files::{self, is_cluster};
use crate::commands::restore::preserved;
use crate::commands::restore::safety::safety_name;
use crate::commands::restore::sqlite::{self, Allowed, path_of};
use crate::commands::restore::told::rollback_command;
use crate::commands::restore::{database, redis};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Restores what the last restore took a snapshot of before it replaced it.
pub(super) fn before_restore(ui: &mut Ui, context: &Context, meant: &Meant) -> Result<ExitStatus> {
    let opened = &context.open()?;
    let listing = opened.listing(ui)?;
    let (series, origin) = (safety_name(&meant.name), meant.origin());
    // Whatever it was called, it knows where it belongs.
    let is_of = |snapshot: &&Snapshot| {
        let info = snapshot.info();
        let is_named = info.source == series && !meant.is_elsewhere(context, snapshot);
        let is_from_here = |of: &String| *of == origin || context.is_at(of, &meant.source);
        icecore::is_safety(snapshot) && (is_named || info.origin.as_ref().is_some_and(is_from_here))
    };
    let found = listing.snapshots.iter().find(is_of);
    let taken = found.and_then(|snapshot| snapshot.info().created_at.parse().ok());
    if let Some(kept) = preserved::since(&meant.source, &context.time_suffix(taken.unwrap_or_default()))? {
        let (name, kept) = (printable(&meant.name), printable(&kept));
        let error =
            format!("the last restore of {name} put nothing aside, but kept what it replaced as {kept}");
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("that is yours: let the two change names; `icecore list` shows the snapshots from before restores"));
    }
    let Some(snapshot) = found else {
        let error = format!("there is nothing to bring back of {}", printable(&meant.name));
        return Err(CommandError::new(ExitStatus::NotFound, error).hint(format!(
            "no restore put anything aside, and there is no snapshot {}",
            printable(&series)
        )));
    };
    let by = context.described(snapshot);
    ui.note(format!("nothing is put aside; what a restore before took a snapshot of is {by}"));
    restore(ui, Chosen { context, opened, snapshot }, meant)
}

/// Restores the newest snapshot that can be, whatever became of those after it, without a question.
pub(super) fn newest_whole(ui: &mut Ui, context: &Context, meant: &Meant) -> Result<ExitStatus> {
    ui.assume_yes = true;
    let Meant { source, name, .. } = meant;
    let opened = &context.open()?;
    let listing = opened.listing(ui)?;
    let path = path_of(source);
    let cluster = path.filter(|path| is_cluster(path)).map(|path| real(path).display().to_string());
    let is_whole = |snapshot: &&Snapshot| {
        let info = snapshot.info();
        let is_named = info.source == *name && !meant.is_elsewhere(context, snapshot);
        let is_of = is_named || (cluster.is_some() && info.origin == cluster);
        let has_rows = match (&cluster, path) {
            (Some(_), _) => icecore::is_base_backup(snapshot),
            (None, Some(_)) => info.form == "sqlite",
            (None, None) => match source {
                Source::Postgres(_) => info.form == "pg_dump",
                Source::Mysql(_) => info.form == "mysqldump",
                _ => info.form == "rdb",
            },
        };
        is_of && info.findings.is_empty() && has_rows
    };
    let mut damaged = Vec::new();
    let is_from_here = |snapshot: &&Snapshot| match snapshot.info().origin.as_deref() {
        Some(origin) if origin.contains("://") => context.is_at(origin, source),
        _ => true,
    };
    // A service may have moved; but what is called so elsewhere is not to be taken for it.
    let any_is_from_here = listing.snapshots.iter().filter(is_whole).any(|it| is_from_here(&it));
    let wanted = |snapshot: &&Snapshot| is_whole(snapshot) && (!any_is_from_here || is_from_here(snapshot));
    for snapshot in listing.snapshots.iter().filter(wanted) {
        let noted = ui.notes.len();
        match restore(ui, Chosen { context, opened, snapshot }, meant) {
            Err(CommandError::Failure(failure)) if failure.status == ExitStatus::Damaged => {
                let passed_over = format!("{}; trying the one before", failure.message);
                ui.warn(printable(&passed_over));
                // What was to come of it does not.
                ui.notes.truncate(noted);
                ui.notes.push(passed_over);
                damaged.push(short_id(snapshot));
            }
            done => return done,
        }
    }
    let aside = put_aside(context, meant);
    if !damaged.is_empty() {
        let error = format!("all whole snapshots of {} are damaged: {}", printable(name), damaged.join(", "));
        let repair = "`icecore verify` tells what of them is damaged, and `icecore repair` heals what it can";
        return Err(
            CommandError::new(ExitStatus::Damaged, error).hint(aside.unwrap_or_else(|| repair.to_owned()))
        );
    }
    let error = format!("there is no whole snapshot of {}", printable(name));
    let is_other =
        |snapshot: &Snapshot| snapshot.info().source == *name && meant.is_elsewhere(context, snapshot);
    let hint = match listing.snapshots.iter().any(is_other) {
        true => "those of that name are of another place; `icecore restore NAME --to URL` restores one here",
        false => "`icecore list` shows what there is",
    };
    Err(CommandError::new(ExitStatus::NotFound, error).hint(aside.unwrap_or_else(|| hint.to_owned())))
}

/// What of it is still there, if anything is, and how it comes back.
fn put_aside(context: &Context, meant: &Meant) -> Option<String> {
    let kept = match (Database::of(&meant.source), path_of(&meant.source)) {
        (Some(database), _) => database.put_aside().ok()?,
        (None, Some(path)) if !path.is_dir() => {
            engine::put_aside(path).map(|path| path.display().to_string())
        }
        (None, _) => None,
    }?;
    let undo = rollback_command(context, &meant.name, &meant.origin());
    Some(format!(
        "what the last restore replaced is still there, as {}: `{undo}` brings it back",
        printable(&kept)
    ))
}

/// Restores a snapshot to where what is meant is.
fn restore(ui: &mut Ui, chosen: Chosen<'_>, meant: &Meant) -> Result<ExitStatus> {
    let (name, args) = (meant.name.as_str(), DatabaseArgs::default());
    if let Some(database) = Database::of(&meant.source) {
        return database::run(ui, chosen, (&database, name), &args, false);
    }
    match &meant.source {
        Source::Path(path) if is_cluster(path) || icecore::is_base_backup(chosen.snapshot) => {
            let options = RestoreOptions {
                to: Destination::Path(path.clone()),
                part: None,
                in_place: is_mount_point(path),
                replace: false,
                allow_damaged: false,
                allow_incomplete: false,
                trusted: false,
                store_dir: chosen.opened.real_dir(),
            };
            files::run(ui, chosen, options)
        }
        Source::Redis(endpoint) => redis::run(ui, chosen, (endpoint, name), false),
        Source::Sqlite(path) | Source::Path(path) => {
            sqlite::run(ui, chosen, (path, name), &args, Allowed::default())
        }
        _ => Err(CommandError::usage("only a restore of a database can be undone")),
    }
}

/// Whether nothing can be put in a directory's place.
fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    let above = path.canonicalize().ok().and_then(|real| device(real.parent()?));
    above.is_some_and(|above| device(path) != Some(above))
}
