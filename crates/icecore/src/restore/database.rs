//! Giving a snapshot back to a database server.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use icecore_engine::database::{self as engine, Options, Restored, Undone};
use icecore_engine::{RestoreError, SinkError, mysql, postgres};
use icecore_format::Part;
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store};

use super::part_reader::Reader;
use super::{blame, first_finding, is_base_backup};
use crate::{Error, Result, Source};

/// A database that is restored beside what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// Of a PostgreSQL server.
    Postgres(postgres::Endpoint),
    /// Of a MySQL or MariaDB server.
    Mysql(mysql::Endpoint),
}

impl Database {
    /// The database that a source is, if it is one of these.
    pub fn of(source: &Source) -> Option<Self> {
        match source {
            Source::Postgres(endpoint) => Some(Self::Postgres(endpoint.clone())),
            Source::Mysql(endpoint) => Some(Self::Mysql(endpoint.clone())),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Postgres(endpoint) => &endpoint.database,
            Self::Mysql(endpoint) => &endpoint.database,
        }
    }

    /// A URL of it, without its password.
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(endpoint) => endpoint.url(),
            Self::Mysql(endpoint) => endpoint.url(),
        }
    }

    /// Another database of the same server, as a source.
    pub fn beside(&self, name: &str) -> Source {
        match self {
            Self::Postgres(endpoint) => Source::Postgres(endpoint.with_database(name)),
            Self::Mysql(endpoint) => Source::Mysql(endpoint.with_database(name)),
        }
    }

    /// Brings back what the last restore put aside; `None` if there is nothing.
    pub fn rollback(&self) -> Result<Option<Undone>> {
        Ok(match self {
            Self::Postgres(endpoint) => postgres::restore::rollback(endpoint),
            Self::Mysql(endpoint) => mysql::restore::rollback(endpoint, None),
        }?)
    }

    /// Brings back what a restore kept for good under the name `kept`, which it has no more afterwards; `None` if it is not there.
    pub fn bring_back(&self, kept: &str) -> Result<Option<Undone>> {
        Ok(match self {
            Self::Postgres(endpoint) => postgres::restore::bring_back(endpoint, kept)?,
            Self::Mysql(endpoint) => Some(mysql::restore::bring_back(endpoint, kept)?),
        })
    }

    /// Under what name there is something that a restore put aside, if there is anything.
    pub fn put_aside(&self) -> Result<Option<String>> {
        Ok(match self {
            Self::Postgres(endpoint) => postgres::restore::put_aside(endpoint),
            Self::Mysql(endpoint) => mysql::restore::put_aside(endpoint),
        }?)
    }

    /// The names of all databases of its server that may be seen.
    pub fn names(&self) -> Result<Vec<String>> {
        Ok(match self {
            Self::Postgres(endpoint) => postgres::restore::names(endpoint),
            Self::Mysql(endpoint) => mysql::restore::names(endpoint),
        }?)
    }

    /// Drops what a restore put aside.
    pub fn forget(&self, restored: &Restored) -> Result<()> {
        Ok(match self {
            Self::Postgres(endpoint) => postgres::restore::forget(endpoint),
            Self::Mysql(endpoint) => mysql::restore::forget(endpoint, restored.mark.as_deref()),
        }?)
    }

    fn plan(
        &self,
        content: &dyn engine::Content,
        options: &Options,
    ) -> std::result::Result<DatabasePlan, RestoreError> {
        Ok(match self {
            Self::Postgres(endpoint) => {
                let plan = postgres::restore::plan(endpoint, content, options)?;
                let existing = plan.existing.as_ref();
                DatabasePlan {
                    existing: existing.map(|it| ExistingDatabase { bytes: it.bytes, sessions: it.sessions }),
                    blockers: plan.blockers.clone(),
                    notices: plan.notices.clone(),
                    of_engine: EnginePlan::Postgres(Box::new(plan)),
                }
            }
            Self::Mysql(endpoint) => {
                let plan = mysql::restore::plan(endpoint, content, options)?;
                let existing = plan.existing.as_ref();
                DatabasePlan {
                    existing: existing.map(|it| ExistingDatabase { bytes: it.bytes, sessions: 0 }),
                    blockers: plan.blockers.clone(),
                    notices: plan.notices.clone(),
                    of_engine: EnginePlan::Mysql(Box::new(plan)),
                }
            }
        })
    }
}

/// The database and its server, for people: `shop on db.example:3306`.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(endpoint) => endpoint.fmt(f),
            Self::Mysql(endpoint) => endpoint.fmt(f),
        }
    }
}

/// What a restore would do.
#[derive(Debug, Clone)]
pub struct DatabasePlan {
    /// What is there now; `None` if there is no such database.
    pub existing: Option<ExistingDatabase>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
    of_engine: EnginePlan,
}

/// A database that would be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingDatabase {
    /// Its size on the server's disk.
    pub bytes: u64,
    /// How many sessions would be ended.
    pub sessions: u64,
}

#[derive(Debug, Clone)]
enum EnginePlan {
    Postgres(Box<postgres::restore::Plan>),
    Mysql(Box<mysql::restore::Plan>),
}

/// A snapshot, read in any order by a restore.
pub(super) struct Content<'a> {
    reader: SnapshotReader,
    parts: Vec<Part>,
    monitor: &'a dyn Monitor,
}

impl<'a> Content<'a> {
    pub(super) fn new(
        store: &Arc<Store>,
        snapshot: &Snapshot,
        database: &Database,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        let (fits, product) = match (database, snapshot.info().form.as_str()) {
            (Database::Postgres(_), form) => {
                (matches!(form, "pg_dump" | "pg_schema" | "pg_table"), "PostgreSQL")
            }
            (Database::Mysql(_), form) => (form == "mysqldump", "MySQL or MariaDB"),
        };
        if !fits {
            let what = match is_base_backup(snapshot) {
                true => {
                    "is a base backup, which goes to the data directory of a server that is stopped: --to DIR"
                        .to_owned()
                }
                false => format!("is not of a {product} database"),
            };
            return Err(Error::Unfitting(format!("snapshot {} {what}", snapshot.id.brief())));
        }
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
        let parts = reader.parts().collect::<std::result::Result<_, _>>()?;
        Ok(Self { reader, parts, monitor })
    }
}

impl engine::Content for Content<'_> {
    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn open(&self, part: &Part) -> std::result::Result<Box<dyn Read + '_>, SinkError> {
        let part = self.parts.iter().find(|known| *known == part).ok_or("there is no such part")?;
        Ok(Box::new(Reader::checked(&self.reader, part, self.monitor)?))
    }

    fn is_cancelled(&self) -> bool {
        self.monitor.is_cancelled()
    }

    fn stage(&self, what: &'static str, done: usize, all: usize) {
        self.monitor.stage(what, done, all);
    }
}

/// Finds out what restoring a snapshot to a database would do, and what stands in its way.
pub fn plan_database(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    database: &Database,
    options: &Options,
    allow_incomplete: bool,
    monitor: &dyn Monitor,
) -> Result<DatabasePlan> {
    let planned = || -> Result<DatabasePlan> {
        let content = Content::new(store, snapshot, database, monitor)?;
        let mut plan = database.plan(&content, options)?;
        if let Some((finding, _)) =
            first_finding(snapshot).filter(|_| plan.existing.is_some() && !allow_incomplete)
        {
            plan.blockers.push(format!(
                "the snapshot was not taken whole ({finding}), and what it lacks may be there: --allow-incomplete takes it all the same"
            ));
        }
        let lacking = match snapshot.info().form.as_str() {
            "pg_schema" => Some("the snapshot has definitions and no rows; --to URL restores it elsewhere"),
            "pg_table" => Some(
                "the snapshot has one table alone, which --table NAME restores; --to URL restores it elsewhere",
            ),
            _ => None,
        };
        if let Some(lacking) = lacking.filter(|_| plan.existing.is_some()) {
            plan.blockers.push(lacking.to_owned());
        }
        Ok(plan)
    };
    planned().map_err(|error| blame(store, snapshot, None, error))
}

/// Carries out the plan: what is there is replaced when the new database is whole, and not before.
pub fn restore_database(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    database: &Database,
    plan: &DatabasePlan,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Restored> {
    monitor.expect(snapshot.info().logical_bytes);
    let restored = || -> Result<Restored> {
        let content = Content::new(store, snapshot, database, monitor)?;
        Ok(match &plan.of_engine {
            EnginePlan::Postgres(plan) => postgres::restore::restore(plan, &content, options),
            EnginePlan::Mysql(plan) => mysql::restore::restore(plan, &content, options),
        }?)
    };
    let mut restored = restored().map_err(|error| blame(store, snapshot, None, error))?;
    if let Some((finding, _)) = first_finding(snapshot) {
        restored.warnings.push(format!("the snapshot was not taken whole: {finding}"));
    }
    Ok(restored)
}
