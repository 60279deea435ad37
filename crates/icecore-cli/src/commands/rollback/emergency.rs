//! Rollbacks in an emergency: to the newest snapshot that is whole.

use icecore::{Snapshot, Source};

use super::meant::{Meant, real};
use super::place::Place;
use crate::commands::restore::back::{self, Leave};
use crate::commands::restore::chosen::Chosen;
use crate::commands::restore::files::is_cluster;
use crate::commands::restore::sqlite::path_of;
use crate::commands::restore::told::rollback_command;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

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
        Some(origin) if icecore::is_url(origin) => context.is_at(origin, source),
        _ => true,
    };
    // A service may have moved; but what is called so elsewhere is not to be taken for it.
    let any_is_from_here = listing.snapshots.iter().filter(is_whole).any(|it| is_from_here(&it));
    let wanted = |snapshot: &&Snapshot| is_whole(snapshot) && (!any_is_from_here || is_from_here(snapshot));
    for snapshot in listing.snapshots.iter().filter(wanted) {
        let noted = ui.notes.len();
        let chosen = Chosen { context, opened, snapshot };
        match back::restore(ui, chosen, (source, name), Leave::default()) {
            Err(CommandError::Failure(failure)) if failure.status == ExitStatus::Damaged => {
                let passed_over = format!("{}; trying the one before", failure.message);
                ui.warn(printable(&passed_over));
                // What was to come of it does not.
                ui.notes.truncate(noted);
                ui.notes.push(passed_over);
                damaged.push(snapshot.id.brief());
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
    let kept = Place::of(&meant.source)?.put_aside().ok()??;
    let undo = rollback_command(context, &meant.name, &meant.origin());
    Some(format!(
        "what the last restore replaced is still there, as {}: `{undo}` brings it back",
        printable(&kept)
    ))
}
