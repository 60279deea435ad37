//! Undoing the last restore of one table.

use icecore::Database;
use icecore_engine::database::Undone;
use serde_json::json;

use super::EFFECT;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes it.
pub(super) fn run(ui: &mut Ui, database: &Database, table: &str) -> Result<ExitStatus> {
    let place = &database.to_string();
    confirm(ui, place, table)?;
    let undone = database.rollback_table(table)?;
    report(ui, (place, &database.url()), table, undone)
}

/// Asks whether that is meant.
pub(super) fn confirm(ui: &mut Ui, place: &str, table: &str) -> Result<()> {
    let (table, place) = (printable(table), printable(place));
    let question = format!("Bring back the table {table} of {place} that the last restore of it put aside?");
    let refusal = format!("a rollback needs a confirmation; the table {table} was not touched");
    ui.confirm_effect(&question, &refusal, EFFECT)
}

/// Tells what was done in a database, which people call `place`, and which is known by `target`.
pub(super) fn report(
    ui: &mut Ui,
    (place, target): (&str, &str),
    table: &str,
    undone: Option<Undone>,
) -> Result<ExitStatus> {
    let (shown, place) = (printable(table), printable(place));
    let Some(undone) = undone else {
        let error = format!("there is nothing to bring back of {shown} in {place}");
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("no restore put a table of this name aside; `icecore restore SNAPSHOT --table` takes it from a snapshot"));
    };
    if ui.json {
        ui.document(&json!({
            "target": target,
            "table": table,
            "kept": undone.kept,
            "was_unfinished": undone.was_unfinished,
            "notes": ui.notes,
            "warnings": undone.warnings,
        }))?;
    } else if undone.was_unfinished {
        ui.line(format_args!(
            "The last restore of {shown} ended before it replaced anything: what was there is there, and what the restore left is gone"
        ))?;
    } else {
        let kept = undone.kept.map(|kept| format!("; what was there is kept as {}", printable(&kept)));
        ui.line(format_args!("Rolled back {shown} of {place}{}", kept.unwrap_or_default()))?;
    }
    Ok(ui.warn_of(&undone.warnings))
}
