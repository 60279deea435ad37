//! Databases by name: what is in them, whose they are, and how those of ours go.

use super::super::keys::{self, Place};
use super::super::objects;
use super::super::saved::{COMMENT, MARK};
use super::super::session::{Session, Trouble, ident, literal};
use super::work::{is_name_of_ours, label_of};
use crate::RestoreError;

/// What a database says of itself that is being dropped.
pub(super) const OVER: &str = "not needed any more";
/// A statement is not too long by them.
const DROPPED_AT_ONCE: usize = 1000;

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

/// Whether it is not there, or has nothing, or was made or put aside by us.
pub(super) fn is_ours(server: &mut Session, schema: &str) -> Result<bool, Trouble> {
    let is_in_it = server.named("TABLE_SCHEMA", schema);
    let marked = server.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE {is_in_it} AND TABLE_COMMENT LIKE '{COMMENT}%'"
    ))?;
    if marked.iter().any(|table| is_name_of_ours(table)) {
        return Ok(true);
    }
    Ok(!exists(server, schema)? || is_empty(server, schema)?)
}

pub(super) fn is_empty(server: &mut Session, schema: &str) -> Result<bool, Trouble> {
    Ok(tables(server, schema)?.is_empty() && objects::read(server, schema)?.is_empty())
}

/// Drops a database of ours, if there is one of this name.
pub(super) fn drop_database(server: &mut Session, schema: &str) -> Result<(), RestoreError> {
    if !is_ours(server, schema)? {
        return Err(RestoreError::Refused(format!(
            "there is a database {schema} that icecore did not make: rename it, or drop it, and try again"
        )));
    }
    refuse_keys(server, schema)?;
    // A server that dies while it drops a database has dropped some of its tables. Whose it is must be known as long as it has any.
    let tables: Vec<String> = tables(server, schema)?.into_iter().filter(|table| table != MARK).collect();
    if label_of(server, schema, MARK)?.is_some() && !tables.is_empty() {
        let mark = format!("{}.{}", ident(schema), ident(MARK));
        server.run(format!("ALTER TABLE {mark} COMMENT = {}", literal(&format!("{COMMENT}{OVER}"))))?;
        for some in tables.chunks(DROPPED_AT_ONCE) {
            let names: Vec<String> =
                some.iter().map(|table| format!("{}.{}", ident(schema), ident(table))).collect();
            server.run(format!("DROP TABLE IF EXISTS {}", names.join(", ")))?;
        }
    }
    Ok(server.run(format!("DROP DATABASE IF EXISTS {}", ident(schema))).map(drop)?)
}

/// Drops what was made to hold something, and does not.
pub(super) fn drop_if_empty(server: &mut Session, schema: &str) -> Result<(), Trouble> {
    if exists(server, schema)? && is_empty(server, schema)? {
        server.run(format!("DROP DATABASE {}", ident(schema)))?;
    }
    Ok(())
}

/// Why tables of a database should stay where they are: keys that lead there from elsewhere would follow them, or lead nowhere.
pub(super) fn keys_from_elsewhere(server: &mut Session, schema: &str) -> Result<Option<String>, Trouble> {
    let (leads_here, is_here) =
        (server.named("REFERENCED_TABLE_SCHEMA", schema), server.named("TABLE_SCHEMA", schema));
    let keys = server.column(&format!(
        "SELECT DISTINCT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.KEY_COLUMN_USAGE
        WHERE {leads_here} AND NOT {is_here} ORDER BY 1"
    ))?;
    Ok((!keys.is_empty()).then(|| follows(schema, &keys)))
}

/// The same of one table.
pub(super) fn keys_to_one_from_elsewhere(
    server: &mut Session,
    table: &Place,
) -> Result<Option<String>, Trouble> {
    let keys = keys::to(server, table)?;
    let elsewhere = keys.iter().filter(|key| !server.is_same(&key.from.schema, &table.schema));
    let names: Vec<String> = elsewhere.map(|key| format!("{}.{}", key.from.schema, key.from.table)).collect();
    Ok((!names.is_empty()).then(|| follows(&table.table, &names)))
}

fn follows(what: &str, keys: &[String]) -> String {
    format!(
        "foreign keys of other databases lead to {what}, and would follow what is put aside: {}; drop them, and add them again afterwards",
        keys.join(", ")
    )
}

pub(super) fn refuse_keys(server: &mut Session, schema: &str) -> Result<(), RestoreError> {
    keys_from_elsewhere(server, schema)?.map_or(Ok(()), |why| Err(RestoreError::Refused(why)))
}
