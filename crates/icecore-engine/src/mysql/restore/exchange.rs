//! The step in which tables change places, with what is done right before and after it, and what if its answer is lost.

use std::thread;
use std::time::Duration;

use icecore_dump::mysql_script::CodeKind;

use super::super::Endpoint;
use super::super::objects::{self, Object, Saved};
use super::super::session::{Session, Trouble, ident};
use super::swap::{AFTER, BEFORE, GOING, OURS, finish, settle, tables};
use crate::RestoreError;

/// How often a lock is waited for, for as long as the session allows.
const TRIES_MAX: usize = 6;
const PAUSE: Duration = Duration::from_millis(500);
/// What the server says when somebody holds a lock for too long.
const LOCK_WAIT: u16 = 1205;

/// Tables that get other places, in order.
#[derive(Debug, Default)]
pub(super) struct Moves(pub(super) Vec<((String, String), (String, String))>);

impl Moves {
    pub(super) fn push(&mut self, from: (&str, &str), to: (&str, &str)) {
        let owned = |(schema, table): (&str, &str)| (schema.to_owned(), table.to_owned());
        self.0.push((owned(from), owned(to)));
    }

    /// All tables of a database, without ours, but for the code of one that was put aside before.
    pub(super) fn all(&mut self, server: &mut Session, from: &str, to: &str) -> Result<(), Trouble> {
        let is_going = to.ends_with(GOING);
        for table in tables(server, from)?.iter().filter(|table| is_going || !OURS.contains(&table.as_str()))
        {
            self.push((from, table), (to, table));
        }
        Ok(())
    }

    fn statement(&self, backwards: bool) -> String {
        let place = |(schema, table): &(String, String)| format!("{}.{}", ident(schema), ident(table));
        let one = |(from, to): &_| match backwards {
            false => format!("{} TO {}", place(from), place(to)),
            true => format!("{} TO {}", place(to), place(from)),
        };
        let mut moves: Vec<String> = self.0.iter().map(one).collect();
        if backwards {
            moves.reverse();
        }
        format!("RENAME TABLE {}", moves.join(", "))
    }
}

/// Moves the tables, and makes the code that belongs to them. If it fails, all of it is undone, at the latest by [`settle`].
pub(super) fn exchange(
    endpoint: &Endpoint,
    server: &mut Session,
    new: &str,
    after: &Saved,
    moves: &Moves,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), RestoreError> {
    let live = endpoint.database.as_str();
    let before = Saved::read(server, live)?;
    let comment = format!("beside {live}");
    before.write(server, new, BEFORE, &comment)?;
    after.write(server, new, AFTER, &comment)?;
    if before.texts.is_none() {
        server.run(format!("CREATE DATABASE {}", ident(live)))?;
    }
    let incoming: Vec<&str> =
        moves.0.iter().filter(|(_, to)| to.0 == live).map(|(_, to)| to.1.as_str()).collect();
    let is_in_the_way = |object: &&Object| {
        object.kind == CodeKind::Trigger
            || object.kind == CodeKind::View && incoming.contains(&object.name.as_str())
    };
    // Whoever comes after us waits behind us.
    server.run("SET SESSION lock_wait_timeout = 5")?;
    let mut tries = 0;
    loop {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let dropped = before
            .objects
            .iter()
            .filter(is_in_the_way)
            .try_for_each(|it| objects::drop_object(server, live, it));
        let moved = dropped.and_then(|()| server.run(moves.statement(false)).map(drop));
        match moved {
            Ok(()) => break,
            Err(trouble) if trouble.code == Some(LOCK_WAIT) && tries < TRIES_MAX => {
                // Triggers are not gone for longer than one wait. What cannot come back now does so when all is undone.
                let _ = before.apply(server, live, true);
                tries += 1;
            }
            Err(trouble) if trouble.code == Some(LOCK_WAIT) => {
                return Err(RestoreError::Server(format!(
                    "{}: a transaction that does not end holds on to a table of {live}; end it, and try again",
                    trouble.what
                )));
            }
            Err(trouble) if trouble.code.is_some() => return Err(trouble.into()),
            // The answer is lost; what it said is not.
            Err(trouble) => return look(endpoint, server, &trouble),
        }
    }
    match finish(server, live, new) {
        Ok(()) => Ok(()),
        Err(trouble) if trouble.code.is_some() => {
            take_back(server, live, moves)?;
            Err(trouble.into())
        }
        Err(trouble) => look(endpoint, server, &trouble),
    }
}

/// Moves all tables back to where they were.
fn take_back(server: &mut Session, live: &str, moves: &Moves) -> Result<(), RestoreError> {
    let unknown = |trouble: Trouble| {
        RestoreError::Unknown(format!("{}; and what is in {live} is not whole", trouble.what))
    };
    let code = objects::read(server, live).map_err(unknown)?;
    let incoming: Vec<&str> =
        moves.0.iter().filter(|(from, _)| from.0 == live).map(|(from, _)| from.1.as_str()).collect();
    let is_in_the_way = |object: &&Object| {
        object.kind == CodeKind::Trigger
            || object.kind == CodeKind::View && incoming.contains(&object.name.as_str())
    };
    for object in code.iter().filter(is_in_the_way) {
        objects::drop_object(server, live, object).map_err(unknown)?;
    }
    server.run(moves.statement(true)).map(drop).map_err(unknown)
}

/// Finds out what became of a statement whose answer was lost, and brings the rest to an end.
fn look(endpoint: &Endpoint, server: &mut Session, trouble: &Trouble) -> Result<(), RestoreError> {
    let live = endpoint.database.as_str();
    for _ in 0..TRIES_MAX * 4 {
        thread::sleep(PAUSE);
        let Ok(mut session) = Session::open(endpoint) else { continue };
        // It may still wait for its locks.
        let running = session.value(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'RENAME TABLE %__icecore%'",
        );
        match running {
            Ok(count) if count == "0" => (),
            _ => continue,
        }
        let settled = settle(&mut session, live)?;
        *server = session;
        return match settled.finished {
            true => Ok(()),
            false => Err(RestoreError::Server(trouble.what.clone())),
        };
    }
    Err(RestoreError::Unknown(format!(
        "{}; and the server does not say what became of {live}: the next restore or `icecore rollback` settles it",
        trouble.what
    )))
}
