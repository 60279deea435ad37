//! What a restored database must stand before it takes a place: SQLite's own look at it, and questions of the user.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use super::interrupt::interruptible;
use super::open::open_immutable;
use crate::RestoreError;
use crate::check;

/// A question may make values that the database does not hold, but they need not be long.
const VALUE_LEN_MIN: u64 = 1 << 20;

/// The first thing that SQLite finds wrong with a database.
pub(super) fn integrity(
    path: &Path,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<rusqlite::Result<Option<String>>, RestoreError> {
    ask(path, is_cancelled, |connection| {
        let finding: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        Ok(Some(finding).filter(|finding| finding != "ok"))
    })
}

/// Why a query does not confirm a database.
pub(super) fn objection(
    path: &Path,
    query: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Option<String>, RestoreError> {
    let asked = ask(path, is_cancelled, |connection| verdict(connection, query))?;
    Ok(match asked {
        Ok(said) => said,
        Err(error) => Some(error.to_string()),
    })
}

/// Why what a query says first is no confirmation.
pub(super) fn verdict(connection: &Connection, query: &str) -> rusqlite::Result<Option<String>> {
    let first = connection.query_row(query, [], |row| row.get_ref(0).map(text)).optional()?;
    Ok(check::objection(first.as_ref().map(Option::as_deref)))
}

/// A value as text; `None` for null.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// Puts a question to a database, which a stranger may have made so that it has no end.
pub(super) fn ask<T: Send>(
    path: &Path,
    is_cancelled: &dyn Fn() -> bool,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send,
) -> Result<rusqlite::Result<T>, RestoreError> {
    let connection = match open_untrusted(path) {
        Ok(connection) => connection,
        Err(error) => return Ok(Err(error)),
    };
    let interrupts = [connection.get_interrupt_handle()];
    interruptible(path, &interrupts, is_cancelled, move || question(&connection))
}

/// The file may be a stranger's: what its schema says must not reach beyond it, and makes no value longer than the file could hold.
pub(super) fn open_untrusted(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_immutable(path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    distrust(&connection, path.metadata().map_or(0, |meta| meta.len()))?;
    Ok(connection)
}

/// The schema may be a stranger's, and what it makes is no longer than `len` bytes.
pub(super) fn distrust(connection: &Connection, len: u64) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Above its own limit, SQLite takes that.
    let len = i32::try_from(len.max(VALUE_LEN_MIN)).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, len)?;
    Ok(())
}
