//! What else in a database depends on a table, and whether it still works with the one that takes its place.

use std::collections::BTreeMap;

use super::session::{Session, quoted};
use crate::RestoreError;

/// What does not work, or leads nowhere.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// Rows of one table that refer to no row of another one.
    astray: BTreeMap<(String, String), i64>,
    /// What cannot be read or written, and why.
    broken: BTreeMap<String, String>,
}

impl Dependents {
    /// Looks at views, triggers, and keys that lead to the table or away from it.
    pub(super) fn look(session: &Session, table: &str) -> Result<Self, RestoreError> {
        let mut found = Self::default();
        const CHILDREN: &str =
            "SELECT DISTINCT s.name FROM sqlite_schema s, pragma_foreign_key_list(s.name) k
            WHERE s.type = 'table' AND (k.\"table\" = ?1 COLLATE NOCASE OR s.name = ?1 COLLATE NOCASE)";
        for child in session.rows(CHILDREN, [table], |row| row.get::<_, String>(0))? {
            found.look_at_keys(session, &child, table)?;
        }
        found.look_at_statements(session)?;
        Ok(found)
    }

    fn look_at_keys(&mut self, session: &Session, child: &str, table: &str) -> Result<(), RestoreError> {
        const ASTRAY: &str = "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check(?1)
            WHERE parent = ?2 COLLATE NOCASE OR \"table\" = ?2 COLLATE NOCASE GROUP BY 1, 2";
        let mut astray = match session.connection.prepare(ASTRAY) {
            Ok(astray) => astray,
            Err(error) => return Err(session.failed(&error)),
        };
        let read = |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get(2)?));
        let rows = astray.query_map([child, table], read).and_then(Iterator::collect);
        match rows {
            Ok::<Vec<_>, _>(rows) => self.astray.extend(rows),
            Err(error) => self.note(&format!("a foreign key of {child}"), &error),
        }
        Ok(())
    }

    /// What a statement names is looked for when it is prepared; none is run.
    fn look_at_statements(&mut self, session: &Session) -> Result<(), RestoreError> {
        const NAMES: &str = "SELECT type, CASE type WHEN 'view' THEN name ELSE tbl_name END FROM sqlite_schema WHERE type IN ('view', 'trigger')";
        let mut named: Vec<(String, String)> =
            session.rows(NAMES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        named.sort();
        named.dedup();
        session.fires_triggers(true)?;
        for (kind, name) in named {
            let sql = quoted(&name);
            let (what, statements) = match kind.as_str() {
                "view" => (format!("the view {name}"), vec![format!("SELECT * FROM main.{sql}")]),
                _ => (format!("a trigger of {name}"), writes(session, &name)?),
            };
            for statement in statements {
                if let Err(error) = session.connection.prepare(&statement) {
                    self.note(&what, &error);
                }
            }
        }
        session.fires_triggers(false)
    }

    /// What only the program that made the database knows, its functions and modules, is no reason to worry.
    fn note(&mut self, what: &str, error: &rusqlite::Error) {
        let (rusqlite::Error::SqliteFailure(_, Some(why)) | rusqlite::Error::SqlInputError { msg: why, .. }) =
            error
        else {
            return;
        };
        if ["no such table", "no such column", "foreign key mismatch"].iter().any(|known| why.contains(known))
        {
            self.broken.insert(what.to_owned(), why.clone());
        }
    }

    /// What worked before, or led somewhere, and does not now.
    pub(super) fn worse_than(&self, before: &Self) -> Vec<String> {
        let astray = self.astray.iter().filter_map(|(key @ (child, parent), rows)| {
            let new = rows - before.astray.get(key).copied().unwrap_or_default();
            (new > 0).then(|| {
                let rows = if new == 1 { "row".to_owned() } else { format!("{new} rows") };
                format!("{rows} of {child} now refer to nothing in {parent}")
            })
        });
        let broken = self.broken.iter().filter(|(what, _)| !before.broken.contains_key(*what));
        astray.chain(broken.map(|(what, why)| format!("{what} fails now: {why}"))).collect()
    }
}

/// A statement of each kind that a trigger may wait for.
fn writes(session: &Session, table: &str) -> Result<Vec<String>, RestoreError> {
    const COLUMN: &str = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid";
    let column = session.first(COLUMN, [table], |row| row.get::<_, String>(0))?;
    let name = quoted(table);
    let update = column.map(|column| {
        let column = quoted(&column);
        format!("UPDATE main.{name} SET {column} = {column}")
    });
    let others = [format!("INSERT INTO main.{name} DEFAULT VALUES"), format!("DELETE FROM main.{name}")];
    Ok(others.into_iter().chain(update).collect())
}
