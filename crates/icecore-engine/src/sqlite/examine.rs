//! A look at a database that was restored.

use std::path::Path;

use rusqlite::Connection;

use super::check::ask;
use crate::RestoreError;
use crate::scratch::Examined;

/// Counts all rows, and those that refer to rows which are not there. Whether the file is sound was asked when it was restored.
pub fn examine(path: &Path, is_cancelled: &dyn Fn() -> bool) -> Result<Examined, RestoreError> {
    let examined = ask(path, is_cancelled, look)?;
    Ok(examined.unwrap_or_else(|error| Examined {
        fault: Some(format!("it cannot be read: {error}")),
        ..Examined::default()
    }))
}

fn look(connection: &Connection) -> rusqlite::Result<Examined> {
    let mut examined = Examined::default();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    let mut statement = connection.prepare(names)?;
    let tables =
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    examined.tables = tables.len() as u64;
    for table in &tables {
        let count = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
        let rows: i64 = connection.query_row(&count, [], |row| row.get(0))?;
        examined.rows += u64::try_from(rows).unwrap_or_default();
    }
    let indexes: i64 =
        connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'index'", [], |row| row.get(0))?;
    examined.checks.push(("integrity_check", 1));
    examined.checks.push(("indexes", u64::try_from(indexes).unwrap_or_default()));
    let orphans = "SELECT count(*) FROM pragma_foreign_key_check";
    // The file is as it was captured, to the byte: SQLite enforces no foreign keys unless it is told to.
    match connection.query_row(orphans, [], |row| row.get::<_, i64>(0)) {
        Ok(0) => examined.checks.push(("foreign_key_check", 1)),
        Ok(orphans) => examined.unproved.push(format!(
            "rows that refer to rows which are not there, as they did when it was captured: {orphans}"
        )),
        Err(error) => examined.unproved.push(format!("foreign keys cannot be checked: {error}")),
    }
    Ok(examined)
}
