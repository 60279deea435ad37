//! Looking whether everything is there, without reading it.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::SnapshotId;

use super::VerifyReport;
use super::finding::Damage;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::{Monitor, Result};

impl Store {
    /// Those of `snapshots` of which something lies in no pack that is there, or whose lists cannot be read. No data is read: what is damaged in
    /// a pack only [`Store::verify`] finds.
    pub fn incomplete(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        monitor: &dyn Monitor,
    ) -> Result<BTreeSet<SnapshotId>> {
        let mut damage = Damage::default();
        let lost = self.lost_packs()?;
        let mut needed = self.walk(snapshots, &lost, &mut damage, &mut VerifyReport::default(), monitor)?;
        self.follow_bases(&mut needed, &lost, &mut damage, monitor)?;
        self.name_the_affected(snapshots, &mut damage)?;
        Ok(damage.findings.iter().flat_map(|found| found.finding.snapshots.keys().copied()).collect())
    }
}
