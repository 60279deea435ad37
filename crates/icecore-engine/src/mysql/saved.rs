//! The code of a database as it is kept in a table of ours, until it is made again; and the tables that are ours.

use icecore_dump::mysql_script::CodeKind;

use super::keys::{self, Key, Place};
use super::objects::{self, Mode, Object};
use super::session::{Session, Trouble, bytes, hex, literal};

/// The table that marks what icecore has made or put aside. In a database that was put aside it holds the code.
pub(super) const MARK: &str = "__icecore";
/// A table of ours that is not whole yet.
pub(super) const DRAFT: &str = "__icecore_draft";
/// What the comment of such a table begins with.
pub(super) const COMMENT: &str = "icecore: ";
/// The columns of such a table.
const COLUMNS: &str = "kind, name, statement, sql_mode, charset, collation, of_database, time_zone";
/// Its rows as digits, for programs that print lines.
pub(super) const HEXED: &str = "HEX(kind), HEX(name), HEX(statement), HEX(sql_mode), HEX(charset), HEX(collation), HEX(of_database), HEX(time_zone) FROM __icecore";
/// The kind of the row that says what texts the database has by default.
const TEXTS: &str = "DATABASE";
/// The kind of the row that names the database where what is replaced is kept for longer.
const KEPT: &str = "KEPT";
/// The kind of the row that names the database whose tables take the place of what is replaced.
const SOURCE: &str = "SOURCE";
/// The kind of a row that is a foreign key.
const KEY: &str = "KEY";

/// All the code of a database, and what else cannot be moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Saved {
    /// The character set and order of texts that say none; `None` if there was no database.
    pub(super) texts: Option<(String, String)>,
    /// Another database, which gets its code too.
    pub(super) kept: Option<String>,
    /// Another database, whose code this is, and which goes once its tables are gone.
    pub(super) source: Option<String>,
    /// Keys that do not follow a table of it which is moved alone.
    pub(super) keys: Vec<Key>,
    pub(super) objects: Vec<Object>,
}

impl Saved {
    /// What a database has; nothing if there is none.
    pub(super) fn read(session: &mut Session, schema: &str) -> Result<Self, Trouble> {
        let texts = objects::texts(session, schema)?;
        let objects = if texts.is_some() { objects::read(session, schema)? } else { Vec::new() };
        Ok(Self { texts, objects, ..Self::default() })
    }

    /// What a table has that does not go where it goes, whether it is there or not.
    pub(super) fn read_table(session: &mut Session, table: &Place) -> Result<Self, Trouble> {
        let mut keys = keys::of(session, table)?;
        keys.extend(keys::to(session, table)?);
        let objects = objects::read_triggers(session, table)?;
        Ok(Self { texts: objects::texts(session, &table.schema)?, keys, objects, ..Self::default() })
    }

    /// Puts it into a table of its own. Whoever finds the table finds all of it, even after the server has died: some servers write down what is
    /// committed a while later, but what tables are called at once, with all that was committed before.
    pub(super) fn write(
        &self,
        session: &mut Session,
        schema: &str,
        table: &str,
        comment: &str,
    ) -> Result<(), Trouble> {
        let draft = Place::new(schema, DRAFT).ident();
        make_table(session, schema, DRAFT, comment)?;
        session.run("START TRANSACTION")?;
        for (number, row) in self.rows(session)?.iter().enumerate() {
            let values: Vec<String> = row.iter().map(|value| hex(value)).collect();
            session.run(format!(
                "INSERT INTO {draft} (n, {COLUMNS}) VALUES ({number}, {})",
                values.join(", ")
            ))?;
        }
        session.run("COMMIT")?;
        session.run(format!("RENAME TABLE {draft} TO {}", Place::new(schema, table).ident())).map(drop)
    }

    fn rows(&self, session: &Session) -> Result<Vec<[Vec<u8>; 8]>, Trouble> {
        let plain = |kind: &str, name: &str, statement: &str| {
            [kind, name, statement, "", "", "", "", ""].map(|text| text.as_bytes().to_vec())
        };
        let mut rows = Vec::new();
        rows.extend(self.texts.iter().map(|(charset, collation)| plain(TEXTS, charset, collation)));
        rows.extend(self.kept.iter().map(|kept| plain(KEPT, kept, "")));
        rows.extend(self.source.iter().map(|source| plain(SOURCE, source, "")));
        for key in &self.keys {
            let written = serde_json::to_string(key).map_err(|error| session.says(&error.to_string()))?;
            rows.push(plain(KEY, "", &written));
        }
        rows.extend(self.objects.iter().map(|object| {
            let mode = &object.mode;
            let texts = [&mode.sql_mode, &mode.charset, &mode.collation, &mode.of_database, &mode.time_zone];
            let [a, b, c, d, e] = texts.map(|text| text.as_bytes().to_vec());
            let (kind, name) = (object.kind.as_str().as_bytes().to_vec(), object.name.as_bytes().to_vec());
            [kind, name, object.statement.clone(), a, b, c, d, e]
        }));
        Ok(rows)
    }

    /// What was put into a table.
    pub(super) fn find(session: &mut Session, schema: &str, table: &str) -> Result<Self, Trouble> {
        let place = Place::new(schema, table).ident();
        let rows = session.rows(format!("SELECT {COLUMNS} FROM {place} ORDER BY n"))?;
        let rows = rows.iter().map(|row| (0..8).map(|column| bytes(row, column).to_vec()).collect());
        Self::of_rows(rows).map_err(|why| Trouble {
            code: Some(0),
            ..session.says(&format!("the table {schema}.{table} {why}"))
        })
    }

    /// The same, as a program prints it.
    ///
    /// # Errors
    /// With what the table has that cannot be read.
    pub(super) fn of_hex(rows: &[Vec<String>]) -> Result<Self, String> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
        let plain = |text: &String| text.as_bytes().chunks(2).filter_map(byte).collect();
        Self::of_rows(rows.iter().map(|row| row.iter().map(plain).collect()))
    }

    fn of_rows(rows: impl Iterator<Item = Vec<Vec<u8>>>) -> Result<Self, String> {
        let mut saved = Self::default();
        for row in rows {
            let text = |n: usize| {
                row.get(n).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
            };
            let (kind, name, statement) = (text(0), text(1), row.get(2).cloned().unwrap_or_default());
            match (CodeKind::ALL.into_iter().find(|known| known.as_str() == kind), kind.as_str()) {
                (Some(kind), _) => {
                    let mode = Mode {
                        sql_mode: text(3),
                        charset: text(4),
                        collation: text(5),
                        of_database: text(6),
                        time_zone: text(7),
                    };
                    saved.objects.push(Object { kind, name, statement, mode });
                }
                (None, TEXTS) => saved.texts = Some((name, text(2))),
                (None, KEPT) => saved.kept = Some(name),
                (None, SOURCE) => saved.source = Some(name),
                (None, KEY) => {
                    let key = serde_json::from_slice(&statement);
                    saved.keys.push(
                        key.map_err(|error| format!("has a foreign key that cannot be read: {error}"))?,
                    );
                }
                (None, _) => return Err(format!("has a row of a kind that is not known here, {kind:?}")),
            }
        }
        Ok(saved)
    }

    /// What a client runs to create it.
    pub(super) fn script(&self) -> Vec<u8> {
        let mut script = b"\n--\n-- Code of a database that was put aside\n--\n\nDELIMITER ;;\n".to_vec();
        for object in &self.objects {
            for setting in object.settings() {
                script.extend_from_slice(setting.as_bytes());
                script.extend_from_slice(b" ;;\n");
            }
            script.extend_from_slice(&object.statement);
            script.extend_from_slice(b" ;;\n");
        }
        script.extend_from_slice(b"DELIMITER ;\n");
        script
    }
}

/// An empty table of ours.
pub(super) fn make_table(
    session: &mut Session,
    schema: &str,
    table: &str,
    comment: &str,
) -> Result<(), Trouble> {
    let columns: Vec<String> =
        COLUMNS.split(", ").map(|column| format!("{column} LONGBLOB NOT NULL")).collect();
    session
        .run(format!(
            "CREATE TABLE {} (n INT PRIMARY KEY, {}) ENGINE = InnoDB COMMENT = {}",
            Place::new(schema, table).ident(),
            columns.join(", "),
            literal(&format!("{COMMENT}{comment}"))
        ))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, name: &str, statement: &str) -> Vec<Vec<u8>> {
        [kind, name, statement].map(|text| text.as_bytes().to_vec()).to_vec()
    }

    #[test]
    fn what_cannot_be_read_of_a_table_is_an_error_and_not_passed_over() {
        let read = |rows: Vec<Vec<Vec<u8>>>| Saved::of_rows(rows.into_iter());
        let saved = read(vec![row(TEXTS, "utf8mb4", "utf8mb4_bin"), row(SOURCE, "shop_2026", "")]).unwrap();
        assert_eq!(saved.texts, Some(("utf8mb4".to_owned(), "utf8mb4_bin".to_owned())));
        assert_eq!(saved.source.as_deref(), Some("shop_2026"));
        let error = read(vec![row(KEY, "", "{\"from\":")]).unwrap_err();
        assert!(error.contains("a foreign key that cannot be read: EOF"), "{error}");
        let error = read(vec![row("TABLESPACE", "a", "b")]).unwrap_err();
        assert!(error.contains("TABLESPACE"), "{error}");
    }
}
