//! What a restored database must stand before it takes a place: SQLite's own look at it, and questions of the user.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{panic, thread};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use super::open::open_immutable;
use crate::RestoreError;
use crate::check;

/// How soon a question ends that nobody wants answered any more.
const STOP_STEP: Duration = Duration::from_millis(50);
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
    let asked = ask(path, is_cancelled, |connection| {
        connection.query_row(query, [], |row| row.get_ref(0).map(text)).optional()
    })?;
    Ok(match asked {
        Ok(first) => check::objection(first.as_ref().map(Option::as_deref)),
        Err(error) => Some(error.to_string()),
    })
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
fn ask<T: Send>(
    path: &Path,
    is_cancelled: &dyn Fn() -> bool,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send,
) -> Result<rusqlite::Result<T>, RestoreError> {
    let connection = match open_untrusted(path) {
        Ok(connection) => connection,
        Err(error) => return Ok(Err(error)),
    };
    let interrupt = connection.get_interrupt_handle();
    let (answered, answer) = mpsc::channel();
    thread::scope(|scope| {
        let asking = thread::Builder::new().spawn_scoped(scope, move || {
            // Nobody listens only if nobody waits any more.
            let _ = answered.send(question(&connection));
        });
        let asking = asking.map_err(RestoreError::write("cannot start to check", path))?;
        loop {
            match answer.recv_timeout(STOP_STEP) {
                Ok(Err(_)) if is_cancelled() => return Err(RestoreError::Cancelled),
                Ok(answer) => return Ok(answer),
                // Time and again: what had not begun yet was not interrupted.
                Err(RecvTimeoutError::Timeout) if is_cancelled() => interrupt.interrupt(),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match asking.join() {
            Err(panic) => panic::resume_unwind(panic),
            Ok(()) => Err(RestoreError::Cancelled),
        }
    })
}

/// The file may be a stranger's: what its schema says must not reach beyond it, and makes no value longer than the file could hold.
fn open_untrusted(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_immutable(path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let len = path.metadata().map_or(0, |meta| meta.len()).max(VALUE_LEN_MIN);
    // Above its own limit, SQLite takes that.
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(len).unwrap_or(i32::MAX))?;
    Ok(connection)
}
