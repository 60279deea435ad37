//! A table goes to a schema of its own, `public__ice_old` for one of `public`, and comes back from there.

use super::super::super::aside::{self, AsideSchema};
use super::super::super::endpoint::Endpoint;
use super::super::super::session::{Session, Trouble, ident, literal, text};
use super::super::Turn;
use super::Name;
use super::dependents::Dependents;
use super::note::Note;
use super::plan::obstacles;
use super::transaction::Transaction;
use crate::RestoreError;
use crate::database::{Undone, name_beside};

/// Between two names.
const GOING: &str = "__ice_gone";
const NAME_LEN_MAX: usize = 63;

/// Where a table is put aside.
pub(super) fn place(table: &Name) -> Name {
    Name { schema: aside::name(&table.schema), table: table.table.clone() }
}

/// Why tables of a schema cannot be put aside.
pub(super) fn blocker(session: &mut Session, schema: &str) -> Result<Option<String>, Trouble> {
    let name = aside::name(schema);
    let is_there =
        session.value(&format!("SELECT to_regnamespace({}) IS NOT NULL", literal(&ident(&name))))?;
    if is_there != "t" {
        let may_make = session.value("SELECT has_database_privilege(current_database(), 'CREATE')")?;
        return Ok(
            (may_make != "t").then(|| format!("no schema {name} may be made here: GRANT CREATE ON DATABASE"))
        );
    }
    Ok(match aside::all(session)?.into_iter().find(|known| known.name == name) {
        Some(AsideSchema { is_ours: true, .. }) => None,
        Some(_) => Some(format!("the schema {name} belongs to somebody else: restore as whoever that is")),
        None => Some(format!("there is a schema {name} that icecore did not make: rename it, and try again")),
    })
}

/// What a restore of a table drops that the one before put aside; in words.
pub(super) fn dropped(session: &mut Session, table: &Name) -> Result<Option<String>, Trouble> {
    let place = place(table);
    let is_ours = aside::all(session)?.iter().any(|known| known.name == place.schema && known.is_ours);
    let is_there = is_ours && place.look_up(session)?.is_some();
    Ok(is_there.then(|| {
        format!("{place}, which the restore before put aside, is dropped once this one has succeeded")
    }))
}

/// Moves a table aside, instead of what was put aside before.
pub(super) fn put_aside(session: &mut Session, table: &Name, oid: &str) -> Result<(), RestoreError> {
    if let Some(blocker) = blocker(session, &table.schema)? {
        return Err(RestoreError::Refused(blocker));
    }
    let place = place(table);
    session.run(&format!("CREATE SCHEMA IF NOT EXISTS {}", ident(&place.schema)))?;
    let mark = literal(&aside::mark(&table.schema));
    session.run(&format!("COMMENT ON SCHEMA {} IS {mark}", ident(&place.schema)))?;
    forget(session, table)?;
    Ok(move_to(session, table, oid, &place.schema)?)
}

/// Drops what was put aside before: it is no state that anybody wants to go back to.
pub(super) fn forget(session: &mut Session, table: &Name) -> Result<(), Trouble> {
    let place = place(table);
    match aside::all(session)?.iter().any(|known| known.name == place.schema && known.is_ours) {
        true => session.run(&format!("DROP TABLE IF EXISTS {}", place.ident())),
        false => Ok(()),
    }
}

/// Brings back the table that the last restore of it put aside, and puts the one that is there in its place; `None` if nothing was put aside.
pub fn rollback(endpoint: &Endpoint, table: &str) -> Result<Option<Undone>, RestoreError> {
    let _turn = Turn::take(endpoint)?;
    let mut transaction = Transaction::begin(endpoint)?;
    let session = &mut transaction.session;
    let Some((old, live)) = find(session, table)? else { return Ok(None) };
    let Some(old_oid) = old.lock(session)? else { return Ok(None) };
    let note = Note::read(session, &old_oid)?;
    let gone = Name { schema: name_beside(&live.schema, GOING, NAME_LEN_MAX), table: live.table.clone() };
    let there = live.lock(session)?;
    let mut dependents = Dependents::default();
    if let Some(oid) = &there {
        if let Some(obstacle) = obstacles(session, table, oid)?.first() {
            return Err(RestoreError::Refused(format!("cannot bring back {table}: {obstacle}")));
        }
        dependents = Dependents::ask(session, oid)?;
        session.run(&format!("CREATE SCHEMA {}", ident(&gone.schema)))?;
        move_to(session, &live, oid, &gone.schema)?;
    }
    move_to(session, &old, &old_oid, &live.schema)?;
    dependents.let_go(session)?;
    let taken = there.as_ref().map(|oid| Note::take(session, &gone, oid)).transpose()?;
    note.give_back(session, &live)?;
    dependents.take_hold(session)?;
    if let (Some(oid), Some(taken)) = (&there, taken) {
        move_to(session, &gone, oid, &old.schema)?;
        taken.write(session, &old)?;
        session.run(&format!("DROP SCHEMA {}", ident(&gone.schema)))?;
    }
    transaction.commit(&format!("the table {table} was brought back"))?;
    Ok(Some(Undone { kept: there.map(|_| old.to_string()), ..Undone::default() }))
}

/// A table that was put aside, and where it belongs. `table` is its name, with its schema or without.
fn find(session: &mut Session, table: &str) -> Result<Option<(Name, Name)>, RestoreError> {
    let mut found = Vec::new();
    for schema in aside::all(session)?.into_iter().filter(|schema| schema.is_ours) {
        let tables = session.rows(&format!(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = {}",
            literal(&schema.name)
        ))?;
        for name in tables.iter().map(|row| text(row, 0)) {
            let live = Name { schema: schema.of.clone(), table: name.clone() };
            if table == name || table == live.to_string() {
                found.push((Name { schema: schema.name.clone(), table: name }, live));
            }
        }
    }
    if found.len() > 1 {
        return Err(RestoreError::Refused(format!(
            "more than one table {table} was put aside: name its schema too"
        )));
    }
    Ok(found.pop())
}

/// Moves a table with its indexes, constraints and sequences, which follow it, and its statistics beside it, which do not.
fn move_to(session: &mut Session, table: &Name, oid: &str, schema: &str) -> Result<(), Trouble> {
    let statistics = session.rows(&format!(
        "SELECT format('%I.%I', n.nspname, s.stxname) FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
        WHERE s.stxrelid = {oid} AND n.nspname = {}",
        literal(&table.schema)
    ))?;
    let schema = ident(schema);
    for name in statistics.iter().map(|row| text(row, 0)) {
        session.run(&format!("ALTER STATISTICS {name} SET SCHEMA {schema}"))?;
    }
    session.run(&format!("ALTER TABLE {} SET SCHEMA {schema}", table.ident()))
}
