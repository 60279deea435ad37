//! Giving a snapshot back to the file of a SQLite database, so that it can be undone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_engine::sqlite::{self as engine, Keep, Kept, SqliteTarget};
use icecore_engine::{Check, Target as _};
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store};

use super::deliver::Progress;
use super::{Restored, blame, first_finding, refuse};
use crate::{Error, Result};

/// What the user wants of a restore to a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// What becomes of the database that is there.
    pub keep: Keep,
    /// Queries that must succeed, and must not say false, before the restored database takes its place.
    pub checks: Vec<Check>,
    /// Give back what can be read of a damaged snapshot, with zeros in place of the rest.
    pub allow_damaged: bool,
    /// Replace what is there even if the snapshot was not taken whole.
    pub allow_incomplete: bool,
    /// The store's own directory, which no restore may harm.
    pub store_dir: PathBuf,
}

/// A database that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredFile {
    /// What was restored.
    pub restored: Restored,
    /// What was there before, if anything was and it was kept.
    pub kept: Option<Kept>,
}

/// Finds out what restoring a snapshot to a file would do, and what stands in its way.
pub fn plan_sqlite(
    store: &Store,
    snapshot: &Snapshot,
    path: &Path,
    options: &SqliteOptions,
) -> Result<engine::Plan> {
    let planned = || -> Result<engine::Plan> {
        refuse_other_form(snapshot)?;
        refuse::store(path, &options.store_dir)?;
        refuse::other_kind(path, false, false)?;
        let mut plan = engine::plan(path, options.keep.clone())?;
        refuse::without_room(&plan.path, snapshot.info().logical_bytes)?;
        if let Some((finding, _)) =
            first_finding(snapshot).filter(|_| plan.existing.is_some() && !options.allow_incomplete)
        {
            plan.blockers.push(format!(
                "the snapshot was not taken whole ({finding}), and what it lacks may be there: --allow-incomplete takes it all the same"
            ));
        }
        Ok(plan)
    };
    planned().map_err(|error| blame(store, snapshot, None, error))
}

/// Refuses a snapshot of something else.
pub(super) fn refuse_other_form(snapshot: &Snapshot) -> Result<()> {
    match snapshot.info().form.as_str() {
        "sqlite" => Ok(()),
        _ => {
            let id = snapshot.id.brief();
            Err(Error::Unfitting(format!("snapshot {id} is not of a SQLite database")))
        }
    }
}

/// Carries out the plan: what is there is replaced when the new database is whole, and not before.
pub fn restore_sqlite(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    plan: &engine::Plan,
    options: &SqliteOptions,
    monitor: &dyn Monitor,
) -> Result<RestoredFile> {
    let mut part = None;
    let restored = |current: &mut Option<String>| -> Result<RestoredFile> {
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
        let mut target = SqliteTarget::of_plan(plan)?.ask(&options.checks);
        if options.allow_damaged {
            target = target.accept_unsound();
        }
        let restored = Restored { target: Some(plan.path.clone()), ..Restored::default() };
        let mut progress = Progress::new(&reader, monitor, restored, current);
        progress.allow_damaged = options.allow_damaged;
        monitor.expect(snapshot.info().logical_bytes);
        progress.all(&mut target)?;
        let mut restored = progress.restored;
        target.check(&|| monitor.is_cancelled())?;
        // That may take a while.
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let kept = target.swap()?;
        if let Some((finding, _)) = first_finding(snapshot) {
            restored.warnings.push(format!("the snapshot was not taken whole: {finding}"));
        }
        Ok(RestoredFile { restored, kept })
    };
    restored(&mut part).map_err(|error| blame(store, snapshot, part, error))
}
