//! Undoing the last restore of a database on a server.

use icecore::Database;
use icecore_engine::database::Undone;
use serde_json::json;

use super::EFFECT;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes it, if it put something aside.
pub(super) fn run(ui: &mut Ui, database: &Database) -> Result<Option<ExitStatus>> {
    let shown = printable(&database.to_string()).to_string();
    let question = format!("Bring back what the last restore of the database {shown} put aside?");
    let refusal = format!("a rollback needs a confirmation; the database {shown} was not touched");
    ui.confirm_effect(&question, &refusal, EFFECT)?;
    match database.rollback()? {
        Some(undone) => report(ui, database, &undone).map(Some),
        None => Ok(None),
    }
}

fn report(ui: &mut Ui, database: &Database, undone: &Undone) -> Result<ExitStatus> {
    let shown = printable(&database.to_string()).to_string();
    if ui.json {
        ui.document(&json!({
            "target": database.url(),
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
        let kept = undone.kept.as_ref();
        let kept = kept.map(|kept| format!("; what was there is kept as {}", printable(kept)));
        ui.line(format_args!("Rolled back {shown}{}", kept.unwrap_or_default()))?;
    }
    Ok(ui.warn_of(&undone.warnings))
}
