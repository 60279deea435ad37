//! What is told of a restore that was undone.

use icecore_engine::database::Undone;
use serde_json::json;

use super::place::Place;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Tells what was done: to a database, or to one table of it.
pub(super) fn report(ui: &mut Ui, place: &Place, table: Option<&str>, undone: &Undone) -> Result<ExitStatus> {
    if ui.json {
        let mut document = json!({
            "target": place.target(),
            "kept": undone.kept,
            "was_unfinished": undone.was_unfinished,
            "notes": ui.notes,
            "warnings": undone.warnings,
        });
        if let (Some(table), Some(fields)) = (table, document.as_object_mut()) {
            fields.insert("table".to_owned(), table.into());
        }
        ui.document(&document)?;
        return Ok(ui.warn_of(&undone.warnings));
    }
    let (place, table) = (place.shown(), table.map(|table| format!("{} of ", printable(table))));
    let shown = format!("{}{}", table.unwrap_or_default(), printable(&place));
    if undone.was_unfinished {
        ui.line(format_args!(
            "The last restore of {shown} ended before it replaced anything: what was there is there, and what the restore left is gone"
        ))?;
    } else {
        let kept = undone.kept.as_ref();
        let kept = kept.map(|kept| format!("; what was there is kept as {}", printable(kept)));
        ui.line(format_args!("Rolled back {shown}{}", kept.unwrap_or_default()))?;
    }
    Ok(ui.warn_of(&undone.warnings))
}
