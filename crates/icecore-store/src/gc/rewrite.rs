//! Copying what is live of half-dead packs into new ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use icecore_chunk::Matcher;
use icecore_format::{DEPTH_MAX, PackId, Run, ShortId};

use super::basis::{Basis, depth_on, same_bases};
use super::chunk_set::ChunkSet;
use super::links::Links;
use super::plan::PackUse;
use crate::delta::{Candidate, code_listed};
use crate::pack::{DeltaGroup, EncodedBody, OpenPack, PackBuilder, SealedPack, encode_deltas, encode_plain};
use crate::read::Assembler;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// Packs of which everything that was to be copied lies elsewhere now.
    pub(super) moved: BTreeSet<PackId>,
    /// Bytes of the new packs.
    pub(super) len: u64,
    /// Packs of which something live cannot be read.
    pub(super) damaged: BTreeSet<PackId>,
    /// Whether there was no room for more.
    pub(super) full: bool,
}

/// Is called before each run: shows that the work goes on, and fails if it is not to.
pub(crate) type KeepOn<'k> = dyn FnMut() -> Result<()> + 'k;

/// How a new pack is stored; returns the bytes that takes.
type PutPack<'s> = Box<dyn Fn(&SealedPack) -> Result<u64> + 's>;

/// Fills new packs.
pub(crate) struct Rewriter<'s> {
    /// What is copied lies here, and what it is coded on is read here.
    store: &'s Store,
    put: PutPack<'s>,
    builder: PackBuilder,
    deltas: DeltaGroup,
    matcher: Matcher,
    /// Copied into the pack that grows: they have moved once it is stored.
    waiting: Vec<PackId>,
    /// What lies in the pack that grows, and is not in the index yet where it comes to lie.
    growing: HashSet<ShortId>,
    pub(super) moved: BTreeSet<PackId>,
    /// The new packs, and one that may not have become one.
    written: BTreeSet<PackId>,
    pub(crate) len: u64,
}

impl<'s> Rewriter<'s> {
    /// Fills new packs of the store that is read.
    pub(crate) fn new(store: &'s Store) -> Self {
        Self::with(store, Box::new(|pack| store.put_pack(pack)))
    }

    /// Fills packs that `put` takes.
    pub(crate) fn with(store: &'s Store, put: PutPack<'s>) -> Self {
        let builder = PackBuilder::new(store.key.clone(), store.machine.salt());
        Self {
            store,
            put,
            builder,
            deltas: DeltaGroup::default(),
            matcher: Matcher::default(),
            waiting: Vec::new(),
            growing: HashSet::new(),
            moved: BTreeSet::new(),
            written: BTreeSet::new(),
            len: 0,
        }
    }

    /// Copies what is live of one pack: all of it, or nothing that counts.
    fn copy(&mut self, pack: &PackUse, live: &ChunkSet, keep_on: &mut KeepOn<'_>) -> Result<()> {
        let open = self.store.packs.open(&pack.id)?;
        for number in 0..open.runs().count() {
            keep_on()?;
            self.copy_run(&open, number, live, Basis::Same)?;
        }
        self.waiting.push(pack.id);
        Ok(())
    }

    /// Copies some chunks of several packs, the less deep runs of all packs first: what a run is coded on comes before it, which whoever reads the new
    /// packs in their order relies on. A pack of which something cannot be read goes to `on_damage`, and no further if that takes it.
    pub(crate) fn copy_all(
        &mut self,
        packs: impl IntoIterator<Item = PackId>,
        chunks: &ChunkSet,
        basis: Basis<'_>,
        mut on_damage: impl FnMut(PackId, StoreError) -> Result<()>,
        keep_on: &mut KeepOn<'_>,
    ) -> Result<()> {
        let mut levels: BTreeMap<u8, Vec<(PackId, usize)>> = BTreeMap::new();
        let mut damaged = BTreeSet::new();
        let mut pass_over = |id, error: StoreError| match error.is_out_of_reach() {
            true => on_damage(id, error),
            false => Err(error),
        };
        for id in packs {
            keep_on()?;
            match self.store.packs.open(&id) {
                Ok(open) => {
                    for (number, (place, run)) in open.runs().enumerate() {
                        if chunks.contains_any(&id, place.first, run.chunks.len()) {
                            levels.entry(run.depth).or_default().push((id, number));
                        }
                    }
                }
                Err(error) => pass_over(id, error)?,
            }
        }
        // One at a time: tables may be large.
        let mut last: Option<Arc<OpenPack>> = None;
        for (id, number) in levels.into_values().flatten() {
            keep_on()?;
            if damaged.contains(&id) {
                continue;
            }
            let open = match last.take().filter(|open| open.id == id) {
                Some(open) => Ok(open),
                None => self.store.packs.open(&id),
            };
            match open.and_then(|open| self.copy_run(&open, number, chunks, basis).map(|()| open)) {
                Ok(open) => last = Some(open),
                Err(error) => {
                    pass_over(id, error)?;
                    damaged.insert(id);
                }
            }
        }
        self.store_pack()
    }

    /// Copies some chunks of a run.
    fn copy_run(
        &mut self,
        open: &Arc<OpenPack>,
        number: usize,
        chosen: &ChunkSet,
        basis: Basis<'_>,
    ) -> Result<()> {
        let (place, run) = open.run(number).ok_or_else(|| open.damaged())?;
        let ordinals = (place.first..).take(run.chunks.len());
        let live: Vec<bool> = ordinals.map(|ordinal| chosen.contains(&open.id, ordinal)).collect();
        if !live.contains(&true) {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(live.len());
        let mut assembler = Assembler::new(self.store);
        for (span, is_live) in open.spans(number).zip(&live) {
            chunks.push(if *is_live { Some(assembler.chunk(open, &span)?) } else { None });
        }
        let copied = run.chunks.iter().zip(&live).filter(|(_, is_live)| **is_live);
        let copied = copied.map(|(chunk, _)| chunk.id.short());
        if run.depth == 0 && !live.contains(&false) {
            // The frame is copied, and sealed anew for its new place.
            let stored = self.store.packs.stored_body(open, place.body)?;
            let coded = open.unseal(place.body, stored)?;
            let entry = open.toc.bodies.get(place.body).ok_or_else(|| open.damaged())?.clone();
            self.push(EncodedBody { entry, coded })?;
            self.growing.extend(copied);
            return Ok(());
        }
        // What lies in the pack that grows lies less deep there, perhaps, and so does what is coded on it: the index must know.
        if !matches!(basis, Basis::Same) && run.bases.iter().any(|base| self.growing.contains(&base.id)) {
            self.store_pack()?;
        }
        let mut bases = self.store.bases_by(basis, open, number, run, &mut assembler)?;
        if !matches!(basis, Basis::Same) && bases.iter().any(|base| self.growing.contains(&base.base.id)) {
            self.store_pack()?;
            bases = self.store.bases_by(basis, open, number, run, &mut assembler)?;
        }
        self.push_chunks(run, &bases, &chunks, basis.copied_share_min())?;
        self.growing.extend(copied);
        Ok(())
    }

    /// Copies every chunk of a damaged pack that can be read, and returns how many those are.
    pub(crate) fn salvage(&mut self, open: &Arc<OpenPack>, monitor: &dyn Monitor) -> Result<u64> {
        let mut saved = 0;
        for (number, (_, run)) in open.runs().enumerate() {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let mut chunks = Vec::with_capacity(run.chunks.len());
            for read in self.store.run_chunks(open, number) {
                chunks.push(match read {
                    Ok(bytes) => Some(bytes),
                    Err(error) if error.is_unreadable() => None,
                    // A cable, perhaps: what cannot be read now is not lost.
                    Err(error) => return Err(error),
                });
            }
            saved += chunks.iter().flatten().count() as u64;
            self.push_chunks(run, &same_bases(run), &chunks, Basis::Same.copied_share_min())?;
        }
        Ok(saved)
    }

    /// Codes some chunks of a run anew, on these bases if it was a delta; one of content only if one part in `share_min` at least is in them.
    fn push_chunks(
        &mut self,
        run: &Run,
        bases: &[Candidate],
        chunks: &[Option<Bytes>],
        share_min: u64,
    ) -> Result<()> {
        let mut bytes = Vec::with_capacity(run.plain_len() as usize);
        let depth = depth_on(bases, run.is_listed);
        let mut kept = Run { depth, is_listed: run.is_listed, ..Run::default() };
        kept.bases = bases.iter().map(|candidate| candidate.base).collect();
        for (within, (chunk, chunk_bytes)) in run.chunks.iter().zip(chunks).enumerate() {
            if let Some(chunk_bytes) = chunk_bytes {
                bytes.extend_from_slice(chunk_bytes);
                kept.chunks.push(*chunk);
                kept.sketches.extend(run.sketches.get(within));
            }
        }
        if kept.chunks.is_empty() {
            return Ok(());
        }
        if kept.is_listed {
            return self.push_listed(kept, &bytes);
        }
        if kept.depth > 0 {
            if let Some((run, difference)) =
                self.store.difference(&kept, &bytes, bases, share_min, &mut self.matcher)
            {
                return self.deltas.push(run, difference).map_or(Ok(()), |body| self.push(body));
            }
            kept = self.store.without_bases(kept, &bytes);
        }
        self.push(encode_plain(kept, &bytes, self.store.config.zstd_level))
    }

    /// Codes nodes anew, on what is listed now.
    fn push_listed(&mut self, mut run: Run, plain: &[u8]) -> Result<()> {
        if let Some(body) = self.deltas.flush() {
            self.push(body)?;
        }
        let bases = self.store.base_bytes(&run.bases, run.depth, &[]).unwrap_or_else(|_| {
            run.bases.clear();
            Vec::new()
        });
        let coded = code_listed(run, plain, bases, &self.builder.listing(), &mut self.matcher);
        self.push(match coded {
            Ok((run, difference)) => encode_deltas(vec![run], &[difference]),
            Err(run) => {
                let run = self.store.without_bases(run, plain);
                encode_plain(run, plain, self.store.config.zstd_level)
            }
        })
    }

    fn push(&mut self, body: EncodedBody) -> Result<()> {
        self.builder.push(body);
        match self.builder.len() >= self.store.config.pack_len as usize {
            true => self.store_pack(),
            false => Ok(()),
        }
    }

    /// Stores what is not stored yet.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.store_pack()
    }

    /// Makes the new pack durable and lets the index find the chunks in it: only then have they moved.
    fn store_pack(&mut self) -> Result<()> {
        // What waits to share a body is of packs that count as moved from here on.
        if let Some(body) = self.deltas.flush() {
            self.builder.push(body);
        }
        // Taken out first: if this fails, they have not moved, whatever is tried next.
        let waiting = std::mem::take(&mut self.waiting);
        if !self.builder.is_empty() {
            let pack = self.builder.seal();
            // Even if that fails: it may be there.
            self.written.insert(pack.id);
            self.len += (self.put)(&pack)?;
        }
        self.growing.clear();
        self.moved.extend(waiting);
        Ok(())
    }
}

impl Store {
    /// Copies the live chunks of `packs` into new packs, none deeper than `depth_max`. A pack that cannot be read stays as it is, and so do those for which there is no
    /// room.
    pub(super) fn rewrite(
        &self,
        packs: &[PackUse],
        live: &ChunkSet,
        depth_max: u8,
        keep_on: &mut KeepOn<'_>,
    ) -> Result<Rewritten> {
        if depth_max < DEPTH_MAX {
            let packs: Vec<PackId> = packs.iter().map(|pack| pack.id).collect();
            return Ok(self.recode(&packs, live, Basis::Within(depth_max), keep_on)?.0);
        }
        let mut rewriter = Rewriter::new(self);
        let mut rewritten = Rewritten::default();
        for pack in packs {
            match rewriter.copy(pack, live, keep_on) {
                Ok(()) => (),
                Err(error) if error.is_out_of_reach() => drop(rewritten.damaged.insert(pack.id)),
                Err(error) if error.is_full() => {
                    rewritten.full = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        match rewriter.finish() {
            Err(error) if error.is_full() => rewritten.full = true,
            done => done?,
        }
        (rewritten.moved, rewritten.len) = (rewriter.moved, rewriter.len);
        Ok(rewritten)
    }

    /// Whether there is room to code anew what is coded on links, as far as that is known: twice as much as it takes, for others need some meanwhile.
    pub(super) fn has_room_without(&self, links: &Links) -> bool {
        self.storage.free().is_none_or(|free| free / 2 >= links.len_without())
    }

    /// Codes anew what is coded on links, and nothing on what lies in `condemned` packs. If that takes more room than there is, or than it gives back, all stays as it is.
    pub(super) fn take_out(
        &self,
        links: &Links,
        condemned: &BTreeSet<PackId>,
        keep_on: &mut KeepOn<'_>,
    ) -> Result<Rewritten> {
        let packs = links.packs.keys().copied().filter(|id| links.needed.count(id) > 0);
        let basis = Basis::Without(&links.chunks, condemned);
        let (mut rewritten, written) =
            self.recode(&packs.collect::<Vec<_>>(), &links.needed, basis, keep_on)?;
        if rewritten.full || rewritten.len > links.packs_len {
            // The new packs are found last then, and go. On a disk that is full to the last byte the index may not take that: the next collection meets both.
            self.put_last(&written)?;
            rewritten.moved.clear();
        }
        Ok(rewritten)
    }

    /// Copies these chunks of `packs` into new packs, coded on something else. Returns the new packs, too.
    fn recode(
        &self,
        packs: &[PackId],
        chunks: &ChunkSet,
        basis: Basis<'_>,
        keep_on: &mut KeepOn<'_>,
    ) -> Result<(Rewritten, BTreeSet<PackId>)> {
        let mut rewriter = Rewriter::new(self);
        let mut rewritten = Rewritten::default();
        let damaged = |id, _| {
            rewritten.damaged.insert(id);
            Ok(())
        };
        match rewriter.copy_all(packs.iter().copied(), chunks, basis, damaged, keep_on) {
            Ok(()) => {
                let moved = packs.iter().copied().filter(|id| !rewritten.damaged.contains(id));
                rewritten.moved = moved.collect();
            }
            Err(error) if error.is_full() => rewritten.full = true,
            Err(error) => return Err(error),
        }
        rewritten.len = rewriter.len;
        Ok((rewritten, rewriter.written))
    }
}
