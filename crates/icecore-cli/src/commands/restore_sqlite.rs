//! Restoring to the file of a SQLite database so that it can be undone, a way of `icecore restore`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use icecore::{Counter, RestoredFile, Snapshot, Source, SqliteOptions};
use icecore_engine::RestoreError;
use icecore_engine::sqlite::{self as engine, Keep, Plan};
use serde_json::json;

use super::restore_database::{DatabaseArgs, refuse, take_safety_snapshot, time_suffix};
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, printable};

/// The database that a snapshot goes to, if what is there is to be kept: one that --to names as a database, that of a service, or whichever, if
/// an option asks for what only databases have.
pub(crate) fn find(
    context: &Context,
    snapshot: &Snapshot,
    to: Option<&Path>,
    args: &DatabaseArgs,
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
        let path = path_of(&source).filter(|_| args.is_used());
        return Ok(path.map(|path| (path.to_owned(), source.default_name())));
    }
    let service = match context.project()? {
        Some(project) => project.source(&info.source, &context.environment())?,
        None => None,
    };
    let path = match &service {
        Some(source) => path_of(source),
        None => info.origin.as_deref().map(Path::new).filter(|_| args.is_used()),
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

pub(crate) fn run(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    (path, name): (&Path, &str),
    args: &DatabaseArgs,
    allowed: Allowed,
) -> Result<ExitStatus> {
    if args.is_of_a_server() {
        return Err(CommandError::usage(
            "--create-roles, --with-cdc and --without-definers are for databases on servers",
        ));
    }
    let keep = if args.preserve {
        // Beside the file itself, not beside a link to it.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut kept = real.into_os_string();
        kept.push(time_suffix(context));
        Keep::As(kept.into())
    } else {
        Keep::ForRollback
    };
    let options = SqliteOptions {
        keep,
        checks: args.checks(),
        allow_damaged: allowed.damaged,
        allow_incomplete: allowed.incomplete,
        store_dir: opened.dir.canonicalize().unwrap_or_else(|_| opened.dir.clone()),
    };
    let plan = icecore::plan_sqlite(&opened.store, snapshot, path, &options)?;
    refuse(ui, &plan.notices, &plan.blockers, &plan.path.display().to_string())?;
    confirm(ui, &plan, args.replace)?;
    let started = Instant::now();
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Restoring");
    let done = icecore::restore_sqlite(&opened.store, snapshot, &plan, &options, &*drawing.monitor());
    drawing.end();
    let mut done = done?;
    if args.replace {
        replace(ui, context, opened, (&plan.path, name), &mut done);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    report(ui, snapshot, &plan, &done, duration_ms)
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(ui: &mut Ui, plan: &Plan, drops: bool) -> Result<()> {
    let Some(existing) = &plan.existing else { return Ok(()) };
    let path = printable(&plan.path.display().to_string()).to_string();
    let fate = match &plan.keep {
        _ if drops => "it goes, after a snapshot of it".to_owned(),
        Keep::As(name) => format!("it is kept as {}", printable(&name.display().to_string())),
        Keep::ForRollback | Keep::Nothing => "it is kept for `icecore rollback`".to_owned(),
    };
    let what = format!("the database {path} ({})", Bytes(existing.bytes));
    ui.confirm_effect(
        &format!("Replace {what}? {fate}."),
        &format!("the database {path} is there, and was not touched"),
        &format!("replaces {what}; {fate}; --to PATH restores elsewhere"),
    )
}

/// Removes what was put aside once it is in the store: nobody writes to it any more.
fn replace(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    (path, name): (&Path, &str),
    done: &mut RestoredFile,
) {
    let Some(kept) = &done.kept else { return };
    let shown = printable(&kept.path.display().to_string()).to_string();
    let aside = Source::Sqlite(kept.path.clone());
    let saved = take_safety_snapshot(ui, context, opened, name, &aside, &path.to_string_lossy())
        .and_then(|findings| Ok((findings, engine::forget(path, kept).map_err(icecore::Error::from)?)));
    match saved {
        Ok((findings, ())) => {
            done.restored.warnings.extend(findings);
            done.kept = None;
        }
        Err(CommandError::Failure(failure)) => {
            let why = failure.message;
            done.restored.warnings.push(format!("what was there is still there, as {shown}: {why}"));
        }
        Err(_) => done.restored.warnings.push(format!("what was there is still there, as {shown}")),
    }
}

/// Undoes the last restore, if it put something aside.
pub(crate) fn rollback(ui: &mut Ui, path: &Path) -> Result<Option<ExitStatus>> {
    let shown = printable(&path.display().to_string()).to_string();
    let question = format!("Bring back what the last restore of the database {shown} put aside?");
    ui.confirm(&question, &format!("the database {shown} was not touched"))?;
    let undone = engine::rollback(path).map_err(|error| match error {
        error @ RestoreError::Refused(_) => CommandError::from(icecore::Error::from(error))
            .hint("nothing was changed; end what stands in the way, and try again"),
        error => icecore::Error::from(error).into(),
    })?;
    let Some(undone) = undone else { return Ok(None) };
    let kept = undone.kept.map(|kept| kept.path.display().to_string());
    if ui.json {
        ui.document(&json!({ "target": path.display().to_string(), "kept": kept }))?;
    } else {
        let kept = kept.map(|kept| format!("; what was there is kept as {}", printable(&kept)));
        ui.line(format_args!("Rolled back {shown}{}", kept.unwrap_or_default()))?;
    }
    Ok(Some(ExitStatus::Success))
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    plan: &Plan,
    done: &RestoredFile,
    duration_ms: u64,
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
            "duration_ms": duration_ms,
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
            Millis(duration_ms),
        ))?;
        if let Some(kept) = kept {
            let back = match plan.keep {
                Keep::ForRollback => "; `icecore rollback` brings it back",
                Keep::As(_) | Keep::Nothing => "",
            };
            ui.hint(format_args!("what was there is kept as {}{back}", printable(&kept)));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
