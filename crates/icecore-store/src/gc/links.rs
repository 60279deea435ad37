//! Deltas that are needed for one run that is coded on them, and for nothing else.
//!
//! A snapshot that is deleted leaves the deltas that the next one is coded on: rows as they were once, and what has been new in between and is gone by now. Where
//! one run alone is coded on such a delta, it can be coded on what the delta is coded on, and the delta can go; what the run then says anew is less than what both said.
//! What two runs are coded on stays: each of them would say it anew.

use std::collections::{BTreeMap, BTreeSet};

use icecore_format::{PackId, Run};

use super::chunk_set::ChunkSet;
use super::mark::Marks;
use super::plan::GcOptions;
use crate::index::{IndexReader, PackRecord};
use crate::pack::{OpenPack, RunPlace};
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// About what a chunk of a delta and its bases take in a table.
const ENTRIES_LEN: u64 = 64;

/// The links of chains of deltas that are worth to be taken out of them.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Deltas that no snapshot reaches, and that one run is coded on.
    pub(super) chunks: ChunkSet,
    /// What else is needed of the same packs, and of those with runs that are coded on them.
    pub(super) needed: ChunkSet,
    /// These packs, each with about how many of its stored bytes are links.
    pub(super) packs: BTreeMap<PackId, u64>,
}

/// Chunks that something is coded on.
#[derive(Debug, Default)]
struct Leaned {
    /// By one run at least.
    once: ChunkSet,
    /// By two.
    twice: ChunkSet,
}

impl Store {
    /// The links among what is `live` and not `reached` by a snapshot, if they take more than the share of all that is live that may be dead.
    pub(super) fn links(
        &self,
        reached: &ChunkSet,
        marks: &Marks,
        options: &GcOptions,
        monitor: &dyn Monitor,
    ) -> Result<Links> {
        if !marks.is_sound() {
            return Ok(Links::default());
        }
        let packs = self.index.read(IndexReader::packs)?.into_iter().map(|(_, record)| record);
        let live = &marks.live;
        let (mut live_len, mut deltas_len) = (0, 0);
        let mut coded = Vec::new();
        for record in packs.filter(|record| live.count(&record.id) > 0) {
            live_len += self.len_of(&record, live)?;
            if record.deltas > 0 {
                coded.push(record);
                let held = u64::from(live.count(&record.id) - reached.count(&record.id));
                if held > 0 {
                    deltas_len += record.delta_stored_len + held * ENTRIES_LEN;
                }
            }
        }
        // They are no more than this, and no pack has to be opened for it.
        if !options.is_too_much(deltas_len, live_len) {
            return Ok(Links::default());
        }
        let mut leaned = Leaned::default();
        self.each_run(&coded, monitor, |open, place, run, bases| {
            if live.contains_any(&open.id, place.first, run.chunks.len()) {
                for (pack, ordinal) in bases {
                    if !leaned.once.insert(*pack, *ordinal) {
                        leaned.twice.insert(*pack, *ordinal);
                    }
                }
            }
        })?;
        let mut links = Links::default();
        let mut len = 0;
        for record in &coded {
            let id = &record.id;
            let is_link = |ordinal| {
                let is_needed = live.contains(id, ordinal) && !reached.contains(id, ordinal);
                is_needed && leaned.once.contains(id, ordinal) && !leaned.twice.contains(id, ordinal)
            };
            let open = self.packs.open(id)?;
            let ordinals = open.deltas().flat_map(|(place, run)| (place.first..).take(run.chunks.len()));
            for ordinal in ordinals.filter(|ordinal| is_link(*ordinal)) {
                links.chunks.insert(*id, ordinal);
            }
            if links.chunks.count(id) > 0 {
                let links_len = self.len_of(record, &links.chunks)?;
                links.packs.insert(*id, links_len);
                len += links_len;
            }
        }
        if !options.is_too_much(len, live_len) {
            return Ok(Links::default());
        }
        let mut on_links = BTreeSet::new();
        self.each_run(&coded, monitor, |open, _, _, bases| {
            if bases.iter().any(|(pack, ordinal)| links.chunks.contains(pack, *ordinal)) {
                on_links.insert(open.id);
            }
        })?;
        for id in on_links {
            links.packs.entry(id).or_default();
        }
        for id in links.packs.keys() {
            links.needed.set_pack(id, live, &links.chunks);
        }
        Ok(links)
    }

    /// Shows `look` every delta of these packs, each with where its bases lie.
    fn each_run(
        &self,
        packs: &[PackRecord],
        monitor: &dyn Monitor,
        mut look: impl FnMut(&OpenPack, RunPlace, &Run, &BTreeSet<(PackId, u32)>),
    ) -> Result<()> {
        for record in packs {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let open = self.packs.open(&record.id)?;
            let places = self.index.read(|index| index.run_base_places(open.deltas().map(|(_, run)| run)))?;
            for ((place, run), bases) in open.deltas().zip(places) {
                look(&open, place, run, &bases.into_iter().flatten().collect());
            }
        }
        Ok(())
    }
}
