//! Undoing the last restore of one table.

use icecore::{Counter, Error};
use icecore_engine::RestoreError;

use super::EFFECT;
use super::place::Place;
use super::report::report;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undoes it.
pub(super) fn run(ui: &mut Ui, context: &Context, place: &Place, table: &str) -> Result<ExitStatus> {
    let (shown, of) = (printable(table).to_string(), place.shown());
    let of = printable(&of);
    let question = format!("Bring back the table {shown} of {of} that the last restore of it put aside?");
    let refusal = format!("a rollback needs a confirmation; the table {shown} was not touched");
    ui.confirm_effect(&question, &refusal, EFFECT)?;
    let undone = match place {
        Place::Server(database) => database.rollback_table(table)?,
        Place::File(path) => {
            let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Bringing back");
            let undone = icecore::rollback_sqlite_table(path, table, &*drawing.monitor());
            drawing.end();
            undone.map_err(|error| match error {
                error @ Error::Restore(RestoreError::Refused(_)) => CommandError::from(error)
                    .hint("nothing was changed; end what stands in the way, and try again"),
                error => error.into(),
            })?
        }
    };
    let Some(undone) = undone else {
        let error = format!("there is nothing to bring back of {shown} in {of}");
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("no restore put a table of this name aside; `icecore restore SNAPSHOT --table` takes it from a snapshot"));
    };
    report(ui, place, Some(table), &undone)
}
