//! Tables change places; code is made again around it.
//!
//! One statement moves all tables. Before it, the new database gets two tables: what code there was (`__icecore_old`), and what code there is to
//! be (`__icecore_new`). The statement takes the first of them along, so that whoever comes after a crash sees by its place on which side of the
//! statement that was, and finishes or undoes the rest ([`settle`](super::settle)). Nothing is dropped but what these tables mark.

use icecore_dump::mysql_script::CodeKind;

use super::super::Endpoint;
use super::super::objects::{self, Object};
use super::super::saved::{MARK, Saved};
use super::super::session::{Session, ident};
use super::exchange::{Moves, exchange};
use super::place::{drop_database, drop_if_empty, exists, is_empty, refuse_keys, tables};
use super::words::said;
use super::work::{BEFORE, DONE, GOING, OLD, Work, aside, beside, is_name_of_ours, label_of};
use super::{Plan, Turn, table};
use crate::RestoreError;
use crate::database::{Content, Keep, Options};

/// What became of the database that was there.
pub(super) struct Swapped {
    /// Under what name it is kept.
    pub(super) kept: Option<String>,
    /// What is not as it should be.
    pub(super) warnings: Vec<String>,
}

/// Puts the new database in place of the one that is there.
pub(super) fn put_in_place(
    turn: &mut Turn,
    plan: &Plan,
    work: &Work,
    objects: &[Object],
    options: &Options,
    content: &dyn Content,
) -> Result<Swapped, RestoreError> {
    let server = &mut turn.server;
    let (live, new) = (work.live.as_str(), work.new.as_str());
    check_marks(server, work)?;
    let is_there = work.is_there(server)?;
    if is_there != plan.existing.is_some() {
        return Err(RestoreError::Refused(format!(
            "{} is another one than when it was looked at: somebody made or dropped it meanwhile",
            work.subject()
        )));
    }
    let kept = is_there.then(|| match &options.keep {
        Keep::ForRollback => work.aside(),
        Keep::As(name) => name.clone(),
    });
    let Saved { texts, objects: tried, .. } = Saved::read(server, new)?;
    // Tables with triggers cannot leave their database.
    for trigger in tried.iter().filter(|object| object.kind == CodeKind::Trigger) {
        objects::drop_object(server, new, trigger)?;
    }
    let after = Saved {
        texts: match work.table {
            Some(_) => objects::texts(server, live)?,
            None => plan.texts.clone().or(texts),
        },
        kept: kept.clone().filter(|_| options.keep != Keep::ForRollback),
        keys: table::keys_after(server, work, content)?,
        source: None,
        objects: said(objects, &tried, new, live),
    };
    let mut moves = Moves::default();
    // A database that was dropped may have nothing else left than what was put aside of it.
    if is_there || work.table.is_some() {
        clear_aside(server, work, &options.keep, &mut moves)?;
    }
    match &kept {
        Some(kept) => {
            make_room(server, kept, &options.keep)?;
            moves.push((new, BEFORE), (kept, MARK));
            moves.all(&work.tables(server, live)?, live, kept);
        }
        None => moves.push((new, BEFORE), (new, DONE)),
    }
    moves.all(&work.tables(server, new)?, new, live);
    let mut warnings = exchange(turn, work, &after, &moves, &|| content.is_cancelled())?;
    let server = &mut turn.server;
    let dropped = drop_database(server, new).and_then(|()| drop_what_was_aside(server, work));
    warnings
        .extend(dropped.err().map(|error| format!("what is not needed any more is still there: {error}")));
    Ok(Swapped { kept, warnings })
}

/// What tells on which side of the swap a crash was must be ours, and not what a snapshot says.
fn check_marks(server: &mut Session, work: &Work) -> Result<(), RestoreError> {
    let marks: Vec<String> =
        tables(server, &work.new)?.into_iter().filter(|table| is_name_of_ours(table)).collect();
    match marks == [MARK] && work.owns(server, &work.new, MARK)? {
        true => Ok(()),
        false => Err(RestoreError::Refused(format!(
            "{} is not what was made there: the snapshot makes or drops tables whose names icecore uses, or somebody else was at it",
            work.new
        ))),
    }
}

/// What the restore before put aside goes elsewhere in the same step: a rollback brings back what this one replaces, or nothing.
fn clear_aside(
    server: &mut Session,
    work: &Work,
    keep: &Keep,
    moves: &mut Moves,
) -> Result<(), RestoreError> {
    let (old, going) = (work.aside(), beside(&work.live, GOING));
    if !exists(server, &old)? {
        return Ok(());
    }
    if !is_empty(server, &old)? && !work.is_aside(server, &old)? {
        return if *keep == Keep::ForRollback { Err(not_ours(&old)) } else { Ok(()) };
    }
    refuse_keys(server, &old)?;
    drop_database(server, &going)?;
    server.run(format!("CREATE DATABASE {}", ident(&going)))?;
    moves.all(&tables(server, &old)?, &old, &going);
    Ok(())
}

/// Makes the database to which what is there goes.
fn make_room(server: &mut Session, kept: &str, keep: &Keep) -> Result<(), RestoreError> {
    if !exists(server, kept)? {
        return Ok(server.run(format!("CREATE DATABASE {}", ident(kept))).map(drop)?);
    }
    match *keep == Keep::ForRollback || is_empty(server, kept)? {
        true => Ok(()),
        false => Err(not_ours(kept)),
    }
}

/// Drops what the restore before put aside, once it has gone out of the way.
fn drop_what_was_aside(server: &mut Session, work: &Work) -> Result<(), RestoreError> {
    drop_database(server, &beside(&work.live, GOING))?;
    Ok(drop_if_empty(server, &work.aside())?)
}

pub(super) fn not_ours(name: &str) -> RestoreError {
    RestoreError::Refused(format!(
        "there is a database {name} that icecore did not put aside: rename it, and try again"
    ))
}

/// Under what name what the last restore put aside is there, for [`rollback`](super::rollback()) to bring back.
pub fn put_aside(endpoint: &Endpoint) -> Result<Option<String>, RestoreError> {
    let old = aside(&endpoint.database, None);
    let label = label_of(&mut Session::open(endpoint)?, &old, MARK)?;
    Ok(label.map(|_| old))
}

/// The databases of a server that who connects may see.
pub fn names(endpoint: &Endpoint) -> Result<Vec<String>, RestoreError> {
    Ok(Session::open(endpoint)?.column("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY 1")?)
}

/// Drops what a restore put aside, and what no other has put there since.
pub fn forget(endpoint: &Endpoint, mark: Option<&str>) -> Result<(), RestoreError> {
    let mut turn = Turn::take(endpoint)?;
    let old = beside(&endpoint.database, OLD);
    if label_of(&mut turn.server, &old, MARK)?.as_deref() != mark {
        return Err(RestoreError::Refused(format!(
            "another restore has put something aside as {old} meanwhile"
        )));
    }
    drop_database(&mut turn.server, &old)
}
