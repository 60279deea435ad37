//! A table goes to a schema of its own, `public__ice_old` for one of `public`, and comes back from there.

use super::super::super::endpoint::Endpoint;
use super::super::super::facts::ASIDE_MARK;
use super::super::super::session::{Session, Trouble, ident, literal, text};
use super::super::swap::{OLD, name};
use super::super::{Turn, load};
use super::aside::Aside;
use super::dependents::Dependents;
use super::{LOCK_WAIT, Name};
use crate::RestoreError;

/// Between two names.
const GOING: &str = "__ice_gone";

/// Why tables cannot be put aside here.
pub(super) fn blocker(session: &mut Session, table: &Name) -> Result<Option<String>, Trouble> {
    let schema = name(&table.schema, OLD);
    let theirs = session.value(&format!(
        "SELECT count(*) FROM pg_namespace WHERE nspname = {} AND NOT starts_with(coalesce(obj_description(oid, 'pg_namespace'), ''), {})",
        literal(&schema),
        literal(ASIDE_MARK)
    ))?;
    Ok((theirs != "0")
        .then(|| format!("there is a schema {schema} that icecore did not make: rename it, and try again")))
}

/// Puts a table aside in the transaction that runs, instead of what was put aside before. Returns its name there.
pub(super) fn put_aside(session: &mut Session, table: &Name, oid: &str) -> Result<String, RestoreError> {
    let schema = name(&table.schema, OLD);
    if let Some(blocker) = blocker(session, table)? {
        return Err(RestoreError::Refused(blocker));
    }
    make_schema(session, &schema, &table.schema)?;
    let aside = Name { schema, table: table.table.clone() };
    session.run(&format!("DROP TABLE IF EXISTS {}", aside.ident()))?;
    let taken = Aside::take(session, table, oid)?;
    move_to(session, table, oid, &aside.schema)?;
    taken.note(session, &aside)?;
    Ok(format!("{}.{}", aside.schema, aside.table))
}

/// Brings back the table that the last restore of it put aside, and puts the one that is there in its place. Returns under what name that one is
/// kept; `None` if nothing was put aside.
pub fn rollback(endpoint: &Endpoint, table: &str) -> Result<Option<Option<String>>, RestoreError> {
    let _turn = Turn::take(endpoint)?;
    let mut session = load::open(endpoint)?;
    session.run(&format!("SET synchronous_commit = on; SET lock_timeout = '{LOCK_WAIT}'; BEGIN"))?;
    let Some((old, live)) = find(&mut session, table)? else { return Ok(None) };
    let Some(old_oid) = old.look_up(&mut session)? else { return Ok(None) };
    let back = Aside::read(&mut session, &old_oid)?;
    let there = live.look_up(&mut session)?;
    let mut dependents = Dependents::default();
    let mut taken = Aside::default();
    let gone = Name { schema: name(&live.schema, GOING), table: live.table.clone() };
    if let Some(oid) = &there {
        session.run(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", live.ident()))?;
        dependents = Dependents::ask(&mut session, oid)?;
        if let Some(other) = dependents.others.first() {
            return Err(RestoreError::Refused(format!("{other} is built on {table}: drop it first")));
        }
        dependents.let_go(&mut session)?;
        taken = Aside::take(&mut session, &live, oid)?;
        make_schema(&mut session, &gone.schema, &live.schema)?;
        move_to(&mut session, &live, oid, &gone.schema)?;
    }
    move_to(&mut session, &old, &old_oid, &live.schema)?;
    back.give_back(&mut session, &live)?;
    dependents.take_hold(&mut session)?;
    if let Some(oid) = &there {
        move_to(&mut session, &gone, oid, &old.schema)?;
        taken.note(&mut session, &old)?;
        session.run(&format!("DROP SCHEMA {}", ident(&gone.schema)))?;
    }
    session.run("COMMIT")?;
    Ok(Some(there.map(|_| format!("{}.{}", old.schema, old.table))))
}

/// A table that was put aside, and where it belongs. `table` is its name, with its schema or without.
fn find(session: &mut Session, table: &str) -> Result<Option<(Name, Name)>, RestoreError> {
    let rows = session.rows(&format!(
        "SELECT o.nspname, c.relname, l.nspname FROM pg_class c JOIN pg_namespace o ON o.oid = c.relnamespace
            JOIN pg_namespace l ON obj_description(o.oid, 'pg_namespace') = {} || l.nspname
        WHERE c.relkind = 'r' AND {} IN (c.relname, l.nspname || '.' || c.relname) ORDER BY 1",
        literal(&mark("")),
        literal(table)
    ))?;
    let tables: Vec<(Name, Name)> = rows
        .iter()
        .map(|row| {
            let name = |schema| Name { schema: text(row, schema), table: text(row, 1) };
            (name(0), name(2))
        })
        .filter(|(old, live)| old.schema == name(&live.schema, OLD))
        .collect();
    match tables.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(RestoreError::Refused(format!(
            "more than one table {table} was put aside: name its schema too"
        ))),
    }
}

fn mark(schema: &str) -> String {
    format!("{ASIDE_MARK}tables put aside of {schema}")
}

fn make_schema(session: &mut Session, schema: &str, of: &str) -> Result<(), Trouble> {
    session.run(&format!(
        "CREATE SCHEMA IF NOT EXISTS {0}; COMMENT ON SCHEMA {0} IS {1}",
        ident(schema),
        literal(&mark(of))
    ))
}

/// Moves a table with its indexes, constraints and sequences, which follow it, and its statistics, which do not.
fn move_to(session: &mut Session, table: &Name, oid: &str, schema: &str) -> Result<(), Trouble> {
    let statistics = session.rows(&format!(
        "SELECT format('%I.%I', n.nspname, s.stxname) FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = {oid}"
    ))?;
    let schema = ident(schema);
    for name in statistics.iter().map(|row| text(row, 0)) {
        session.run(&format!("ALTER STATISTICS {name} SET SCHEMA {schema}"))?;
    }
    session.run(&format!("ALTER TABLE {} SET SCHEMA {schema}", table.ident()))
}
