//! Restoring one table of a snapshot into the database that it belongs to, with its indexes, triggers, and the numbers that its rows have.
//!
//! The snapshot is written beside the database, as for a restore of the whole. One transaction puts the table that is there aside
//! ([`aside`]), drops it, and makes the other one in its place ([`exchange`]). What else is in the database names a table and holds nothing
//! of it, so it goes on naming the one that is there. Two connections carry the rows over: nothing of a stranger's database is seen by the
//! connection that writes but the statements that make the table ([`definition`]) and its values.

mod aside;
mod copy;
mod definition;
mod dependents;
mod exchange;
mod plan;
mod session;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use plan::{TablePlan, TableSize, names, plan, target};

use super::aside::Turn;
use super::interrupt::interruptible;
use super::pending::{Swap, identity};
use super::plan::real_path;
use crate::database::{Restored, Undone};
use crate::{Check, RestoreError};
use aside::{Completed, Place, table_in};
use definition::Table;
use exchange::{Exchange, Exchanged, Expected};
use session::Session;

/// Carries out a plan. `count` is told of bytes that were copied.
///
/// # Errors
/// Whatever happens, the table that is there stays as it is; but if the disk fails at the very end, nobody knows, and
/// [`RestoreError::Unknown`] says so.
pub fn restore(
    plan: &TablePlan,
    checks: &[Check],
    count: &(dyn Fn(u64) + Sync),
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Restored, RestoreError> {
    let exchange = Exchange {
        swap: Swap::Restore,
        path: &plan.path,
        place: Place::of(&plan.path, &plan.table),
        table: &plan.definition,
        source: plan.beside.path(),
        expected: Some(Expected { file: plan.identity, schema: plan.schema, table: plan.there.as_ref() }),
        checks,
    };
    let Exchanged { rows, kept, warnings } = exchange.run(count, is_cancelled)?;
    Ok(Restored { tables: 1, rows, kept: kept.as_deref().map(shown), warnings, ..Restored::default() })
}

/// Brings back the table that the last restore of it put aside, and puts the one that is there in its place; `None` if nothing was put aside.
pub fn rollback(
    path: &Path,
    table: &str,
    count: &(dyn Fn(u64) + Sync),
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Option<Undone>, RestoreError> {
    let path = &real_path(path)?;
    if identity(path).is_none() {
        return Err(RestoreError::Refused(format!("there is no database {}", path.display())));
    }
    let place = Place::of(path, table);
    let turn = Turn::for_restore(path)?;
    // What was asked for had happened, but for its end.
    if let Some(Completed { swap: Swap::Rollback, kept }) = place.settle(is_cancelled)? {
        return Ok(Some(Undone { kept: kept.as_deref().map(shown), ..Undone::default() }));
    }
    drop(turn);
    if !place.is_taken() {
        return Ok(None);
    }
    let old = place.old.clone();
    let kept = Session::of_stranger(&old)?;
    let interrupts = [kept.interrupt()];
    let found = interruptible(&old, &interrupts, is_cancelled, move || match table_in(&kept)? {
        Some(name) => Table::find(&kept, &name),
        None => Ok(None),
    })??;
    let Some(table) = found.filter(|found| found.name.eq_ignore_ascii_case(table)) else {
        return Err(RestoreError::Refused(format!("{} is not the table that was put aside", old.display())));
    };
    let exchange = Exchange {
        swap: Swap::Rollback,
        path,
        place,
        table: &table,
        source: &old,
        expected: None,
        checks: &[],
    };
    let Exchanged { kept, warnings, .. } = exchange.run(count, is_cancelled)?;
    Ok(Some(Undone { kept: kept.as_deref().map(shown), warnings, ..Undone::default() }))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
