//! Giving one table of a snapshot back to a database.

use std::sync::Arc;

use icecore_engine::database::{Content as _, Options, Restored, Undone};
use icecore_engine::{RestoreError, mysql, postgres};
use icecore_format::{Part, PartKind};
use icecore_store::{Monitor, Snapshot, Store};

use super::blame;
use super::database::{Content, Database};
use crate::nearest::did_you_mean;
use crate::{Error, Result};

/// Names that an error lists.
pub(super) const NAMED_MAX: usize = 5;

/// What restoring a table would do.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// The table as people call it, with its schema where there are any.
    pub table: String,
    /// The bytes on the server's disk of the table that is there; `None` if there is none.
    pub existing: Option<u64>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
    of_engine: EnginePlan,
}

#[derive(Debug, Clone)]
enum EnginePlan {
    Postgres(Box<postgres::restore::table::TablePlan>),
    Mysql(Box<mysql::restore::Plan>),
}

/// Finds out what restoring a table would do, and what stands in its way. `table` is its name, with its schema or, if only one is called so,
/// without.
pub fn plan_table(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    database: &Database,
    table: &str,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<TablePlan> {
    let planned = || -> Result<TablePlan> {
        let content = Content::new(store, snapshot, database, monitor)?;
        let part = find(content.parts(), table, snapshot);
        if let (Err(Error::NoPart { .. }), Database::Postgres(_)) = (&part, database)
            && let Some(why) = postgres::restore::table::not_a_table(&content, table)?
        {
            return Err(RestoreError::Refused(why).into());
        }
        let part = part?;
        let table = part.display_name();
        Ok(match database {
            Database::Postgres(endpoint) => {
                let plan = postgres::restore::table::plan(endpoint, &content, part, options)?;
                TablePlan {
                    table,
                    existing: plan.existing.as_ref().map(|existing| existing.bytes),
                    blockers: plan.blockers.clone(),
                    notices: plan.notices.clone(),
                    of_engine: EnginePlan::Postgres(Box::new(plan)),
                }
            }
            Database::Mysql(endpoint) => {
                let plan = mysql::restore::plan_table(endpoint, &content, &table, options)?;
                TablePlan {
                    table,
                    existing: plan.existing.as_ref().map(|existing| existing.bytes),
                    blockers: plan.blockers.clone(),
                    notices: plan.notices.clone(),
                    of_engine: EnginePlan::Mysql(Box::new(plan)),
                }
            }
        })
    };
    planned().map_err(|error| blame(store, snapshot, None, error))
}

/// Carries out the plan.
pub fn restore_table(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    database: &Database,
    plan: &TablePlan,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Restored> {
    let restored = || -> Result<Restored> {
        let content = Content::new(store, snapshot, database, monitor)?;
        Ok(match &plan.of_engine {
            EnginePlan::Postgres(plan) => postgres::restore::table::restore(plan, &content, options),
            EnginePlan::Mysql(plan) => mysql::restore::restore(plan, &content, options),
        }?)
    };
    restored().map_err(|error| blame(store, snapshot, Some(plan.table.clone()), error))
}

impl Database {
    /// Brings back the table that the last restore of it put aside; `None` if there is nothing.
    pub fn rollback_table(&self, table: &str) -> Result<Option<Undone>> {
        Ok(match self {
            Self::Postgres(endpoint) => postgres::restore::table::rollback(endpoint, table),
            Self::Mysql(endpoint) => mysql::restore::rollback(endpoint, Some(table)),
        }?)
    }
}

/// Which table was meant, with its schema or without.
fn near(table: &str, all: &[String]) -> String {
    let bare: Vec<&str> =
        all.iter().map(|name| name.rsplit_once('.').map_or(name.as_str(), |it| it.1)).collect();
    did_you_mean(table, all.iter().map(String::as_str).chain(bare))
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
                some => {
                    let all: Vec<String> = tables().map(Part::display_name).collect();
                    format!("; it has {some}{}", near(table, &all))
                }
            };
            Err(Error::NoPart { id: snapshot.id.brief(), part: table.to_owned(), hint })
        }
        _ => Err(Error::Unfitting(format!(
            "{table} may be {}: name its schema too",
            names(&mut found.into_iter()).join(" or ")
        ))),
    }
}
