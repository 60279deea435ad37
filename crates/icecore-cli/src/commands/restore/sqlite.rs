//! Restoring to the file of a SQLite database so that it can be undone, a way of `icecore restore`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use icecore::{Restored, RestoredFile, Snapshot, Source, SqliteOptions};
use icecore_engine::sqlite::{self as engine, Keep, Plan};

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::safety::{Replaced, safety_name};
use super::told::{Fate, document, refuse, rollback_command};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, printable};

/// The file that a snapshot of a SQLite database goes to, or that --to names as one, and what snapshots of that are called; `None` if it goes
/// elsewhere, or nobody knows where.
pub(crate) fn find(
    context: &Context,
    snapshot: &Snapshot,
    to: Option<&Path>,
) -> Result<Option<(PathBuf, String)>> {
    let info = snapshot.info();
    let is_said = to.is_some_and(|to| to.to_str().is_some_and(|to| to.starts_with("sqlite:")));
    if !is_said && (info.form != "sqlite" || to.is_some_and(|to| to.as_os_str() == "-")) {
        return Ok(None);
    }
    let project = match to {
        None => context.project()?,
        // Where a path leads is known without it.
        Some(_) => context.project().unwrap_or_default(),
    };
    let (path, name) = match to {
        Some(to) => {
            let source = if is_said { context.place(to)? } else { Source::Sqlite(context.cwd.join(to)) };
            let Some(path) = path_of(&source) else { return Ok(None) };
            (path.to_owned(), source.default_name())
        }
        None => {
            let origin = info.origin.as_deref().map(Path::new);
            let is_of_service = |path: &Path| project.as_ref()?.service_of_file(path);
            let service = match (&project, origin.and_then(is_of_service)) {
                (Some(project), None) => project.source(&info.source, &context.environment())?,
                _ => None,
            };
            let Some(path) = service.as_ref().map_or(origin, path_of) else { return Ok(None) };
            (path.to_owned(), info.source.clone())
        }
    };
    // Whatever it is called, and however it was named, the file of a service is that.
    let service = project.as_ref().and_then(|project| project.service_of_file(&path));
    let name = service.map_or(name, str::to_owned);
    Ok(Some((path, name)))
}

/// The file of a source, if it is one.
pub(crate) fn path_of(source: &Source) -> Option<&Path> {
    match source {
        Source::Sqlite(path) | Source::Path(path) => Some(path),
        _ => None,
    }
}

/// What a restore may do, besides what only databases have.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) damaged: bool,
    pub(crate) incomplete: bool,
}

/// Restores to a file, and asks before one is replaced.
pub(crate) fn run(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (path, name): (&Path, &str),
    args: &DatabaseArgs,
    allowed: Allowed,
) -> Result<ExitStatus> {
    refuse_of_servers(args)?;
    let Chosen { context, opened, snapshot } = chosen;
    let options = SqliteOptions {
        keep: keep(context, path, args),
        checks: args.checks(),
        allow_damaged: allowed.damaged,
        allow_incomplete: allowed.incomplete,
        store_dir: opened.real_dir(),
    };
    let plan = icecore::plan_sqlite(&opened.store, snapshot, path, &options)?;
    refuse(ui, &plan.notices, &plan.blockers, &plan.path.display().to_string())?;
    confirm(ui, &plan, (args.replace, &chosen.described()))?;
    let started = Instant::now();
    let mut done = chosen.show(ui, "Restoring", |monitor| {
        icecore::restore_sqlite(&opened.store, snapshot, &plan, &options, monitor)
    })?;
    let mut kept = done.kept.as_ref().map(|kept| kept.path.display().to_string());
    let mut fate = if args.preserve { Fate::Preserved } else { Fate::Aside };
    if args.replace && drop_kept(ui, chosen, (&plan.path, name), &mut done) {
        (kept, fate) = (Some(safety_name(name)), Fate::Snapshot);
    }
    let undo = rollback_command(context, name, &plan.path.to_string_lossy());
    let told = kept.as_deref().map(|kept| (kept, fate.told(kept, &undo)));
    report(ui, snapshot, (&plan.path, &done.restored), told, Millis::since(started))
}

/// Refuses what means nothing for a file.
pub(super) fn refuse_of_servers(args: &DatabaseArgs) -> Result<()> {
    match args.is_of_a_server() {
        true => Err(CommandError::usage(
            "--create-roles, --with-cdc and --without-definers are for databases on servers",
        )),
        false => Ok(()),
    }
}

/// What becomes of what is there.
fn keep(context: &Context, path: &Path, args: &DatabaseArgs) -> Keep {
    if !args.preserve {
        return Keep::ForRollback;
    }
    // Beside the file itself, not beside a link to it.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut kept = real.into_os_string();
    kept.push(context.time_suffix(context.now));
    Keep::As(kept.into())
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(ui: &mut Ui, plan: &Plan, (drops, by): (bool, &str)) -> Result<()> {
    let Some(existing) = &plan.existing else { return Ok(()) };
    let path = printable(&plan.path.display().to_string()).to_string();
    let fate = match &plan.keep {
        _ if drops => "it goes, after a snapshot of it".to_owned(),
        Keep::As(name) => format!("it is kept as {}", printable(&name.display().to_string())),
        Keep::ForRollback | Keep::Nothing => "it is kept for `icecore rollback`".to_owned(),
    };
    let what = format!("the database {path} ({})", Bytes(existing.bytes));
    ui.confirm_effect(
        &format!("Replace {what} by {by} ({fate})?"),
        &format!("the database {path} is there, and was not touched"),
        &format!("replaces {what} by {by} ({fate}); --to PATH restores elsewhere"),
    )
}

/// Removes what was put aside. Says whether a snapshot has taken its place.
fn drop_kept(ui: &Ui, chosen: Chosen<'_>, (path, name): (&Path, &str), done: &mut RestoredFile) -> bool {
    let Some(kept) = &done.kept else { return false };
    let shown = printable(&kept.path.display().to_string()).to_string();
    let source = &Source::Sqlite(kept.path.clone());
    let replaced = Replaced { name, source, origin: &path.to_string_lossy() };
    let saved = replaced.save_and_drop(ui, chosen, &shown, || Ok(engine::forget(path, kept)?));
    let is_saved = saved.is_ok();
    done.restored.warnings.extend(saved.unwrap_or_else(|warning| vec![warning]));
    is_saved
}

/// Tells what was done; and, if anything was there, where that is.
fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    (path, restored): (&Path, &Restored),
    kept: Option<(&str, String)>,
    duration: Millis,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&document(ui, snapshot, (path, restored), kept.map(|(kept, _)| kept), duration))?;
    } else if ui.quiet {
        ui.line(path.display())?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to {}: {}, {}",
            printable(&snapshot.info().source),
            snapshot.id.brief(),
            printable(&path.display().to_string()),
            Bytes(restored.bytes),
            duration,
        ))?;
        if let Some((_, told)) = kept {
            ui.hint(told);
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
