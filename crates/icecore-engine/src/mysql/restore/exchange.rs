//! The step in which tables change places, with what is done right before and after it, and what if its answer is lost.

use std::thread;
use std::time::Duration;

use icecore_dump::mysql_script::CodeKind;

use super::super::keys;
use super::super::objects::{self, Object};
use super::super::saved::Saved;
use super::super::session::{LOCK_WAIT, Session, Trouble, ident};
use super::Turn;
use super::finish::{finish, round_off};
use super::place::refuse_keys;
use super::settle::settle;
use super::source::Source;
use super::undo::{give_back, is_in_the_way};
use super::work::{AFTER, BACK, BEFORE, Kind, Work};
use crate::RestoreError;

/// How often a lock is waited for, for as long as the session allows.
const TRIES_MAX: usize = 6;
/// How often a server is asked that may be starting.
const LOOKS_MAX: usize = 24;
const PAUSE: Duration = Duration::from_millis(500);

/// Tables that get other places, in order.
#[derive(Debug, Default)]
pub(super) struct Moves(pub(super) Vec<((String, String), (String, String))>);

impl Moves {
    pub(super) fn push(&mut self, from: (&str, &str), to: (&str, &str)) {
        let owned = |(schema, table): (&str, &str)| (schema.to_owned(), table.to_owned());
        self.0.push((owned(from), owned(to)));
    }

    pub(super) fn all(&mut self, tables: &[String], from: &str, to: &str) {
        tables.iter().for_each(|table| self.push((from, table), (to, table)));
    }

    fn statement(&self) -> String {
        let place = |(schema, table): &(String, String)| format!("{}.{}", ident(schema), ident(table));
        let one = |(from, to): &_| format!("{} TO {}", place(from), place(to));
        let moves: Vec<String> = self.0.iter().map(one).collect();
        format!("RENAME TABLE {}", moves.join(", "))
    }
}

/// Moves the tables, and makes the code that belongs to them. Returns what is not as it should be. If it fails, all of it is undone, at the
/// latest by [`settle`].
pub(super) fn exchange(
    turn: &mut Turn,
    work: &Work,
    after: &Saved,
    moves: &Moves,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Vec<String>, RestoreError> {
    let (live, new) = (work.live.as_str(), work.new.as_str());
    let server = &mut turn.server;
    let before = work.saved(server)?;
    before.write(server, new, BEFORE, &work.label())?;
    after.write(server, new, AFTER, &work.label())?;
    if work.makes_database(&before) {
        server.run(format!("CREATE DATABASE {}", ident(live)))?;
    }
    let incoming: Vec<String> =
        moves.0.iter().filter(|(_, to)| to.0 == live).map(|(_, to)| to.1.clone()).collect();
    // Those that lead to one table would follow it, and are held by those who use the tables that they are of.
    let mut leads_there = Vec::new();
    if let Some(place) = work.place(live) {
        leads_there.extend(before.keys.iter().filter(|key| key.to.is_same(server, &place)).cloned());
    }
    let source = Source::of(after);
    // Whoever comes after us waits behind us.
    server.run("SET SESSION lock_wait_timeout = 5")?;
    let mut tries = 0;
    loop {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        work.refuse_keys(server)?;
        if let Some(source) = &source {
            refuse_keys(server, source.name)?;
        }
        let let_go = leads_there.iter().try_for_each(|key| key.drop_it(server));
        // Triggers that are made again later come after those that stayed.
        let mut in_the_way = before.objects.iter().rev().filter(|object| is_in_the_way(object, &incoming));
        let dropped = let_go
            .and_then(|()| in_the_way.try_for_each(|object| objects::drop_object(server, live, object)))
            .and_then(|()| source.as_ref().map_or(Ok(()), |source| source.let_go(server)));
        let moved = dropped.and_then(|()| server.run(moves.statement()).map(drop));
        match moved {
            Ok(()) => break,
            Err(trouble) if trouble.code == Some(LOCK_WAIT) && tries < TRIES_MAX => {
                // Triggers and keys are not gone for longer than one wait. What cannot come back now does so when all is undone.
                give_back(server, live, &before, &incoming)?;
                keys::give(server, &leads_there)?;
                let mut there = work.code(server, live)?.into_iter();
                let is_other = |it: &Object| it.kind != CodeKind::View && !before.objects.contains(it);
                refuse_other(live, there.find(is_other))?;
                if let Some(source) = &source {
                    source.give_back(server)?;
                    refuse_other(source.name, source.changed_by_others(server)?)?;
                }
                tries += 1;
            }
            Err(trouble) if trouble.code == Some(LOCK_WAIT) => {
                let or_of_it = source.map(|source| format!(" or of {}", source.name)).unwrap_or_default();
                return Err(RestoreError::Server(format!(
                    "{}: a transaction that does not end holds on to a table of {live}{or_of_it}; end it, and try again",
                    trouble.what
                )));
            }
            Err(trouble) if trouble.code.is_some() => return Err(trouble.into()),
            // The answer is lost; what it said is not.
            Err(trouble) => return look(turn, work, &trouble),
        }
    }
    match make_code(server, work) {
        Ok(warnings) => Ok(warnings),
        Err(trouble) if trouble.code.is_some() => {
            take_back(server, work, moves)?;
            Err(trouble.into())
        }
        Err(trouble) => look(turn, work, &trouble),
    }
}

/// Nobody's code is to be lost.
fn refuse_other(schema: &str, other: Option<Object>) -> Result<(), RestoreError> {
    other.map_or(Ok(()), |other| {
        Err(RestoreError::Server(format!(
            "somebody makes or changes code of {schema} while its tables are to move, such as the {}: try again when that is done",
            other.display_name()
        )))
    })
}

/// All of the code of a restore, or an error; of a rollback what can be made, for what was broken before need not stop it.
fn make_code(server: &mut Session, work: &Work) -> Result<Vec<String>, Trouble> {
    let mut changed = finish(server, work)?;
    // Others use the new tables by now: to wait loses nothing, and to take them back would.
    for _ in 0..TRIES_MAX {
        if !changed.is_locked() {
            break;
        }
        changed = finish(server, work)?;
    }
    if let (Kind::Restore, Some((_, trouble))) = (work.kind, changed.missing.first())
        && trouble.code != Some(LOCK_WAIT)
    {
        return Err(trouble.clone());
    }
    let mut warnings = Vec::new();
    for key in std::mem::take(&mut changed.given) {
        warnings.extend(match key.astray(server, &|| false) {
            Ok(0) => None,
            Ok(astray) => Some(key.leads_nowhere(astray)),
            Err(trouble) if trouble.code.is_none() => return Err(trouble),
            Err(trouble) => Some(format!(
                "whether rows lead nowhere by the {} is not known: {}",
                key.display_name(),
                trouble.what
            )),
        });
    }
    warnings.extend(round_off(server, work, changed)?);
    Ok(warnings)
}

/// Moves all tables back to where they were. Their code follows by [`settle`].
fn take_back(server: &mut Session, work: &Work, moves: &Moves) -> Result<(), RestoreError> {
    let live = work.live.as_str();
    let unknown = |trouble: Trouble| {
        RestoreError::Unknown(format!("{}; and what is in {live} is not whole", trouble.what))
    };
    let incoming: Vec<String> =
        moves.0.iter().filter(|(from, _)| from.0 == live).map(|(from, _)| from.1.clone()).collect();
    let mut places: Vec<&str> = moves.0.iter().map(|(_, to)| to.0.as_str()).collect();
    places.sort_unstable();
    places.dedup();
    let mut back = Moves(moves.0.iter().rev().map(|(from, to)| (to.clone(), from.clone())).collect());
    back.push((&work.new, AFTER), (&work.new, BACK));
    for tries in 0..=TRIES_MAX {
        let moved = places.iter().try_for_each(|place| {
            let code = work.code(server, place)?;
            let mut in_the_way = code.iter().filter(|object| {
                object.kind == CodeKind::Trigger || *place == live && is_in_the_way(object, &incoming)
            });
            in_the_way.try_for_each(|object| objects::drop_object(server, place, object))
        });
        match moved.and_then(|()| server.run(back.statement()).map(drop)) {
            Ok(()) => return Ok(()),
            Err(trouble) if trouble.code == Some(LOCK_WAIT) && tries < TRIES_MAX => (),
            Err(trouble) => return Err(unknown(trouble)),
        }
    }
    Ok(())
}

/// Finds out what became of a statement whose answer was lost, and brings the rest to an end.
fn look(turn: &mut Turn, work: &Work, trouble: &Trouble) -> Result<Vec<String>, RestoreError> {
    let live = work.live.as_str();
    for _ in 0..LOOKS_MAX {
        thread::sleep(PAUSE);
        if turn.take_again().is_err() {
            continue;
        }
        let settled = settle(&mut turn.server, live).map_err(|error| {
            RestoreError::Unknown(format!(
                "{}; and it cannot be found out what became of {live}: {error}",
                trouble.what
            ))
        })?;
        return match settled.finished {
            Some(_) => Ok(settled.warnings),
            None => {
                Err(RestoreError::Server([vec![trouble.what.clone()], settled.warnings].concat().join("; ")))
            }
        };
    }
    Err(RestoreError::Unknown(format!(
        "{}; and the server does not say what became of {live}: the next restore or `icecore rollback` settles it",
        trouble.what
    )))
}
