//! Undoing the last restore of one table.

use icecore::Database;
use serde_json::json;

use super::EFFECT;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes it.
pub(super) fn run(ui: &mut Ui, database: &Database, table: &str) -> Result<ExitStatus> {
    let (shown, place) = (printable(table), printable(&database.to_string()).to_string());
    let question = format!("Bring back the table {shown} of {place} that the last restore of it put aside?");
    let refusal = format!("a rollback needs a confirmation; the table {shown} was not touched");
    ui.confirm_effect(&question, &refusal, EFFECT)?;
    let Some(undone) = database.rollback_table(table)? else {
        let error = format!("there is nothing to bring back of {shown} in {place}");
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("no restore put a table of this name aside; `icecore restore SNAPSHOT --table` takes it from a snapshot"));
    };
    if ui.json {
        ui.document(&json!({
            "target": database.url(),
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
