//! Carrying a collection out.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::{Condemned, Epoch, PackId, SnapshotId, names};
use icecore_storage::{ErrorKind, PutMode};

use super::bases;
use super::chunk_set::ChunkSet;
use super::doomed::Doomed;
use super::links::Links;
use super::mark::Marks;
use super::plan::{self, GcOptions, GcPlan, PackUse};
use super::rewrite::Rewritten;
use crate::claim::{COLLECTOR, WriterClaim};
use crate::fetch::in_parallel;
use crate::index::{IndexBirth, IndexReader};
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// Packs that are forgotten in one transaction of the index.
const PACKS_A_TRANSACTION: usize = 32;
/// How often a plan is made anew because packs went while it was made.
const GONE_MAX: u32 = 5;

/// What a collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Packs that are gone, rewritten ones among them.
    pub packs_deleted: u64,
    /// Packs whose live chunks were copied.
    pub packs_rewritten: u64,
    /// Bytes that the storage got back, what rewriting took subtracted.
    pub bytes_freed: u64,
    /// Bytes of packs that are there now.
    pub bytes_kept: u64,
    /// Packs that a running writer keeps until the next collection.
    pub packs_condemned: u64,
    /// Packs that stay as they are, because something live in them cannot be read.
    pub packs_damaged: Vec<PackId>,
    /// Snapshots that need chunks which no pack holds.
    pub harmed: BTreeSet<SnapshotId>,
    /// Chunks which no pack holds and on which something is coded that snapshots need; `verify` says which snapshots.
    pub bases_lost: u64,
    /// Whether packs stay that are not needed as they are, because there was no room to rewrite them.
    pub full: bool,
}

/// What came of condemned packs.
#[derive(Debug, Default)]
struct Executed {
    /// Gone.
    dead: Vec<PackUse>,
    /// Needed by what was published since they were condemned.
    acquitted: Vec<PackUse>,
    /// Kept for the next collection, because of a running writer.
    waiting: Vec<PackUse>,
}

impl Store {
    /// What a collection would do now. Changes nothing but the index, which learns of unknown packs.
    pub fn plan_gc(self: &Arc<Self>, options: &GcOptions, monitor: &dyn Monitor) -> Result<GcPlan> {
        self.plan_gc_without(&BTreeSet::new(), options, monitor)
    }

    /// As [`Store::plan_gc`], if these snapshots were deleted before.
    pub fn plan_gc_without(
        self: &Arc<Self>,
        deleted: &BTreeSet<SnapshotId>,
        options: &GcOptions,
        monitor: &dyn Monitor,
    ) -> Result<GcPlan> {
        loop {
            let (mut snapshots, known, _) = self.gc_snapshots()?;
            snapshots.retain(|snapshot| !deleted.contains(&snapshot.id));
            match self.marked_plan(&snapshots, options, true, monitor) {
                // A collection may have taken what was deleted since it was listed.
                Err(error) if error.is_damage() && self.gc_snapshots()?.1 != known => (),
                planned => return planned.map(|(plan, _, links)| plan.without(&links)),
            }
        }
    }

    /// Collects. On a full disk the storage's reserve is given up first, and made anew when there is room again; without a reserve the index
    /// goes, which the next command makes anew.
    pub fn gc(self: &Arc<Self>, options: &GcOptions, monitor: &dyn Monitor) -> Result<GcReport> {
        let mut outcome = self.collect(options, true, monitor);
        // What takes room before it gives any back is left to the next collection.
        if matches!(&outcome, Err(error) if error.is_full()) && self.storage.release_reserve()? {
            outcome = self.collect(options, false, monitor);
        }
        if matches!(&outcome, Err(error) if error.is_full() && self.may_be_of_index(error))
            && self.index.give_up()?
        {
            outcome = self.collect(options, false, monitor);
        }
        let report = outcome?;
        // They only help: without them the next collection on a full disk has to be lucky, and damage is worse.
        let _ = self.storage.keep_reserve();
        let _ = self.keep_copies();
        let _ = self.keep_parity(monitor);
        self.index.forget_set_aside();
        Ok(report)
    }

    fn collect(
        self: &Arc<Self>,
        options: &GcOptions,
        with_links: bool,
        monitor: &dyn Monitor,
    ) -> Result<GcReport> {
        // A claim of our own, from the beginning to the end: a collector that starts now sees us, and leaves us alone.
        let mut claim = WriterClaim::register(self, COLLECTOR)?;
        if self.is_collecting_before(claim.id())? {
            return Err(StoreError::Busy { what: "another collection" });
        }
        match self.collect_as(&mut claim, options, with_links, monitor) {
            // Nobody else takes packs that were listed. Where nobody can tell whether the other one lives, it is not seen before.
            Err(error) if error.is_gone() => Err(StoreError::Busy { what: "another collection" }),
            done => done,
        }
    }

    /// Collects, under a claim that is there.
    fn collect_as(
        self: &Arc<Self>,
        claim: &mut WriterClaim,
        options: &GcOptions,
        with_links: bool,
        monitor: &dyn Monitor,
    ) -> Result<GcReport> {
        // Before the epoch is raised: whoever put it and has not come to the pack yet is waited for.
        let parity = self.listed_parity()?;
        // Before the epoch is raised: whoever registers from then on knows these lists. One that another collection writes later, be it
        // one that should not run beside us, is not for us to work off.
        let (old_lists, old_packs) = self.condemned_lists()?;
        let first = self.raise_epoch(claim.epoch())?;
        self.wait_for_older(first, claim.id(), options.fence, monitor)?;
        // Before the snapshots: who labels a snapshot has published it.
        let labels = self.label_names()?;
        let (snapshots, known, markers) = self.gc_snapshots()?;
        self.remove_orphaned_markers(&markers)?;
        // Whoever deleted a snapshot may have crashed before that was durable: it must not come back without its chunks.
        self.storage.settle(names::SNAPSHOTS)?;
        let removals = self.index.read(IndexReader::removals)?;
        let (mut plan, mut marks, links) = self.marked_plan(&snapshots, options, with_links, monitor)?;
        let mut recoded = Rewritten::default();
        if !self.has_room_without(&links) {
            recoded.full = true;
        } else if !links.packs.is_empty() {
            // Nothing goes because of what was meant to be written: what is needed then is looked for anew.
            drop((plan, marks));
            // What cannot be read is met again below, and keeps what it is coded on.
            recoded = self.take_out(&links, &old_packs, &mut keep_on(claim, monitor))?;
            drop(links);
            (plan, marks, _) = self.marked_plan(&snapshots, options, false, monitor)?;
        }
        self.remove_orphaned_labels(&labels, &known)?;
        // Where something is missing, it may be what a lost pack is healed with.
        if marks.missing.is_empty() {
            self.remove_orphaned_parity(&parity)?;
        }

        let mut report = GcReport {
            bytes_kept: len_of(&plan.keep),
            harmed: marks.missing.values().flatten().copied().collect(),
            bases_lost: marks.missing.values().filter(|owners| owners.is_empty()).count() as u64,
            ..GcReport::default()
        };
        let Rewritten { moved, len: rewritten_len, damaged, full } =
            self.rewrite(&plan.rewrite, &marks.live, options.depth_max, &mut keep_on(claim, monitor))?;
        let stays = plan.rewrite.iter().filter(|pack| !moved.contains(&pack.id));
        report.bytes_kept += rewritten_len + stays.map(|pack| pack.len).sum::<u64>();
        report.packs_rewritten = recoded.moved.union(&moved).count() as u64;
        (report.packs_damaged, report.full) = (damaged.into_iter().collect(), full || recoded.full);
        // What a list named that was there before this epoch is known to every writer that runs: what of it is still dead can go, unless
        // something is coded on it that they do not know of yet.
        let going = plan.drop.iter().chain(plan.rewrite.iter().filter(|pack| moved.contains(&pack.id)));
        // What was to be rewritten and was not stays, with all that is coded on others in it.
        let stays = plan.rewrite.iter().map(|pack| pack.id).filter(|id| !moved.contains(id)).collect();
        let held = self.held_by(&stays, &bases::ids(going.clone()))?;
        report.bytes_kept +=
            going.clone().filter(|pack| held.contains(&pack.id)).map(|pack| pack.len).sum::<u64>();
        let going = going.filter(|pack| !held.contains(&pack.id)).copied();
        let (known, unknown): (Vec<PackUse>, Vec<PackUse>) =
            going.partition(|pack: &PackUse| pack.live == 0 && old_packs.contains(&pack.id));
        let held = self.held_by(&bases::ids(&unknown), &bases::ids(&known))?;
        let (held, gone): (Vec<_>, Vec<_>) = known.into_iter().partition(|pack| held.contains(&pack.id));
        let condemned = [unknown, held].concat();
        let list = self.condemn(first, &condemned)?;
        self.delete_packs(claim, &gone)?;
        // The lists go last: while a pack may still be there, a list says that it does not count.
        claim.check_unfenced(self)?;
        // Who deleted some of them may not have come to make it durable: a pack must not come back without the list, nor without what it is
        // coded on.
        if !old_packs.is_empty() {
            let there = self.listed_packs()?;
            for id in old_packs.iter().filter(|id| !there.contains_key(id)) {
                self.delete_if_there(&names::pack(id))?;
            }
        }
        let is_stranded = |pack: &PackUse| marks.stranded.contains(&pack.id) && !moved.contains(&pack.id);
        if !plan.rewrite.iter().any(is_stranded) {
            for name in old_lists {
                self.delete_if_there(&name)?;
            }
        }
        let unfinished_len = self.storage.clear_unfinished()?;
        let Executed { dead, acquitted, waiting } = match list {
            Some(list) => self.execute(claim, first, &list, condemned, &plan, monitor)?,
            None => Executed::default(),
        };
        let removals = removals + removals_of(&gone) + removals_of(&dead);
        self.remember_sound(&bases::ids(&plan.keep), removals)?;
        report.packs_deleted = (gone.len() + dead.len()) as u64;
        report.packs_condemned = waiting.len() as u64;
        report.bytes_kept += len_of(&acquitted) + len_of(&waiting);
        let written_len = recoded.len + rewritten_len;
        report.bytes_freed = (len_of(&gone) + len_of(&dead)).saturating_sub(written_len) + unfinished_len;
        Ok(report)
    }

    /// Deletes condemned packs, unless writers run that may not know the list.
    fn execute(
        self: &Arc<Self>,
        claim: &mut WriterClaim,
        first: Epoch,
        list: &str,
        condemned: Vec<PackUse>,
        plan: &GcPlan,
        monitor: &dyn Monitor,
    ) -> Result<Executed> {
        let second = self.raise_epoch(first)?;
        if self.has_older_claims(second, claim.id())? {
            return Ok(Executed { waiting: condemned, ..Executed::default() });
        }
        let needed = self.needed_since(plan, &condemned, monitor)?;
        let (acquitted, dead): (Vec<_>, Vec<_>) =
            condemned.into_iter().partition(|pack| needed.contains(&pack.id));
        self.delete_packs(claim, &dead)?;
        claim.check_unfenced(self)?;
        self.delete_if_there(list)?;
        Ok(Executed { dead, acquitted, waiting: Vec::new() })
    }

    /// All snapshots, or an error: what a damaged manifest refers to is unknown, so that nothing may be deleted.
    fn gc_snapshots(&self) -> Result<(Vec<Snapshot>, BTreeSet<SnapshotId>, Vec<String>)> {
        let (snapshots, mut damaged, markers) = self.snapshots_and_markers()?;
        damaged.retain(|error| {
            !matches!(error, StoreError::Damaged { object, .. } | StoreError::Unread { object, .. }
                | StoreError::StoreTooNew { place: object, .. } if object.starts_with(names::LABELS))
        });
        if let Some(error) = damaged.into_iter().next() {
            return Err(error);
        }
        let known = snapshots.iter().map(|snapshot| snapshot.id).collect();
        Ok((snapshots, known, markers))
    }

    /// Brings the index up to date, marks, and plans. What the marking does not find is missing from the packs, not only from an index that
    /// somebody has made anew meanwhile: else a pack might be taken for dead whose chunks the index did not know for a moment. The links are
    /// looked for only if somebody wants them.
    fn marked_plan(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        options: &GcOptions,
        with_links: bool,
        monitor: &dyn Monitor,
    ) -> Result<(GcPlan, Marks, Links)> {
        let seen: BTreeSet<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();
        let mut since = self.refresh_index(&BTreeSet::new())?;
        let mut spared = BTreeSet::new();
        let mut gone = 0;
        loop {
            let mut marks = Marks::default();
            let planned = self.mark_all(snapshots, &mut since, &mut marks, monitor).and_then(|reached| {
                let links = match with_links && spared.is_empty() {
                    true => self.links(&reached, &marks, options, monitor)?,
                    false => Links::default(),
                };
                let plan = self.closed_plan(&seen, &spared, &mut marks, options, monitor)?;
                Ok((self.look_at_doomed(&plan, &marks)?, plan, links))
            });
            let (doomed, plan, links) = match planned {
                // Who only plans may meet a collection, which takes packs from under the plan.
                Err(error) if error.is_gone() && gone < GONE_MAX => {
                    gone += 1;
                    since = self.refresh_index(&BTreeSet::new())?;
                    continue;
                }
                planned => planned?,
            };
            match doomed {
                // An index that somebody has made anew may not have known all packs with deltas, nor where all bases are.
                Doomed { misplaced: None, .. } if self.was_made_anew(&mut since)? => (),
                Doomed { misplaced: None, only_copies } if only_copies.is_empty() => {
                    return Ok((plan, marks, links));
                }
                // What stays needs what it is coded on.
                Doomed { misplaced: None, only_copies } => spared.extend(only_copies),
                Doomed { misplaced: Some(_), .. } if self.ask_index_again(&mut since)? => (),
                // It has come since it was looked for.
                Doomed { misplaced: Some(chunk), .. } if marks.was_looked_for(&chunk) && gone < GONE_MAX => {
                    gone += 1;
                }
                Doomed { misplaced: Some(chunk), .. } => {
                    return Err(StoreError::ChunkMissing { chunk: chunk.short() });
                }
            }
        }
    }

    /// Marks what the snapshots reach, and what that is coded on. Returns what they reach.
    fn mark_all(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        since: &mut IndexBirth,
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<ChunkSet> {
        let mut is_sorted = false;
        loop {
            *marks = Marks::default();
            self.mark(snapshots, marks, monitor)?;
            let reached = marks.live.clone();
            self.mark_bases(&BTreeSet::new(), marks, monitor)?;
            if marks.is_complete() {
                return Ok(reached);
            }
            // What is marked where it cannot be read may lie elsewhere too.
            if !is_sorted && !self.put_unsound_last()?.is_empty() {
                is_sorted = true;
                continue;
            }
            if !self.ask_index_again(since)? {
                return marks.resolved().map(|()| reached);
            }
            is_sorted = false;
        }
    }

    /// A plan by which whatever stays can be read: what stays is marked until nothing more has to stay because of it.
    fn closed_plan(
        &self,
        seen: &BTreeSet<SnapshotId>,
        spared: &BTreeSet<PackId>,
        marks: &mut Marks,
        options: &GcOptions,
        monitor: &dyn Monitor,
    ) -> Result<GcPlan> {
        loop {
            let packs = self.index.read(IndexReader::packs)?.into_iter();
            let packs: Result<Vec<_>> =
                packs.map(|(_, record)| Ok((record, self.pack_use(&record, &marks.live)?))).collect();
            // A collection that crashed may have taken what dead runs of a pack are coded on, and the list that named the pack goes with this
            // one: nobody may refer to these runs then.
            let deep = self.deep_packs(marks, options.depth_max)?;
            let unfit = deep.union(&marks.stranded).copied().collect();
            let plan = plan::plan(packs?, seen.clone(), spared, &unfit, &self.config, options);
            let has_grown = self.mark_bases(&bases::ids(&plan.keep), marks, monitor)?;
            let is_settled =
                plan.keep.iter().all(|pack| !marks.stranded.contains(&pack.id) || spared.contains(&pack.id));
            if !has_grown && is_settled {
                return Ok(plan);
            }
        }
    }

    /// Writes the list of packs that are about to go, if there are any, and returns its name.
    fn condemn(&self, epoch: Epoch, packs: &[PackUse]) -> Result<Option<String>> {
        if packs.is_empty() {
            return Ok(None);
        }
        let name = names::condemned(epoch.0);
        let list = Condemned { packs: packs.iter().map(|pack| pack.id).collect() };
        self.storage.put(&name, &list.encode(&name), PutMode::CreateNew)?;
        Ok(Some(name))
    }

    /// The lists that earlier collections left, and the packs that they name. A list that cannot be read names none: no writer could
    /// start while it was there.
    fn condemned_lists(&self) -> Result<(Vec<String>, BTreeSet<PackId>)> {
        let mut lists = Vec::new();
        let mut packs = BTreeSet::new();
        for object in self.storage.list(names::CONDEMNED)? {
            match self.storage.get(&object.name) {
                Ok(bytes) => {
                    if let Ok(list) = Condemned::decode(&object.name, &bytes) {
                        packs.extend(list.packs);
                    }
                    lists.push(object.name);
                }
                // Another collection has worked it off since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((lists, packs))
    }

    /// Condemned packs that hold the only copy of something published since the plan was made.
    fn needed_since(
        self: &Arc<Self>,
        plan: &GcPlan,
        condemned: &[PackUse],
        monitor: &dyn Monitor,
    ) -> Result<BTreeSet<PackId>> {
        let (snapshots, ..) = self.gc_snapshots()?;
        let fresh: Vec<_> =
            snapshots.into_iter().filter(|snapshot| !plan.seen.contains(&snapshot.id)).collect();
        let mut since = self.refresh_index(&BTreeSet::new())?;
        let mut marks = Marks::default();
        loop {
            self.mark(&fresh, &mut marks, monitor)?;
            self.mark_bases(&BTreeSet::new(), &mut marks, monitor)?;
            // Even if all was found: an index that somebody makes anew may not know yet which packs hold deltas.
            if !self.was_made_anew(&mut since)? {
                break;
            }
            marks = Marks::default();
        }
        // What could not be followed may lead anywhere.
        marks.resolved()?;
        if !marks.missing.is_empty() {
            // What is missing may have come by now, into whichever pack: this time nothing more goes.
            return Ok(condemned.iter().map(|pack| pack.id).collect());
        }
        let going = bases::ids(condemned);
        let mut needed: BTreeSet<PackId> =
            going.iter().filter(|id| marks.live.count(id) > 0).copied().collect();
        // Packs that were stored since the plan was made stay, published or not, and so does whatever they are coded on; the same goes for
        // what is needed now after all.
        let planned: BTreeSet<PackId> =
            [&plan.keep, &plan.drop, &plan.rewrite].into_iter().flatten().map(|pack| pack.id).collect();
        let packs = self.index.read(IndexReader::packs)?.into_iter().map(|(_, record)| record.id);
        let fresh_packs: BTreeSet<PackId> = packs.filter(|id| !planned.contains(id)).collect();
        needed.extend(self.held_by(&fresh_packs.union(&needed).copied().collect(), &going)?);
        Ok(needed)
    }

    /// Deletes packs, for as long as nobody else has taken this collection for dead.
    fn delete_packs(&self, claim: &mut WriterClaim, packs: &[PackUse]) -> Result<()> {
        for group in packs.chunks(PACKS_A_TRANSACTION) {
            claim.beat();
            claim.check_unfenced(self)?;
            let tables = in_parallel(&*self.storage, group, |pack| (pack.id, self.packs.open(&pack.id).ok()));
            // The index first: nobody is sent to a pack that is not there. A crash in between leaves packs that are still condemned.
            let tables = tables.iter().map(|(id, open)| (id, open.as_ref().map(|open| &open.toc)));
            let forgotten = self.index.write(|index| index.remove_packs(tables));
            match forgotten {
                // No room even to forget: the whole index goes, which is only a cache, and makes room.
                Err(error) if error.is_full() => self.index.remove()?,
                done => done?,
            }
            group.iter().for_each(|pack| self.packs.forget(&pack.id));
            let named =
                |name: fn(&PackId) -> String| group.iter().map(|pack| name(&pack.id)).collect::<Vec<_>>();
            self.storage.delete_all(&named(names::pack))?;
            if self.has_parity() {
                self.storage.delete_all(&named(names::parity))?;
            }
        }
        Ok(())
    }
}

/// Shows before each run that this collection goes on, unless somebody wants it to end.
fn keep_on<'c>(claim: &'c mut WriterClaim, monitor: &'c dyn Monitor) -> impl FnMut() -> Result<()> + use<'c> {
    || {
        claim.beat();
        if monitor.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
    }
}

/// In how many transactions packs are taken out of the index.
fn removals_of(packs: &[PackUse]) -> u64 {
    packs.len().div_ceil(PACKS_A_TRANSACTION) as u64
}

fn len_of(packs: &[PackUse]) -> u64 {
    packs.iter().map(|pack| pack.len).sum()
}
