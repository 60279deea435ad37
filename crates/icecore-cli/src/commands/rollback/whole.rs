//! Rollbacks of whole databases: to what a restore put aside or kept, and else to a snapshot of it.

use icecore::Error;
use icecore_engine::RestoreError;

use super::EFFECT;
use super::before_restore::BeforeRestore;
use super::meant::Meant;
use super::place::Place;
use super::report::report;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes the last restore.
pub(super) fn run(ui: &mut Ui, context: &Context, meant: &Meant, place: &Place) -> Result<ExitStatus> {
    // Every restore drops what one before it put aside, so that what is there is of the last one. No store is needed for it.
    let aside = place.put_aside()?;
    let before = aside.is_none().then(|| BeforeRestore::find(ui, context, meant));
    let known = match &before {
        Some(Ok(before)) => before.kept_since(context, meant)?,
        Some(Err(_)) | None => aside,
    };
    confirm(ui, place, known.as_deref())?;
    if let Some(undone) = place.rollback().map_err(|error| refused(place, error))? {
        return report(ui, place, None, &undone);
    }
    // What was interrupted is settled by now, and may have got its name just then.
    let before = before.unwrap_or_else(|| BeforeRestore::find(ui, context, meant))?;
    let Some(kept) = &before.kept_since(context, meant)? else {
        return before.restore(ui, context, meant);
    };
    if known.as_ref() != Some(kept) {
        confirm(ui, place, Some(kept))?;
    }
    match place.bring_back(kept).map_err(|error| refused(place, error))? {
        Some(undone) => report(ui, place, None, &undone),
        None => {
            let error = format!("{} is gone meanwhile", printable(kept));
            Err(CommandError::new(ExitStatus::NotFound, error))
        }
    }
}

/// Asks whether that is meant; `kept` is what comes back, as far as is known.
fn confirm(ui: &mut Ui, place: &Place, kept: Option<&str>) -> Result<()> {
    let shown = place.shown();
    let shown = printable(&shown);
    let question = match kept.map(printable) {
        Some(kept) => format!("Bring back {kept}, which the last restore of the database {shown} kept?"),
        None => format!("Bring back what the last restore of the database {shown} put aside?"),
    };
    let refusal = format!("a rollback needs a confirmation; the database {shown} was not touched");
    ui.confirm_effect(&question, &refusal, EFFECT)
}

fn refused(place: &Place, error: Error) -> CommandError {
    match (place, error) {
        (Place::File(_), error @ Error::Restore(RestoreError::Refused(_))) => {
            CommandError::from(error).hint("nothing was touched; end what stands in the way, and try again")
        }
        (_, error) => error.into(),
    }
}
