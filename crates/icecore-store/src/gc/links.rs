//! Deltas that are needed for what one run holds, and for nothing else.
//!
//! A snapshot that is deleted leaves the deltas that the next one is coded on: rows as they were once, and what has been new in between and is gone by now. Where
//! one run alone needs such a delta, be it through others of this kind, it can be coded on what the delta is coded on, and the delta can go: what it says for that run
//! the run says itself. What several runs need stays, for each of them would say it anew.

use std::collections::BTreeMap;

use icecore_format::PackId;

use super::chains::ChainPack;
use super::chunk_set::ChunkSet;
use super::mark::Marks;
use super::plan::GcOptions;
use super::weight::part;
use crate::index::{IndexReader, PackRecord};
use crate::store::Store;
use crate::{Monitor, Result};

/// About what a chunk of a delta and its bases take in a table, at most.
const ENTRIES_LEN: u64 = 128;

/// The links of chains of deltas that are worth to be taken out of them.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Deltas that no snapshot reaches, and that one run needs, or two neighbours.
    pub(super) chunks: ChunkSet,
    /// What else is needed of the same packs, and of those with runs that are coded on them.
    pub(super) needed: ChunkSet,
    /// About how many stored bytes that is, coded on links as it is.
    needed_len: u64,
    /// These packs, each with about how many of its stored bytes are links.
    pub(super) packs: BTreeMap<PackId, u64>,
    /// The stored bytes of all of them.
    pub(super) packs_len: u64,
}

impl Links {
    /// About how much of what links hold is said again by what was coded on them. It is not known before, and taken for half.
    pub(super) fn said_again(links_len: u64) -> u64 {
        links_len / 2
    }

    /// About how many bytes it takes to code anew what is needed.
    pub(super) fn len_without(&self) -> u64 {
        self.needed_len.saturating_add(Self::said_again(self.packs.values().sum()))
    }
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
        let packs: Vec<PackRecord> = packs.filter(|pack| live.count(&pack.id) > 0).collect();
        let held = |pack: &PackRecord| u64::from(live.count(&pack.id) - reached.count(&pack.id));
        let live_len: u64 = packs
            .iter()
            .map(|pack| part(self.whole_len(pack), live.count(&pack.id).into(), pack.chunks.into()))
            .sum();
        let most = |pack: &PackRecord| {
            let len = pack.delta_stored_len.saturating_add(held(pack) * ENTRIES_LEN);
            part(self.whole_len(pack), len, pack.len).min(self.whole_len(pack))
        };
        let coded: Vec<PackRecord> = packs.iter().filter(|pack| pack.deltas > 0).copied().collect();
        // There are hardly more links than this, and no pack had to be opened for it.
        if !options.is_too_much(coded.iter().filter(|pack| held(pack) > 0).map(most).sum(), live_len) {
            return Ok(Links::default());
        }
        let live_len = packs.iter().map(|pack| self.len_of(pack, live)).sum::<Result<u64>>()?;
        let Some(chains) =
            self.chains(coded, reached, live, |held| options.is_too_much(held, live_len), monitor)?
        else {
            return Ok(Links::default());
        };
        let mut links = Links::default();
        for pack in &chains.packs {
            let id = pack.record.id;
            for ordinal in (0..).take(pack.users.len()).filter(|ordinal| pack.is_link(*ordinal)) {
                links.chunks.insert(id, ordinal);
            }
            if links.chunks.count(&id) > 0 {
                links.packs.insert(id, self.len_of(&pack.record, &links.chunks)?);
            }
        }
        if !options.is_too_much(links.packs.values().sum(), live_len) {
            return Ok(Links::default());
        }
        for pack in &chains.packs {
            let open = self.packs.open(&pack.record.id)?;
            let all: Vec<usize> = (0..open.runs().count()).collect();
            self.look_at_runs(&open, &all, monitor, |_, _, _, bases| {
                if bases.iter().any(|(pack, ordinal)| links.chunks.contains(pack, *ordinal)) {
                    links.packs.entry(open.id).or_default();
                }
            })?;
        }
        for ChainPack { record, .. } in &chains.packs {
            if links.packs.contains_key(&record.id) {
                links.needed.set_pack(&record.id, live, &links.chunks);
                links.needed_len += self.len_of(record, &links.needed)?;
                links.packs_len += self.whole_len(record);
            }
        }
        Ok(links)
    }
}
