//! What a transfer would do. Nothing is changed here but the indexes, which learn of unknown packs.

use std::collections::BTreeSet;

use icecore_format::{PackId, Parity, SnapshotId, names};

use super::apply::SNAPSHOTS_A_BATCH;
use super::needs::{Failure, Needs};
use super::{Direction, Transfer};
use crate::absent::Absent;
use crate::snapshots::Snapshot;
use crate::{Monitor, Result, StoreError};

/// How often what is needed is looked for again because packs of the sender went meanwhile.
pub(super) const GONE_MAX: u32 = 5;

/// Requests that a writer makes whatever it sends: the epoch twice, the condemned lists, the packs and the claims.
const REQUESTS_A_BATCH: u64 = 5;
/// A snapshot's claim is put, looked at and deleted, and its manifest is put.
const REQUESTS_A_SNAPSHOT: u64 = 4;
/// Table, header, trailer and length of a pack, and about as many requests for what is copied.
const REQUESTS_A_COPIED_PACK: u64 = 8;

/// A snapshot that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSnapshot {
    /// Its identity.
    pub id: SnapshotId,
    /// Its source.
    pub source: String,
    /// When it was taken, RFC 3339.
    pub created_at: String,
    /// Plain bytes of its content.
    pub logical_bytes: u64,
}

/// What one transfer would do. Print it, test it, or let it be carried out.
#[derive(Debug, Default)]
pub struct TransferPlan {
    /// What the receiver lacks, oldest first.
    pub send: Vec<PlannedSnapshot>,
    /// What it has already.
    pub present: Vec<SnapshotId>,
    /// Packs that are sent as they are.
    pub packs: u64,
    /// Their bytes, and those of their parity.
    pub pack_bytes: u64,
    /// Packs of which only some is sent, in new ones.
    pub rewritten_packs: u64,
    /// About how many bytes that is.
    pub rewritten_bytes: u64,
    /// Labels that the receiver lacks, and evidence that is newer than its own.
    pub labels: u64,
    /// About how many requests the far side is asked.
    pub requests: u64,
    /// Snapshots of which something is damaged or missing at the sender.
    pub damaged: Vec<(SnapshotId, StoreError)>,
    /// Manifests and labels of the sender that cannot be read: nobody knows what they are.
    pub unreadable: Vec<StoreError>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) label_names: Vec<String>,
    /// The receiver has no snapshot yet.
    pub(super) is_first: bool,
}

impl TransferPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.send.is_empty() && self.labels == 0 && self.damaged.is_empty()
    }

    /// About how many bytes go over the line.
    pub fn bytes(&self) -> u64 {
        self.pack_bytes + self.rewritten_bytes
    }
}

impl Transfer {
    /// What sending the snapshots with these ids would take. Both sides may change until it is carried out: what is sent is decided anew then.
    ///
    /// # Errors
    /// If the sender does not have one of them.
    pub fn plan(&self, ids: &[SnapshotId], monitor: &dyn Monitor) -> Result<TransferPlan> {
        // Snapshots before the index, on both sides.
        let (all, unreadable) = self.from.snapshots()?;
        let wanted: BTreeSet<SnapshotId> = ids.iter().copied().collect();
        let mut chosen: Vec<Snapshot> =
            all.into_iter().filter(|snapshot| wanted.contains(&snapshot.id)).collect();
        let found: BTreeSet<SnapshotId> = chosen.iter().map(|snapshot| snapshot.id).collect();
        if let Some(id) = wanted.difference(&found).next() {
            return Err(StoreError::NoSnapshot { id: *id });
        }
        let there = self.to.snapshot_ids()?;
        let labels = self.from.label_names()?;
        let labels_there: BTreeSet<String> = self.to.label_names()?.into_iter().collect();
        let is_chosen = |name: &&String| names::parse_label(name).is_some_and(|(id, _)| found.contains(&id));
        let (both, lacking): (Vec<&String>, Vec<&String>) =
            labels.iter().filter(is_chosen).partition(|name| labels_there.contains(*name));
        let newer = self.newer_evidence(&both.into_iter().map(String::as_str).collect::<Vec<_>>())?;
        let label_names: Vec<String> = lacking.into_iter().cloned().chain(newer).collect();
        let mut plan =
            TransferPlan { unreadable, labels: label_names.len() as u64, ..TransferPlan::default() };
        plan.label_names = label_names;
        plan.is_first = there.is_empty();
        plan.present = found.intersection(&there).copied().collect();
        self.settle(&plan.present, &labels_there)?;
        chosen.retain(|snapshot| !there.contains(&snapshot.id));
        // Oldest first: what comes later may be coded on it.
        chosen.reverse();
        plan.requests = plan.labels;
        if !chosen.is_empty() {
            self.from.refresh_index(&BTreeSet::new())?;
            let condemned = self.to.condemned_packs()?;
            self.to.refresh_index(&condemned)?;
            let mut barred = self.barred(&condemned)?;
            let absent = self.to.absent(condemned)?;
            let given_up =
                self.estimate(&mut chosen, &absent, &mut barred, &BTreeSet::new(), &mut plan, monitor)?;
            let told = |(snapshot, error): (Snapshot, StoreError)| {
                (snapshot.id, self.from.unless_deleted(&snapshot, error))
            };
            plan.damaged = given_up.into_iter().map(told).collect();
        }
        plan.send = chosen
            .iter()
            .map(|snapshot| PlannedSnapshot {
                id: snapshot.id,
                source: snapshot.info().source.clone(),
                created_at: snapshot.info().created_at.clone(),
                logical_bytes: snapshot.info().logical_bytes,
            })
            .collect();
        plan.snapshots = chosen;
        Ok(plan)
    }

    /// Makes durable what is there already: whoever has put it may have died before it was.
    fn settle(&self, present: &[SnapshotId], labels: &BTreeSet<String>) -> Result<()> {
        if present.is_empty() {
            return Ok(());
        }
        self.to.storage.settle(names::SNAPSHOTS)?;
        let labelled: BTreeSet<SnapshotId> =
            labels.iter().filter_map(|name| Some(names::parse_label(name)?.0)).collect();
        let labelled = present.iter().filter(|id| labelled.contains(id));
        labelled.map(names::labels_of).try_for_each(|folder| Ok(self.to.storage.settle(&folder)?))
    }

    /// Packs that must not be sent under their own names: a collection is about to delete what is called so, or its parity.
    pub(super) fn barred(&self, condemned: &BTreeSet<PackId>) -> Result<BTreeSet<PackId>> {
        let mut barred = condemned.clone();
        if self.to.has_parity() {
            let packs = self.to.listed_packs()?;
            let parity = self.to.listed_parity()?.into_iter().map(|(id, _)| id);
            barred.extend(parity.filter(|id| !packs.contains_key(id)));
        }
        Ok(barred)
    }

    /// What the receiver lacks; a pack of the sender that a collection took meanwhile is looked up again.
    pub(super) fn settled_needs(
        &self,
        snapshots: &[Snapshot],
        absent: &Absent,
        barred: &mut BTreeSet<PackId>,
        monitor: &dyn Monitor,
    ) -> std::result::Result<Needs, Failure> {
        let mut gone = 0;
        let mut is_sorted = false;
        loop {
            match self.needs(snapshots, absent, barred, monitor) {
                // What is needed of a pack that has lost what it is coded on may lie elsewhere too.
                Err(failure @ Failure { error: StoreError::ChunkMissing { .. }, .. }) if !is_sorted => {
                    is_sorted = true;
                    if self.from.put_unsound_last().map_err(Failure::at(failure.at))?.is_empty() {
                        return Err(failure);
                    }
                }
                Err(failure) if failure.error.is_gone() && gone < GONE_MAX => {
                    gone += 1;
                    self.from.refresh_index(&BTreeSet::new()).map_err(Failure::at(failure.at))?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Adds up what sending `snapshots` takes, but for packs that are `known` to come anyway. Those that cannot be sent are
    /// taken out, and returned.
    pub(super) fn estimate(
        &self,
        snapshots: &mut Vec<Snapshot>,
        absent: &Absent,
        barred: &mut BTreeSet<PackId>,
        known: &BTreeSet<PackId>,
        plan: &mut TransferPlan,
        monitor: &dyn Monitor,
    ) -> Result<Vec<(Snapshot, StoreError)>> {
        let mut given_up = Vec::new();
        let needs = loop {
            match self.settled_needs(snapshots, absent, barred, monitor) {
                Ok(needs) => break needs,
                Err(failure) => given_up.push(self.give_up(snapshots, failure)?),
            }
        };
        let parity = self.to.config.parity;
        for (id, needed) in &needs.packs {
            let Some(record) = needed.record else { continue };
            // It only lacks what it is coded on, or comes anyway.
            if known.contains(id) || (needed.whole && self.is_there(&record)?) {
                continue;
            }
            if needed.whole {
                plan.packs += 1;
                plan.pack_bytes += record.len + Parity::stored_len(record.len, parity);
                plan.requests += 1 + u64::from(parity > 0 && self.direction == Direction::Push);
            } else {
                plan.rewritten_packs += 1;
                let live = u64::from(needs.marks.live.count(id));
                plan.rewritten_bytes += record.len * live / u64::from(record.chunks.max(1));
                plan.requests += REQUESTS_A_COPIED_PACK;
            }
        }
        let count = snapshots.len() as u64;
        plan.requests += match self.direction {
            Direction::Push => {
                REQUESTS_A_BATCH * count.div_ceil(SNAPSHOTS_A_BATCH as u64) + REQUESTS_A_SNAPSHOT * count
            }
            // Its manifest.
            Direction::Pull => count,
        };
        Ok(given_up)
    }

    /// Takes a snapshot out that cannot be sent, because of something stored at the sender; any other error is one.
    pub(super) fn give_up(
        &self,
        snapshots: &mut Vec<Snapshot>,
        failure: Failure,
    ) -> Result<(Snapshot, StoreError)> {
        let Failure { at, error } = failure;
        self.from.check_reach(&error)?;
        let is_the_senders = error.is_out_of_reach() || matches!(error, StoreError::NoSnapshot { .. });
        if !is_the_senders || at >= snapshots.len() {
            return Err(error);
        }
        Ok((snapshots.remove(at), error))
    }
}
