//! What a table is, as the database that it lies in says: the statements that make it, its indexes and its triggers, and which of its columns
//! hold what is not computed.
//!
//! In a stranger's database any text may stand where a statement should. Each is made in an empty database first, alone, and must make there
//! what its row says, and nothing else.

use rusqlite::Connection;

use super::super::check::distrust;
use super::session::{Session, quoted};
use crate::RestoreError;

/// How the number of a row may be called, if no column is called so.
const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// A table of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// As its own database writes it.
    pub(super) name: String,
    /// What SQLite takes it for: a `table`, a `view`, `virtual`, or the `shadow` of one that is.
    kind: String,
    /// Itself first, then its indexes, then its triggers.
    objects: Vec<Object>,
    /// What a row is made of: its number, if it has one of its own, and what is not computed.
    pub(super) columns: Vec<String>,
}

/// What a row of the schema makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) sql: String,
}

impl Table {
    /// The one of this name, however it is written there.
    pub(super) fn find(session: &Session, name: &str) -> Result<Option<Self>, RestoreError> {
        const FIND: &str = "SELECT name, type FROM pragma_table_list(?1) WHERE schema = 'main'";
        let found = session.first(FIND, [name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((name, kind)): Option<(String, String)> = found else { return Ok(None) };
        const OBJECTS: &str =
            "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL
            ORDER BY type = 'trigger', type = 'index', name";
        let objects = session.rows(OBJECTS, [&name], |row| {
            Ok(Object { kind: row.get(0)?, name: row.get(1)?, sql: row.get(2)? })
        })?;
        const COLUMNS: &str = "SELECT name, hidden FROM pragma_table_xinfo(?1) ORDER BY cid";
        let all: Vec<(String, i64)> = session.rows(COLUMNS, [&name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // Without that, what has no number says so when it is asked for.
        let number = ROW_NUMBERS.into_iter().find(|number| {
            !all.iter().any(|(column, _)| column.eq_ignore_ascii_case(number))
                && session.connection.prepare(&format!("SELECT {number} FROM {}", quoted(&name))).is_ok()
        });
        let stored = all.iter().filter(|(_, hidden)| *hidden == 0).map(|(column, _)| quoted(column));
        let columns = number.map(str::to_owned).into_iter().chain(stored).collect();
        Ok(Some(Self { name, kind, objects, columns }))
    }

    /// Why it is not restored alone.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        match self.kind.as_str() {
            _ if self.name.to_ascii_lowercase().starts_with("sqlite_") => Some("a table of SQLite's own"),
            "table" => None,
            "view" => Some("a view"),
            "shadow" => Some("a part of a virtual table"),
            _ => Some("a virtual table"),
        }
    }

    /// What it is made of.
    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// What that is called, and of what kind it is.
    pub(super) fn names(&self) -> Vec<(&str, &str)> {
        self.objects.iter().map(|object| (object.kind.as_str(), object.name.as_str())).collect()
    }

    /// Its name, as SQL writes it.
    pub(super) fn ident(&self) -> String {
        quoted(&self.name)
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|object| object.kind == "index")
    }

    pub(super) fn triggers(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|object| object.kind == "trigger")
    }

    /// The statement that makes the table itself.
    pub(super) fn itself(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|object| object.kind == "table")
    }

    /// Makes it in an empty database. Returns why it cannot be made, or is not what it says.
    pub(super) fn objection(&self) -> Option<String> {
        let tried = || -> rusqlite::Result<Vec<(String, String)>> {
            let empty = Connection::open_in_memory()?;
            distrust(&empty, 0)?;
            self.objects.iter().try_for_each(|object| empty.execute(&object.sql, []).map(drop))?;
            let mut made = empty.prepare(
                "SELECT type, name FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL
                UNION ALL SELECT 'other', name FROM sqlite_schema WHERE tbl_name <> ?1 AND tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                UNION ALL SELECT 'other', name FROM sqlite_temp_schema",
            )?;
            made.query_map([&self.name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let mut made = match tried() {
            Ok(made) => made,
            Err(error) => return Some(error.to_string()),
        };
        let mut said: Vec<_> =
            self.objects.iter().map(|object| (object.kind.clone(), object.name.clone())).collect();
        made.sort();
        said.sort();
        (made != said || self.itself().count() != 1)
            .then(|| "its statements make something else than what they are there for".to_owned())
    }
}

/// Everything in a database but a table and what is its own.
pub(super) fn others(session: &Session, table: &str) -> Result<Vec<Object>, RestoreError> {
    const OTHERS: &str = "SELECT type, name, CASE typeof(sql) WHEN 'text' THEN sql ELSE '' END FROM sqlite_schema
        WHERE tbl_name <> ?1 COLLATE NOCASE AND tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name";
    session.rows(OTHERS, [table], |row| Ok(Object { kind: row.get(0)?, name: row.get(1)?, sql: row.get(2)? }))
}
