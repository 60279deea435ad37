//! Undoing the last restore of one table of a SQLite database.

use std::path::Path;

use icecore::{Counter, Error};
use icecore_engine::RestoreError;

use super::table::{confirm, report};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Undoes it.
pub(super) fn run(ui: &mut Ui, context: &Context, path: &Path, table: &str) -> Result<ExitStatus> {
    let place = &path.display().to_string();
    confirm(ui, place, table)?;
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Bringing back");
    let undone = icecore::rollback_sqlite_table(path, table, &*drawing.monitor());
    drawing.end();
    let undone = undone.map_err(|error| match error {
        error @ Error::Restore(RestoreError::Refused(_)) => {
            CommandError::from(error).hint("nothing was changed; end what stands in the way, and try again")
        }
        error => error.into(),
    })?;
    report(ui, (place, place), table, undone)
}
