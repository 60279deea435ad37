//! A table is made in another database, with its rows and what SQLite itself keeps of it.

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::definition::{Object, Table};
use super::session::Session;
use crate::RestoreError;

/// Where SQLite keeps something of a table: how far its numbers came, and what it knows of its rows. The first column is the table's name.
const KEPT_OF_TABLES: [(&str, &str); 3] = [
    ("sqlite_sequence", "name, seq"),
    ("sqlite_stat1", "tbl, idx, stat"),
    ("sqlite_stat4", "tbl, idx, neq, nlt, ndlt, sample"),
];

/// Told of bytes that were copied.
pub(super) type Count<'a> = &'a (dyn Fn(u64) + Sync);

/// Makes all of a table of `from`; returns how many rows it has. Triggers come last.
pub(super) fn copy(
    from: &Session,
    table: &Table,
    to: &Session,
    count: Count<'_>,
) -> Result<u64, RestoreError> {
    make(to, table.itself())?;
    let (name, columns) = (table.ident(), table.columns.join(", "));
    let rows = copy_rows(
        from,
        // An index may be damaged; the rows themselves are what counts.
        &format!("SELECT {columns} FROM main.{name} NOT INDEXED"),
        &[],
        to,
        &format!("main.{name} ({columns})"),
        count,
    )?;
    make(to, table.indexes())?;
    for (of_sqlite, columns) in KEPT_OF_TABLES {
        let key = columns.split_once(',').map_or(columns, |(key, _)| key);
        if !to.has(of_sqlite)? {
            continue;
        }
        let forget = format!("DELETE FROM main.{of_sqlite} WHERE {key} = ?1 COLLATE NOCASE");
        to.connection.execute(&forget, [&table.name]).map_err(|error| to.failed(&error))?;
        if from.has(of_sqlite)? {
            let kept = format!("SELECT {columns} FROM main.{of_sqlite} WHERE {key} = ?1");
            copy_rows(from, &kept, &[&table.name], to, &format!("main.{of_sqlite} ({columns})"), count)?;
        }
    }
    make(to, table.triggers())?;
    Ok(rows)
}

/// Runs statements that were tried.
fn make<'o>(session: &Session, mut objects: impl Iterator<Item = &'o Object>) -> Result<(), RestoreError> {
    objects.try_for_each(|object| {
        session.connection.execute(&object.sql, []).map(drop).map_err(|error| session.failed(&error))
    })
}

fn copy_rows(
    from: &Session,
    query: &str,
    key: &[&str],
    to: &Session,
    into: &str,
    count: Count<'_>,
) -> Result<u64, RestoreError> {
    let of_source = |error| from.failed(&error);
    let of_copy = |error| to.failed(&error);
    let mut select = from.connection.prepare(query).map_err(of_source)?;
    let width = select.column_count();
    let values = vec!["?"; width].join(", ");
    // A row that does not fit is an error, whatever the table does with such rows of others.
    let insert = format!("INSERT OR ABORT INTO {into} VALUES ({values})");
    let mut insert = to.connection.prepare(&insert).map_err(of_copy)?;
    let mut rows = select.query(rusqlite::params_from_iter(key)).map_err(of_source)?;
    let mut copied = 0;
    while let Some(row) = rows.next().map_err(of_source)? {
        let mut bytes = 0;
        for index in 0..width {
            let value = row.get_ref(index).map_err(of_source)?;
            bytes += match value {
                ValueRef::Null => 0,
                ValueRef::Integer(_) | ValueRef::Real(_) => 8,
                ValueRef::Text(value) | ValueRef::Blob(value) => value.len() as u64,
            };
            insert.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value)).map_err(of_copy)?;
        }
        insert.raw_execute().map_err(of_copy)?;
        count(bytes);
        copied += 1;
    }
    Ok(copied)
}
