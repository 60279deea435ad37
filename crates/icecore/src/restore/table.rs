//! Giving one table of a snapshot back to a database.

use std::sync::Arc;

use icecore_engine::database::{Content as _, Options};
use icecore_engine::postgres;
use icecore_engine::postgres::restore::table::{self as engine, RestoredTable, TablePlan};
use icecore_format::{Part, PartKind};
use icecore_store::{Monitor, Snapshot, Store};

use super::database::{Content, Database};
use super::{blame, short_id};
use crate::{Error, Result};

/// Names that an error lists.
const NAMED_MAX: usize = 5;

/// Finds out what restoring a table would do, and what stands in its way. `table` is its name, with its schema or, if only one is called so,
/// without.
pub fn plan_table(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    endpoint: &postgres::Endpoint,
    table: &str,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<TablePlan> {
    let planned = || -> Result<TablePlan> {
        let content = Content::new(store, snapshot, &Database::Postgres(endpoint.clone()), monitor)?;
        let part = find(content.parts(), table, snapshot)?;
        Ok(engine::plan(endpoint, &content, part, options)?)
    };
    planned().map_err(|error| blame(store, snapshot, None, error))
}

/// Carries out the plan.
pub fn restore_table(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    plan: &TablePlan,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<RestoredTable> {
    let restored = || -> Result<RestoredTable> {
        let content = Content::new(store, snapshot, &Database::Postgres(plan.endpoint.clone()), monitor)?;
        Ok(engine::restore(plan, &content, options)?)
    };
    restored().map_err(|error| blame(store, snapshot, Some(plan.table.clone()), error))
}

fn find<'p>(parts: &'p [Part], table: &str, snapshot: &Snapshot) -> Result<&'p Part> {
    let tables = || parts.iter().filter(|part| part.kind == PartKind::Table);
    if let Some(part) = tables().find(|part| part.name == table.as_bytes()) {
        return Ok(part);
    }
    // A dot in a name of a schema is for those who say the whole.
    let is_so_called = |part: &&Part| {
        let schema = part.name.strip_suffix(table.as_bytes()).and_then(|start| start.strip_suffix(b"."));
        schema.is_some_and(|schema| !schema.contains(&b'.'))
    };
    let found: Vec<&Part> = tables().filter(is_so_called).collect();
    let names = |parts: &mut dyn Iterator<Item = &Part>| -> Vec<String> {
        parts.take(NAMED_MAX).map(Part::display_name).collect()
    };
    match found.as_slice() {
        [part] => Ok(part),
        [] => {
            let hint = match names(&mut tables()).join(", ") {
                none if none.is_empty() => String::new(),
                some => format!("; it has {some}"),
            };
            Err(Error::NoPart { id: short_id(snapshot), part: table.to_owned(), hint })
        }
        _ => Err(Error::Unfitting(format!(
            "{table} may be {}: name its schema too",
            names(&mut found.into_iter()).join(" or ")
        ))),
    }
}
