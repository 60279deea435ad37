//! What runs are coded on is as live as they are.
//!
//! More than that: whatever lies in a pack that stays must stay readable, dead or not. A writer that finds a chunk in the index refers to it, and
//! nobody could tell it that what the chunk is coded on is about to go.

use std::collections::{BTreeMap, BTreeSet};

use icecore_format::{DEPTH_MAX, PackId, Run};

use super::mark::Marks;
use super::plan::PackUse;
use crate::index::IndexReader;
use crate::pack::RunPlace;
use crate::read::ANY_DEPTH;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

impl Store {
    /// Marks the bases of live runs, and theirs; in `whole` packs, those of all runs. Returns whether that marked anything.
    ///
    /// A pack that cannot be read is an error: what it is coded on may be all that it takes to heal it, and nothing may be deleted until somebody has decided.
    pub(crate) fn mark_bases(
        &self,
        whole: &BTreeSet<PackId>,
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<bool> {
        self.mark_bases_but(whole, |_| false, marks, monitor)
    }

    /// The same, but of packs that cannot be read for a reason that may be passed over: what they are coded on is not marked.
    pub(crate) fn mark_bases_but(
        &self,
        whole: &BTreeSet<PackId>,
        may_pass: impl Fn(&StoreError) -> bool,
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<bool> {
        let coded = self.coded_packs()?;
        // For each pack how many of its chunks were live when it was looked at last.
        let mut looked_at: BTreeMap<PackId, u32> = BTreeMap::new();
        let mut grown = false;
        loop {
            let mut again = false;
            for id in &coded {
                let live = marks.live.count(id);
                let is_whole = whole.contains(id);
                let seen = looked_at.insert(*id, live);
                if seen == Some(live) || (live == 0 && !is_whole) {
                    continue;
                }
                again = true;
                match self.mark_bases_of(id, is_whole, marks, monitor) {
                    Ok(marked) => grown |= marked,
                    Err(error) if may_pass(&error) => (),
                    Err(error) => return Err(error),
                }
            }
            if !again {
                return Ok(grown);
            }
        }
    }

    fn mark_bases_of(
        &self,
        id: &PackId,
        is_whole: bool,
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<bool> {
        let open = self.packs.open(id)?;
        let mut grown = false;
        if monitor.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let places = self.index.read(|index| index.run_base_places(open.deltas().map(|(_, run)| run)))?;
        for ((place, run), places) in open.deltas().zip(places) {
            let is_live = marks.live.contains_any(id, place.first, run.chunks.len());
            if !is_live && !is_whole {
                continue;
            }
            for (base, place) in run.bases.iter().zip(places) {
                match place {
                    Some((pack, ordinal)) => grown |= marks.live.insert(pack, ordinal),
                    // It came again, and lies too deep to be of use here.
                    None if self.index.read(|index| index.find_base(&base.id, ANY_DEPTH))?.is_some() => {
                        marks.stranded.insert(*id);
                    }
                    None if is_live => drop(marks.missing.entry(base.id).or_default()),
                    None => {
                        marks.unfound.insert(base.id);
                        marks.stranded.insert(*id);
                    }
                }
            }
        }
        Ok(grown)
    }

    /// Those of `going` that something in `staying` is coded on, directly or not.
    pub(super) fn held_by(
        &self,
        staying: &BTreeSet<PackId>,
        going: &BTreeSet<PackId>,
    ) -> Result<BTreeSet<PackId>> {
        let mut since = self.refresh_index(&BTreeSet::new())?;
        loop {
            let (held, is_complete) = self.try_held_by(staying, going)?;
            // What is not in the index lies in none of them, unless it did not know for a moment.
            if is_complete || !self.was_made_anew(&mut since)? {
                return Ok(held);
            }
        }
    }

    fn try_held_by(
        &self,
        staying: &BTreeSet<PackId>,
        going: &BTreeSet<PackId>,
    ) -> Result<(BTreeSet<PackId>, bool)> {
        let coded = self.coded_packs()?;
        let mut held = BTreeSet::new();
        let mut is_complete = true;
        let mut next: Vec<PackId> = staying.intersection(&coded).copied().collect();
        while let Some(id) = next.pop() {
            let open = match self.packs.open(&id) {
                Ok(open) => open,
                Err(error) if error.is_unreadable() || error.is_gone() => continue,
                Err(error) => return Err(error),
            };
            let places = self.index.read(|index| index.run_base_places(open.deltas().map(|(_, run)| run)))?;
            for place in places.into_iter().flatten() {
                is_complete &= place.is_some();
                if let Some((pack, _)) = place
                    && going.contains(&pack)
                    && held.insert(pack)
                    && coded.contains(&pack)
                {
                    next.push(pack);
                }
            }
        }
        Ok((held, is_complete))
    }

    /// Packs with live runs that lie deeper than this.
    pub(super) fn deep_packs(&self, marks: &Marks, depth_max: u8) -> Result<BTreeSet<PackId>> {
        let mut deep = BTreeSet::new();
        if depth_max >= DEPTH_MAX {
            return Ok(deep);
        }
        for id in self.coded_packs()? {
            let open = match self.packs.open(&id) {
                Ok(open) => open,
                Err(error) if error.is_unreadable() => continue,
                Err(error) => return Err(error),
            };
            let is_live =
                |place: RunPlace, run: &Run| marks.live.contains_any(&id, place.first, run.chunks.len());
            if open.deltas().any(|(place, run)| run.depth > depth_max && is_live(place, run)) {
                deep.insert(id);
            }
        }
        Ok(deep)
    }

    /// The packs that hold runs with bases.
    pub(crate) fn coded_packs(&self) -> Result<BTreeSet<PackId>> {
        let packs = self.index.read(IndexReader::packs)?;
        Ok(packs.into_iter().filter(|(_, record)| record.deltas > 0).map(|(_, record)| record.id).collect())
    }
}

/// The ids of packs.
pub(super) fn ids<'p>(packs: impl IntoIterator<Item = &'p PackUse>) -> BTreeSet<PackId> {
    packs.into_iter().map(|pack| pack.id).collect()
}
