//! Restoring to a path, a way of `icecore restore`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

use icecore::{Error, RestoreOptions, Restored, Snapshot, Source};
use icecore_engine::RestoreError;
use icecore_engine::postgres::physical::CONTROL;

use super::chosen::Chosen;
use super::safety::Replaced;
use super::told::{document, rollback_command};
use crate::failure::{CommandError, Result, explain, sentence};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// Restores what `options` say, and asks before anything is replaced. Of a cluster of PostgreSQL that is, a snapshot is taken before.
pub(crate) fn run(ui: &mut Ui, chosen: Chosen<'_>, mut options: RestoreOptions) -> Result<ExitStatus> {
    let Chosen { opened, snapshot, .. } = chosen;
    let attempt = |ui: &Ui, options: &RestoreOptions| {
        // Neither the time to open the store nor that to confirm.
        let started = Instant::now();
        let restored = chosen
            .show(ui, "Restoring", |monitor| icecore::restore(&opened.store, snapshot, options, monitor));
        restored.map(|restored| (restored, Millis::since(started)))
    };
    let mut saved = None;
    let (mut restored, duration) = match attempt(ui, &options) {
        Err(Error::TargetExists { path }) => {
            let undo = options.part.is_none() && wants_undo(snapshot, &path);
            confirm(ui, &path, &chosen.described(), options.in_place, undo)?;
            if undo {
                let (name, source) = (&snapshot.info().source, &Source::Path(path.clone()));
                let origin = path.canonicalize().unwrap_or(path);
                let replaced = Replaced { name, source, origin: &origin.to_string_lossy() };
                saved = Some(replaced.save(ui, chosen)?);
            }
            options.replace = true;
            attempt(ui, &options).map_err(|error| {
                if let Some(saved) = saved.as_ref().filter(|_| has_left_alone(&error)) {
                    saved.withdraw(opened);
                }
                match options.in_place {
                    true => in_place_failed(error, chosen, saved.as_ref().map(|saved| saved.name.as_str())),
                    false => error.into(),
                }
            })?
        }
        restored => restored?,
    };
    let kept = saved.map(|saved| {
        restored.warnings.extend(saved.findings);
        saved.name
    });
    report(ui, snapshot, &restored, options.part.as_deref(), kept.as_deref(), duration)
}

/// Whether a failure is known to have changed nothing of what was there.
fn has_left_alone(error: &Error) -> bool {
    matches!(
        error,
        Error::Damaged { .. }
            | Error::Cancelled
            | Error::Restore(RestoreError::Refused(_) | RestoreError::Cancelled)
    )
}

/// Says in which state a failure has left what was to be rewritten, and how that is mended.
fn in_place_failed(error: Error, chosen: Chosen<'_>, kept: Option<&str>) -> CommandError {
    let Error::HalfDone { path, source } = &error else {
        let is_damaged = matches!(error, Error::Damaged { .. });
        let error = CommandError::from(error);
        return match is_damaged {
            true => error.hint("nothing was changed; `icecore verify` tells what else is damaged, and an older snapshot in `icecore list` may be whole"),
            false => error,
        };
    };
    let again = "the same restore once more finishes it";
    let undo = rollback_command(chosen.context, "", &path.to_string_lossy());
    let hint = match kept {
        Some(kept) => {
            format!(
                "{again}; what was there is the snapshot {}, and `{undo}` brings it back",
                printable(kept)
            )
        }
        None if icecore::is_base_backup(chosen.snapshot) => {
            format!("{again}; `{undo}` brings back what the restore before has kept")
        }
        None => again.to_owned(),
    };
    CommandError::new(explain(source).0, sentence(&error)).hint(hint)
}

/// Whether somebody might want back what is there: a cluster, or what a cluster takes the place of. What a restore left half done is nothing
/// that anybody wants, and would take the place of what was there before it.
fn wants_undo(snapshot: &Snapshot, path: &Path) -> bool {
    let holds_anything = path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    match is_cluster(path) {
        true => path.join(CONTROL).is_file(),
        false => icecore::is_base_backup(snapshot) && holds_anything,
    }
}

/// Whether a directory holds a cluster of PostgreSQL.
pub(crate) fn is_cluster(path: &Path) -> bool {
    path.join("PG_VERSION").is_file() && path.join("base").is_dir()
}

/// Whether nothing can be put in a directory's place.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    let above = path.canonicalize().ok().and_then(|real| device(real.parent()?));
    above.is_some_and(|above| device(path) != Some(above))
}

/// Names exactly what would be lost.
fn confirm(ui: &mut Ui, path: &Path, by: &str, in_place: bool, undo: bool) -> Result<()> {
    let shown = printable(&path.display().to_string());
    // A link stays; what it leads to is replaced.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let shown = match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            format!("{} (where {shown} leads)", printable(&real.display().to_string()))
        }
        _ => shown,
    };
    let what = match path.metadata() {
        Ok(meta) if meta.is_dir() => format!("the directory {shown} and everything in it"),
        Ok(meta) => format!("{shown} ({})", Bytes(meta.len())),
        Err(_) => shown.clone(),
    };
    let (question, effect) = match (in_place, path.is_dir()) {
        (false, _) => (format!("Replace {what} by {by}?"), format!("replaces {what} by {by}")),
        (true, false) => {
            (format!("Rewrite {what} by {by}?"), format!("rewrites {what} by {by} where it differs"))
        }
        (true, true) => (
            format!("Make the directory {shown} like {by}, and remove everything else in it?"),
            format!("makes the directory {shown} like {by}, and removes everything else in it"),
        ),
    };
    let (question, effect) = match undo {
        true => (
            format!("{question} A snapshot of it is taken before."),
            format!("{effect}, after a snapshot of it was taken"),
        ),
        false => (question, effect),
    };
    ui.confirm_effect(
        &question,
        &format!("{shown} exists already, and was not touched"),
        &format!("{effect}; --to PATH restores elsewhere"),
    )
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    restored: &Restored,
    part: Option<&str>,
    kept: Option<&str>,
    duration: Millis,
) -> Result<ExitStatus> {
    let target =
        restored.target.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    if ui.json {
        let target = target.as_deref().unwrap_or(Path::new("-"));
        ui.document(&document(ui, snapshot, (target, restored), kept, duration))?;
    } else if ui.quiet {
        if !ui.stdout_taken
            && let Some(path) = &target
        {
            ui.line(path.display())?;
        }
    } else {
        let what = part.map(|part| format!("{} of ", printable(part))).unwrap_or_default();
        let to =
            restored.target.as_ref().map_or("standard output".to_owned(), |path| path.display().to_string());
        let written = match restored.written_bytes == restored.bytes {
            true => String::new(),
            false => format!(", {} rewritten", Bytes(restored.written_bytes)),
        };
        ui.line(format_args!(
            "Restored {what}{} {} to {}: {} in {}{written}, {}",
            printable(&snapshot.info().source),
            snapshot.id.brief(),
            printable(&to),
            Bytes(restored.bytes),
            counted(restored.parts, "part"),
            duration,
        ))?;
        if let Some(kept) = kept {
            let kept = printable(kept);
            ui.hint(format_args!(
                "what was there is the snapshot {kept}; `icecore rollback DIR` brings it back"
            ));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
