//! Deciding what a repair does. Nothing is changed here but the index, which is made anew, be it in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_format::{PackId, SnapshotId, names};

use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::verify::{Extent, Finding, FindingKind};
use crate::{Monitor, Result, StoreError};

/// A pack that is to be healed, or else set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPack {
    /// The pack.
    pub id: PackId,
    /// What is wrong with it.
    pub message: String,
    /// Whether its parity can heal it.
    pub healable: bool,
}

/// A snapshot that cannot be restored whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenSnapshot {
    /// The snapshot.
    pub id: SnapshotId,
    /// Its source.
    pub source: String,
    /// When it was taken, RFC 3339.
    pub created_at: String,
    /// Its damaged parts, as far as they can be told.
    pub parts: BTreeSet<String>,
    /// Whether parity heals all that harms it.
    pub healable: bool,
}

/// What a repair would do. Print it, test it, or let it be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairPlan {
    /// Records that cannot be read: manifests, labels, keys, condemned lists. They are set aside.
    pub records: Vec<Finding>,
    /// An epoch that cannot be read, which a repair makes anew on its way; or a claim, which it clears when its writer is gone.
    pub renewed: Vec<Finding>,
    /// Second copies of the configuration and the keys that are missing or damaged. They are made anew.
    pub copies: Vec<Finding>,
    /// Records that could not be read, which says nothing about their bytes. They stay where they are.
    pub unread_records: Vec<Finding>,
    /// Packs that are damaged. They are healed by their parity; or what can be read of them is copied, then they are set aside.
    pub packs: Vec<DamagedPack>,
    /// Packs that could not be read, which says nothing about their bytes. They stay where they are, unless their parity heals them.
    pub unread: Vec<DamagedPack>,
    /// Packs whose parity is damaged or missing. It is made anew.
    pub parity: Vec<PackId>,
    /// Snapshots that are not whole now. Copies in other packs may save some.
    pub broken: Vec<BrokenSnapshot>,
}

impl RepairPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.renewed.is_empty()
            && self.copies.is_empty()
            && self.unread_records.is_empty()
            && self.packs.is_empty()
            && self.unread.is_empty()
            && self.parity.is_empty()
            && self.broken.is_empty()
    }
}

impl Store {
    /// Reads everything, with an index made anew, and tells what a repair would do. `now` is as for [`Store::verify`].
    ///
    /// # Errors
    /// If an object is of a newer format: what this program does not understand is not for it to repair.
    pub fn plan_repair(self: &Arc<Self>, now: u64, monitor: &dyn Monitor) -> Result<RepairPlan> {
        self.index.discard();
        self.look_for_repairs(now, monitor)
    }

    /// As [`Store::plan_repair`], but changes nothing: the new index is made in memory, where it stays for this store's every use.
    ///
    /// # Errors
    /// As [`Store::plan_repair`].
    pub fn preview_repair(self: &Arc<Self>, now: u64, monitor: &dyn Monitor) -> Result<RepairPlan> {
        self.index.use_memory()?;
        self.look_for_repairs(now, monitor)
    }

    fn look_for_repairs(self: &Arc<Self>, now: u64, monitor: &dyn Monitor) -> Result<RepairPlan> {
        let (snapshots, _) = self.stored_snapshots()?;
        let report = self.verify(None, Extent::Everything, now, monitor)?;
        let mut plan = RepairPlan { broken: broken(&snapshots, &report.findings), ..RepairPlan::default() };
        for finding in report.findings {
            match finding.kind {
                FindingKind::Pack | FindingKind::PackUnread => {
                    if let Some(id) = names::parse_pack(&finding.object) {
                        let (message, healable) = (finding.message, finding.healable);
                        let packs = match finding.kind {
                            FindingKind::PackUnread => &mut plan.unread,
                            _ => &mut plan.packs,
                        };
                        packs.push(DamagedPack { id, message, healable });
                    }
                }
                FindingKind::TooNew { found } => {
                    let (place, supported) = (finding.object, icecore_format::FORMAT_VERSION);
                    return Err(StoreError::StoreTooNew { place, found, supported });
                }
                FindingKind::Parity => plan.parity.extend(names::parse_parity(&finding.object)),
                FindingKind::PackMissing | FindingKind::ChunkMissing | FindingKind::Catalog => (),
                // A claim tells whether its writer lives, readable or not; the epoch is made anew by whoever needs it.
                FindingKind::Claim | FindingKind::Epoch => plan.renewed.push(finding),
                FindingKind::Copy => plan.copies.push(finding),
                FindingKind::RecordUnread => plan.unread_records.push(finding),
                FindingKind::Manifest | FindingKind::Label | FindingKind::Condemned | FindingKind::Key => {
                    plan.records.push(finding);
                }
            }
        }
        if !plan.broken.is_empty() {
            plan.packs.extend(self.lost_but_healable()?);
        }
        Ok(plan)
    }

    /// Packs of which nothing is left but parity that is enough. The index cannot name them any more.
    fn lost_but_healable(&self) -> Result<Vec<DamagedPack>> {
        let there = self.listed_packs()?;
        let mut lost = Vec::new();
        for (id, _) in self.listed_parity()? {
            if !there.contains_key(&id) && self.can_heal(&id)? {
                let message = "the pack is not in the storage".to_owned();
                lost.push(DamagedPack { id, message, healable: true });
            }
        }
        Ok(lost)
    }
}

/// The snapshots that findings harm, newest first.
pub(super) fn broken(snapshots: &[Snapshot], findings: &[Finding]) -> Vec<BrokenSnapshot> {
    let mut harmed: BTreeMap<SnapshotId, (BTreeSet<String>, bool)> = BTreeMap::new();
    for finding in findings {
        for (id, named) in &finding.snapshots {
            let (parts, healable) = harmed.entry(*id).or_insert((BTreeSet::new(), true));
            parts.extend(named.iter().cloned());
            *healable &= finding.healable;
        }
    }
    let broken = |snapshot: &Snapshot| {
        let (parts, healable) = harmed.get(&snapshot.id)?.clone();
        Some(BrokenSnapshot {
            id: snapshot.id,
            source: snapshot.info().source.clone(),
            created_at: snapshot.info().created_at.clone(),
            parts,
            healable,
        })
    };
    snapshots.iter().filter_map(broken).collect()
}
