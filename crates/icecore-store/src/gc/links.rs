//! Deltas that are needed for one run that is coded on them in the end, and for nothing else.
//!
//! A snapshot that is deleted leaves the deltas that the next one is coded on: rows as they were once, and what has been new in between and is gone by now. Where
//! one run alone needs such a delta, be it through others of this kind, it can be coded on what the delta is coded on, and the delta can go; what the run then says anew is no more than what both said.
//! What several runs need stays: each of them would say it anew.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_format::{PackId, Run};

use super::chunk_set::ChunkSet;
use super::mark::Marks;
use super::plan::GcOptions;
use super::users::Users;
use crate::index::{IndexReader, PackRecord};
use crate::pack::{OpenPack, RunPlace};
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// About what a chunk of a delta and its bases take in a table, at most.
const ENTRIES_LEN: u64 = 128;

/// The links of chains of deltas that are worth to be taken out of them.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Deltas that no snapshot reaches, and that one run needs.
    pub(super) chunks: ChunkSet,
    /// What else is needed of the same packs, and of those with runs that are coded on them.
    pub(super) needed: ChunkSet,
    /// These packs, each with about how many of its stored bytes are links.
    pub(super) packs: BTreeMap<PackId, u64>,
}

/// Where the bases of a run lie.
type Bases = BTreeSet<(PackId, u32)>;

/// Packs with deltas.
struct Chains {
    packs: Vec<PackRecord>,
    /// For each of them, for each of its chunks, the runs that need it in the end.
    users: Vec<Vec<Users>>,
}

impl Store {
    /// The links among what is live and not `reached` by a snapshot, if they take more than the share of all that is live that may be dead.
    pub(super) fn links(
        &self,
        reached: &ChunkSet,
        marks: &Marks,
        options: &GcOptions,
        monitor: &dyn Monitor,
    ) -> Result<Links> {
        let live = &marks.live;
        if !marks.is_sound() {
            return Ok(Links::default());
        }
        let packs = self.index.read(IndexReader::packs)?.into_iter().map(|(_, record)| record);
        let mut coded = Vec::new();
        let (mut live_len, mut deltas_len) = (0, 0);
        for pack in packs.filter(|pack| live.count(&pack.id) > 0) {
            let (len, count) = (self.whole_len(&pack), live.count(&pack.id));
            live_len += len * u64::from(count) / u64::from(pack.chunks.max(1));
            if pack.deltas == 0 {
                continue;
            }
            let held = u64::from(count - reached.count(&pack.id));
            if held > 0 {
                deltas_len += (pack.delta_stored_len + held * ENTRIES_LEN) * len / pack.len.max(1);
            }
            coded.push(pack);
        }
        // They are hardly more than this, and no pack had to be opened for it.
        if !options.is_too_much(deltas_len, live_len) {
            return Ok(Links::default());
        }
        let chains = self.chains(coded, reached, live, monitor)?;
        let mut links = Links::default();
        for (pack, users) in chains.packs.iter().zip(&chains.users) {
            for (ordinal, users) in (0..).zip(users) {
                let is_held = live.contains(&pack.id, ordinal) && !reached.contains(&pack.id, ordinal);
                if is_held && users.are_neighbours() {
                    links.chunks.insert(pack.id, ordinal);
                }
            }
            if links.chunks.count(&pack.id) > 0 {
                links.packs.insert(pack.id, self.len_of(pack, &links.chunks)?);
            }
        }
        live_len = 0;
        for (_, pack) in self.index.read(IndexReader::packs)? {
            live_len += self.len_of(&pack, live)?;
        }
        if !options.is_too_much(links.packs.values().sum(), live_len) {
            return Ok(Links::default());
        }
        for pack in &chains.packs {
            let open = self.packs.open(&pack.id)?;
            let all: Vec<usize> = (0..open.runs().count()).collect();
            self.look_at_runs(&open, &all, monitor, |_, _, _, bases| {
                if bases.iter().any(|(pack, ordinal)| links.chunks.contains(pack, *ordinal)) {
                    links.packs.entry(open.id).or_default();
                }
            })?;
        }
        for id in links.packs.keys() {
            links.needed.set_pack(id, live, &links.chunks);
        }
        Ok(links)
    }

    /// For each chunk of these packs which runs need it in the end: runs with something that a snapshot reaches, or that several others need.
    fn chains(
        &self,
        packs: Vec<PackRecord>,
        reached: &ChunkSet,
        live: &ChunkSet,
        monitor: &dyn Monitor,
    ) -> Result<Chains> {
        // The deepest runs come first: whoever needs a chunk lies deeper than it.
        let mut levels: BTreeMap<Reverse<u8>, Vec<(usize, usize)>> = BTreeMap::new();
        let mut deltas = ChunkSet::default();
        // The runs of all packs are numbered in the order in which the packs were stored: a large snapshot goes on in the next one.
        let mut first_runs = Vec::with_capacity(packs.len());
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
                    }
                }
            }
            first_runs.push(runs_before);
            runs_before += open.runs().count();
        }
        let mut users: Vec<_> =
            packs.iter().map(|pack| vec![Users::default(); pack.chunks as usize]).collect();
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
        Ok(Chains { packs, users })
    }

    /// Shows `look` runs of a pack, each with its number, its place, and where its bases lie.
    fn look_at_runs(
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
