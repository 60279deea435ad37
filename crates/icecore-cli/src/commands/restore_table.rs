//! Restoring one table of a PostgreSQL database, a way of `icecore restore`.

use std::time::Instant;

use icecore::{Counter, Snapshot};
use icecore_engine::database::Options;
use icecore_engine::postgres::Endpoint;
use icecore_engine::postgres::restore::table::{RestoredTable, TablePlan, rollback};
use serde_json::json;

use super::restore_database::{DatabaseArgs, refuse, rollback_command};
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

pub(crate) fn run(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    (endpoint, table): (&Endpoint, &str),
    args: &DatabaseArgs,
) -> Result<ExitStatus> {
    let options: Options = args.of_table()?;
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Looking");
    let monitor = drawing.monitor();
    let plan = icecore::plan_table(&opened.store, snapshot, endpoint, table, &options, &*monitor);
    drawing.end();
    let plan = plan?;
    refuse(ui, &plan.notices, &plan.blockers, &format!("{} in {endpoint}", plan.table))?;
    confirm(ui, &plan, &context.described(snapshot))?;
    let started = Instant::now();
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Restoring");
    let restored = icecore::restore_table(&opened.store, snapshot, &plan, &options, &*drawing.monitor());
    drawing.end();
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let undo = rollback_command(context, &snapshot.info().source, &endpoint.url());
    report(ui, snapshot, &plan, &undo, &restored?, duration_ms)
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(ui: &mut Ui, plan: &TablePlan, by: &str) -> Result<()> {
    let Some(existing) = &plan.existing else { return Ok(()) };
    let (table, endpoint) = (printable(&plan.table), printable(&plan.endpoint.to_string()).to_string());
    let what = format!("the table {table} of the database {endpoint} ({})", Bytes(existing.bytes));
    let fate = "It is kept for a rollback, and whoever uses it waits meanwhile";
    ui.confirm_effect(
        &format!("Replace {what} by that of {by}? {fate}."),
        &format!("the table {table} is there, and was not touched"),
        &format!("replaces {what} by that of {by}; {fate}"),
    )
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    plan: &TablePlan,
    undo: &str,
    restored: &RestoredTable,
    duration_ms: u64,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": plan.endpoint.url(),
            "table": plan.table,
            "rows": restored.rows,
            "kept": restored.kept,
            "duration_ms": duration_ms,
            "notes": plan.notices,
            "warnings": [],
        }))?;
    } else if ui.quiet {
        ui.line(printable(&plan.table))?;
    } else {
        ui.line(format_args!(
            "Restored {} of {} {} to {}: {}, as captured, {}",
            printable(&plan.table),
            printable(&snapshot.info().source),
            short_id(snapshot),
            printable(&plan.endpoint.to_string()),
            counted(restored.rows, "row"),
            Millis(duration_ms),
        ))?;
        if let Some(kept) = &restored.kept {
            ui.hint(format_args!(
                "what was there is kept as {}; `{undo} --table {}` brings it back",
                printable(kept),
                printable(&plan.table)
            ));
        }
    }
    Ok(ExitStatus::Success)
}

/// Undoes the last restore of a table.
pub(crate) fn roll_back(ui: &mut Ui, endpoint: &Endpoint, table: &str) -> Result<ExitStatus> {
    let (shown, place) = (printable(table), printable(&endpoint.to_string()).to_string());
    let question = format!("Bring back the table {shown} of {place} that the last restore of it put aside?");
    ui.confirm(&question, &format!("the table {shown} was not touched"))?;
    let Some(undone) = rollback(endpoint, table).map_err(icecore::Error::from)? else {
        let error = format!("there is nothing to bring back of {shown} in {place}");
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("no restore put a table of this name aside; `icecore restore SNAPSHOT --table` takes it from a snapshot"));
    };
    if ui.json {
        ui.document(&json!({ "target": endpoint.url(), "table": table, "kept": undone.kept }))?;
    } else {
        let kept = undone.kept.map(|kept| format!("; what was there is kept as {}", printable(&kept)));
        ui.line(format_args!("Rolled back {shown} of {place}{}", kept.unwrap_or_default()))?;
    }
    Ok(ExitStatus::Success)
}
