//! Giving one table of a snapshot back to the file of a SQLite database.

use std::path::Path;
use std::sync::Arc;

use icecore_engine::Target as _;
use icecore_engine::database::{Restored as RestoredDatabase, Undone};
use icecore_engine::sqlite::table::{self as engine, TablePlan};
use icecore_store::{Counter, Monitor, Snapshot, SnapshotReader, Store};

use super::deliver::Progress;
use super::sqlite::{SqliteOptions, refuse_other_form};
use super::table::NAMED_MAX;
use super::{Restored, blame, first_finding, refuse};
use crate::{Error, Result};

/// Finds out what restoring a table would do, and what stands in its way. The whole snapshot is written beside the database for that.
pub fn plan_sqlite_table(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    (path, table): (&Path, &str),
    options: &SqliteOptions,
    monitor: &dyn Monitor,
) -> Result<TablePlan> {
    let mut part = None;
    let planned = |current: &mut Option<String>| -> Result<TablePlan> {
        refuse_other_form(snapshot)?;
        refuse::store(path, &options.store_dir)?;
        refuse::other_kind(path, false, false)?;
        let mut target = engine::target(path, &|| monitor.is_cancelled())?;
        refuse::without_room(path, snapshot.info().logical_bytes)?;
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
        let mut progress = Progress::new(&reader, monitor, Restored::default(), current);
        monitor.expect(snapshot.info().logical_bytes);
        progress.all(&mut target)?;
        let is_cancelled = || monitor.is_cancelled();
        target.check(&is_cancelled)?;
        let names = engine::names(&target, &is_cancelled)?;
        let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(table)) else {
            let hint = match names.get(..NAMED_MAX.min(names.len())) {
                Some(names) if !names.is_empty() => format!("; it has {}", names.join(", ")),
                _ => String::new(),
            };
            return Err(Error::NoPart { id: snapshot.id.brief(), part: table.to_owned(), hint });
        };
        let mut plan = engine::plan(target, name, &is_cancelled)?;
        if let Some((finding, _)) = first_finding(snapshot).filter(|_| !options.allow_incomplete) {
            plan.blockers.push(format!(
                "the snapshot was not taken whole ({finding}): --allow-incomplete takes the table all the same"
            ));
        }
        Ok(plan)
    };
    planned(&mut part).map_err(|error| blame(store, snapshot, part, error))
}

/// Carries out the plan: the table is replaced when the new one is whole, and not before.
pub fn restore_sqlite_table(
    plan: &TablePlan,
    options: &SqliteOptions,
    monitor: &dyn Monitor,
) -> Result<RestoredDatabase> {
    monitor.expect(plan.comes.bytes.saturating_add(plan.existing.map_or(0, |there| there.bytes)));
    let count = |bytes| monitor.count(Counter::PlainBytes, bytes);
    Ok(engine::restore(plan, &options.checks, &count, &|| monitor.is_cancelled())?)
}

/// Brings back the table that the last restore of it put aside; `None` if there is nothing.
pub fn rollback_sqlite_table(path: &Path, table: &str, monitor: &dyn Monitor) -> Result<Option<Undone>> {
    let count = |bytes| monitor.count(Counter::PlainBytes, bytes);
    Ok(engine::rollback(path, table, &count, &|| monitor.is_cancelled())?)
}
