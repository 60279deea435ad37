//! Restoring one table of a snapshot into the database that it belongs to, with its indexes, constraints and all else that is its own.
//!
//! One transaction moves the table that is there into a schema of its own, makes the new one in its place, and points at it what points at
//! the old one. Until it ends nobody sees anything of it, and whatever goes wrong leaves nothing; whoever wants that table waits.

mod aside;
mod definitions;
mod dependents;
mod plan;
mod swap;

use std::thread::sleep;
use std::time::Duration;

use icecore_dump::script;

pub use plan::{ExistingTable, TablePlan, plan};
pub use swap::rollback;

use super::super::session::{Session, Trouble, ident, literal, text};
use super::load::{self, define, fill, run};
use super::{Content, Options, Turn, check, maintenance, read_all};
use crate::RestoreError;
use crate::database::check_cancelled;
use definitions::Definitions;
use dependents::Dependents;

/// How long to wait for those who use the table.
const LOCK_WAIT: &str = "30s";
const TRIES_MAX: usize = 6;
const PAUSE: Duration = Duration::from_millis(500);

/// A table as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) schema: String,
    pub(super) table: String,
}

impl Name {
    /// As SQL writes it.
    pub(super) fn ident(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.table))
    }

    /// The number that it is known by, if it is there.
    fn look_up(&self, session: &mut Session) -> Result<Option<String>, Trouble> {
        let oid = session.value(&format!("SELECT to_regclass({})::oid", literal(&self.ident())))?;
        Ok(Some(oid).filter(|oid| !oid.is_empty()))
    }
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredTable {
    /// How many rows were counted, and found all there.
    pub rows: u64,
    /// Under what name the table that was there is kept.
    pub kept: Option<String>,
}

/// Carries out a plan.
///
/// # Errors
/// Whatever happens, the table that is there stays as it is; but if the connection is lost at the very end and the server does not answer
/// afterwards, nobody knows, and [`RestoreError::Unknown`] says so.
pub fn restore(
    plan: &TablePlan,
    content: &dyn Content,
    options: &Options,
) -> Result<RestoredTable, RestoreError> {
    let _turn = Turn::take(&plan.endpoint)?;
    if options.create_roles {
        let mut server = maintenance(&plan.endpoint)?;
        for role in &plan.missing_roles {
            server.run(&format!("CREATE ROLE {} NOLOGIN", ident(role)))?;
        }
    }
    let definitions = Definitions::of(plan, content)?;
    let mut session = load::open(&plan.endpoint)?;
    // What one waits for here is live at once.
    session.run(&format!("SET synchronous_commit = on; SET lock_timeout = '{LOCK_WAIT}'; BEGIN"))?;
    let (restored, new) = exchange(&mut session, plan, content, &definitions, options)?;
    check_cancelled(content)?;
    match session.run("COMMIT") {
        Ok(()) => (),
        Err(trouble) if trouble.code.is_some() => return Err(trouble.into()),
        Err(trouble) => look(plan, &new, &trouble)?,
    }
    // The next plans are good ones; it is no failure of the restore if not.
    let _ = session.run(&format!("ANALYZE {}", plan.name.ident()));
    Ok(restored)
}

/// Everything but the end of the transaction. Returns the new table's number too.
fn exchange(
    session: &mut Session,
    plan: &TablePlan,
    content: &dyn Content,
    definitions: &Definitions,
    options: &Options,
) -> Result<(RestoredTable, String), RestoreError> {
    let name = &plan.name;
    let there = name.look_up(session)?;
    if there.as_ref() != plan.existing.as_ref().map(|existing| &existing.oid) {
        return Err(RestoreError::Refused(format!(
            "the table {} is another one than when it was looked at: somebody made, dropped or restored it meanwhile",
            plan.table
        )));
    }
    let mut kept = None;
    let mut dependents = Dependents::default();
    if let Some(oid) = &there {
        session.run(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", name.ident()))?;
        dependents = Dependents::ask(session, oid)?;
        dependents.let_go(session)?;
        kept = Some(swap::put_aside(session, name, oid)?);
    }
    for entry in script::entries(&definitions.pre_data) {
        check_cancelled(content)?;
        run(session, &entry)?;
        if matches!(entry.kind.as_str(), "TABLE" | "SEQUENCE") {
            without_default_rights(session, &Name { schema: entry.schema, table: entry.name })?;
        }
    }
    let (rows, _) = fill(session, &plan.endpoint, content, &plan.part)?;
    let new = name.look_up(session)?.unwrap_or_default();
    sequences(session, content, &new)?;
    define(session, content, &definitions.post_data)?;
    dependents.take_hold(session)?;
    options.checks.iter().try_for_each(|query| check(session, query))?;
    Ok((RestoredTable { rows, kept }, new))
}

/// Takes away what the database gives with everything that is made in it: the rights that the table had are told.
fn without_default_rights(session: &mut Session, made: &Name) -> Result<(), Trouble> {
    let given = session.rows(&format!(
        "SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = to_regclass({}) AND a.grantee <> c.relowner",
        literal(&made.ident())
    ))?;
    given.iter().map(|row| text(row, 0)).try_for_each(|role| {
        // Of tables, views and sequences alike.
        session.run(&format!("REVOKE ALL ON TABLE {} FROM {role}", made.ident()))
    })
}

/// Sets the table's own sequences to where they stood.
fn sequences(session: &mut Session, content: &dyn Content, oid: &str) -> Result<(), RestoreError> {
    let Some(part) = content.parts().iter().find(|part| part.name == b"sequences") else { return Ok(()) };
    let owned = session.rows(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_depend d
            JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} AND d.deptype IN ('a', 'i')"
    ))?;
    let script = read_all(content, part)?;
    for name in owned.iter().map(|row| literal(&text(row, 0))) {
        let start = format!("SELECT pg_catalog.setval({name}, ");
        let mut lines = script.split(|byte| *byte == b'\n');
        if let Some(line) = lines.find(|line| line.starts_with(start.as_bytes())) {
            session.run(&String::from_utf8_lossy(line))?;
        }
    }
    Ok(())
}

/// Whether the transaction happened whose answer was lost.
fn look(plan: &TablePlan, new: &str, trouble: &Trouble) -> Result<(), RestoreError> {
    for _ in 0..TRIES_MAX {
        let Ok(mut session) = Session::open(&plan.endpoint) else {
            sleep(PAUSE);
            continue;
        };
        return match plan.name.look_up(&mut session)?.as_deref() == Some(new) {
            true => Ok(()),
            false => Err(RestoreError::Server(trouble.what.clone())),
        };
    }
    Err(RestoreError::Unknown(format!(
        "{}; and it is not known whether the table {} was replaced: the server does not answer",
        trouble.what, plan.table
    )))
}
