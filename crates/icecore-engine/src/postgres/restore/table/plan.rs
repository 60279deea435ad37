//! What restoring a table would do, and what stands in its way.

use std::io::Read as _;

use icecore_dump::script;
use icecore_format::Part;

use super::super::super::endpoint::Endpoint;
use super::super::super::facts::Facts;
use super::super::super::session::{Session, Trouble, literal, text};
use super::super::plan::{missing_roles, roles_blocker, version_blocker};
use super::super::{Content, Options, facts, read_all};
use super::dependents::{Dependents, publications};
use super::{Name, swap};
use crate::RestoreError;

/// Where the name of a table stands, before its rows.
const HEAD_LEN_MAX: u64 = 64 << 10;

/// What restoring a table would do.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// The database.
    pub endpoint: Endpoint,
    /// The table as people call it, with its schema.
    pub table: String,
    /// The table that is there, if there is one.
    pub existing: Option<ExistingTable>,
    /// Roles that the snapshot needs, and that the server does not have.
    pub missing_roles: Vec<String>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
    pub(super) name: Name,
    pub(super) part: Part,
    pub(super) facts: Facts,
}

/// A table that would be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingTable {
    /// The server's number for it, by which it is known whatever it is called.
    pub(super) oid: String,
    /// Its size on the server's disk, with its indexes.
    pub bytes: u64,
}

/// Looks at the server and the snapshot, of which `part` is the table's rows.
pub fn plan(
    endpoint: &Endpoint,
    content: &dyn Content,
    part: &Part,
    options: &Options,
) -> Result<TablePlan, RestoreError> {
    let facts = facts(content)?.ok_or_else(|| {
        RestoreError::Refused(
            "the snapshot is a dump that was made elsewhere: --part gives a table's rows of it, and psql restores them".to_owned(),
        )
    })?;
    let name = name_of(content, part)?;
    let mut session = Session::open(endpoint)?;
    let mut plan = TablePlan {
        endpoint: endpoint.clone(),
        table: part.display_name(),
        existing: None,
        missing_roles: missing_roles(&mut session, &facts.roles.iter().cloned().collect())?,
        blockers: Vec::new(),
        notices: Vec::new(),
        name,
        part: part.clone(),
        facts,
    };
    plan.blockers.extend(roles_blocker(&plan.missing_roles, options));
    plan.blockers.extend(version_blocker(plan.facts.version, session.major()));
    if session.value("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user")? != "t" {
        let user = &endpoint.user;
        plan.blockers.push(format!(
            "{user} may not make databases, and one is needed for a moment: ALTER ROLE {user} CREATEDB"
        ));
    }
    let schema = &plan.name.schema;
    if session.rows(&format!("SELECT 1 FROM pg_namespace WHERE nspname = {}", literal(schema)))?.is_empty() {
        plan.blockers.push(format!("the database has no schema {schema}: CREATE SCHEMA makes it"));
    }
    plan.look_at_table(&mut session)?;
    if plan.existing.is_some() {
        plan.blockers.extend(swap::blocker(&mut session, &plan.name.schema)?);
    }
    plan.notices.extend(swap::dropped(&mut session, &plan.name)?);
    Ok(plan)
}

/// What the snapshot has of this name, with its schema or without, that has no rows of its own and cannot be restored alone; in words.
pub fn not_a_table(content: &dyn Content, name: &str) -> Result<Option<String>, RestoreError> {
    let Some(part) = content.parts().iter().find(|part| part.name == b"pre-data") else { return Ok(None) };
    let script = read_all(content, part)?;
    let what = |entry: &script::Entry<'_>| {
        let full = format!("{}.{}", entry.schema, entry.name);
        let what = match entry.kind.as_str() {
            _ if name != full && name != entry.name => return None,
            "VIEW" => "is a view",
            "MATERIALIZED VIEW" => "is a materialised view",
            "FOREIGN TABLE" => "is a foreign table",
            "SEQUENCE" => "is a sequence",
            "TABLE" => "has no rows of its own",
            _ => return None,
        };
        Some(format!(
            "{full} {what} in the snapshot, and only tables with rows of their own come back alone: restore the whole database elsewhere, and take it from there"
        ))
    };
    Ok(script::entries(&script).iter().find_map(what))
}

/// The statement that copies its rows in says it exactly, and must say nothing else: it is run in the database that is there.
fn name_of(content: &dyn Content, part: &Part) -> Result<Name, RestoreError> {
    let mut head = Vec::new();
    content.open(part)?.take(HEAD_LEN_MAX).read_to_end(&mut head).map_err(RestoreError::of_content)?;
    let target = script::copy_statement(&head).and_then(|(statement, _)| script::copy_target(statement));
    let target = target.ok_or_else(|| {
        RestoreError::Refused(format!("the rows of {} are not what a capture writes", part.display_name()))
    })?;
    Ok(Name { schema: target.schema, table: target.table })
}

/// Why a table that is there cannot be replaced, in words.
pub(super) fn obstacles(session: &mut Session, table: &str, oid: &str) -> Result<Vec<String>, Trouble> {
    let rows = session.rows(&format!(
        "SELECT relkind <> 'r', EXISTS (SELECT FROM pg_inherits WHERE inhrelid = {oid} OR inhparent = {oid}), NOT pg_has_role(relowner, 'USAGE'),
            EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = {oid} AND deptype = 'e')
        FROM pg_class WHERE oid = {oid}"
    ))?;
    let mut obstacles = Vec::new();
    for (column, what) in [
        "is no plain table in the database that is there",
        "is a partition, or inherits, in the database that is there: detach it first",
        "belongs to somebody else in the database that is there: restore as its owner",
        "belongs to an extension",
    ]
    .into_iter()
    .enumerate()
    {
        if rows.first().is_some_and(|row| text(row, column) == "t") {
            obstacles.push(format!("{table} {what}"));
        }
    }
    for other in Dependents::ask(session, oid)?.others {
        obstacles.push(format!("{other} is built on {table}: drop it first, and make it again afterwards"));
    }
    Ok(obstacles)
}

impl TablePlan {
    fn look_at_table(&mut self, session: &mut Session) -> Result<(), RestoreError> {
        let Some(oid) = self.name.look_up(session)? else { return Ok(()) };
        self.blockers.extend(obstacles(session, &self.table, &oid)?);
        self.notices.extend(publications(session, &self.table, &oid)?);
        let bytes = session.value(&format!("SELECT pg_total_relation_size({oid})"))?;
        self.existing = Some(ExistingTable { oid, bytes: bytes.parse().unwrap_or_default() });
        Ok(())
    }
}
