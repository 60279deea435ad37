//! What a restore replaced takes its place again, and what is there is put aside instead: so another rollback brings that back.

use icecore_dump::mysql_script::CodeKind;

use super::super::Endpoint;
use super::super::objects::{Object, replaced};
use super::super::saved::{MARK, Saved};
use super::super::session::{Session, Trouble, ident};
use super::exchange::{Moves, exchange};
use super::place::{drop_database, exists, is_empty, tables};
use super::settle::{Settled, settle};
use super::source::refuse_source;
use super::swap::not_ours;
use super::work::{BEFORE, DONE, Kind, NOTHING, Work, aside, is_beside};
use super::{Turn, clean_up, table};
use crate::RestoreError;
use crate::database::Undone;

/// Brings back what the last restore put aside, of a database or of one of its tables; `None` if there is nothing. What ended in the middle is
/// undone, or finished first.
pub fn rollback(endpoint: &Endpoint, table: Option<&str>) -> Result<Option<Undone>, RestoreError> {
    let mut turn = Turn::take(endpoint)?;
    let server = &mut turn.server;
    let live = endpoint.database.as_str();
    let old = aside(live, table);
    let mut settled = settle(server, live)?;
    if let Some(undone) = already(server, &mut settled, &old, table)? {
        return Ok(Some(undone));
    }
    if !tables(server, &old)?.iter().any(|table| table == MARK) {
        return Ok(None);
    }
    let work = Work::begin(server, Kind::Rollback, (live, table), None)?;
    if !work.is_aside(server, &old)? {
        drop_database(server, &work.new)?;
        return Err(not_ours(&old));
    }
    let undone = work.refuse_keys(server).and_then(|()| swap_back(&mut turn, &work, &old));
    end(&mut turn, &work, settled.warnings, undone).map(Some)
}

/// Brings back a database that was kept for longer. It takes the place of the one that the endpoint names, which is put aside as by any rollback,
/// and is gone afterwards. What ended in the middle is undone, or finished first.
///
/// # Errors
/// Unless all of it has happened, what is kept and what is there stay as they are; at the latest the next restore or rollback makes them so.
pub fn bring_back(endpoint: &Endpoint, kept: &str) -> Result<Undone, RestoreError> {
    let live = endpoint.database.as_str();
    if is_beside(kept) {
        return Err(RestoreError::Refused(format!(
            "{kept} is a name that icecore uses for its own: a rollback brings back what is kept under another one"
        )));
    }
    let mut turn = Turn::take(endpoint)?;
    let server = &mut turn.server;
    let old = aside(live, None);
    let mut settled = settle(server, live)?;
    // One that brought back something else is not what is asked for.
    let is_another = settled.source.as_deref() != Some(kept);
    if is_another && settled.finished.as_ref().is_some_and(|work| work.kind == Kind::Rollback) {
        settled.warnings.extend(settled.finished.take().map(|work| is_complete(&work)));
    }
    if let Some(undone) = already(server, &mut settled, &old, None)? {
        return Ok(undone);
    }
    refuse_source(server, live, kept)?;
    if exists(server, &old)? && !is_empty(server, &old)? {
        return Err(RestoreError::Refused(format!(
            "{old} holds what was put aside last, and only that is brought back: drop it, or rename it, to bring back {kept}"
        )));
    }
    // Nobody restores what is kept meanwhile, and nobody was in the middle of it.
    let mut other = Turn::take(&endpoint.with_database(kept))?;
    settled.warnings.extend(settle(&mut other.server, kept)?.warnings);
    let server = &mut turn.server;
    let mut after = Saved { source: Some(kept.to_owned()), ..Saved::read(server, kept)? };
    after.objects.iter_mut().for_each(|object| follow(object, kept, live));
    let work = Work::begin(server, Kind::Rollback, (live, None), None)?;
    let undone = work.refuse_keys(server).and_then(|()| take_from(&mut turn, &work, &after, kept));
    end(&mut turn, &work, settled.warnings, undone)
}

/// What there is to say of a rollback that needs no more.
fn already(
    server: &mut Session,
    settled: &mut Settled,
    old: &str,
    table: Option<&str>,
) -> Result<Option<Undone>, Trouble> {
    let is_meant = |work: &Work| work.table.as_deref() == table;
    let warnings = &mut settled.warnings;
    Ok(match (&settled.finished, &settled.undone) {
        (Some(work), _) if is_meant(work) && work.kind == Kind::Rollback => {
            let kept = exists(server, old)?.then(|| work.shown(old));
            Some(Undone { kept, warnings: std::mem::take(warnings), ..Undone::default() })
        }
        (Some(work), _) if !is_meant(work) => {
            warnings.push(is_complete(work));
            None
        }
        (None, Some(work)) if is_meant(work) && work.kind == Kind::Restore => {
            Some(Undone { was_unfinished: true, warnings: std::mem::take(warnings), kept: None })
        }
        _ => None,
    })
}

fn is_complete(work: &Work) -> String {
    format!("a {} of {} that was interrupted is complete now", work.kind.as_str(), work.subject())
}

/// What came of it: whether anything was there, and what is not as it should be.
fn end(
    turn: &mut Turn,
    work: &Work,
    warnings: Vec<String>,
    undone: Result<(bool, Vec<String>), RestoreError>,
) -> Result<Undone, RestoreError> {
    match undone {
        Ok((is_there, more)) => {
            let kept = is_there.then(|| work.shown(&work.aside()));
            Ok(Undone { kept, warnings: [warnings, more].concat(), ..Undone::default() })
        }
        Err(error) => Err(clean_up(turn, work, error)),
    }
}

/// Swaps what is there and what was put aside.
fn swap_back(turn: &mut Turn, work: &Work, old: &str) -> Result<(bool, Vec<String>), RestoreError> {
    let server = &mut turn.server;
    let (live, between) = (work.live.as_str(), work.new.as_str());
    let is_there = work.is_there(server)?;
    let mut after = Saved::find(server, old, MARK)?;
    table::keys_back(server, work, &mut after)?;
    let mut moves = Moves::default();
    let displaced = work.tables(server, live)?;
    moves.all(&displaced, live, between);
    moves.push((old, MARK), (between, DONE));
    moves.all(&work.tables(server, old)?, old, live);
    moves.all(&displaced, between, old);
    match is_there {
        true => moves.push((between, BEFORE), (old, MARK)),
        false => moves.push((between, BEFORE), (between, NOTHING)),
    }
    let mut warnings = exchange(turn, work, &after, &moves, &|| false)?;
    let server = &mut turn.server;
    let mut dropped = drop_database(server, between);
    if !is_there {
        dropped = dropped.and_then(|()| drop_database(server, old));
    }
    warnings
        .extend(dropped.err().map(|error| format!("what is not needed any more is still there: {error}")));
    Ok((is_there, warnings))
}

/// A view that says where its tables are says where they will be.
fn follow(object: &mut Object, kept: &str, live: &str) {
    if object.kind == CodeKind::View {
        let [from, to] = [kept, live].map(|schema| format!("{}.", ident(schema)));
        object.statement = replaced(&object.statement, &from, &to);
    }
}

/// Puts aside what is there, and what was kept in its place.
fn take_from(
    turn: &mut Turn,
    work: &Work,
    after: &Saved,
    kept: &str,
) -> Result<(bool, Vec<String>), RestoreError> {
    let server = &mut turn.server;
    let (live, between, old) = (work.live.as_str(), work.new.as_str(), work.aside());
    let is_there = work.is_there(server)?;
    let mut moves = Moves::default();
    if is_there {
        server.run(format!("CREATE DATABASE IF NOT EXISTS {}", ident(&old)))?;
        moves.push((between, BEFORE), (&old, MARK));
        moves.all(&work.tables(server, live)?, live, &old);
    } else {
        moves.push((between, BEFORE), (between, NOTHING));
    }
    moves.all(&tables(server, kept)?, kept, live);
    let mut warnings = exchange(turn, work, after, &moves, &|| false)?;
    let dropped = drop_database(&mut turn.server, between);
    warnings
        .extend(dropped.err().map(|error| format!("what is not needed any more is still there: {error}")));
    Ok((is_there, warnings))
}
