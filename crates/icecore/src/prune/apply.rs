//! Carrying it out.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{Monitor, Store, StoreError};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::plan::{PruneOptions, PrunePlan, judge};
use crate::{Config, Error, Result};

/// What was done.
#[derive(Debug)]
pub struct Pruned {
    /// What became of each snapshot that there was.
    pub plan: PrunePlan,
    /// Those that were deleted.
    pub deleted: BTreeSet<SnapshotId>,
}

/// Deletes what goes by `plan`, and still goes by what is there now: somebody may have named it meanwhile, or deleted what was to stay in
/// its place. The oldest go first. What a run that was broken off has left, the next one deletes.
pub fn prune(
    store: &Arc<Store>,
    config: &Config,
    options: &PruneOptions,
    (now, zone): (Timestamp, &TimeZone),
    plan: &PrunePlan,
    monitor: &dyn Monitor,
) -> Result<Pruned> {
    let planned: BTreeSet<SnapshotId> = plan.going().map(|judged| judged.snapshot.id).collect();
    let plan = judge(store, config, options, (now, zone), &plan.incomplete)?;
    let mut deleted = BTreeSet::new();
    for series in &plan.series {
        for judged in series.going().rev().filter(|judged| planned.contains(&judged.snapshot.id)) {
            if monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match store.delete_snapshot(&judged.snapshot) {
                Ok(()) => drop(deleted.insert(judged.snapshot.id)),
                // Another machine was faster.
                Err(StoreError::NoSnapshot { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(Pruned { plan, deleted })
}
