//! What a restored database must stand before it takes a place: SQLite's own look at it, and questions of the user.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};

use super::open::open_immutable;

/// The first thing that SQLite finds wrong with a database.
pub(super) fn integrity(path: &Path) -> rusqlite::Result<Option<String>> {
    let finding: String =
        open_untrusted(path)?.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok(Some(finding).filter(|finding| finding != "ok"))
}

/// Why a query does not confirm a database: it fails, or what it says first is false or null.
pub(super) fn objection(path: &Path, query: &str) -> Option<String> {
    let asked = open_untrusted(path).and_then(|connection| {
        let first = connection.query_row(query, [], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Null => Some("it is null"),
                ValueRef::Integer(0) | ValueRef::Real(0.0) => Some("it is false"),
                _ => None,
            })
        });
        first.optional()
    });
    match asked {
        Ok(said) => said.flatten().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    }
}

/// The file may be a stranger's: what its schema says must not reach beyond it.
fn open_untrusted(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_immutable(path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(connection)
}
