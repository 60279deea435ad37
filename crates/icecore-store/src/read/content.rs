//! The bytes of chunks, in order, decoded ahead on the pool.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};
use icecore_format::{ChunkId, ChunkRef, ShortId};
use icecore_storage::ErrorKind;

use super::assembler::Assembler;
use crate::index::{ChunkPlace, IndexBirth};
use crate::pack::{ChunkSpan, OpenPack};
use crate::store::Store;
use crate::{Result, StoreError};

/// Plain bytes that are decoded ahead of what was taken.
const AHEAD_BYTES: u64 = 12 << 20;
/// References that are resolved in one transaction.
const REFS_A_LOOKUP: usize = 512;
/// How often the pack in which a chunk was found may be gone before it can be opened.
const GONE_MAX: u32 = 5;

/// Where a chunk's bytes are: an open pack, a run of it, a range of the run.
struct Located {
    chunk: ChunkRef,
    pack: Arc<OpenPack>,
    span: ChunkSpan,
}

/// Neighbouring references into one run: one job.
struct Segment {
    bytes: Receiver<Picks>,
    len: u64,
}

/// What could be read of a segment, and why no more could.
#[derive(Default)]
struct Picks {
    chunks: Vec<(ChunkRef, Bytes)>,
    failure: Option<StoreError>,
}

/// Turns references into bytes: an iterator over chunks, each checked by its id, in the order of the references.
pub struct ContentReader<'a, R> {
    store: &'a Arc<Store>,
    refs: R,
    located: VecDeque<Located>,
    segments: VecDeque<Segment>,
    ahead: u64,
    ready: VecDeque<(ChunkRef, Bytes)>,
    ended: bool,
    /// What ended it, told when everything before has been given out.
    failure: Option<StoreError>,
}

impl<R> std::fmt::Debug for ContentReader<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentReader(..)")
    }
}

impl<'a, R: Iterator<Item = Result<ChunkRef>>> ContentReader<'a, R> {
    /// Reads the chunks that `refs` names.
    pub fn new(store: &'a Arc<Store>, refs: R) -> Self {
        Self {
            store,
            refs,
            located: VecDeque::new(),
            segments: VecDeque::new(),
            ahead: 0,
            ready: VecDeque::new(),
            ended: false,
            failure: None,
        }
    }

    /// Begins as many jobs as the memory bound allows.
    fn fill(&mut self) {
        while self.ahead < AHEAD_BYTES {
            if self.located.is_empty() && !self.locate_more() {
                return;
            }
            let Some(first) = self.located.pop_front() else { return };
            let mut picks = vec![(first.chunk, first.span)];
            while let Some(next) = self.located.front() {
                if next.pack.id != first.pack.id || next.span.run != first.span.run {
                    break;
                }
                picks.push((next.chunk, next.span));
                self.located.pop_front();
            }
            let len = picks.iter().map(|(chunk, _)| u64::from(chunk.len)).sum();
            let (done, bytes) = bounded(1);
            let (store, pack, run) = (Arc::clone(self.store), first.pack, first.span.run);
            self.store.spawn_fetch(move || {
                // Nobody waits for it when the reader was dropped.
                let _ = done.send(read_picks(&store, &pack, run, &picks));
            });
            self.ahead += len;
            self.segments.push_back(Segment { bytes, len });
        }
    }

    /// Ends the content behind what has been located: an error ends it where it lies.
    fn end_with(&mut self, error: StoreError) {
        self.ended = true;
        self.failure = Some(error);
    }

    /// Resolves the next references; false at their end.
    fn locate_more(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let mut refs = Vec::with_capacity(REFS_A_LOOKUP);
        while refs.len() < REFS_A_LOOKUP {
            match self.refs.next() {
                Some(Ok(reference)) => refs.push(reference),
                Some(Err(error)) => {
                    self.end_with(error);
                    break;
                }
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        let ids: Vec<_> = refs.iter().map(|chunk| chunk.id.short()).collect();
        let places = match self.store.locate(&ids, ANY_DEPTH) {
            Ok(places) => places,
            Err(_) => self.locate_up_to_damage(&ids),
        };
        for (chunk, (pack, place)) in refs.into_iter().zip(places) {
            let located = pack
                .locate(place.ordinal)
                .filter(|(span, entry)| entry.id == chunk.id && span.len == chunk.len as usize);
            let Some((span, _)) = located else {
                self.end_with(StoreError::ChunkDamaged { pack: pack.id, chunk: chunk.id });
                break;
            };
            self.located.push_back(Located { chunk, pack, span });
        }
        !self.located.is_empty()
    }

    /// Resolves one by one, up to the first that is lost. Whoever is told of it takes it for the damage of what he reads just then.
    fn locate_up_to_damage(&mut self, ids: &[ShortId]) -> Vec<(Arc<OpenPack>, ChunkPlace)> {
        let mut places = Vec::new();
        for id in ids {
            match self.store.locate(std::slice::from_ref(id), ANY_DEPTH) {
                Ok(found) => places.extend(found),
                Err(error) => {
                    self.end_with(error);
                    break;
                }
            }
        }
        places
    }
}

impl<R: Iterator<Item = Result<ChunkRef>>> Iterator for ContentReader<'_, R> {
    type Item = Result<(ChunkRef, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(Ok(ready));
        }
        self.fill();
        let Some(segment) = self.segments.pop_front() else { return self.failure.take().map(Err) };
        self.ahead -= segment.len;
        let panicked =
            |_| Picks { failure: Some(StoreError::Panicked { thread: "reader" }), ..Picks::default() };
        let Picks { chunks, failure } = segment.bytes.recv().unwrap_or_else(panicked);
        self.ready.extend(chunks);
        if let Some(error) = failure {
            // Nothing comes after an error: it would be taken for what belongs here.
            self.end_with(error);
            self.located.clear();
            self.segments.clear();
        }
        self.next()
    }
}

fn read_picks(store: &Store, pack: &Arc<OpenPack>, run: usize, picks: &[(ChunkRef, ChunkSpan)]) -> Picks {
    let run_len = pack.run(run).map_or(0, |(_, run)| run.plain_len() as usize);
    // A slice keeps the whole run in memory. Where little of it is wanted, that is copied out, or scattered references would hold
    // many times what they count.
    let wanted: usize = picks.iter().map(|(_, span)| span.len).sum();
    let copies = wanted < run_len / 2;
    let mut assembler = Assembler::new(store);
    let mut read = |(chunk, span): &(ChunkRef, ChunkSpan)| match assembler.chunk(pack, span) {
        Ok(bytes) => Ok((*chunk, if copies { Bytes::copy_from_slice(&bytes) } else { bytes })),
        // A collection rewrote the pack since it was looked up: the chunks lie elsewhere now.
        Err(error) if error.is_gone() => Ok((*chunk, store.read_chunk(&chunk.id)?)),
        // What it is coded on is gone; it may lie elsewhere too.
        Err(StoreError::ChunkMissing { .. }) => Ok((*chunk, store.read_chunk(&chunk.id)?)),
        Err(error) => Err(error),
    };
    let mut found = Picks { chunks: Vec::with_capacity(picks.len()), failure: None };
    for pick in picks {
        match read(pick) {
            Ok(chunk) => found.chunks.push(chunk),
            Err(error) => {
                found.failure = Some(error);
                break;
            }
        }
    }
    found
}

/// Deeper than any run lies.
pub(crate) const ANY_DEPTH: u8 = u8::MAX;

impl Store {
    /// Where chunks lie. What the index does not know, or knows in a pack that is gone, is looked for once more after the index and
    /// the packs were brought together.
    ///
    /// Only places less deep than `below` count: [`ANY_DEPTH`], or the depth of a run that these are the bases of.
    pub(crate) fn locate(&self, ids: &[ShortId], below: u8) -> Result<Vec<(Arc<OpenPack>, ChunkPlace)>> {
        let mut since: Option<IndexBirth> = None;
        let mut gone = 0;
        let found = loop {
            let error = match self.try_locate(ids, below) {
                Ok(found) => break found,
                Err(error) => error,
            };
            let again = match (&error, &mut since) {
                (StoreError::ChunkMissing { .. }, Some(since)) => self.ask_index_again(since)?,
                // A damaged index is empty by now.
                (StoreError::ChunkMissing { .. } | StoreError::Index { .. }, None) => true,
                (StoreError::Storage(error), _) if error.kind == ErrorKind::NotFound => {
                    gone += 1;
                    // Either collections are faster than we are, or the index lies.
                    if gone == GONE_MAX {
                        self.index.doubt();
                    }
                    gone <= GONE_MAX
                }
                _ => false,
            };
            if !again {
                return Err(error);
            }
            if since.is_none() || !matches!(error, StoreError::ChunkMissing { .. }) {
                since = Some(self.refresh_both()?);
            }
        };
        let wrong = |(id, (pack, place)): (&ShortId, &(Arc<OpenPack>, ChunkPlace))| {
            let is_right = |span: &ChunkSpan| pack.run(span.run).is_some_and(|(_, run)| run.depth < below);
            pack.locate(place.ordinal).is_none_or(|(span, entry)| entry.id.short() != *id || !is_right(&span))
        };
        if ids.iter().zip(&found).any(wrong) {
            // The packs' tables are checksummed, so it is the index that lies: it is made anew.
            self.index.discard();
            self.beside.iter().for_each(|beside| beside.index.discard());
            let mut since = self.refresh_both()?;
            return loop {
                match self.try_locate(ids, below) {
                    Err(StoreError::ChunkMissing { .. }) if self.was_made_anew(&mut since)? => (),
                    found => break found,
                }
            };
        }
        Ok(found)
    }

    /// Brings index and packs together, those of the store beside this one, too: somebody may collect there meanwhile.
    fn refresh_both(&self) -> Result<IndexBirth> {
        if let Some(beside) = &self.beside {
            beside.refresh_index(&BTreeSet::new())?;
        }
        self.refresh_index(&BTreeSet::new())
    }

    fn try_locate(&self, ids: &[ShortId], below: u8) -> Result<Vec<(Arc<OpenPack>, ChunkPlace)>> {
        let mut found = self.index.read(|index| index.found(ids, below))?;
        if let Some(beside) = &self.beside
            && found.iter().any(Option::is_none)
        {
            let there = beside.index.read(|index| index.found(ids, below))?;
            for (found, there) in found.iter_mut().zip(there) {
                *found = found.or(there);
            }
        }
        let missing = |id: &ShortId| StoreError::ChunkMissing { chunk: *id };
        let found = ids.iter().zip(found).map(|(id, found)| found.ok_or_else(|| missing(id)));
        let found = found.collect::<Result<Vec<_>>>()?;
        found.into_iter().map(|(place, record)| Ok((self.packs.open(&record.id)?, place))).collect()
    }

    /// One chunk's bytes, checked.
    pub(crate) fn read_chunk(&self, id: &ChunkId) -> Result<Bytes> {
        let mut tried = None;
        let mut is_sorted = false;
        loop {
            let found = self.locate(&[id.short()], ANY_DEPTH)?;
            let Some((pack, place)) = found.into_iter().next() else {
                return Err(StoreError::ChunkMissing { chunk: id.short() });
            };
            let damaged = || StoreError::ChunkDamaged { pack: pack.id, chunk: *id };
            let (at, _) =
                pack.locate(place.ordinal).filter(|(_, entry)| entry.id == *id).ok_or_else(damaged)?;
            match Assembler::new(self).chunk(&pack, &at) {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.is_gone() && tried != Some(pack.id) => {
                    tried = Some(pack.id);
                    self.packs.forget(&pack.id);
                    self.forget_if_gone(&pack.id)?;
                }
                Err(error @ StoreError::ChunkMissing { .. }) if !is_sorted => {
                    is_sorted = true;
                    if self.put_unsound_last()?.is_empty() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
