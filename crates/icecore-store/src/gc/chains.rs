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

/// Packs with deltas.
pub(super) struct Chains {
    pub(super) packs: Vec<PackRecord>,
    /// For each of them, for each of its chunks, the runs that need it in the end.
    pub(super) users: Vec<Vec<Users>>,
}

impl Store {
    /// For each chunk of these packs which runs need it in the end: runs with something that a snapshot reaches, or that several others need. Nothing if
    /// the deltas that no snapshot reaches have too few bytes to be looked at.
    pub(super) fn chains(
        &self,
        packs: Vec<PackRecord>,
        reached: &ChunkSet,
        live: &ChunkSet,
        is_enough: impl Fn(u64) -> bool,
        monitor: &dyn Monitor,
    ) -> Result<Option<Chains>> {
        // The deepest runs come first: whoever needs a chunk lies deeper than it.
        let mut levels: BTreeMap<Reverse<u8>, Vec<(usize, usize)>> = BTreeMap::new();
        let (mut deltas, mut held, mut held_len) = (ChunkSet::default(), ChunkSet::default(), 0);
        // The runs of all packs are numbered as the index numbers the packs, mostly in the order in which they were stored: a large snapshot goes on in the next one.
        let mut first_runs = Vec::with_capacity(packs.len());
        let mut users = Vec::with_capacity(packs.len());
        let mut runs_before = 0;
        for (at, pack) in packs.iter().enumerate() {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let open = self.packs.open(&pack.id)?;
            for (number, (place, run)) in open.runs().enumerate().filter(|(_, (_, run))| run.depth > 0) {
                if live.contains_any(&open.id, place.first, run.chunks.len()) {
                    levels.entry(Reverse(run.depth)).or_default().push((at, number));
                    for ordinal in (place.first..).take(run.chunks.len()) {
                        deltas.insert(open.id, ordinal);
                        if live.contains(&open.id, ordinal) && !reached.contains(&open.id, ordinal) {
                            held.insert(open.id, ordinal);
                        }
                    }
                }
            }
            held_len += self.len_of(pack, &held)?;
            first_runs.push(runs_before);
            users.push(vec![Users::default(); open.toc.chunk_count()]);
            runs_before += open.runs().count();
        }
        if !is_enough(held_len) {
            return Ok(None);
        }
        let at_of: BTreeMap<PackId, usize> = packs.iter().map(|pack| pack.id).zip(0..).collect();
        for level in levels.into_values() {
            for runs in level.chunk_by(|(one, _), (other, _)| one == other) {
                let at = runs.first().map_or(0, |(at, _)| *at);
                let Some((pack, first_run)) = packs.get(at).zip(first_runs.get(at)) else { continue };
                let open = self.packs.open(&pack.id)?;
                let numbers: Vec<usize> = runs.iter().map(|(_, number)| *number).collect();
                self.look_at_runs(&open, &numbers, monitor, |number, place, run, bases| {
                    let itself = Users::one(first_run + number);
                    let mut needed_by = Users::default();
                    for ordinal in (place.first..).take(run.chunks.len()) {
                        let of_chunk = users.get(at).and_then(|of_pack| of_pack.get(ordinal as usize));
                        let of_chunk = of_chunk.copied().unwrap_or_default();
                        if live.contains(&open.id, ordinal) {
                            let stays = reached.contains(&open.id, ordinal) || !of_chunk.are_neighbours();
                            needed_by = needed_by.join(if stays { itself } else { of_chunk });
                        }
                    }
                    // Where runs that lie apart need its chunks, each of them goes on from there with a part of its own.
                    let needed_by = if needed_by.are_neighbours() { needed_by } else { itself };
                    for (pack, ordinal) in bases.iter().filter(|(pack, n)| deltas.contains(pack, *n)) {
                        let of_pack = at_of.get(pack).and_then(|at| users.get_mut(*at));
                        if let Some(known) = of_pack.and_then(|chunks| chunks.get_mut(*ordinal as usize)) {
                            *known = known.join(needed_by);
                        }
                    }
                })?;
            }
        }
        Ok(Some(Chains { packs, users }))
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
