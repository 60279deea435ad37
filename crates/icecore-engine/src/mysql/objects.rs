//! The code of a database: views, triggers, routines and events. It cannot be moved from one database to another, so it is read, kept in a
//! table ([`Saved`](super::saved::Saved)), and made again.

use icecore_dump::mysql_script::{Code, CodeKind};

use super::keys::Place;
use super::session::{Session, Trouble, ident, literal, text};
use super::wire::Value;

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
    pub(super) fn settings(&self) -> Vec<String> {
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

    /// Whether a server that was told this may say that of it, in a database of this name, now or later.
    pub(super) fn may_be(&self, other: &Self, schema: &str) -> bool {
        if (self.kind, &self.name) != (other.kind, &other.name) {
            return false;
        }
        let words = |object: &Self| match object.kind {
            // How much a server says of where tables are depends on where all of them are.
            CodeKind::View => {
                let mut words = replaced(&object.statement, &format!("{}.", ident(schema)), "");
                words.retain(|byte| !byte.is_ascii_whitespace());
                words
            }
            // An event may be over by itself.
            CodeKind::Event => match Code::parse(&object.statement) {
                Some(code) => code.disabled(),
                None => object.statement.clone(),
            },
            _ => object.statement.clone(),
        };
        self.mode == other.mode && words(self) == words(other) || self.is_in_words_of_people()
    }

    /// Whether no server says it so, and so will say it otherwise.
    fn is_in_words_of_people(&self) -> bool {
        let has_definer = || Code::parse(&self.statement).is_some_and(|code| code.definer.is_some());
        self.kind == CodeKind::View && !(self.statement.starts_with(b"CREATE ALGORITHM=") && has_definer())
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
            // As it is made again: without the database that somebody typed with a trigger.
            let statement = object.code(session)?.statement;
            objects.push(Object { statement, ..object });
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

/// A statement in which this stands wherever that stood.
pub(super) fn replaced(statement: &[u8], that: &str, this: &str) -> Vec<u8> {
    let (mut out, mut done) = (Vec::with_capacity(statement.len()), 0);
    for at in memchr::memmem::find_iter(statement, that.as_bytes()) {
        out.extend_from_slice(statement.get(done..at).unwrap_or_default());
        out.extend_from_slice(this.as_bytes());
        done = at + that.len();
    }
    out.extend_from_slice(statement.get(done..).unwrap_or_default());
    out
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

/// Drops code of a database.
pub(super) fn drop_object(session: &mut Session, schema: &str, object: &Object) -> Result<(), Trouble> {
    session
        .run(format!("DROP {} IF EXISTS {}.{}", object.kind.as_str(), ident(schema), ident(&object.name)))
        .map(drop)
}
