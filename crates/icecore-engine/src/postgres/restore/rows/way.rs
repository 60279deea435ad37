//! How a table takes its rows.

use icecore_dump::script::CopyTarget;

use super::super::super::session::{Session, Trouble, ident, literal, text};
use super::encoder::Encoder;
use super::value::Kind;

/// A type of which nothing is known.
const UNKNOWN: &str = "?";

/// What makes rows come in faster than by the statement that was captured.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// What makes them binary, if all types of the table are known.
    pub(super) encoder: Option<Encoder>,
    /// Whether the table is ours alone: it may be emptied in the transaction that fills it.
    pub(super) can_empty: bool,
}

impl Way {
    /// Looks at the table.
    pub(super) fn of(session: &mut Session, target: &CopyTarget<'_>) -> Result<Self, Trouble> {
        let names: Vec<String> = target.columns.iter().map(|name| literal(name)).collect();
        let row = session.rows(&format!(
            "SELECT c.relkind = 'r' AND NOT c.relhastriggers AND has_table_privilege(c.oid, 'TRUNCATE'),
                (SELECT string_agg(CASE WHEN t.typtype = 'e' THEN 'enum' WHEN n.nspname = 'pg_catalog' AND t.typtype = 'b' THEN t.typname ELSE '{UNKNOWN}' END, ' ' ORDER BY place)
                FROM unnest(ARRAY[{}]::text[]) WITH ORDINALITY AS named(name, place)
                LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = named.name AND a.attnum > 0
                LEFT JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_namespace n ON n.oid = t.typnamespace)
            FROM pg_class c WHERE c.oid = {}::regclass",
            names.join(", "),
            literal(&full_name(target)),
        ))?;
        let Some(row) = row.first() else { return Ok(Self::default()) };
        let kinds: Option<Vec<Kind>> = text(row, 1).split(' ').map(Kind::named).collect();
        Ok(Self { encoder: kinds.map(Encoder::new), can_empty: text(row, 0) == "t" })
    }
}

/// Empties a table that is empty, so that the transaction which does it knows that nobody else sees its rows. False if there are rows: what
/// somebody has filled stays.
pub(super) fn empty(session: &mut Session, target: &CopyTarget<'_>) -> Result<bool, Trouble> {
    let name = full_name(target);
    session.run(&format!("LOCK TABLE ONLY {name} IN ACCESS EXCLUSIVE MODE"))?;
    let len = session.value(&format!("SELECT pg_relation_size({}::regclass)", literal(&name)))?;
    if len != "0" {
        return Ok(false);
    }
    session.run(&format!("TRUNCATE TABLE ONLY {name}"))?;
    Ok(true)
}

fn full_name(target: &CopyTarget<'_>) -> String {
    format!("{}.{}", ident(&target.schema), ident(&target.table))
}
