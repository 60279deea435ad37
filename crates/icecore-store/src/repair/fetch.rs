//! What a repair takes from the same store elsewhere.
//!
//! Nothing is taken on trust: a pack has its hash for a name, and what is copied out of one was checked by its own. What is damaged there as well is told of, and
//! the repair goes on without it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use icecore_format::{PackId, names};

use super::apply::{RepairOptions, RepairReport};
use super::plan::RepairPlan;
use crate::fetch::by_workers;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::transfer::{FailedSnapshot, Transfer};
use crate::{Monitor, Result, StoreError};

/// Packs that are fetched at once, as long as they fit in this much memory.
const PACKS_AT_ONCE: usize = 4;
const UNDER_WAY_MAX: u64 = 104 << 20;

/// What a repair would take from elsewhere.
#[derive(Debug, Default)]
pub struct FetchPlan {
    /// Damaged packs that lie there under the same names.
    pub replaced: BTreeSet<PackId>,
    /// How many packs would come, those included.
    pub packs: u64,
    /// At most how many bytes that is: what can be read of a damaged pack need not come, and that is found out when it is copied.
    pub bytes: u64,
    /// Snapshots that are not whole here, and of which something is damaged or missing there as well.
    pub lacking: Vec<FailedSnapshot>,
}

/// Something that could not be had from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFetched {
    /// The object's name in the store, or the id of a snapshot that stays broken.
    pub object: String,
    /// What is wrong there.
    pub message: String,
    /// Whether it is damaged or missing there; else it could not be read for now.
    pub is_damaged: bool,
}

impl NotFetched {
    fn new(object: String, error: &StoreError) -> Self {
        Self { object, message: error.sentence(), is_damaged: error.is_unreadable() }
    }
}

impl Transfer {
    /// What a repair of the receiver would take from the sender.
    pub fn plan_repair(&self, plan: &RepairPlan, monitor: &dyn Monitor) -> Result<FetchPlan> {
        let receiver = self.to();
        let damaged = || plan.packs.iter().chain(&plan.unread);
        let not_healed: Vec<PackId> = damaged().filter(|pack| !pack.healable).map(|pack| pack.id).collect();
        let offers = self.offers(&not_healed)?;
        let replaced: BTreeSet<PackId> = offers.iter().map(|(id, _)| *id).collect();
        let coming: BTreeSet<PackId> = damaged()
            .map(|pack| pack.id)
            .filter(|id| replaced.contains(id) || !not_healed.contains(id))
            .collect();
        let lost: BTreeSet<PackId> = not_healed.into_iter().filter(|id| !replaced.contains(id)).collect();
        let lacking = self.plan_lacking(broken_snapshots(receiver, plan)?, &lost, &coming, monitor)?;
        Ok(FetchPlan {
            packs: offers.len() as u64 + lacking.packs + lacking.rewritten_packs,
            bytes: offers.iter().map(|(_, len)| len).sum::<u64>() + lacking.bytes(),
            lacking: lacking.damaged.into_iter().map(|(id, error)| FailedSnapshot { id, error }).collect(),
            replaced,
        })
    }

    /// As [`Store::repair`] of the receiver, with good copies from the sender of what is damaged or missing.
    ///
    /// # Errors
    /// Also if the sender cannot be reached; what came until then is kept, and another run goes on.
    pub fn repair(
        &self,
        plan: &RepairPlan,
        options: &RepairOptions,
        now: u64,
        monitor: &dyn Monitor,
    ) -> Result<RepairReport> {
        self.to().repair_with(Some(self), plan, options, now, monitor)
    }
}

impl Store {
    /// Puts good copies in the place of damaged packs, which are then what they always were, several at a time. Returns those that there are
    /// none of; those that came are added to `healed`, also when it ends with an error.
    pub(super) fn fetch_packs(
        &self,
        from: Option<&Transfer>,
        packs: &[PackId],
        healed: &mut Vec<PackId>,
        monitor: &dyn Monitor,
        report: &mut RepairReport,
    ) -> Result<BTreeSet<PackId>> {
        let mut left: BTreeSet<PackId> = packs.iter().copied().collect();
        let Some(from) = from else { return Ok(left) };
        let offers = from.offers(packs)?;
        let longest = offers.iter().map(|(_, len)| *len).max().unwrap_or(0);
        let by_memory = usize::try_from(UNDER_WAY_MAX / longest.max(1)).unwrap_or(usize::MAX);
        let workers = self.machine.hands().waiting(offers.len().min(PACKS_AT_ONCE).min(by_memory));
        let is_over = AtomicBool::new(false);
        let answers = by_workers(workers, &offers, |(id, _)| {
            if is_over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let answer = match monitor.is_cancelled() {
                true => Err(StoreError::Cancelled),
                false => from.settled(from.replace_pack(id)).map(Some),
            };
            // The others end what they have begun.
            is_over.fetch_or(answer.is_err(), Ordering::Relaxed);
            answer
        });
        let mut failure = None;
        for ((id, _), answer) in offers.iter().zip(answers) {
            match answer {
                Ok(None | Some(Ok(None))) => (),
                Ok(Some(Ok(Some(stored)))) => {
                    report.fetched += 1;
                    report.fetched_bytes += stored;
                    healed.push(*id);
                    left.remove(id);
                }
                Ok(Some(Err(error))) => report.not_fetched.push(NotFetched::new(names::pack(id), &error)),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        failure.map_or(Ok(left), Err)
    }

    /// The same of a record.
    pub(super) fn fetch_record(
        &self,
        from: Option<&Transfer>,
        name: &str,
        report: &mut RepairReport,
    ) -> Result<bool> {
        let Some(from) = from else { return Ok(false) };
        match from.settled(from.replace_record(name))? {
            Ok(is_fetched) => {
                report.records_fetched += u64::from(is_fetched);
                Ok(is_fetched)
            }
            Err(error) => {
                report.not_fetched.push(NotFetched::new(name.to_owned(), &error));
                Ok(false)
            }
        }
    }

    /// Fetches what broken snapshots still lack.
    pub(super) fn fetch_lacking(
        &self,
        from: Option<&Transfer>,
        plan: &RepairPlan,
        monitor: &dyn Monitor,
        report: &mut RepairReport,
    ) -> Result<()> {
        let Some(from) = from else { return Ok(()) };
        let snapshots = broken_snapshots(self, plan)?;
        if snapshots.is_empty() {
            return Ok(());
        }
        let unread = report.unread.iter().copied().collect();
        let sent = from.fetch_lacking(snapshots, &unread, monitor)?;
        report.fetched += sent.packs;
        report.fetched_bytes += sent.bytes;
        let failed = sent.failed.iter().map(|failed| NotFetched::new(failed.id.to_string(), &failed.error));
        report.not_fetched.extend(failed);
        Ok(())
    }
}

/// The snapshots that a plan calls broken, as far as they are still there.
fn broken_snapshots(store: &Store, plan: &RepairPlan) -> Result<Vec<Snapshot>> {
    let (mut snapshots, _) = store.stored_snapshots()?;
    snapshots.retain(|snapshot| plan.broken.iter().any(|broken| broken.id == snapshot.id));
    // Oldest first, as in any transfer: what comes later may be coded on it.
    snapshots.reverse();
    Ok(snapshots)
}
