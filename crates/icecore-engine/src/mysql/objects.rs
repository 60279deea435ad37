//! The code of a database: views, triggers, routines and events. It cannot be moved from one database to another, so it is read, kept in a
//! table, and made again.

use icecore_dump::mysql_script::{Code, CodeKind};

use super::keys::{self, Key, Place};
use super::session::{Session, Trouble, bytes, hex, ident, literal, text};
use super::wire::Value;

/// The table that marks what icecore has made or put aside. In a database that was put aside it holds the code.
pub(super) const MARK: &str = "__icecore";
/// What the comment of such a table begins with.
pub(super) const COMMENT: &str = "icecore: ";
/// The columns of such a table.
const COLUMNS: &str = "kind, name, statement, sql_mode, charset, collation, of_database, time_zone";
/// Its rows as digits, for programs that print lines.
pub(super) const HEXED: &str = "HEX(kind), HEX(name), HEX(statement), HEX(sql_mode), HEX(charset), HEX(collation), HEX(of_database), HEX(time_zone) FROM __icecore";
/// The kind of the row that says what texts the database has by default.
const TEXTS: &str = "DATABASE";
/// The kind of the row that names another database.
const KEPT: &str = "KEPT";
/// The kind of a row that is a foreign key.
const KEY: &str = "KEY";

/// How the session was that created something, which is how it is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) sql_mode: String,
    pub(super) charset: String,
    pub(super) collation: String,
    /// The order of texts of the database at that time.
    pub(super) of_database: String,
    /// Of events.
    pub(super) time_zone: String,
}

/// One piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: CodeKind,
    pub(super) name: String,
    /// In the character set of its mode.
    pub(super) statement: Vec<u8>,
    pub(super) mode: Mode,
}

/// All the code of a database, and what else cannot be moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Saved {
    /// The character set and order of texts that say none; `None` if there was no database.
    pub(super) texts: Option<(String, String)>,
    /// Another database, which gets its code too.
    pub(super) kept: Option<String>,
    /// Keys that do not follow a table of it which is moved alone.
    pub(super) keys: Vec<Key>,
    pub(super) objects: Vec<Object>,
}

impl Object {
    fn of_row(
        row: &[Value],
        column: impl Fn(usize) -> usize,
        kind: CodeKind,
        time_zone: String,
    ) -> Option<Self> {
        let statement = row.get(column(2))?.as_ref()?.trim_ascii().to_vec();
        let text = |n| text(row, column(n));
        let mode =
            Mode { sql_mode: text(1), charset: text(3), collation: text(4), of_database: text(5), time_zone };
        Some(Self { kind, name: text(0), statement, mode })
    }

    /// What sets the session as it was, one statement each.
    fn settings(&self) -> Vec<String> {
        let mode = &self.mode;
        let mut settings = vec![
            format!("SET character_set_client = {}", literal(&mode.charset)),
            format!("SET collation_connection = {}", literal(&mode.collation)),
            format!("SET sql_mode = {}", literal(&mode.sql_mode)),
        ];
        if !mode.time_zone.is_empty() {
            settings.insert(0, format!("SET time_zone = {}", literal(&mode.time_zone)));
        }
        settings
    }

    /// Its statement, which creates it and nothing else, however the server reads it.
    pub(super) fn code(&self, session: &Session) -> Result<Code, Trouble> {
        let is_unicode = self.mode.charset.starts_with("utf8");
        let code = Code::parse(&self.statement).filter(|code| {
            (code.kind, &code.name) == (self.kind, &self.name) && (code.is_ascii || is_unicode)
        });
        code.ok_or_else(|| {
            let what = format!(
                "the {} cannot be created again: it does not begin as such statements do, or not in Unicode",
                self.display_name()
            );
            Trouble { code: Some(0), ..session.says(&what) }
        })
    }

    /// Creates it in the database that the session is in, in the place of a view of its name.
    pub(super) fn create(&self, session: &mut Session, with_events: bool) -> Result<(), Trouble> {
        // What is kept in a table may have been put there by somebody else.
        let code = self.code(session)?;
        let statement = match self.kind {
            CodeKind::View => {
                [b"CREATE OR REPLACE", code.statement.get("CREATE".len()..).unwrap_or_default()].concat()
            }
            CodeKind::Event if !with_events => code.disabled(),
            _ => code.statement,
        };
        let of_database = session.value("SELECT @@collation_database")?;
        let differs = !matches!(self.kind, CodeKind::View)
            && !self.mode.of_database.is_empty()
            && self.mode.of_database != of_database;
        let set_texts = |session: &mut Session, collation: &str| {
            let schema = session.value("SELECT DATABASE()")?;
            session.run(format!("ALTER DATABASE {} COLLATE {}", ident(&schema), literal(collation)))
        };
        if differs {
            set_texts(session, &self.mode.of_database)?;
        }
        let create = |session: &mut Session| -> Result<(), Trouble> {
            for setting in self.settings() {
                session.run(setting)?;
            }
            session.run(statement).map(drop)
        };
        let created = create(session);
        session.reset()?;
        if differs {
            set_texts(session, &of_database)?;
        }
        created
    }

    /// Which it is, for people.
    pub(super) fn display_name(&self) -> String {
        format!("{} {}", self.kind.as_str().to_lowercase(), self.name)
    }
}

/// Reads the code of a database.
pub(super) fn read(session: &mut Session, schema: &str) -> Result<Vec<Object>, Trouble> {
    read_kinds(session, schema, &CodeKind::ALL, None)
}

/// The same of one of its tables: its triggers.
pub(super) fn read_triggers(session: &mut Session, table: &Place) -> Result<Vec<Object>, Trouble> {
    read_kinds(session, &table.schema, &[CodeKind::Trigger], Some(&table.table))
}

fn read_kinds(
    session: &mut Session,
    schema: &str,
    kinds: &[CodeKind],
    table: Option<&str>,
) -> Result<Vec<Object>, Trouble> {
    session.run(format!("USE {}", ident(schema)))?;
    let read = read_each(session, schema, kinds, table);
    session.reset()?;
    read
}

fn read_each(
    session: &mut Session,
    schema: &str,
    kinds: &[CodeKind],
    table: Option<&str>,
) -> Result<Vec<Object>, Trouble> {
    let mut objects = Vec::new();
    let of = |column: &str| session.named(column, schema);
    let [mut of_trigger, of_routine, of_view, of_event] =
        ["TRIGGER_SCHEMA", "ROUTINE_SCHEMA", "TABLE_SCHEMA", "EVENT_SCHEMA"].map(of);
    if let Some(table) = table {
        of_trigger = format!("{of_trigger} AND {}", session.named("EVENT_OBJECT_TABLE", table));
    }
    let triggers = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE {of_trigger} ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
    );
    let routines = |kind: &str| {
        format!(
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE {of_routine} AND ROUTINE_TYPE = '{kind}' ORDER BY 1"
        )
    };
    for kind in kinds.iter().copied() {
        let query = match kind {
            CodeKind::Trigger => triggers.clone(),
            CodeKind::View => format!(
                "SELECT TABLE_NAME, CHARACTER_SET_CLIENT FROM information_schema.VIEWS WHERE {of_view} ORDER BY 1"
            ),
            CodeKind::Event => {
                format!("SELECT EVENT_NAME FROM information_schema.EVENTS WHERE {of_event} ORDER BY 1")
            }
            _ => routines(kind.as_str()),
        };
        for row in session.rows(&query)? {
            let name = text(&row, 0);
            // As it was written, whatever that was.
            let results = if kind == CodeKind::View { literal(&text(&row, 1)) } else { "NULL".to_owned() };
            session.run(format!("SET character_set_results = {results}"))?;
            let found = session.rows(format!("SHOW CREATE {} {}", kind.as_str(), ident(&name)))?;
            session.run("SET character_set_results = utf8mb4")?;
            let row = found.first().map(Vec::as_slice).unwrap_or_default();
            let object = match kind {
                CodeKind::View => {
                    // The name, the statement, and how texts are read; no more.
                    let column = |n| match n {
                        2 => 1,
                        3 => 2,
                        4 => 3,
                        0 => 0,
                        _ => usize::MAX,
                    };
                    Object::of_row(row, column, kind, String::new())
                }
                CodeKind::Event => {
                    Object::of_row(row, |n| if n >= 2 { n + 1 } else { n }, kind, text(row, 2))
                }
                _ => Object::of_row(row, |n| n, kind, String::new()),
            };
            let object = object.ok_or_else(|| {
                session.says(&format!(
                    "the definition of the {} {name} may not be read by who connects",
                    kind.as_str().to_lowercase()
                ))
            })?;
            let object = Object { name, ..object };
            object.code(session)?;
            objects.push(object);
        }
    }
    Ok(in_order(objects))
}

/// What texts a database has by default; `None` if it is not there.
pub(super) fn texts(session: &mut Session, schema: &str) -> Result<Option<(String, String)>, Trouble> {
    let rows = session.rows(format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE {}",
        session.named("SCHEMA_NAME", schema)
    ))?;
    Ok(rows.first().map(|row| (text(row, 0), text(row, 1))))
}

/// Views after those that they name, everything else as it is.
fn in_order(objects: Vec<Object>) -> Vec<Object> {
    let (mut views, mut ordered): (Vec<Object>, Vec<Object>) =
        objects.into_iter().partition(|object| object.kind == CodeKind::View);
    let place = ordered.partition_point(|object| object.kind < CodeKind::View);
    let mut sorted = Vec::with_capacity(views.len());
    while !views.is_empty() {
        let names: Vec<String> = views.iter().map(|view| ident(&view.name)).collect();
        let needs = |view: &Object| {
            let others = names.iter().filter(|name| **name != ident(&view.name));
            others.into_iter().any(|name| memchr::memmem::find(&view.statement, name.as_bytes()).is_some())
        };
        // A name may be one of a column as well, so that all of them seem to need each other.
        let next = views.iter().position(|view| !needs(view)).unwrap_or(0);
        sorted.push(views.remove(next));
    }
    ordered.splice(place..place, sorted);
    ordered
}

impl Saved {
    /// What a database has; nothing if there is none.
    pub(super) fn read(session: &mut Session, schema: &str) -> Result<Self, Trouble> {
        let texts = texts(session, schema)?;
        let objects = if texts.is_some() { read(session, schema)? } else { Vec::new() };
        Ok(Self { texts, objects, ..Self::default() })
    }

    /// What a table has that does not go where it goes, whether it is there or not.
    pub(super) fn read_table(session: &mut Session, table: &Place) -> Result<Self, Trouble> {
        let mut keys = keys::of(session, table)?;
        keys.extend(keys::to(session, table)?);
        let objects = read_triggers(session, table)?;
        Ok(Self { texts: texts(session, &table.schema)?, keys, objects, ..Self::default() })
    }

    /// Puts it into a table of its own, all at once.
    pub(super) fn write(
        &self,
        session: &mut Session,
        schema: &str,
        table: &str,
        comment: &str,
    ) -> Result<(), Trouble> {
        make_table(session, schema, table, comment)?;
        let mut rows: Vec<[Vec<u8>; 8]> = Vec::new();
        let plain = |kind: &str, name: &str, statement: &str| {
            [kind, name, statement, "", "", "", "", ""].map(|text| text.as_bytes().to_vec())
        };
        rows.extend(self.texts.iter().map(|(charset, collation)| plain(TEXTS, charset, collation)));
        rows.extend(self.kept.iter().map(|kept| plain(KEPT, kept, "")));
        for key in &self.keys {
            let written = serde_json::to_string(key).map_err(|error| session.says(&error.to_string()))?;
            rows.push(plain(KEY, "", &written));
        }
        rows.extend(self.objects.iter().map(|object| {
            let mode = &object.mode;
            let texts = [&mode.sql_mode, &mode.charset, &mode.collation, &mode.of_database, &mode.time_zone];
            let [a, b, c, d, e] = texts.map(|text| text.as_bytes().to_vec());
            [
                object.kind.as_str().as_bytes().to_vec(),
                object.name.as_bytes().to_vec(),
                object.statement.clone(),
                a,
                b,
                c,
                d,
                e,
            ]
        }));
        session.run("START TRANSACTION")?;
        for (number, row) in rows.iter().enumerate() {
            let values: Vec<String> = row.iter().map(|value| hex(value)).collect();
            session.run(format!(
                "INSERT INTO {}.{} (n, {COLUMNS}) VALUES ({number}, {})",
                ident(schema),
                ident(table),
                values.join(", ")
            ))?;
        }
        session.run("COMMIT").map(drop)
    }

    /// What was put into a table.
    pub(super) fn find(session: &mut Session, schema: &str, table: &str) -> Result<Self, Trouble> {
        let rows =
            session.rows(format!("SELECT {COLUMNS} FROM {}.{} ORDER BY n", ident(schema), ident(table)))?;
        Ok(Self::of_rows(rows.iter().map(|row| (0..8).map(|column| bytes(row, column).to_vec()).collect())))
    }

    /// The same, as a program prints it.
    pub(super) fn of_hex(rows: &[Vec<String>]) -> Self {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
        let plain = |text: &String| text.as_bytes().chunks(2).filter_map(byte).collect();
        Self::of_rows(rows.iter().map(|row| row.iter().map(plain).collect()))
    }

    fn of_rows(rows: impl Iterator<Item = Vec<Vec<u8>>>) -> Self {
        let mut saved = Self::default();
        for row in rows {
            let text = |n: usize| {
                row.get(n).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
            };
            let (kind, name) = (text(0), text(1));
            match CodeKind::ALL.into_iter().find(|known| known.as_str() == kind) {
                Some(kind) => {
                    let mode = Mode {
                        sql_mode: text(3),
                        charset: text(4),
                        collation: text(5),
                        of_database: text(6),
                        time_zone: text(7),
                    };
                    let statement = row.get(2).cloned().unwrap_or_default();
                    saved.objects.push(Object { kind, name, statement, mode });
                }
                None if kind == KEPT => saved.kept = Some(name),
                None if kind == KEY => {
                    saved.keys.extend(row.get(2).and_then(|json| serde_json::from_slice(json).ok()));
                }
                None => saved.texts = Some((name, text(2))),
            }
        }
        saved
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
            "CREATE TABLE {}.{} (n INT PRIMARY KEY, {}) ENGINE = InnoDB COMMENT = {}",
            ident(schema),
            ident(table),
            columns.join(", "),
            literal(&format!("{COMMENT}{comment}"))
        ))
        .map(drop)
}

/// Drops code of a database.
pub(super) fn drop_object(session: &mut Session, schema: &str, object: &Object) -> Result<(), Trouble> {
    session
        .run(format!("DROP {} IF EXISTS {}.{}", object.kind.as_str(), ident(schema), ident(&object.name)))
        .map(drop)
}
