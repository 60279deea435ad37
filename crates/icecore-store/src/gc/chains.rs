//! Who needs a chunk in the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_format::{PackId, Run};

use super::chunk_set::ChunkSet;
use super::users::Users;
use crate::index::PackRecord;
use crate::pack::{OpenPack, RunPlace};
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// Where the bases of a run lie.
type Bases = BTreeSet<(PackId, u32)>;

/// Packs with deltas, and who needs what is in them.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// As the index numbers them, which is mostly the order in which they were stored: a large snapshot goes on in the next one.
    pub(super) packs: Vec<ChainPack>,
    at: BTreeMap<PackId, usize>,
    /// The runs of which something is live, by pack and number, the deepest first: whoever needs a chunk lies deeper than it.
    levels: BTreeMap<Reverse<u8>, Vec<(usize, usize)>>,
    run_count: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct ChainPack {
    pub(super) record: PackRecord,
    /// The number of its first run among those of all packs.
    first_run: usize,
    /// For each of its chunks the runs that need it in the end: runs with something that a snapshot reaches, or that several others need.
    pub(super) users: Vec<Users>,
    /// Its deltas that are live, and that no snapshot reaches.
    held: ChunkSet,
}

impl Chains {
    fn push(&mut self, record: PackRecord, open: &OpenPack, reached: &ChunkSet, live: &ChunkSet) {
        let at = self.packs.len();
        let mut held = ChunkSet::default();
        for (number, (place, run)) in open.runs().enumerate().filter(|(_, (_, run))| run.depth > 0) {
            if live.contains_any(&open.id, place.first, run.chunks.len()) {
                self.levels.entry(Reverse(run.depth)).or_default().push((at, number));
            }
            for ordinal in (place.first..).take(run.chunks.len()) {
                if live.contains(&open.id, ordinal) && !reached.contains(&open.id, ordinal) {
                    held.insert(open.id, ordinal);
                }
            }
        }
        let users = vec![Users::default(); open.toc.chunk_count()];
        self.at.insert(record.id, at);
        self.packs.push(ChainPack { record, first_run: self.run_count, users, held });
        self.run_count += open.runs().count();
    }

    /// Lets the bases of a run know who needs them: the run itself, or whoever alone needs the run.
    fn follow(
        &mut self,
        at: usize,
        number: usize,
        (place, run): (RunPlace, &Run),
        bases: &Bases,
        live: &ChunkSet,
    ) {
        let Some(pack) = self.packs.get(at) else { return };
        let itself = Users::one(pack.first_run + number);
        let ordinals = (place.first..).take(run.chunks.len());
        let needed_by = ordinals
            .filter(|ordinal| live.contains(&pack.record.id, *ordinal))
            .fold(Users::default(), |known, ordinal| {
                known.join(if pack.is_link(ordinal) { pack.users_of(ordinal) } else { itself })
            });
        // Where runs that lie apart need its chunks, each of them goes on from there with a part of its own.
        let needed_by = if needed_by.are_neighbours() { needed_by } else { itself };
        for (pack, ordinal) in bases {
            let pack = self.at.get(pack).and_then(|at| self.packs.get_mut(*at));
            if let Some(known) = pack.and_then(|pack| pack.users.get_mut(*ordinal as usize)) {
                *known = known.join(needed_by);
            }
        }
    }
}

impl ChainPack {
    /// Whether a chunk is a delta that no snapshot reaches, and that one run needs in the end, or two neighbours.
    pub(super) fn is_link(&self, ordinal: u32) -> bool {
        self.held.contains(&self.record.id, ordinal) && self.users_of(ordinal).are_neighbours()
    }

    fn users_of(&self, ordinal: u32) -> Users {
        self.users.get(ordinal as usize).copied().unwrap_or_default()
    }
}

impl Store {
    /// Follows the chains of deltas in these packs from their ends. Nothing if the deltas that no snapshot reaches have too few bytes to be looked at.
    pub(super) fn chains(
        &self,
        packs: Vec<PackRecord>,
        reached: &ChunkSet,
        live: &ChunkSet,
        is_enough: impl Fn(u64) -> bool,
        monitor: &dyn Monitor,
    ) -> Result<Option<Chains>> {
        let mut chains = Chains::default();
        for record in packs {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            chains.push(record, &*self.packs.open(&record.id)?, reached, live);
        }
        let held_len = chains.packs.iter().map(|pack| self.len_of(&pack.record, &pack.held));
        if !is_enough(held_len.sum::<Result<u64>>()?) {
            return Ok(None);
        }
        for level in std::mem::take(&mut chains.levels).into_values() {
            for runs in level.chunk_by(|(one, _), (other, _)| one == other) {
                let Some(at) = runs.first().map(|(at, _)| *at) else { continue };
                let Some(id) = chains.packs.get(at).map(|pack| pack.record.id) else { continue };
                let open = self.packs.open(&id)?;
                let numbers: Vec<usize> = runs.iter().map(|(_, number)| *number).collect();
                self.look_at_runs(&open, &numbers, monitor, |number, place, run, bases| {
                    chains.follow(at, number, (place, run), bases, live);
                })?;
            }
        }
        Ok(Some(chains))
    }

    /// Shows `look` runs of a pack, each with its number, its place, and where its bases lie.
    pub(super) fn look_at_runs(
        &self,
        open: &Arc<OpenPack>,
        numbers: &[usize],
        monitor: &dyn Monitor,
        mut look: impl FnMut(usize, RunPlace, &Run, &Bases),
    ) -> Result<()> {
        if monitor.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let runs = || numbers.iter().filter_map(|number| Some((*number, open.run(*number)?)));
        let places = self.index.read(|index| index.run_base_places(runs().map(|(_, (_, run))| run)))?;
        for ((number, (place, run)), bases) in runs().zip(places) {
            look(number, place, run, &bases.into_iter().flatten().collect());
        }
        Ok(())
    }
}
