//! What restores and rollbacks have left that ended in the middle is undone or finished, by what their tables say.

use super::super::saved::{MARK, Saved};
use super::super::session::Session;
use super::finish::{finish, kept, round_off};
use super::place::{OVER, drop_database, drop_if_empty};
use super::undo::undo;
use super::work::{AFTER, BEFORE, GOING, OLD, Work, beside, label_of, new_start};
use crate::RestoreError;

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The tables had not moved: what was there is as it was.
    pub(super) undone: Option<Work>,
    /// They had: what is there is as it was to be.
    pub(super) finished: Option<Work>,
    /// And what was there before is kept under this name.
    pub(super) kept: Option<String>,
    /// The database whose tables are there now, if it had been kept for longer.
    pub(super) source: Option<String>,
    /// What is not.
    pub(super) warnings: Vec<String>,
}

/// Finishes or undoes what has ended in the middle, and drops what it made.
pub(super) fn settle(server: &mut Session, live: &str) -> Result<Settled, RestoreError> {
    let start = new_start(live);
    let begins = server.named(&format!("LEFT(SCHEMA_NAME, {})", start.chars().count()), &start);
    let names =
        server.column(&format!("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE {begins}"))?;
    let mut settled = Settled::default();
    for schema in names {
        let Some(work) = Work::find(server, live, &schema)? else {
            match label_of(server, &schema, MARK)?.as_deref() {
                Some(OVER) => drop_database(server, &schema)?,
                _ => drop_if_empty(server, &schema)?,
            }
            continue;
        };
        let is_before = work.owns(server, &schema, BEFORE)?;
        if !is_before && work.owns(server, &schema, AFTER)? {
            if let Some(table) = work.tables(server, &schema)?.first() {
                return Err(RestoreError::Unknown(format!(
                    "the server died while tables of {live} changed places with those of {schema}, and some are still there, such as {table}"
                )));
            }
            settled.kept = kept(server, &work)?;
            settled.source = Saved::find(server, &schema, AFTER)?.source;
            let changed = finish(server, &work)?;
            settled.warnings.extend(round_off(server, &work, changed)?);
            settled.finished = Some(work);
        } else {
            if is_before {
                settled.warnings.extend(undo(server, &work)?);
            }
            settled.undone = Some(work);
        }
        drop_database(server, &schema)?;
    }
    let going = beside(live, GOING);
    if let Err(error) = drop_database(server, &going) {
        settled.warnings.push(format!("{going} is not needed any more, and still there: {error}"));
    }
    drop_if_empty(server, &beside(live, OLD))?;
    Ok(settled)
}
