//! Carrying a repair out.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::{Condemned, PackId, names};
use icecore_storage::{ErrorKind, Holder, PutMode};

use super::fetch::NotFetched;
use super::plan::{self, BrokenSnapshot, DamagedPack, RepairPlan};
use crate::claim::{COLLECTOR, FencePolicy, WriterClaim};
use crate::gc::Rewriter;
use crate::store::Store;
use crate::transfer::Transfer;
use crate::verify::{Extent, Finding};
use crate::{Monitor, Result, StoreError};

/// How a repair is carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepairOptions {
    /// Drop the snapshots that are not whole when all else is done.
    pub drop_broken: bool,
    /// What to do about writers that were there first.
    pub fence: FencePolicy,
}

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Packs that are whole again by their parity.
    pub healed: u64,
    /// Packs that came from elsewhere, be it as they lie there or made of some of them.
    pub fetched: u64,
    /// Their bytes, and those of their parity.
    pub fetched_bytes: u64,
    /// Labels and keys that came from elsewhere.
    pub records_fetched: u64,
    /// What elsewhere is damaged or missing as well.
    pub not_fetched: Vec<NotFetched>,
    /// Packs that were right, and have parity again.
    pub parity_made: u64,
    /// Second copies of the configuration and the keys that were made anew.
    pub copies_made: u64,
    /// Packs that could not be read, and were left as they are.
    pub unread: Vec<PackId>,
    /// Records that were left as they are: a living writer may need them.
    pub left: Vec<String>,
    /// The names of the objects that lie below `damaged/` now, parity left out.
    pub set_aside: Vec<String>,
    /// Chunks that were copied out of damaged packs.
    pub chunks_saved: u64,
    /// Chunks of damaged packs that could not be read.
    pub chunks_lost: u64,
    /// Snapshots that were not whole at the end and were dropped.
    pub dropped: Vec<BrokenSnapshot>,
    /// Snapshots that are still not whole.
    pub broken: Vec<BrokenSnapshot>,
}

impl Store {
    /// Carries out `plan`. As for a collection, writers that were there first are waited for or fenced, and it runs alone.
    pub fn repair(
        self: &Arc<Self>,
        plan: &RepairPlan,
        options: &RepairOptions,
        now: u64,
        monitor: &dyn Monitor,
    ) -> Result<RepairReport> {
        self.repair_with(None, plan, options, now, monitor)
    }

    /// As [`Store::repair`], with what the sender of a transfer to here has.
    pub(super) fn repair_with(
        self: &Arc<Self>,
        from: Option<&Transfer>,
        plan: &RepairPlan,
        options: &RepairOptions,
        now: u64,
        monitor: &dyn Monitor,
    ) -> Result<RepairReport> {
        let mut report = RepairReport::default();
        self.settle_aside()?;
        self.settle_healed()?;
        let claim = WriterClaim::register(self, COLLECTOR)?;
        if self.is_collecting_before(claim.id())? {
            return Err(StoreError::Busy { what: "a collection" });
        }
        let packs = self.heal_all(from, plan, monitor, &mut report)?;
        for id in &plan.parity {
            report.parity_made += u64::from(self.make_parity(id)?);
        }
        if !plan.copies.is_empty() {
            report.copies_made = self.keep_copies()?;
        }
        let first = self.raise_epoch(claim.epoch())?;
        self.wait_for_older(first, claim.id(), options.fence, monitor)?;
        // Looked at again: somebody may have mended them since the plan was made.
        let unreadable = self.unreadable_records()?;
        for name in
            plan.records.iter().map(|finding| &finding.object).filter(|name| unreadable.contains(*name))
        {
            if self.fetch_record(from, name, &mut report)? {
                continue;
            }
            match self.may_be_needed(name)? {
                true => report.left.push(name.clone()),
                false => report.set_aside.extend(self.set_aside(name)?),
            }
        }
        if !packs.is_empty() {
            for pack in &packs {
                let (saved, lost) = self.salvage(pack, monitor)?;
                report.chunks_saved += saved;
                report.chunks_lost += lost;
            }
            // Whoever starts now treats what is lost as absent; whoever started before, and may refer to it, is waited for.
            let list = names::condemned(first.0);
            let condemned = Condemned { packs: packs.clone() };
            self.storage.put(&list, &condemned.encode(&list), PutMode::Overwrite)?;
            let second = self.raise_epoch(first)?;
            self.wait_for_older(second, claim.id(), options.fence, monitor)?;
            claim.check_unfenced(self)?;
            report.set_aside.extend(self.set_packs_aside(&packs)?);
            self.delete_if_there(&list)?;
        }
        drop(claim);
        self.fetch_lacking(from, plan, monitor, &mut report)?;
        self.settle_broken(plan, options, now, monitor, &mut report)?;
        Ok(report)
    }

    /// Heals what parity heals, or who has the same pack. Returns the damaged packs that stay so.
    fn heal_all(
        &self,
        from: Option<&Transfer>,
        plan: &RepairPlan,
        monitor: &dyn Monitor,
        report: &mut RepairReport,
    ) -> Result<Vec<PackId>> {
        let mut healed = Vec::new();
        let outcome = self.heal_each(from, plan, monitor, report, &mut healed);
        // Whatever came after: what was known of them may be wrong. The index learns of them anew, as of any pack that it does not know.
        self.forget_packs(&healed)?;
        outcome
    }

    fn heal_each(
        &self,
        from: Option<&Transfer>,
        plan: &RepairPlan,
        monitor: &dyn Monitor,
        report: &mut RepairReport,
        healed: &mut Vec<PackId>,
    ) -> Result<Vec<PackId>> {
        let mut left = Vec::new();
        for pack in plan.packs.iter().chain(&plan.unread) {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            // A healed pack is what it always was: nobody needs to be waited for.
            if pack.healable && self.heal(&pack.id)? {
                report.healed += 1;
                healed.push(pack.id);
            } else {
                left.push(pack.id);
            }
        }
        let left = self.fetch_packs(from, &left, healed, monitor, report)?;
        let stays = |packs: &[DamagedPack]| {
            packs.iter().map(|pack| pack.id).filter(|id| left.contains(id)).collect::<Vec<_>>()
        };
        report.unread.extend(stays(&plan.unread));
        Ok(stays(&plan.packs))
    }

    /// Takes packs out of the index and sets them aside, with their parity. Returns the names of those that were there.
    fn set_packs_aside(&self, packs: &[PackId]) -> Result<Vec<String>> {
        self.forget_packs(packs)?;
        let mut set_aside = Vec::new();
        for pack in packs {
            set_aside.extend(self.set_aside(&names::pack(pack))?);
            if self.has_parity() {
                self.set_aside(&names::parity(pack))?;
            }
        }
        Ok(set_aside)
    }

    /// Finds out what is still broken, and drops it if that is wanted.
    fn settle_broken(
        self: &Arc<Self>,
        plan: &RepairPlan,
        options: &RepairOptions,
        now: u64,
        monitor: &dyn Monitor,
        report: &mut RepairReport,
    ) -> Result<()> {
        let (snapshots, _) = self.stored_snapshots()?;
        let findings = self.verify(None, Extent::Structure, now, monitor)?.findings;
        // Nobody was asked about what the plan did not show, nor is a snapshot given up because of a cable.
        let is_shown = |broken: &BrokenSnapshot| plan.broken.iter().any(|shown| shown.id == broken.id);
        let all_read = plan.unread.is_empty()
            && report.unread.is_empty()
            && report.not_fetched.iter().all(|object| object.is_damaged);
        let drops = |broken: &BrokenSnapshot| options.drop_broken && all_read && is_shown(broken);
        (report.dropped, report.broken) = plan::broken(&snapshots, &findings).into_iter().partition(drops);
        for snapshot in &snapshots {
            if report.dropped.iter().any(|dropped| dropped.id == snapshot.id) {
                self.delete_snapshot(snapshot)?;
            }
        }
        Ok(())
    }

    /// Copies every chunk of a damaged pack that can be read into a new one. Returns how many those are, and how many are lost.
    fn salvage(&self, id: &PackId, monitor: &dyn Monitor) -> Result<(u64, u64)> {
        self.packs.forget(id);
        let open = match self.packs.find_toc(id) {
            Ok(open) => Arc::new(open),
            Err(error) if error.is_unreadable() => return Ok((0, 0)),
            // Gone since the plan was made.
            Err(StoreError::Storage(error)) if error.kind == ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => return Err(error),
        };
        let mut rewriter = Rewriter::new(self);
        let saved = rewriter.salvage(&open, monitor)?;
        rewriter.finish()?;
        Ok((saved, open.toc.chunk_count() as u64 - saved))
    }

    /// Whether a record may be the marker that keeps a living writer from publishing.
    fn may_be_needed(&self, name: &str) -> Result<bool> {
        let Some(claim) = name.strip_prefix(names::SNAPSHOTS) else { return Ok(false) };
        match self.storage.holder(&names::claim(claim)) {
            Ok(Holder::Dead) => Ok(false),
            Ok(Holder::Alive | Holder::Unknown) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of the records that cannot be read now.
    fn unreadable_records(&self) -> Result<BTreeSet<String>> {
        let (_, errors) = self.stored_snapshots()?;
        let listed = errors.iter().filter_map(Finding::of_listed);
        Ok(listed.chain(self.check_records()?).map(|finding| finding.object).collect())
    }

    /// What a killed repair has set aside is set aside for good.
    fn settle_aside(&self) -> Result<()> {
        for object in self.storage.list(names::DAMAGED)? {
            self.storage.settle(&object.name)?;
            let original = object.name.strip_prefix(names::DAMAGED).unwrap_or(&object.name);
            if let Some((folder, _)) = original.rsplit_once('/') {
                self.storage.settle(&format!("{folder}/"))?;
            }
        }
        Ok(())
    }

    /// Returns its name; none if it is not there any more.
    fn set_aside(&self, name: &str) -> Result<Option<String>> {
        match self.storage.set_aside(name, &names::damaged(name)) {
            Ok(()) => Ok(Some(name.to_owned())),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
