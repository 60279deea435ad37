//! Undoing the last restore of a SQLite database.

use std::path::Path;

use icecore_engine::RestoreError;
use icecore_engine::sqlite::rollback;
use serde_json::json;

use super::EFFECT;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes it, if it put something aside.
pub(super) fn run(ui: &mut Ui, path: &Path) -> Result<Option<ExitStatus>> {
    let shown = printable(&path.display().to_string()).to_string();
    let question = format!("Bring back what the last restore of the database {shown} put aside?");
    let refusal = format!("a rollback needs a confirmation; the database {shown} was not touched");
    ui.confirm_effect(&question, &refusal, EFFECT)?;
    let undone = rollback(path).map_err(|error| match error {
        error @ RestoreError::Refused(_) => CommandError::from(icecore::Error::from(error))
            .hint("nothing was touched; end what stands in the way, and try again"),
        error => icecore::Error::from(error).into(),
    })?;
    let Some(undone) = undone else { return Ok(None) };
    let kept = undone.kept.map(|kept| kept.path.display().to_string());
    if ui.json {
        let target = path.display().to_string();
        ui.document(&json!({ "target": target, "kept": kept, "notes": ui.notes, "warnings": [] }))?;
    } else {
        let kept = kept.map(|kept| format!("; what was there is kept as {}", printable(&kept)));
        ui.line(format_args!("Rolled back {shown}{}", kept.unwrap_or_default()))?;
    }
    Ok(Some(ExitStatus::Success))
}
