//! Restoring one table of a database on a server, a way of `icecore restore`.

use std::time::Instant;

use icecore::{Database, Snapshot, TablePlan};
use icecore_engine::database::Restored;
use serde_json::json;

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::told::{refuse, rollback_command};
use crate::failure::Result;
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// Restores one table of a database, and asks before it is replaced.
pub(crate) fn run(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (database, table): (&Database, &str),
    args: &DatabaseArgs,
) -> Result<ExitStatus> {
    let options = args.of_table()?;
    let Chosen { context, opened, snapshot } = chosen;
    let plan = chosen.show(ui, "Looking", |monitor| {
        icecore::plan_table(&opened.store, snapshot, database, table, &options, monitor)
    })?;
    refuse(ui, &plan.notices, &plan.blockers, &format!("{} in {database}", plan.table))?;
    confirm(ui, database, &plan, &chosen.described())?;
    let started = Instant::now();
    let restored = chosen.show(ui, "Restoring", |monitor| {
        icecore::restore_table(&opened.store, snapshot, database, &plan, &options, monitor)
    })?;
    let undo = rollback_command(context, &snapshot.info().source, &database.url());
    report(ui, snapshot, (database, &plan), &undo, &restored, Millis::since(started))
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(ui: &mut Ui, database: &Database, plan: &TablePlan, by: &str) -> Result<()> {
    let Some(bytes) = plan.existing else { return Ok(()) };
    let (table, database) = (printable(&plan.table), printable(&database.to_string()).to_string());
    let what = format!("the table {table} of the database {database} ({})", Bytes(bytes));
    let fate = "it is kept for a rollback, and whoever uses it waits meanwhile";
    ui.confirm_effect(
        &format!("Replace {what} by that of {by} ({fate})?"),
        &format!("the table {table} is there, and was not touched"),
        &format!("replaces {what} by that of {by} ({fate})"),
    )
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    (database, plan): (&Database, &TablePlan),
    undo: &str,
    restored: &Restored,
    duration: Millis,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": database.url(),
            "table": plan.table,
            "rows": restored.rows,
            "kept": restored.kept,
            "duration_ms": duration.0,
            "notes": ui.notes,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(printable(&plan.table))?;
    } else {
        ui.line(format_args!(
            "Restored {} of {} {} to {}: {}, as captured, {}",
            printable(&plan.table),
            printable(&snapshot.info().source),
            short_id(snapshot),
            printable(&database.to_string()),
            counted(restored.rows, "row"),
            duration,
        ))?;
        if let Some(kept) = &restored.kept {
            ui.hint(format_args!(
                "what was there is kept as {}; `{undo} --table {}` brings it back",
                printable(kept),
                printable(&plan.table)
            ));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
