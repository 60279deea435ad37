//! Undoing the last restore of one table.

use icecore_engine::postgres::Endpoint;
use icecore_engine::postgres::restore::table::rollback;
use serde_json::json;

use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes it.
pub(super) fn run(ui: &mut Ui, endpoint: &Endpoint, table: &str) -> Result<ExitStatus> {
    let (shown, place) = (printable(table), printable(&endpoint.to_string()).to_string());
    let question = format!("Bring back the table {shown} of {place} that the last restore of it put aside?");
    ui.confirm(&question, &format!("the table {shown} was not touched"))?;
    let Some(undone) = rollback(endpoint, table).map_err(icecore::Error::from)? else {
        let error = format!("there is nothing to bring back of {shown} in {place}");
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("no restore put a table of this name aside; `icecore restore SNAPSHOT --table` takes it from a snapshot"));
    };
    if ui.json {
        ui.document(&json!({
            "target": endpoint.url(),
            "table": table,
            "kept": undone.kept,
            "notes": ui.notes,
            "warnings": [],
        }))?;
    } else {
        let kept = undone.kept.map(|kept| format!("; what was there is kept as {}", printable(&kept)));
        ui.line(format_args!("Rolled back {shown} of {place}{}", kept.unwrap_or_default()))?;
    }
    Ok(ExitStatus::Success)
}
