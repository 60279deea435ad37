//! Restoring to the file of a SQLite database so that it can be undone, a way of `icecore restore`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use icecore::{RestoredFile, Snapshot, Source, SqliteOptions};
use icecore_engine::sqlite::{self as engine, Keep, Plan};
use serde_json::json;

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::safety::Replaced;
use super::told::{refuse, rollback_command};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, printable};

/// The database that a snapshot goes to, if what is there is to be kept: one that --to names as a database, that of a service, whatever the
/// snapshot is called, or whichever, if `is_database`: an option asks for what only databases have.
pub(crate) fn find(
    context: &Context,
    snapshot: &Snapshot,
    to: Option<&Path>,
    is_database: bool,
) -> Result<Option<(PathBuf, String)>> {
    let info = snapshot.info();
    if let Some(to) = to.filter(|to| to.to_str().is_some_and(|to| to.starts_with("sqlite:"))) {
        let (source, _) = context.source(to)?;
        return Ok(path_of(&source).map(|path| (path.to_owned(), source.default_name())));
    }
    if info.form != "sqlite" || to.is_some_and(|to| to.as_os_str() == "-") {
        return Ok(None);
    }
    if let Some(to) = to {
        let source = Source::Sqlite(context.cwd.join(to));
        let path = path_of(&source).filter(|_| is_database);
        return Ok(path.map(|path| (path.to_owned(), source.default_name())));
    }
    let project = context.project()?;
    if let (Some(project), Some(file)) = (&project, &info.origin)
        && let Some(service) = project.service_of_file(Path::new(file))
    {
        return Ok(Some((file.into(), service.to_owned())));
    }
    let service = match project {
        Some(project) => project.source(&info.source, &context.environment())?,
        None => None,
    };
    let path = match &service {
        Some(source) => path_of(source),
        None => info.origin.as_deref().map(Path::new).filter(|_| is_database),
    };
    Ok(path.map(|path| (path.to_owned(), info.source.clone())))
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
    if args.replace {
        drop_kept(ui, chosen, (&plan.path, name), &mut done);
    }
    let undo = rollback_command(context, name, &plan.path.to_string_lossy());
    report(ui, snapshot, (&plan, &undo), &done, Millis::since(started))
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

/// Removes what was put aside.
fn drop_kept(ui: &Ui, chosen: Chosen<'_>, (path, name): (&Path, &str), done: &mut RestoredFile) {
    let Some(kept) = &done.kept else { return };
    let shown = printable(&kept.path.display().to_string()).to_string();
    let source = &Source::Sqlite(kept.path.clone());
    let replaced = Replaced { name, source, origin: &path.to_string_lossy() };
    match replaced.save_and_drop(ui, chosen, &shown, || Ok(engine::forget(path, kept)?)) {
        Ok(findings) => {
            done.restored.warnings.extend(findings);
            done.kept = None;
        }
        Err(warning) => done.restored.warnings.push(warning),
    }
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    (plan, undo): (&Plan, &str),
    done: &RestoredFile,
    duration: Millis,
) -> Result<ExitStatus> {
    let RestoredFile { restored, kept } = done;
    let kept = kept.as_ref().map(|kept| kept.path.display().to_string());
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": plan.path.to_string_lossy(),
            "parts": restored.parts,
            "bytes": restored.bytes,
            "written_bytes": restored.written_bytes,
            "kept": kept,
            "notes": ui.notes,
            "duration_ms": duration.0,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(plan.path.display())?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to {}: {}, {}",
            printable(&snapshot.info().source),
            short_id(snapshot),
            printable(&plan.path.display().to_string()),
            Bytes(restored.bytes),
            duration,
        ))?;
        if let Some(kept) = kept {
            let back = match plan.keep {
                Keep::ForRollback => format!("; `{undo}` brings it back"),
                Keep::As(_) | Keep::Nothing => String::new(),
            };
            ui.hint(format_args!("what was there is kept as {}{back}", printable(&kept)));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
