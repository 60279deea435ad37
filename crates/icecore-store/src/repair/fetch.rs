//! What a repair takes from the same store elsewhere.
//!
//! Nothing is taken on trust: a pack has its hash for a name, and what is copied out of one was checked by its own. What is damaged there as well is told of, and
//! the repair goes on without it.

use std::collections::BTreeSet;

use icecore_format::{PackId, names};

use super::apply::{RepairOptions, RepairReport};
use super::plan::RepairPlan;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::transfer::{FailedSnapshot, Transfer};
use crate::{Monitor, Result, StoreError};

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
    /// Puts a good copy in the place of a damaged pack, which is then what it always was. False if there is none.
    pub(super) fn fetch_pack(
        &self,
        from: Option<&Transfer>,
        id: &PackId,
        report: &mut RepairReport,
    ) -> Result<bool> {
        let Some(from) = from else { return Ok(false) };
        match from.settled(from.replace_pack(id))? {
            Ok(None) => Ok(false),
            Ok(Some(stored)) => {
                report.fetched += 1;
                report.fetched_bytes += stored;
                Ok(true)
            }
            Err(error) => {
                report.not_fetched.push(NotFetched::new(names::pack(id), &error));
                Ok(false)
            }
        }
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
