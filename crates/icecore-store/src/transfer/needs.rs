//! What of the sender's packs the receiver lacks.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use icecore_format::{ChunkId, NodeRef, PackId, ShortId, TreeNode};

use super::{Direction, Transfer};
use crate::absent::Absent;
use crate::fetch::in_parallel;
use crate::gc::Marks;
use crate::index::{IndexReader, PackRecord};
use crate::read::ANY_DEPTH;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::tree::NodeWalk;
use crate::{Monitor, Result, StoreError};

/// References looked up in one transaction.
const REFS_A_LOOKUP: usize = 4096;
/// A pack is sent as it is if the receiver lacks at least one in so many of its chunks. Below that, what is sent in vain costs more than
/// coding the rest anew, by which the pack gets another name on the other side.
const WHOLE_ONE_IN: u32 = 2;
/// Tables that are read at once, before they are looked at one after the other: no more than are kept.
const TABLES_AHEAD: usize = 32;

/// What the receiver lacks, and how it gets it.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The chunks that are needed, where they lie at the sender.
    pub(super) marks: Marks,
    /// The packs they lie in.
    pub(super) packs: BTreeMap<PackId, Needed>,
}

/// A pack of the sender of which something is needed.
#[derive(Debug)]
pub(super) struct Needed {
    /// The first snapshot that needs something in it, by its place among those that are sent.
    pub(super) due: usize,
    /// Whether it is sent as it is.
    pub(super) whole: bool,
    /// Packs that must arrive before it, for something in it is coded on what lies there.
    pub(super) under: BTreeSet<PackId>,
    /// What the sender's index knows of it.
    pub(super) record: Option<PackRecord>,
    /// How it was when its bases were last looked for.
    looked_at: Option<(u32, bool, usize)>,
}

/// Why a snapshot cannot be sent.
#[derive(Debug)]
pub(super) struct Failure {
    /// Its place among those that are sent.
    pub(super) at: usize,
    pub(super) error: StoreError,
}

impl Failure {
    pub(super) fn at(at: usize) -> impl Fn(StoreError) -> Self {
        move |error| Self { at, error }
    }
}

impl Needs {
    /// Needs a chunk for a snapshot. Returns whether that is news.
    fn need(&mut self, pack: PackId, ordinal: u32, due: usize) -> bool {
        let is_new = self.marks.live.insert(pack, ordinal);
        let needed = self.packs.entry(pack).or_insert(Needed {
            due,
            whole: false,
            under: BTreeSet::new(),
            record: None,
            looked_at: None,
        });
        let is_earlier = due < needed.due;
        needed.due = needed.due.min(due);
        is_new || is_earlier
    }

    /// Whether a pack's table has to be read, to see what it is coded on.
    fn is_news(&self, id: &PackId, records: &BTreeMap<PackId, PackRecord>) -> bool {
        let is_coded = records.get(id).is_none_or(|record| record.deltas > 0);
        is_coded && self.packs.get(id).is_some_and(|needed| needed.looked_at.is_none())
    }
}

impl Transfer {
    /// What the receiver lacks of `snapshots`, and of what that is coded on. Packs that are `barred` are not sent as they are; more become so
    /// if they hold what nothing can be made of.
    pub(super) fn needs(
        &self,
        snapshots: &[Snapshot],
        absent: &Absent,
        barred: &mut BTreeSet<PackId>,
        monitor: &dyn Monitor,
    ) -> std::result::Result<Needs, Failure> {
        let mut needs = Needs::default();
        let mut walk = NodeWalk::default();
        for (at, snapshot) in snapshots.iter().enumerate() {
            let failed = Failure::at(at);
            walk.enter(&snapshot.manifest);
            while let Some(step) = walk.step_with(|node, depth| self.read_node(node, depth, absent)) {
                if monitor.is_cancelled() {
                    return Err(failed(StoreError::Cancelled));
                }
                let ids = step.map_err(|(_, error)| failed(error))?;
                for ids in ids.chunks(REFS_A_LOOKUP) {
                    self.need_chunks(ids, at, absent, &mut needs).map_err(&failed)?;
                }
            }
        }
        self.need_bases(absent, barred, &mut needs, monitor)?;
        Ok(needs)
    }

    /// A node from the near side, if it is there.
    fn read_node(&self, node: &NodeRef, parent_depth: u8, absent: &Absent) -> Result<TreeNode> {
        if self.direction == Direction::Pull
            && self.to.lacks([(node.node.id.short(), ANY_DEPTH)].into_iter(), absent)? == [false]
        {
            match self.to.read_node(node, parent_depth) {
                Err(error) if error.is_out_of_reach() || error.is_gone() => (),
                read => return read,
            }
        }
        self.from.read_node(node, parent_depth)
    }

    fn need_chunks(&self, ids: &[ChunkId], due: usize, absent: &Absent, needs: &mut Needs) -> Result<()> {
        let lacks = self.to.lacks(ids.iter().map(|id| (id.short(), ANY_DEPTH)), absent)?;
        let lacking: Vec<(ShortId, u8)> = ids
            .iter()
            .zip(lacks)
            .filter(|(_, lacks)| *lacks)
            .map(|(id, _)| (id.short(), ANY_DEPTH))
            .collect();
        for ((chunk, _), place) in lacking.iter().zip(self.from.settled_base_places(&lacking)?) {
            let (pack, ordinal) = place.ok_or(StoreError::ChunkMissing { chunk: *chunk })?;
            if !self.left_out.live.contains(&pack, ordinal) {
                needs.need(pack, ordinal, due);
            }
        }
        Ok(())
    }

    /// Needs what is coded on nothing that the receiver has, until nothing more is.
    fn need_bases(
        &self,
        absent: &Absent,
        barred: &mut BTreeSet<PackId>,
        needs: &mut Needs,
        monitor: &dyn Monitor,
    ) -> std::result::Result<(), Failure> {
        let packs = self.from.index.read(IndexReader::packs).map_err(Failure::at(0))?;
        let records: BTreeMap<PackId, PackRecord> =
            packs.into_iter().map(|(_, record)| (record.id, record)).collect();
        loop {
            let mut grown = false;
            let ids: Vec<PackId> = needs.packs.keys().copied().collect();
            for (at, id) in ids.iter().copied().enumerate() {
                if at.is_multiple_of(TABLES_AHEAD) {
                    let next = ids.iter().skip(at).take(TABLES_AHEAD);
                    self.read_ahead(next.filter(|id| needs.is_news(id, &records)).copied());
                }
                let live = needs.marks.live.count(&id);
                let Some(needed) = needs.packs.get_mut(&id) else { continue };
                needed.record = records.get(&id).copied();
                let enough = needed.record.is_some_and(|record| live >= record.chunks.div_ceil(WHOLE_ONE_IN));
                needed.whole = enough && !barred.contains(&id);
                let (due, whole) = (needed.due, needed.whole);
                let is_coded = needed.record.is_none_or(|record| record.deltas > 0);
                let seen = needed.looked_at.replace((live, whole, due));
                if !is_coded || seen == Some((live, whole, due)) {
                    continue;
                }
                if monitor.is_cancelled() {
                    return Err(Failure { at: due, error: StoreError::Cancelled });
                }
                grown = true;
                self.need_bases_of(&id, absent, barred, needs).map_err(Failure::at(due))?;
            }
            if !grown {
                return Ok(());
            }
        }
    }

    /// Reads the tables of these packs side by side. What is wrong with one is told when it is looked at.
    fn read_ahead(&self, packs: impl Iterator<Item = PackId>) {
        let packs: Vec<PackId> = packs.collect();
        in_parallel(&*self.from.storage, &packs, |id| drop(self.from.packs.open(id)));
    }

    /// Needs the bases of a pack's runs: of all of them if it is sent as it is, else of those that are needed.
    fn need_bases_of(
        &self,
        id: &PackId,
        absent: &Absent,
        barred: &mut BTreeSet<PackId>,
        needs: &mut Needs,
    ) -> Result<()> {
        let open = self.from.packs.open(id)?;
        let Some((whole, due)) = needs.packs.get(id).map(|needed| (needed.whole, needed.due)) else {
            return Ok(());
        };
        // Each with whether somebody needs the run.
        let mut bases: Vec<((ShortId, u8), bool)> = Vec::new();
        for (place, run) in open.deltas() {
            let is_live = needs.marks.live.contains_any(id, place.first, run.chunks.len());
            if is_live || whole {
                bases.extend(run.bases.iter().map(|base| ((base.id, run.depth), is_live)));
            }
        }
        let lacks = self.to.lacks(bases.iter().map(|(base, _)| *base), absent)?;
        let lacking: Vec<_> = bases.into_iter().zip(lacks).filter(|(_, lacks)| *lacks).collect();
        let (lacking, is_live): (Vec<_>, Vec<_>) = lacking.into_iter().map(|(base, _)| base).unzip();
        let mut under = BTreeSet::new();
        let places = self.from.settled_base_places(&lacking)?;
        for (((chunk, _), is_live), place) in lacking.iter().zip(is_live).zip(places) {
            match place {
                Some((pack, ordinal)) if self.left_out.live.contains(&pack, ordinal) => (),
                Some((pack, ordinal)) => {
                    needs.need(pack, ordinal, due);
                    if pack != *id {
                        under.insert(pack);
                    }
                }
                None if is_live => return Err(StoreError::ChunkMissing { chunk: *chunk }),
                // Nobody needs the run, and what it is coded on is gone: the pack would make the receiver take all of it for absent.
                None => drop(barred.insert(*id)),
            }
        }
        if let Some(needed) = needs.packs.get_mut(id) {
            needed.under = under;
            // What it is coded on is looked for again, without the runs that nobody needs.
            if whole && barred.contains(id) {
                needed.looked_at = None;
            }
        }
        Ok(())
    }
}

impl Store {
    /// For each chunk, whether no pack that is not absent holds it less deep than this.
    pub(super) fn lacks(
        &self,
        chunks: impl Iterator<Item = (ShortId, u8)>,
        absent: &Absent,
    ) -> Result<Vec<bool>> {
        self.index.read(|index| {
            let numbers: HashSet<u32> = absent.numbers(index)?;
            chunks.map(|(id, below)| Ok(!index.holds(&id, below, &numbers)?)).collect()
        })
    }

    /// Where each chunk lies, less deep than this. What the index does not know is asked for again after it was brought up to date, and made
    /// anew if need be.
    fn settled_base_places(&self, chunks: &[(ShortId, u8)]) -> Result<Vec<Option<(PackId, u32)>>> {
        let look = || {
            self.index.read(|index| {
                let place = |(id, below): &(ShortId, u8)| index.base_places(std::slice::from_ref(id), *below);
                let places = chunks.iter().map(|chunk| Ok(place(chunk)?.into_iter().next().flatten()));
                places.collect::<Result<Vec<_>>>()
            })
        };
        let mut places = look()?;
        if places.contains(&None) {
            let mut since = self.refresh_index(&BTreeSet::new())?;
            places = look()?;
            // Where the chunk lies, but too deep, there is nothing to be found.
            let is_lost = |(_, below): &(ShortId, u8)| *below == ANY_DEPTH;
            while chunks.iter().zip(&places).any(|(chunk, place)| place.is_none() && is_lost(chunk))
                && self.ask_index_again(&mut since)?
            {
                places = look()?;
            }
        }
        Ok(places)
    }
}
