//! Tables change places; code is made again around it.
//!
//! One statement moves all tables. Before it, the new database gets two tables: what code there was (`__icecore_old`), and what code there is to
//! be (`__icecore_new`). The statement takes the first of them along, so that whoever comes after a crash sees by its place on which side of the
//! statement that was, and finishes or undoes the rest ([`settle`]). Nothing is dropped but what these tables mark.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use icecore_dump::mysql_script::CodeKind;

use super::super::Endpoint;
use super::super::objects::{self, COMMENT, MARK, Object, Saved};
use super::super::session::{Session, Trouble, ident};
use super::exchange::{Moves, exchange};
use super::{Plan, Turn};
use crate::RestoreError;
use crate::database::{Content, Keep, Options, Undone, name_beside};

/// What is being made; some digits follow.
pub(super) const NEW: &str = "__ice_new_";
/// What a rollback brings back.
pub(super) const OLD: &str = "__ice_old";
/// What is on its way out.
pub(super) const GOING: &str = "__ice_gone";
/// The code that there was, until the tables have moved.
pub(super) const BEFORE: &str = "__icecore_old";
/// The code that there is to be.
pub(super) const AFTER: &str = "__icecore_new";
/// A table of ours that is not needed any more.
const DONE: &str = "__icecore_done";
/// The same, where nothing was there before a rollback.
const NOTHING: &str = "__icecore_none";
pub(super) const OURS: [&str; 5] = [MARK, BEFORE, AFTER, DONE, NOTHING];
/// No name of a database is longer, in characters.
const NAME_LEN_MAX: usize = 64;
const DIGITS: usize = 8;

/// A name beside that of a database.
pub(super) fn beside(database: &str, suffix: &str) -> String {
    name_beside(database, suffix, NAME_LEN_MAX)
}

/// What names of new databases begin with.
fn new_start(database: &str) -> String {
    let mut name = beside(database, &format!("{NEW}{:0DIGITS$}", 0));
    name.truncate(name.len() - DIGITS);
    name
}

/// A name for a new database that nobody else takes.
pub(super) fn new_name(database: &str) -> String {
    let number = RandomState::new().build_hasher().finish();
    format!("{}{:08x}", new_start(database), number & 0xffff_ffff)
}

pub(super) fn exists(server: &mut Session, schema: &str) -> Result<bool, Trouble> {
    let is_it = server.named("SCHEMA_NAME", schema);
    Ok(server.value(&format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE {is_it}"))? != "0")
}

/// What has rows.
pub(super) fn tables(server: &mut Session, schema: &str) -> Result<Vec<String>, Trouble> {
    let is_in_it = server.named("TABLE_SCHEMA", schema);
    server.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE {is_in_it} AND TABLE_TYPE <> 'VIEW' ORDER BY 1"
    ))
}

fn has(tables: &[String], name: &str) -> bool {
    tables.iter().any(|table| table == name)
}

/// Whether it is not there, or has nothing, or was made or put aside by us.
fn is_ours(server: &mut Session, schema: &str) -> Result<bool, Trouble> {
    let is_in_it = server.named("TABLE_SCHEMA", schema);
    let marked = server.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE {is_in_it} AND TABLE_COMMENT LIKE '{COMMENT}%'"
    ))?;
    if marked.iter().any(|table| OURS.contains(&table.as_str())) {
        return Ok(true);
    }
    Ok(!exists(server, schema)? || is_empty(server, schema)?)
}

fn is_empty(server: &mut Session, schema: &str) -> Result<bool, Trouble> {
    Ok(tables(server, schema)?.is_empty() && objects::read(server, schema)?.is_empty())
}

/// Drops a database of ours, if there is one of this name.
fn drop_database(server: &mut Session, schema: &str) -> Result<(), RestoreError> {
    if !is_ours(server, schema)? {
        return Err(RestoreError::Refused(format!(
            "there is a database {schema} that icecore did not make: rename it, or drop it, and try again"
        )));
    }
    Ok(server.run(format!("DROP DATABASE IF EXISTS {}", ident(schema))).map(drop)?)
}

/// Drops what was made to hold something, and does not.
fn drop_if_empty(server: &mut Session, schema: &str) -> Result<(), Trouble> {
    if exists(server, schema)? && is_empty(server, schema)? {
        server.run(format!("DROP DATABASE {}", ident(schema)))?;
    }
    Ok(())
}

/// What became of restores that ended in the middle.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The tables had not moved: what was there is as it was.
    pub(super) undone: bool,
    /// They had: what is there is as it was to be.
    pub(super) finished: bool,
}

/// Finishes or undoes what restores have left that ended in the middle, and drops what they made.
pub(super) fn settle(server: &mut Session, live: &str) -> Result<Settled, RestoreError> {
    let start = new_start(live);
    let begins = server.named(&format!("LEFT(SCHEMA_NAME, {})", start.chars().count()), &start);
    let names =
        server.column(&format!("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE {begins}"))?;
    let mut settled = Settled::default();
    for schema in names {
        if !is_ours(server, &schema)? {
            continue;
        }
        let tables = tables(server, &schema)?;
        if has(&tables, BEFORE) {
            if has(&tables, AFTER) {
                settled.undone |= undo(server, live, &schema)?;
            }
        } else if has(&tables, AFTER) {
            if let Some(table) = tables.iter().find(|table| !OURS.contains(&table.as_str())) {
                return Err(RestoreError::Unknown(format!(
                    "the server died while the tables of {live} changed places with those of {schema}, and some are still there, such as {table}"
                )));
            }
            finish(server, live, &schema)?;
            settled.finished = true;
        }
        drop_database(server, &schema)?;
    }
    let (going, old) = (beside(live, GOING), beside(live, OLD));
    if exists(server, &going)? && is_ours(server, &going)? {
        drop_database(server, &going)?;
    }
    drop_if_empty(server, &old)?;
    Ok(settled)
}

/// The tables have not moved: gives back the code that there was. Says whether any may have been gone.
fn undo(server: &mut Session, live: &str, new: &str) -> Result<bool, RestoreError> {
    let before = Saved::find(server, new, BEFORE)?;
    if let Some(kept) = Saved::find(server, new, AFTER)?.kept {
        drop_if_empty(server, &kept)?;
    }
    if before.texts.is_some() {
        before.apply(server, live, true)?;
        return Ok(true);
    }
    drop_if_empty(server, live)?;
    Ok(false)
}

/// The tables have moved: makes the code that there is to be.
pub(super) fn finish(server: &mut Session, live: &str, new: &str) -> Result<(), Trouble> {
    let after = Saved::find(server, new, AFTER)?;
    after.apply(server, live, true)?;
    // What is kept for longer is a database like others, but for what happens by the clock.
    if let Some(kept) = &after.kept
        && has(&tables(server, kept)?, MARK)
    {
        Saved::find(server, kept, MARK)?.apply(server, kept, false)?;
        server.run(format!("DROP TABLE {}.{}", ident(kept), ident(MARK)))?;
    }
    Ok(())
}

/// What became of the database that was there.
pub(super) struct Swapped {
    /// Under what name it is kept.
    pub(super) kept: Option<String>,
    /// What is still there though it should not be.
    pub(super) warnings: Vec<String>,
}

/// Puts the new database in place of the one that is there.
pub(super) fn put_in_place(
    server: &mut Session,
    plan: &Plan,
    new: &str,
    objects: &[Object],
    options: &Options,
    content: &dyn Content,
) -> Result<Swapped, RestoreError> {
    let live = plan.endpoint.database.as_str();
    let is_there = exists(server, live)?;
    if is_there != plan.existing.is_some() {
        return Err(RestoreError::Refused(format!(
            "the database {live} is another one than when it was looked at: somebody made or dropped it meanwhile"
        )));
    }
    let kept = is_there.then(|| match &options.keep {
        Keep::ForRollback => beside(live, OLD),
        Keep::As(name) => name.clone(),
    });
    let Saved { texts, objects: tried, .. } = Saved::read(server, new)?;
    // Tables with triggers cannot leave their database.
    for trigger in tried.iter().filter(|object| object.kind == CodeKind::Trigger) {
        objects::drop_object(server, new, trigger)?;
    }
    let after = Saved {
        texts: plan.texts.clone().or(texts),
        kept: kept.clone().filter(|_| options.keep != Keep::ForRollback),
        objects: objects.to_vec(),
    };
    let mut moves = Moves::default();
    match &kept {
        Some(kept) => {
            make_room(server, live, kept, &mut moves)?;
            moves.push((new, BEFORE), (kept, MARK));
            moves.all(server, live, kept)?;
        }
        None => moves.push((new, BEFORE), (new, DONE)),
    }
    moves.all(server, new, live)?;
    exchange(&plan.endpoint, server, new, &after, &moves, &|| content.is_cancelled())?;
    let dropped = drop_database(server, new).and_then(|()| drop_database(server, &beside(live, GOING)));
    let warnings =
        dropped.err().map(|error| format!("{new} is not needed any more, and still there: {error}"));
    Ok(Swapped { kept, warnings: warnings.into_iter().collect() })
}

/// Makes the database to which what is there goes. What an earlier restore put there is to go elsewhere in the same step.
fn make_room(server: &mut Session, live: &str, kept: &str, moves: &mut Moves) -> Result<(), RestoreError> {
    if !exists(server, kept)? {
        return Ok(server.run(format!("CREATE DATABASE {}", ident(kept))).map(drop)?);
    }
    if !is_ours(server, kept)? {
        return Err(RestoreError::Refused(format!(
            "there is a database {kept} that icecore did not put aside: rename it, and try again"
        )));
    }
    let going = beside(live, GOING);
    drop_database(server, &going)?;
    server.run(format!("CREATE DATABASE {}", ident(&going)))?;
    Ok(moves.all(server, kept, &going)?)
}

/// Brings back what the last restore put aside; `None` if there is nothing. A restore that ended in the middle is undone, or finished first.
pub fn rollback(endpoint: &Endpoint) -> Result<Option<Undone>, RestoreError> {
    let _turn = Turn::take(endpoint)?;
    let mut server = Session::open(endpoint)?;
    let live = endpoint.database.as_str();
    if settle(&mut server, live)?.undone {
        return Ok(Some(Undone { kept: None }));
    }
    let old = beside(live, OLD);
    let aside = tables(&mut server, &old)?;
    if !has(&aside, MARK) {
        return Ok(None);
    }
    if !is_ours(&mut server, &old)? {
        return Err(RestoreError::Refused(format!(
            "there is a database {old} that icecore did not put aside: rename it, and try again"
        )));
    }
    let is_there = exists(&mut server, live)?;
    let between = new_name(live);
    server.run(format!("CREATE DATABASE {}", ident(&between)))?;
    objects::make_table(&mut server, &between, MARK, &format!("made by a rollback of {live}"))?;
    let after = Saved::find(&mut server, &old, MARK)?;
    let mut moves = Moves::default();
    moves.all(&mut server, live, &between)?;
    let displaced: Vec<String> = moves.0.iter().map(|(_, to)| to.1.clone()).collect();
    moves.push((&old, MARK), (&between, DONE));
    moves.all(&mut server, &old, live)?;
    for table in &displaced {
        moves.push((&between, table), (&old, table));
    }
    match is_there {
        true => moves.push((&between, BEFORE), (&old, MARK)),
        false => moves.push((&between, BEFORE), (&between, NOTHING)),
    }
    let exchanged = exchange(endpoint, &mut server, &between, &after, &moves, &|| false);
    if let Err(error) = exchanged {
        if !matches!(error, RestoreError::Unknown(_)) {
            settle(&mut Session::open(endpoint)?, live)?;
        }
        return Err(error);
    }
    drop_database(&mut server, &between)?;
    if !is_there {
        drop_database(&mut server, &old)?;
    }
    Ok(Some(Undone { kept: is_there.then_some(old) }))
}

/// Drops what the last restore put aside.
pub fn forget(endpoint: &Endpoint) -> Result<(), RestoreError> {
    drop_database(&mut Session::open(endpoint)?, &beside(&endpoint.database, OLD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_database_are_never_too_long_and_found_by_their_start() {
        for database in ["shop", &"ä".repeat(32), &"x".repeat(64)] {
            let new = new_name(database);
            assert!(new.len() <= NAME_LEN_MAX && new.starts_with(&new_start(database)), "{new}");
            assert_ne!(new, new_name(database));
            assert_ne!(beside(database, OLD), beside(database, GOING));
        }
    }
}
