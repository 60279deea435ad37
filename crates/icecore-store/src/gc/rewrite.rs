//! Copying what is live of half-dead packs into new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use icecore_chunk::Matcher;
use icecore_format::{Base, DEPTH_MAX, PackId, Run, ShortId};

use super::chunk_set::ChunkSet;
use super::links::Links;
use super::mark::Marks;
use super::plan::PackUse;
use crate::delta::{Candidate, code_listed};
use crate::pack::{DeltaGroup, EncodedBody, OpenPack, PackBuilder, SealedPack, encode_deltas, encode_plain};
use crate::read::Assembler;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// A run that is taken from its chain is coded on no more chunks than this.
const ORIGINS_MAX: usize = 512;

/// On what runs are coded when they are copied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Basis<'l> {
    /// On what they were.
    Same,
    /// So that none lies deeper than this: on what their chains started from, where it would.
    Within(u8),
    /// Not on these: on what they are coded on.
    Without(&'l ChunkSet),
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// Packs of which everything live lies elsewhere now.
    pub(super) moved: BTreeSet<PackId>,
    /// Bytes of the new packs.
    pub(super) len: u64,
    /// Packs of which something live cannot be read.
    pub(super) damaged: Vec<PackId>,
    /// Whether there was no room for more.
    pub(super) full: bool,
}

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
    pub(super) moved: BTreeSet<PackId>,
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
        let (waiting, moved) = (Vec::new(), BTreeSet::new());
        let (deltas, matcher) = (DeltaGroup::default(), Matcher::default());
        Self { store, put, builder, deltas, matcher, waiting, moved, len: 0 }
    }

    /// Copies what is live of one pack: all of it, or nothing that counts.
    pub(super) fn copy(&mut self, pack: &PackUse, marks: &Marks, monitor: &dyn Monitor) -> Result<()> {
        let open = self.store.packs.open(&pack.id)?;
        for number in 0..open.runs().count() {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            self.copy_run(&open, number, &marks.live, Basis::Same)?;
        }
        self.waiting.push(pack.id);
        Ok(())
    }

    /// Copies some chunks of several packs. The less deep runs of all packs come first, and are known to the index before what is coded on
    /// them comes: so that lies less deep as well, if it is not to be coded on the same. A pack that cannot be read goes to `on_damage`, and no further if that takes it.
    pub(crate) fn copy_all(
        &mut self,
        packs: impl IntoIterator<Item = PackId>,
        chunks: &ChunkSet,
        basis: Basis<'_>,
        mut on_damage: impl FnMut(PackId, StoreError) -> Result<()>,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let mut levels: BTreeMap<u8, Vec<(PackId, usize)>> = BTreeMap::new();
        let mut damaged = BTreeSet::new();
        let mut pass_over = |id, error: StoreError| match error.is_out_of_reach() {
            true => on_damage(id, error),
            false => Err(error),
        };
        for id in packs {
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
        for level in levels.into_values() {
            for (id, number) in level {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                if damaged.contains(&id) {
                    continue;
                }
                let copied =
                    self.store.packs.open(&id).and_then(|open| self.copy_run(&open, number, chunks, basis));
                if let Err(error) = copied {
                    pass_over(id, error)?;
                    damaged.insert(id);
                }
            }
            if !matches!(basis, Basis::Same) {
                self.store_pack()?;
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
        if run.depth == 0 && !live.contains(&false) {
            // The frame is copied, and sealed anew for its new place.
            let stored = self.store.packs.stored_body(open, place.body)?;
            let coded = open.unseal(place.body, stored)?;
            let entry = open.toc.bodies.get(place.body).ok_or_else(|| open.damaged())?.clone();
            return self.push(EncodedBody { entry, coded });
        }
        let bases = self.bases_by(basis, open, number, run, &mut assembler)?;
        self.push_chunks(run, &bases, &chunks)
    }

    /// What a run is to be coded on now.
    fn bases_by(
        &self,
        basis: Basis<'_>,
        open: &Arc<OpenPack>,
        number: usize,
        run: &Run,
        assembler: &mut Assembler<'_>,
    ) -> Result<Vec<Candidate>> {
        let (links, depth_max, below) = match basis {
            Basis::Same => return Ok(same_bases(run)),
            Basis::Within(depth_max) => (None, depth_max, 1),
            Basis::Without(links) => (Some(links), DEPTH_MAX, run.depth),
        };
        let is_link =
            |pack: &PackId, ordinal| links.is_some_and(|links: &ChunkSet| links.contains(pack, ordinal));
        let known = self.find_bases(&run.bases, run.depth)?;
        let stay = known.len() == run.bases.len()
            && known.iter().all(|(base, ordinal)| base.pack.is_some_and(|pack| !is_link(&pack, *ordinal)));
        let known: Vec<Candidate> = known.into_iter().map(|(base, _)| base).collect();
        if stay && depth_on(&known, run.is_listed) <= depth_max {
            return Ok(known);
        }
        let is_end = |pack: &PackId, ordinal| links.is_some() && !is_link(pack, ordinal);
        let mut origins = assembler.origins(open, number, is_end)?;
        // Those that give most.
        let mut given: Vec<u64> = origins.iter().map(|origin| origin.given).collect();
        given.sort_unstable_by(|one, other| other.cmp(one));
        let enough = given.get(ORIGINS_MAX).copied().unwrap_or(0);
        origins.retain(|origin| origin.given > enough);
        let origins: Vec<Base> = origins.iter().map(|origin| origin.chunk.base()).collect();
        Ok(self.find_bases(&origins, below)?.into_iter().map(|(base, _)| base).collect())
    }

    /// Those of `bases` that the index finds less deep than `below`, each with its ordinal in its pack.
    fn find_bases(&self, bases: &[Base], below: u8) -> Result<Vec<(Candidate, u32)>> {
        let ids: Vec<ShortId> = bases.iter().map(|base| base.id).collect();
        let places = self.store.index.read(|index| index.found(&ids, below))?;
        let mut found = Vec::with_capacity(bases.len());
        for (stretch, (base, place)) in bases.iter().zip(places).enumerate() {
            if let Some((place, pack)) = place {
                let candidate = Candidate { base: *base, depth: place.depth, pack: Some(pack.id), stretch };
                found.push((candidate, place.ordinal));
            }
        }
        Ok(found)
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
            self.push_chunks(run, &same_bases(run), &chunks)?;
        }
        Ok(saved)
    }

    /// Codes some chunks of a run anew, on these bases if it was a delta.
    fn push_chunks(&mut self, run: &Run, bases: &[Candidate], chunks: &[Option<Bytes>]) -> Result<()> {
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
            if let Some((run, difference)) = self.store.difference(&kept, &bytes, bases, &mut self.matcher) {
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
            self.len += (self.put)(&self.builder.seal())?;
        }
        self.moved.extend(waiting);
        Ok(())
    }
}

/// The bases of a run as they are. They are as deep as they may be: what comes to be coded on them lies at no less.
fn same_bases(run: &Run) -> Vec<Candidate> {
    let depth = run.depth.saturating_sub(1);
    let candidate = |(stretch, base): (usize, &Base)| Candidate { base: *base, depth, pack: None, stretch };
    run.bases.iter().enumerate().map(candidate).collect()
}

/// How deep a run lies that is coded on these, and on the table of its pack if it is listed.
fn depth_on(bases: &[Candidate], is_listed: bool) -> u8 {
    bases.iter().map(|base| base.depth + 1).max().unwrap_or(0).max(u8::from(is_listed))
}

impl Store {
    /// Copies the live chunks of `packs` into new packs, none deeper than `depth_max`. A pack that cannot be read stays as it is, and so do those for which there is no
    /// room.
    pub(super) fn rewrite(
        &self,
        packs: &[PackUse],
        marks: &Marks,
        depth_max: u8,
        monitor: &dyn Monitor,
    ) -> Result<Rewritten> {
        if depth_max < DEPTH_MAX {
            let packs = packs.iter().map(|pack| pack.id);
            return self.recode(packs, &marks.live, Basis::Within(depth_max), monitor);
        }
        let mut rewriter = Rewriter::new(self);
        let mut rewritten = Rewritten::default();
        for pack in packs {
            match rewriter.copy(pack, marks, monitor) {
                Ok(()) => (),
                Err(error) if error.is_out_of_reach() => rewritten.damaged.push(pack.id),
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

    /// Codes anew what is coded on links.
    pub(super) fn take_out(&self, links: &Links, monitor: &dyn Monitor) -> Result<Rewritten> {
        let packs = links.packs.keys().copied().filter(|id| links.needed.count(id) > 0);
        self.recode(packs, &links.needed, Basis::Without(&links.chunks), monitor)
    }

    /// Copies these chunks of `packs` into new packs, coded on something else.
    fn recode(
        &self,
        packs: impl Iterator<Item = PackId> + Clone,
        chunks: &ChunkSet,
        basis: Basis<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Rewritten> {
        let mut rewriter = Rewriter::new(self);
        let mut rewritten = Rewritten::default();
        let damaged = |id, _| {
            rewritten.damaged.push(id);
            Ok(())
        };
        match rewriter.copy_all(packs.clone(), chunks, basis, damaged, monitor) {
            Ok(()) => rewritten.moved = packs.filter(|id| !rewritten.damaged.contains(id)).collect(),
            Err(error) if error.is_full() => rewritten.full = true,
            Err(error) => return Err(error),
        }
        rewritten.len = rewriter.len;
        Ok(rewritten)
    }
}
