//! Filling a new database: sequences, then tables on several connections, then code.

use std::sync::{Mutex, PoisonError};

use icecore_dump::mysql_script::{Action, Code, CodeKind};
use icecore_format::{Part, PartKind};

use super::super::Endpoint;
use super::super::objects::{self, Mode, Object};
use super::super::session::{Session, Trouble, hex, ident, literal, text};
use super::script::Script;
use crate::RestoreError;
use crate::database::{Content, Restored, check_cancelled};
use crate::pool;

/// No database has more code.
const CODE_LEN_MAX: usize = 64 << 20;

/// Where a database is filled, and from what.
pub(super) struct Loader<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The new database.
    pub(super) schema: &'a str,
    /// The one that it will be.
    pub(super) live: &'a str,
    pub(super) content: &'a dyn Content,
    pub(super) without_definers: bool,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) restored: Restored,
    /// What is to be created once the tables are where they belong.
    pub(super) objects: Vec<Object>,
}

/// What parts say that must wait, in their order.
type Later = Mutex<Vec<(usize, Vec<Action>)>>;

impl Loader<'_> {
    /// Fills an empty database.
    pub(super) fn load(&self) -> Result<Loaded, RestoreError> {
        let mut session = Session::enter(self.endpoint, self.schema)?;
        let later = Later::default();
        let (mut tables, mut settings) = (Vec::new(), Vec::new());
        for (number, part) in self.content.parts().iter().enumerate() {
            if part.kind == PartKind::Table {
                tables.push((number, part));
                continue;
            }
            // What tables need is there before them; the rest may need tables.
            let is_early = tables.is_empty() || part.name.starts_with(b"sequence ");
            let mut script = Script::open(self.content, part, session.reader())?;
            let mut waiting = Vec::new();
            while let Some(action) = script.next()? {
                if is_early {
                    self.run_early(&mut session, part, &action)?;
                    if let (0, Action::Set(setting)) = (number, &action) {
                        settings.push(setting.clone());
                    }
                }
                if !is_early || !matches!(action, Action::Run { .. }) {
                    waiting.push(action);
                }
            }
            postpone(&later, number, waiting)?;
        }
        let rows = self.fill_all(tables, &settings, &later)?;
        let mut later = later.into_inner().unwrap_or_else(PoisonError::into_inner);
        later.sort_by_key(|(number, _)| *number);
        session.reset()?;
        let (objects, warnings) =
            self.define(&mut session, later.into_iter().flat_map(|(_, actions)| actions))?;
        let tables = self.content.parts().iter().filter(|part| part.kind == PartKind::Table).count();
        let restored = Restored { tables: tables as u64, rows, warnings, ..Restored::default() };
        Ok(Loaded { restored, objects })
    }

    fn run_early(&self, session: &mut Session, part: &Part, action: &Action) -> Result<(), RestoreError> {
        let ran = match action {
            Action::Set(statement) => session.run(statement).map(drop),
            Action::Run { statement, .. } => run_plainly(session, statement),
            Action::Skip | Action::Collate { .. } | Action::Create(_) => Ok(()),
        };
        ran.map_err(|trouble| failed(&part.display_name(), &trouble))
    }

    /// Fills tables, the largest first. Returns how many rows they have.
    fn fill_all(
        &self,
        mut tables: Vec<(usize, &Part)>,
        settings: &[Vec<u8>],
        later: &Later,
    ) -> Result<u64, RestoreError> {
        tables.sort_by_key(|(_, part)| std::cmp::Reverse(part.len));
        let open = || -> Result<Session, RestoreError> {
            let mut session = Session::enter(self.endpoint, self.schema)?;
            settings.iter().try_for_each(|setting| session.run(setting).map(drop))?;
            session.read_plainly()?;
            Ok(session)
        };
        let rows = Mutex::new(0_u64);
        // Tables that refer to each other are not defined at the same time.
        let turn = Mutex::new(());
        pool::for_each(open, self.content, pool::connections(), &tables, |session, (number, part)| {
            let filled = self.fill(session, part, &turn);
            // A statement that was given up is none that failed.
            let (count, waiting) =
                filled.map_err(|error| check_cancelled(self.content).err().unwrap_or(error))?;
            *rows.lock().unwrap_or_else(PoisonError::into_inner) += count;
            postpone(later, *number, waiting)
        })?;
        Ok(rows.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn run(&self, session: &mut Session, statement: &[u8]) -> Result<u64, Trouble> {
        session.run_unless(&|| self.content.is_cancelled(), statement)
    }

    /// Fills one table. Returns how many rows it has, and what must wait: its triggers.
    fn fill(
        &self,
        session: &mut Session,
        part: &Part,
        turn: &Mutex<()>,
    ) -> Result<(u64, Vec<Action>), RestoreError> {
        let name = format!("the table {}", part.display_name());
        let failed = |trouble: Trouble| failed(&name, &trouble);
        let mut script = Script::open(self.content, part, session.reader())?;
        let (mut count, mut waiting) = (0, Vec::new());
        // One transaction, which a server may do much faster.
        let mut is_open = false;
        while let Some(action) = script.next()? {
            match &action {
                Action::Run { statement, adds_rows: true } => {
                    if !is_open {
                        session.run("START TRANSACTION").map_err(failed)?;
                        is_open = true;
                    }
                    count += self.run(session, statement).map_err(failed)?;
                }
                Action::Run { statement, adds_rows: false } => {
                    if std::mem::take(&mut is_open) {
                        session.run("COMMIT").map_err(failed)?;
                    }
                    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                    self.run(session, statement).map_err(failed)?;
                }
                Action::Set(statement) => {
                    session.run(statement).and_then(|_| session.read_plainly()).map_err(failed)?;
                    waiting.push(action);
                }
                Action::Skip | Action::Collate { .. } | Action::Create(_) => waiting.push(action),
            }
        }
        if is_open {
            session.run("COMMIT").map_err(failed)?;
        }
        match part.rows {
            Some(expected) if expected != count => {
                Err(RestoreError::Server(format!("{name} has {count} rows, and {expected} were captured")))
            }
            _ => Ok((count, waiting)),
        }
    }

    /// Creates code, events such that they do not happen yet. Returns it as it is to be in the end, and what will not be there.
    fn define(
        &self,
        session: &mut Session,
        actions: impl Iterator<Item = Action>,
    ) -> Result<(Vec<Object>, Vec<String>), RestoreError> {
        let (mut objects, mut over): (Vec<Object>, Vec<String>) = Default::default();
        for action in actions {
            check_cancelled(self.content)?;
            let code = match action {
                Action::Set(statement) => {
                    session.run(statement).map_err(|trouble| failed("the code of the database", &trouble))?;
                    continue;
                }
                Action::Run { statement, .. } => {
                    run_plainly(session, &statement)
                        .map_err(|trouble| failed("what comes after the tables", &trouble))?;
                    continue;
                }
                Action::Collate { charset, collation } => {
                    session.run(format!(
                        "ALTER DATABASE {} CHARACTER SET {} COLLATE {}",
                        ident(self.schema),
                        literal(&charset),
                        literal(&collation)
                    ))?;
                    continue;
                }
                Action::Skip => continue,
                Action::Create(code) => code,
            };
            let code = if self.without_definers { code.without_definer() } else { code };
            let object = Object {
                kind: code.kind,
                name: code.name.clone(),
                mode: mode(session, code.kind)?,
                statement: code.statement.clone(),
            };
            object.code(session).map_err(|trouble| RestoreError::Refused(trouble.what))?;
            self.try_out(session, &code, &object)?;
            if code.kind == CodeKind::Event && self.is_over(session, &code)? {
                over.push(format!("the time of the event {} has passed: it is not restored", code.name));
                continue;
            }
            // A view comes twice: first as what others need to know of it.
            objects.retain(|known| (known.kind, &known.name) != (object.kind, &object.name));
            objects.push(object);
        }
        session.reset()?;
        Ok((objects, over))
    }

    /// Whether the server did not keep an event: none happens in the past.
    fn is_over(&self, session: &mut Session, code: &Code) -> Result<bool, Trouble> {
        // One that can be created only in the live database was not tried out.
        if self.names_live(code) {
            return Ok(false);
        }
        // As digits, which every mode reads alike.
        let name = hex(code.name.as_bytes());
        let there = session.value(&format!(
            "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() AND BINARY EVENT_NAME = {name}"
        ))?;
        Ok(there == "0")
    }

    /// Code that names the live database can be created only there.
    fn try_out(&self, session: &mut Session, code: &Code, object: &Object) -> Result<(), RestoreError> {
        match session.run(code.disabled()) {
            Ok(_) => Ok(()),
            // What a dump said of it before, so that others could be made, is not what it is.
            Err(trouble) if trouble.code.is_some() && self.names_live(code) => {
                Ok(objects::drop_object(session, self.schema, object)?)
            }
            Err(trouble) => Err(failed(&format!("the {}", object.display_name()), &trouble)),
        }
    }

    fn names_live(&self, code: &Code) -> bool {
        let name = format!("{}.", ident(self.live));
        memchr::memmem::find(&code.statement, name.as_bytes()).is_some()
    }
}

/// Runs a statement that is no code, whatever the session was told for code.
fn run_plainly(session: &mut Session, statement: &[u8]) -> Result<(), Trouble> {
    let mode = mode(session, CodeKind::Procedure)?;
    session.read_plainly()?;
    session.run(statement)?;
    session.run(format!("SET sql_mode = {}", literal(&mode.sql_mode))).map(drop)
}

/// How the session is now.
fn mode(session: &mut Session, kind: CodeKind) -> Result<Mode, Trouble> {
    let rows = session.rows(
        "SELECT @@sql_mode, @@character_set_client, @@collation_connection, @@collation_database, @@time_zone",
    )?;
    let text = |column| rows.first().map(|row| text(row, column)).unwrap_or_default();
    // The database of a view is not asked for, nor the clock of what has none.
    let of_database = if kind == CodeKind::View { String::new() } else { text(3) };
    let time_zone = if kind == CodeKind::Event { text(4) } else { String::new() };
    let sql_mode = if kind == CodeKind::View { String::new() } else { text(0) };
    Ok(Mode { sql_mode, charset: text(1), collation: text(2), of_database, time_zone })
}

fn postpone(later: &Later, number: usize, waiting: Vec<Action>) -> Result<(), RestoreError> {
    if !waiting.iter().any(|action| !matches!(action, Action::Set(_))) {
        return Ok(());
    }
    let len = |action: &Action| match action {
        Action::Set(statement) | Action::Run { statement, .. } => statement.len(),
        Action::Create(code) => code.statement.len(),
        Action::Skip | Action::Collate { .. } => 0,
    };
    let mut later = later.lock().unwrap_or_else(PoisonError::into_inner);
    later.push((number, waiting));
    match later.iter().flat_map(|(_, actions)| actions).map(len).sum::<usize>() > CODE_LEN_MAX {
        true => Err(RestoreError::Refused(
            "the snapshot has more code than a database can have: 64 MiB".to_owned(),
        )),
        false => Ok(()),
    }
}

fn failed(what: &str, trouble: &Trouble) -> RestoreError {
    let hint = match trouble.code {
        Some(1153 | 2020) => "; raise max_allowed_packet on the server",
        Some(1227 | 1370 | 1449) => "; --without-definers makes who connects the definer of all code",
        _ => "",
    };
    RestoreError::Server(format!("cannot restore {what}: {}{hint}", trouble.what))
}
