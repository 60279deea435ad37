//! Restoring to a database server, a way of `icecore restore`.

use std::time::Instant;

use icecore::{Database, DatabasePlan, Snapshot};
use icecore_engine::database::{Keep, Options, Restored};
use serde_json::json;

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::preserved;
use super::safety::{Replaced, safety_name};
use super::told::{Fate, refuse, rollback_command};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// Restores a whole database, and asks before one is replaced.
pub(crate) fn run(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (database, name): (&Database, &str),
    args: &DatabaseArgs,
    allow_incomplete: bool,
) -> Result<ExitStatus> {
    args.refuse_empty()?;
    let Chosen { context, opened, snapshot } = chosen;
    let options = options(context, database, args)?;
    let plan = chosen.show(ui, "Looking", |monitor| {
        icecore::plan_database(&opened.store, snapshot, database, &options, allow_incomplete, monitor)
    })?;
    refuse(ui, &plan.notices, &plan.blockers, &database.to_string())?;
    confirm(ui, database, &plan, &options, (args.replace, &chosen.described()))?;
    let started = Instant::now();
    let mut restored = chosen.show(ui, "Restoring", |monitor| {
        icecore::restore_database(&opened.store, snapshot, database, &plan, &options, monitor)
    })?;
    let told = Told {
        fate: match &options.keep {
            _ if args.replace && drop_kept(ui, chosen, (database, name), &mut restored) => Fate::Snapshot,
            Keep::ForRollback => Fate::Aside,
            Keep::As(_) => Fate::Preserved,
        },
        undo: &rollback_command(context, name, &database.url()),
        duration: Millis::since(started),
    };
    report(ui, snapshot, database, &told, &restored)
}

/// Drops what was put aside. Says whether a snapshot has taken its place, which `restored` names then.
fn drop_kept(
    ui: &Ui,
    chosen: Chosen<'_>,
    (database, name): (&Database, &str),
    restored: &mut Restored,
) -> bool {
    let Some(kept) = restored.kept.clone() else { return false };
    let replaced = Replaced { name, source: &database.beside(&kept), origin: &database.url() };
    match replaced.save_and_drop(ui, chosen, &kept, || database.forget(restored)) {
        Ok(findings) => {
            restored.warnings.extend(findings);
            restored.kept = Some(safety_name(name));
            true
        }
        Err(warning) => {
            restored.warnings.push(warning);
            false
        }
    }
}

fn options(context: &Context, database: &Database, args: &DatabaseArgs) -> Result<Options> {
    let keep = match args.preserve {
        true => Keep::As(preserved::name(context, database)),
        false => Keep::ForRollback,
    };
    let (create_roles, with_cdc, without_definers) =
        (args.create_roles, args.with_cdc, args.without_definers);
    let is_fitting = match database {
        Database::Postgres(_) => !without_definers,
        Database::Mysql(_) => !create_roles && !with_cdc,
    };
    if !is_fitting {
        return Err(CommandError::usage(
            "--create-roles is for databases of PostgreSQL, and --without-definers for those of MySQL and MariaDB",
        ));
    }
    Ok(Options { keep, create_roles, with_cdc, without_definers, checks: args.checks() })
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(
    ui: &mut Ui,
    database: &Database,
    plan: &DatabasePlan,
    options: &Options,
    (drops, by): (bool, &str),
) -> Result<()> {
    let Some(existing) = &plan.existing else { return Ok(()) };
    let shown = printable(&database.to_string()).to_string();
    let sessions = match existing.sessions {
        0 => String::new(),
        sessions => format!("; {} will be ended", counted(sessions, "session")),
    };
    let fate = match &options.keep {
        _ if drops => "it is dropped, after a snapshot of it".to_owned(),
        Keep::ForRollback => "it is kept for a rollback".to_owned(),
        Keep::As(name) => format!("it is kept as {}", printable(name)),
    };
    let what = format!("the database {shown} ({}{sessions})", Bytes(existing.bytes));
    ui.confirm_effect(
        &format!("Replace {what} by {by} ({fate})?"),
        &format!("the database {shown} is there, and was not touched"),
        &format!("replaces {what} by {by} ({fate}); --to URL restores elsewhere"),
    )
}

/// What a report says besides what was restored.
struct Told<'a> {
    fate: Fate,
    undo: &'a str,
    duration: Millis,
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    database: &Database,
    told: &Told<'_>,
    restored: &Restored,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": database.url(),
            "parts": snapshot.info().parts,
            "bytes": snapshot.info().logical_bytes,
            "written_bytes": snapshot.info().logical_bytes,
            "tables": restored.tables,
            "rows": restored.rows,
            "kept": restored.kept,
            "notes": ui.notes,
            "duration_ms": told.duration.0,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(database.url())?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to {}: {}, {} as captured, {}",
            printable(&snapshot.info().source),
            snapshot.id.brief(),
            printable(&database.to_string()),
            counted(restored.tables, "table"),
            counted(restored.rows, "row"),
            told.duration,
        ))?;
        if let Some(kept) = &restored.kept {
            ui.hint(told.fate.told(kept, told.undo));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
