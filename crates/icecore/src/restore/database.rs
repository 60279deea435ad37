//! Giving a snapshot back to a database server.

use std::io::Read;
use std::sync::Arc;

use icecore_engine::postgres::restore as engine;
use icecore_engine::{SinkError, postgres};
use icecore_format::Part;
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store};

use super::part_reader::Reader;
use super::{blame, first_finding, is_base_backup, short_id};
use crate::{Error, Result};

/// A snapshot, read in any order by a restore.
pub(super) struct Content<'a> {
    reader: SnapshotReader,
    parts: Vec<Part>,
    monitor: &'a dyn Monitor,
}

impl<'a> Content<'a> {
    pub(super) fn new(store: &Arc<Store>, snapshot: &Snapshot, monitor: &'a dyn Monitor) -> Result<Self> {
        let info = snapshot.info();
        if info.engine != "postgres" || !matches!(info.form.as_str(), "pg_dump" | "pg_schema") {
            let what = match is_base_backup(snapshot) {
                true => {
                    "is a base backup, which goes to the data directory of a server that is stopped: --to DIR"
                }
                false => "is not of a PostgreSQL database",
            };
            return Err(Error::Unfitting(format!("snapshot {} {what}", short_id(snapshot))));
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
}

/// Finds out what restoring a snapshot to a database would do, and what stands in its way.
pub fn plan_database(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    endpoint: &postgres::Endpoint,
    options: &engine::Options,
    allow_incomplete: bool,
    monitor: &dyn Monitor,
) -> Result<engine::Plan> {
    let planned = || -> Result<engine::Plan> {
        let content = Content::new(store, snapshot, monitor)?;
        let mut plan = engine::plan(endpoint, &content, options)?;
        if let Some((finding, _)) =
            first_finding(snapshot).filter(|_| plan.existing.is_some() && !allow_incomplete)
        {
            plan.blockers.push(format!(
                "the snapshot was not taken whole ({finding}), and what it lacks may be there: --allow-incomplete takes it all the same"
            ));
        }
        if snapshot.info().form == "pg_schema" && plan.existing.is_some() {
            plan.blockers
                .push("the snapshot has definitions and no rows; --to URL restores it elsewhere".to_owned());
        }
        Ok(plan)
    };
    planned().map_err(|error| blame(store, snapshot, None, error))
}

/// Carries out the plan: what is there is replaced when the new database is whole, and not before.
pub fn restore_database(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    plan: &engine::Plan,
    options: &engine::Options,
    monitor: &dyn Monitor,
) -> Result<engine::Restored> {
    monitor.expect(snapshot.info().logical_bytes);
    let restored = || -> Result<engine::Restored> {
        let content = Content::new(store, snapshot, monitor)?;
        Ok(engine::restore(plan, &content, options)?)
    };
    let mut restored = restored().map_err(|error| blame(store, snapshot, None, error))?;
    if let Some((finding, _)) = first_finding(snapshot) {
        restored.warnings.push(format!("the snapshot was not taken whole: {finding}"));
    }
    Ok(restored)
}
