//! What a table is made of: all definitions of the snapshot are made in a database of their own, without rows, and `pg_dump` says which of
//! them belong to the table. Nobody knows that better.

use icecore_dump::script::{self, Entry};
use icecore_format::PartKind;

use super::super::super::capture::definitions;
use super::super::super::programs::{output, program};
use super::super::super::session::{Session, Trouble, ident, literal, text};
use super::super::load::{self, run};
use super::super::{Content, dropping, maintenance, read_all, swap};
use super::{Name, TablePlan};
use crate::database::check_cancelled;
use crate::{CaptureError, RestoreError};

const ARGUMENTS: [&str; 4] = ["--schema-only", "--no-password", "--no-publications", "--no-subscriptions"];

/// The statements that make a table.
#[derive(Debug)]
pub(super) struct Definitions {
    /// Before its rows.
    pub(super) pre_data: Vec<u8>,
    /// After them.
    pub(super) post_data: Vec<u8>,
}

impl Definitions {
    /// Those of the table that is planned for.
    pub(super) fn of(plan: &TablePlan, content: &dyn Content) -> Result<Self, RestoreError> {
        if plan.facts.table.is_some() {
            let part = |name: &[u8]| content.parts().iter().find(|part| part.name == name);
            let script = |name| part(name).map_or(Ok(Vec::new()), |part| read_all(content, part));
            return Ok(Self { pre_data: script(b"pre-data")?, post_data: script(b"post-data")? });
        }
        let mut server = maintenance(&plan.endpoint)?;
        swap::drop_leftovers(&plan.endpoint, &mut server)?;
        let scratch = swap::new_name(&plan.endpoint.database);
        let made = Self::make(&mut server, plan, &scratch, content);
        dropping(&plan.endpoint, &scratch, made)
    }

    fn make(
        server: &mut Session,
        plan: &TablePlan,
        scratch: &str,
        content: &dyn Content,
    ) -> Result<Self, RestoreError> {
        server.run(&plan.facts.create(scratch, server.major()))?;
        swap::mark_new(server, scratch, &plan.endpoint.database)?;
        let endpoint = plan.endpoint.with_database(scratch);
        let mut session = load::open(&endpoint)?;
        define_all(&mut session, content)?;
        let pg_dump = program("pg_dump", server.major()).map_err(of_program)?;
        let section = |section: &str| {
            let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
            let table = format!("--table={}.{}", ident(&plan.name.schema), ident(&plan.name.table));
            let encoding = format!("--encoding={}", session.encoding());
            arguments.extend([format!("--section={section}"), encoding, table]);
            let printed = output(&pg_dump, &arguments, &endpoint, &|| content.is_cancelled());
            printed.and_then(|printed| definitions(&printed, &[b"SET default_"])).map_err(of_program)
        };
        let (pre_data, mut post_data) = (section("pre-data")?, section("post-data")?);
        post_data.extend_from_slice(statistics(&mut session, &plan.name)?.as_bytes());
        Ok(Self { pre_data, post_data })
    }
}

/// Extended statistics, which `pg_dump` tells of whole schemas only.
fn statistics(session: &mut Session, table: &Name) -> Result<String, Trouble> {
    let rows = session.rows(&format!(
        "SELECT pg_get_statisticsobjdef(s.oid), format('%I.%I', n.nspname, s.stxname), quote_ident(pg_get_userbyid(s.stxowner)),
            to_jsonb(s) ->> 'stxstattarget', obj_description(s.oid, 'pg_statistic_ext')
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = to_regclass({}) ORDER BY 2",
        literal(&table.ident())
    ))?;
    let mut statements = String::new();
    for row in &rows {
        let [definition, name, owner, target, comment] = [0, 1, 2, 3, 4].map(|column| text(row, column));
        statements += &format!("{definition};\nALTER STATISTICS {name} OWNER TO {owner};\n");
        if !matches!(target.as_str(), "" | "-1") {
            statements += &format!("ALTER STATISTICS {name} SET STATISTICS {target};\n");
        }
        if !comment.is_empty() {
            statements += &format!("COMMENT ON STATISTICS {name} IS {};\n", literal(&comment));
        }
    }
    Ok(statements)
}

fn define_all(session: &mut Session, content: &dyn Content) -> Result<(), RestoreError> {
    let is_state = |name: &[u8]| matches!(name, b"globals" | b"database" | b"sequences" | b"large objects");
    let parts = content.parts().iter();
    for part in parts.filter(|part| part.kind == PartKind::Schema && !is_state(&part.name)) {
        let script = read_all(content, part)?;
        for entry in script::entries(&script).iter().filter(|entry| !is_left_out(entry)) {
            check_cancelled(content)?;
            run(session, entry)?;
        }
    }
    Ok(())
}

/// What belongs to no table, and may want rows, or come between.
fn is_left_out(entry: &Entry<'_>) -> bool {
    matches!(entry.kind.as_str(), "MATERIALIZED VIEW DATA" | "EVENT TRIGGER")
        || (entry.kind == "COMMENT" && entry.name.starts_with("EVENT TRIGGER "))
}

fn of_program(error: CaptureError) -> RestoreError {
    match error {
        CaptureError::Cancelled => RestoreError::Cancelled,
        error => RestoreError::Server(error.to_string()),
    }
}
