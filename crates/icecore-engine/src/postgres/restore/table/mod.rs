//! Restoring one table of a snapshot into the database that it belongs to, with its indexes, constraints and all else that is its own.
//!
//! One transaction moves the table that is there into a schema of its own, makes the new one in its place, and points at it what points at
//! the old one. Until it ends nobody sees anything of it, and whatever goes wrong leaves nothing; whoever wants that table waits.

mod definitions;
mod dependents;
mod foreign_key;
mod note;
mod plan;
mod swap;
mod transaction;

use std::fmt;

use icecore_dump::script::{self, Entry};
use serde::{Deserialize, Serialize};

pub use plan::{ExistingTable, TablePlan, not_a_table, plan};
pub use swap::rollback;

use super::super::session::{Session, Trouble, ident, literal, text};
use super::load::run;
use super::rows::{self, Within};
use super::{Turn, maintenance, objection, read_all};
use crate::database::{Content, Options, Restored, check_cancelled};
use crate::{Check, RestoreError};
use definitions::Definitions;
use dependents::Dependents;
use note::Note;
use plan::obstacles;
use transaction::Transaction;

/// What is built before other tables are touched: it takes longest.
const BUILT_ALONE: [&str; 2] = ["INDEX", "CONSTRAINT"];

/// A table as the server knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    pub(super) schema: String,
    pub(super) table: String,
}

/// As people call it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl Name {
    /// As SQL writes it.
    fn ident(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.table))
    }

    /// The number that it is known by, if it is there.
    fn look_up(&self, session: &mut Session) -> Result<Option<String>, Trouble> {
        let oid = session.value(&format!("SELECT to_regclass({})::oid", literal(&self.ident())))?;
        Ok(Some(oid).filter(|oid| !oid.is_empty()))
    }

    /// The same, and nobody else uses it until the transaction ends.
    fn lock(&self, session: &mut Session) -> Result<Option<String>, Trouble> {
        if self.look_up(session)?.is_none() {
            return Ok(None);
        }
        session.run(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", self.ident()))?;
        self.look_up(session)
    }
}

/// Carries out a plan.
///
/// # Errors
/// Whatever happens, the table that is there stays as it is; but if the connection is lost at the very end and the server does not answer
/// afterwards, nobody knows, and [`RestoreError::Unknown`] says so.
pub fn restore(plan: &TablePlan, content: &dyn Content, options: &Options) -> Result<Restored, RestoreError> {
    let _turn = Turn::take(&plan.endpoint)?;
    if options.create_roles {
        let mut server = maintenance(&plan.endpoint)?;
        for role in &plan.missing_roles {
            server.run(&format!("CREATE ROLE {} NOLOGIN", ident(role)))?;
        }
    }
    let definitions = Definitions::of(plan, content)?;
    let mut transaction = Transaction::begin(&plan.endpoint)?;
    let restored = exchange(&mut transaction.session, plan, content, &definitions, options)?;
    check_cancelled(content)?;
    let mut session = transaction.commit(&format!("the table {} was replaced", plan.table))?;
    // The next plans are good ones; it is no failure of the restore if not.
    let _ = session.run(&format!("ANALYZE {}", plan.name.ident()));
    Ok(restored)
}

/// Everything but the end of the transaction. Other tables are locked as late as can be.
fn exchange(
    session: &mut Session,
    plan: &TablePlan,
    content: &dyn Content,
    definitions: &Definitions,
    options: &Options,
) -> Result<Restored, RestoreError> {
    let name = &plan.name;
    let there = name.lock(session)?;
    if there.as_ref() != plan.existing.as_ref().map(|existing| &existing.oid) {
        return Err(RestoreError::Refused(format!(
            "the table {} is another one than when it was looked at: somebody made, dropped or restored it meanwhile",
            plan.table
        )));
    }
    let mut dependents = Dependents::default();
    match &there {
        Some(oid) => {
            // Somebody may have built on it since it was looked at.
            if let Some(obstacle) = obstacles(session, &plan.table, oid)?.first() {
                return Err(RestoreError::Refused(obstacle.clone()));
            }
            dependents = Dependents::ask(session, oid)?;
            swap::put_aside(session, name, oid)?;
        }
        None => swap::forget(session, name)?,
    }
    let pre_data = script::entries(&definitions.pre_data);
    let (rights, others): (Vec<&Entry<'_>>, _) = pre_data.iter().partition(|entry| entry.kind == "ACL");
    run_all(session, content, &others)?;
    let new = made(session, plan)?;
    without_default_rights(session, &new)?;
    run_all(session, content, &rights)?;
    let (rows, _) = rows::fill(session, &plan.endpoint, content, &plan.part, Within::Callers)?;
    sequences(session, content, &new)?;
    let post_data = script::entries(&definitions.post_data);
    let (alone, others): (Vec<&Entry<'_>>, _) =
        post_data.iter().partition(|entry| BUILT_ALONE.contains(&entry.kind.as_str()));
    run_all(session, content, &alone)?;
    dependents.let_go(session)?;
    let kept = swap::place(name);
    if let Some(oid) = &there {
        Note::take(session, &kept, oid)?.write(session, &kept)?;
    }
    run_all(session, content, &others)?;
    dependents.take_hold(session)?;
    for check in &options.checks {
        check.judge(match check {
            Check::Query(query) => {
                session.run("SAVEPOINT checked")?;
                let objection = objection(session, query);
                session.run("ROLLBACK TO SAVEPOINT checked")?;
                objection
            }
            Check::Command(_) => {
                Some("a command sees nothing of it before all is done: ask by a query".to_owned())
            }
        })?;
    }
    Ok(Restored { tables: 1, rows, kept: there.map(|_| kept.to_string()), ..Restored::default() })
}

fn run_all(session: &mut Session, content: &dyn Content, entries: &[&Entry<'_>]) -> Result<(), RestoreError> {
    entries.iter().try_for_each(|entry| {
        check_cancelled(content)?;
        run(session, entry)
    })
}

/// The number of the table that was made. One that is a part of another is refused: the other would change.
fn made(session: &mut Session, plan: &TablePlan) -> Result<String, RestoreError> {
    let missing =
        || RestoreError::Server(format!("the definitions in the snapshot do not make {}", plan.table));
    let oid = plan.name.look_up(session)?.ok_or_else(missing)?;
    let inherits =
        session.value(&format!("SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = {oid})"))?;
    match inherits.as_str() {
        "t" => Err(RestoreError::Refused(format!(
            "{} is a partition, or inherits, in the snapshot: restore the whole database elsewhere, and take it from there",
            plan.table
        ))),
        _ => Ok(oid),
    }
}

/// The table, if it is `oid`, and its own sequences, as SQL writes them.
const OWN: &str = "
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.oid = {oid} OR c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} AND d.deptype IN ('a', 'i')))";

/// Takes away what the database gives with everything that is made in it: the rights that the table had are told.
fn without_default_rights(session: &mut Session, oid: &str) -> Result<(), Trouble> {
    let given = session.rows(&format!(
        "SELECT DISTINCT own.name, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relacl, c.relowner {}) own, aclexplode(own.relacl) a
        WHERE a.grantee <> own.relowner",
        OWN.replace("{oid}", oid)
    ))?;
    // `TABLE` is said of sequences too.
    given.iter().try_for_each(|row| {
        session.run(&format!("REVOKE ALL ON TABLE {} FROM {}", text(row, 0), text(row, 1)))
    })
}

/// Sets the table's own sequences to where they stood.
fn sequences(session: &mut Session, content: &dyn Content, oid: &str) -> Result<(), RestoreError> {
    let own = OWN.replace("{oid}", oid);
    let own =
        session.rows(&format!("SELECT format('%I.%I', n.nspname, c.relname) {own} AND c.relkind = 'S'"))?;
    let part = content.parts().iter().find(|part| part.name == b"sequences");
    let script = part.map(|part| read_all(content, part)).transpose()?.unwrap_or_default();
    for name in own.iter().map(|row| text(row, 0)) {
        let state = script.split(|byte| *byte == b'\n').find_map(|line| state_of(line, &name));
        let (last, is_called) = state.ok_or_else(|| {
            RestoreError::Damaged(format!("the snapshot does not say where the sequence {name} stands"))
        })?;
        session.run(&format!("SELECT pg_catalog.setval({}, {last}, {is_called})", literal(&name)))?;
    }
    Ok(())
}

/// What a line says of a sequence, which is no more than two values whoever wrote it.
fn state_of(line: &[u8], name: &str) -> Option<(i64, bool)> {
    let start = format!("SELECT pg_catalog.setval({}, ", literal(name));
    let rest = std::str::from_utf8(line).ok()?.strip_prefix(&start)?.strip_suffix(");")?;
    let (last, is_called) = rest.split_once(", ")?;
    Some((last.parse().ok()?, is_called.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_strangers_line_nothing_but_two_values_is_taken() {
        let line = "SELECT pg_catalog.setval('public.s', -7, true);";
        assert_eq!(state_of(line.as_bytes(), "public.s"), Some((-7, true)));
        assert_eq!(state_of(line.as_bytes(), "public.t"), None);
        for line in [
            "SELECT pg_catalog.setval('public.s', 1, true); DROP SCHEMA hr; SELECT (1, true);",
            "SELECT pg_catalog.setval('public.s', (SELECT 1), true);",
            "SELECT pg_catalog.setval('public.s', 1);",
        ] {
            assert_eq!(state_of(line.as_bytes(), "public.s"), None, "{line}");
        }
    }
}
