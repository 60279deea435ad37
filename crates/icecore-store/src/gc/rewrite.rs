//! Copying what is live of half-dead packs into new ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use icecore_chunk::Matcher;
use icecore_format::{Base, DEPTH_MAX, PackId, Run};

use super::mark::Marks;
use super::plan::PackUse;
use crate::delta::{Candidate, code_listed};
use crate::pack::{DeltaGroup, EncodedBody, OpenPack, PackBuilder, SealedPack, encode_deltas, encode_plain};
use crate::read::Assembler;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// A run that is taken from its chain is coded on no more chunks than this.
const ORIGINS_MAX: usize = 512;

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
            self.copy_run(&open, number, marks, None)?;
        }
        self.waiting.push(pack.id);
        Ok(())
    }

    /// Copies what is live of several packs, no run deeper than `depth_max`. The less deep runs of all packs come first, and are known to the
    /// index before what is coded on them comes: so that lies less deep as well. Returns the packs that could not be read.
    fn flatten(
        &mut self,
        packs: &[PackUse],
        marks: &Marks,
        depth_max: u8,
        monitor: &dyn Monitor,
    ) -> Result<Vec<PackId>> {
        let mut damaged = BTreeSet::new();
        for depth in 0..=DEPTH_MAX {
            for pack in packs.iter().filter(|pack| !damaged.contains(&pack.id)).collect::<Vec<_>>() {
                match self.copy_level(&pack.id, marks, depth, Some(depth_max), monitor) {
                    Ok(()) => (),
                    Err(error) if error.is_out_of_reach() => drop(damaged.insert(pack.id)),
                    Err(error) => return Err(error),
                }
            }
            self.store_pack()?;
        }
        self.moved.extend(packs.iter().map(|pack| pack.id).filter(|id| !damaged.contains(id)));
        Ok(damaged.into_iter().collect())
    }

    /// Copies what is live of a pack's runs that lie at `depth`, no deeper than `depth_max`, if that is given.
    pub(crate) fn copy_level(
        &mut self,
        pack: &PackId,
        marks: &Marks,
        depth: u8,
        depth_max: Option<u8>,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let open = self.store.packs.open(pack)?;
        for (number, _) in open.runs().enumerate().filter(|(_, (_, run))| run.depth == depth) {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            self.copy_run(&open, number, marks, depth_max)?;
        }
        Ok(())
    }

    /// Copies what is live of a run, coded as it was; no deeper than `depth_max`, if that is given.
    fn copy_run(
        &mut self,
        open: &Arc<OpenPack>,
        number: usize,
        marks: &Marks,
        depth_max: Option<u8>,
    ) -> Result<()> {
        let (place, run) = open.run(number).ok_or_else(|| open.damaged())?;
        let is_live = |ordinal| marks.is_live(&open.id, ordinal);
        let live: Vec<bool> = (place.first..).zip(&run.chunks).map(|(ordinal, _)| is_live(ordinal)).collect();
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
        let (bases, depth) = match depth_max {
            Some(depth_max) => self.bases_within(open, number, run, depth_max, &mut assembler)?,
            // They are as deep as they may be: what it comes to lie at is not less.
            None => (run.bases.iter().map(|base| (*base, run.depth - 1)).collect(), run.depth),
        };
        self.push_chunks(run, &bases, depth, &chunks)
    }

    /// The bases of a run with how deep they lie by now, and how deep the run comes to lie; those that its chains started from, if that would be
    /// deeper than `depth_max`.
    fn bases_within(
        &self,
        open: &Arc<OpenPack>,
        number: usize,
        run: &Run,
        depth_max: u8,
        assembler: &mut Assembler<'_>,
    ) -> Result<(Vec<(Base, u8)>, u8)> {
        let places = self.store.index.read(|index| {
            run.bases.iter().map(|base| index.find_base(&base.id, run.depth)).collect::<Result<Vec<_>>>()
        })?;
        let bases: Option<Vec<(Base, u8)>> =
            run.bases.iter().zip(places).map(|(base, place)| Some((*base, place?.depth))).collect();
        let depth = |bases: &[(Base, u8)]| bases.iter().map(|(_, depth)| depth + 1).max().unwrap_or(0);
        if let Some(bases) = bases
            && depth(&bases).max(u8::from(run.is_listed)) <= depth_max
        {
            let depth = depth(&bases).max(u8::from(run.is_listed));
            return Ok((bases, depth));
        }
        // Those that give most.
        let mut origins = assembler.origins(open, number)?.chunks;
        let mut given: Vec<u64> = origins.iter().map(|(.., given)| *given).collect();
        given.sort_unstable_by(|one, other| other.cmp(one));
        let enough = given.get(ORIGINS_MAX).copied().unwrap_or(0);
        origins.retain(|(.., given)| *given > enough);
        Ok((origins.into_iter().map(|(.., chunk, _)| (chunk.base(), 0)).collect(), 1))
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
            let bases: Vec<_> = run.bases.iter().map(|base| (*base, run.depth - 1)).collect();
            self.push_chunks(run, &bases, run.depth, &chunks)?;
        }
        Ok(saved)
    }

    /// Codes some chunks of a run anew, on these bases, each with how deep it lies, if it was a delta.
    fn push_chunks(
        &mut self,
        run: &Run,
        bases: &[(Base, u8)],
        depth: u8,
        chunks: &[Option<Bytes>],
    ) -> Result<()> {
        let mut bytes = Vec::with_capacity(run.plain_len() as usize);
        let depth = if run.depth == 0 { 0 } else { depth };
        let mut kept = Run { depth, is_listed: run.is_listed, ..Run::default() };
        kept.bases = bases.iter().map(|(base, _)| *base).collect();
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
            let candidate = |(stretch, (base, depth)): (usize, &(Base, u8))| Candidate {
                base: *base,
                depth: *depth,
                pack: None,
                stretch,
            };
            let candidates: Vec<Candidate> = bases.iter().enumerate().map(candidate).collect();
            if let Some((run, difference)) =
                self.store.difference(&kept, &bytes, &candidates, &mut self.matcher)
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
            self.len += (self.put)(&self.builder.seal())?;
        }
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
        marks: &Marks,
        depth_max: u8,
        monitor: &dyn Monitor,
    ) -> Result<Rewritten> {
        let mut rewriter = Rewriter::new(self);
        let mut rewritten = Rewritten::default();
        if depth_max < DEPTH_MAX {
            match rewriter.flatten(packs, marks, depth_max, monitor) {
                Ok(damaged) => rewritten.damaged = damaged,
                Err(error) if error.is_full() => rewritten.full = true,
                Err(error) => return Err(error),
            }
            (rewritten.moved, rewritten.len) = (rewriter.moved, rewriter.len);
            return Ok(rewritten);
        }
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
}
