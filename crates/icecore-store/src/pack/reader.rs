//! Reading packs: tables of contents and frames.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use icecore_format::{
    Body, BodyCipher, Codec, DecodeError, Digest, PACK_HEADER_LEN, PACK_TRAILER_LEN, PackHeader, PackId,
    PackToc, PackTrailer, Residue, Run, ShortId, StoreKey, TocChunk, names,
};
use icecore_storage::{ErrorKind, Storage};

use super::cache::Cache;
use super::decode_frame;
use super::delta_run::DeltaRun;
use crate::{Result, StoreError};

/// Tables of contents kept in memory, in bytes.
const TOC_CACHE_BYTES: usize = 8 << 20;
/// Decoded frames kept in memory, in bytes.
const FRAME_CACHE_BYTES: usize = 40 << 20;
/// Runs that are deltas, laid out, that are kept in memory, in bytes.
const DELTA_CACHE_BYTES: usize = 12 << 20;

/// How many packs are remembered in which bases of a pack's runs were found.
const BASE_PACKS_MAX: usize = 32;

/// What is read of a pack's end at once: most tables are shorter.
const END_LEN: u64 = 64 << 10;

/// How much may have been added to a pack whose table is still looked for.
const ADDED_LEN_MAX: u64 = 1 << 20;

/// A pack whose table has been read.
#[derive(Debug)]
pub(crate) struct OpenPack {
    pub(crate) id: PackId,
    pub(crate) toc: PackToc,
    first_body: u64,
    cipher: BodyCipher,
    /// For each body where it starts in the pack.
    bodies: Vec<u64>,
    runs: Vec<RunPlace>,
    /// For each chunk, by its ordinal: where it starts in its run. Summed up once: a run may hold a hundred thousand tiny ones.
    offsets: Vec<u32>,
    /// The ordinals of chunks by their ids, once somebody asked.
    ordinals: OnceLock<HashMap<ShortId, u32>>,
    /// Where bases of its runs were found, the last one first: where the next are likely to be.
    base_packs: Mutex<Vec<PackId>>,
}

/// A run's place in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunPlace {
    /// Which body of the pack.
    pub(crate) body: usize,
    /// Which run of the body.
    pub(crate) within: usize,
    /// The ordinal of its first chunk.
    pub(crate) first: u32,
}

/// A chunk's place once its pack is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkSpan {
    /// Which run of the pack.
    pub(crate) run: usize,
    /// Which chunk of the run.
    pub(crate) within: usize,
    /// Where the chunk's plain bytes start in the run's.
    pub(crate) offset: usize,
    /// Their length.
    pub(crate) len: usize,
}

impl OpenPack {
    /// A chunk's entry in the table.
    pub(crate) fn chunk_at(&self, span: &ChunkSpan) -> Option<&TocChunk> {
        self.run(span.run).and_then(|(_, run)| run.chunks.get(span.within))
    }

    /// A chunk's ordinal.
    pub(crate) fn ordinal_of(&self, span: &ChunkSpan) -> Option<u32> {
        let (place, _) = self.run(span.run)?;
        place.first.checked_add(u32::try_from(span.within).ok()?)
    }

    fn new(id: PackId, header: &PackHeader, toc: PackToc, key: &StoreKey) -> Self {
        let mut start = PACK_HEADER_LEN as u64;
        let mut first = 0u32;
        let mut bodies = Vec::with_capacity(toc.bodies.len());
        let mut runs = Vec::with_capacity(toc.bodies.len());
        let mut offsets = Vec::with_capacity(toc.chunk_count());
        for (number, body) in toc.bodies.iter().enumerate() {
            bodies.push(start);
            start += u64::from(body.stored_len);
            for (within, run) in body.runs.iter().enumerate() {
                runs.push(RunPlace { body: number, within, first });
                offsets.extend(run.chunks.iter().scan(0u32, |at, chunk| {
                    let start = *at;
                    *at = at.saturating_add(chunk.len);
                    Some(start)
                }));
                first = first.saturating_add(u32::try_from(run.chunks.len()).unwrap_or(u32::MAX));
            }
        }
        let cipher = key.pack_cipher(&header.salt);
        let (ordinals, base_packs) = (OnceLock::new(), Mutex::default());
        Self { id, toc, first_body: header.first_body, cipher, bodies, runs, offsets, ordinals, base_packs }
    }

    /// The runs of the pack, each with its place.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (RunPlace, &Run)> {
        self.runs.iter().copied().zip(self.toc.runs())
    }

    /// The runs that are deltas.
    pub(crate) fn deltas(&self) -> impl Iterator<Item = (RunPlace, &Run)> {
        self.runs().filter(|(_, run)| run.depth > 0)
    }

    /// A run by its number.
    pub(crate) fn run(&self, run: usize) -> Option<(RunPlace, &Run)> {
        let place = *self.runs.get(run)?;
        Some((place, self.toc.bodies.get(place.body)?.runs.get(place.within)?))
    }

    /// The chunks of a run, each with its place.
    pub(crate) fn spans(&self, run: usize) -> impl Iterator<Item = ChunkSpan> {
        let ordinals = self.run(run).map_or(0..0, |(place, run)| {
            place.first..place.first.saturating_add(u32::try_from(run.chunks.len()).unwrap_or(u32::MAX))
        });
        ordinals.filter_map(|ordinal| self.locate(ordinal)).map(|(span, _)| span)
    }

    /// What a body's stored bytes hold.
    pub(crate) fn frame(&self, body: usize, stored: Vec<u8>) -> Frame {
        let Some(entry) = self.toc.bodies.get(body) else { return Frame::Rotten };
        let Ok(plain) = self.decode(body, stored) else { return Frame::Rotten };
        match entry.codec {
            Codec::Raw | Codec::Zstd => Frame::Plain(plain.into()),
            Codec::Delta => {
                let lens: Vec<u32> = entry.runs.iter().map(Run::plain_len).collect();
                Residue::decode(plain, &lens)
                    .map_or(Frame::Rotten, |residue| Frame::Residue(Arc::new(residue)))
            }
        }
    }

    /// Where the chunk with this ordinal lies, and its entry.
    pub(crate) fn locate(&self, ordinal: u32) -> Option<(ChunkSpan, &TocChunk)> {
        let number = self.runs.partition_point(|run| run.first <= ordinal).checked_sub(1)?;
        let (place, run) = self.run(number)?;
        let within = (ordinal - place.first) as usize;
        let chunk = run.chunks.get(within)?;
        let offset = *self.offsets.get(ordinal as usize)? as usize;
        Some((ChunkSpan { run: number, within, offset, len: chunk.len as usize }, chunk))
    }

    /// The chunks of a run that a range of its plain bytes touches: ordinal, entry, and how many bytes of the range are in it.
    pub(crate) fn chunks_at(
        &self,
        run: usize,
        range: Range<u32>,
    ) -> impl Iterator<Item = (u32, &TocChunk, u32)> {
        let (first, chunks) =
            self.run(run).map_or((0, &[][..]), |(place, run)| (place.first, run.chunks.as_slice()));
        let offsets = self.offsets.get(first as usize..).unwrap_or_default();
        let offsets = offsets.get(..chunks.len()).unwrap_or_default();
        let skipped = offsets.partition_point(|offset| *offset <= range.start).saturating_sub(1);
        let touched = (first..).zip(chunks).zip(offsets).skip(skipped);
        let touched = touched.take_while(move |(_, offset)| **offset < range.end);
        touched.map(move |((ordinal, chunk), offset)| {
            let (start, end) = (range.start.max(*offset), range.end.min(offset.saturating_add(chunk.len)));
            (ordinal, chunk, end.saturating_sub(start))
        })
    }

    /// Where a chunk with this id lies, less deep than `below`.
    pub(crate) fn find(&self, id: &ShortId, below: u8) -> Option<(ChunkSpan, &TocChunk)> {
        let ordinals =
            self.ordinals.get_or_init(|| self.toc.chunks().map(|chunk| chunk.id.short()).zip(0..).collect());
        let (span, chunk) = self.locate(*ordinals.get(id)?)?;
        self.run(span.run).filter(|(_, run)| run.depth < below).map(|_| (span, chunk))
    }

    /// Where bases of its runs were found before.
    pub(crate) fn base_packs(&self) -> Vec<PackId> {
        lock(&self.base_packs).clone()
    }

    /// Bases of its runs are in this pack.
    pub(crate) fn remember_base_pack(&self, id: PackId) {
        let mut packs = lock(&self.base_packs);
        packs.retain(|known| *known != id);
        packs.insert(0, id);
        packs.truncate(BASE_PACKS_MAX);
    }

    /// Opens and decompresses a body from its stored bytes: the plain bytes of its only run, or the residue of its runs.
    pub(crate) fn decode(&self, body: usize, stored: Vec<u8>) -> Result<Vec<u8>> {
        let Some(entry) = self.toc.bodies.get(body) else { return Err(self.damaged()) };
        decode_frame(entry, self.unseal(body, stored)?).map_err(|_| self.body_damaged(entry))
    }

    /// Opens a body without decompressing it: what a repack copies.
    pub(crate) fn unseal(&self, body: usize, stored: Vec<u8>) -> Result<Vec<u8>> {
        let Some(entry) = self.toc.bodies.get(body) else { return Err(self.damaged()) };
        self.cipher.open_body(self.first_body + body as u64, stored).map_err(|_| self.body_damaged(entry))
    }

    fn body_damaged(&self, entry: &Body) -> StoreError {
        match entry.runs.iter().flat_map(|run| &run.chunks).next() {
            Some(chunk) => StoreError::ChunkDamaged { pack: self.id, chunk: chunk.id },
            None => self.damaged(),
        }
    }

    pub(crate) fn damaged(&self) -> StoreError {
        StoreError::damaged(names::pack(&self.id))(DecodeError::Damaged)
    }

    fn weight(&self) -> usize {
        let weight = |run: &Run| 128 + run.bases.len() * 32 + run.chunks.len() * 40 + run.sketches.len() * 40;
        // Offsets and ordinals.
        let maps = self.offsets.len() * (4 + 64);
        self.toc.runs().map(weight).sum::<usize>() + maps + self.bodies.len() * 64 + 256
    }
}

/// A frame that is decoded once, whoever asks first.
type FrameSlot = Arc<Mutex<Option<Frame>>>;

/// What a body's frame holds.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// The bytes of its only run.
    Plain(Bytes),
    /// What its runs are besides what is in their bases.
    Residue(Arc<Residue>),
    /// Nothing that makes sense.
    Rotten,
}

/// Reads packs of one store.
#[derive(Debug)]
pub(crate) struct PackReader {
    storage: Arc<dyn Storage>,
    key: StoreKey,
    tocs: Mutex<Cache<PackId, Arc<OpenPack>>>,
    frames: Mutex<Cache<(PackId, usize), FrameSlot>>,
    deltas: Mutex<Cache<(PackId, usize), Arc<DeltaRun>>>,
}

impl PackReader {
    pub(crate) fn new(storage: Arc<dyn Storage>, key: StoreKey) -> Self {
        let tocs = Mutex::new(Cache::new(TOC_CACHE_BYTES));
        let frames = Mutex::new(Cache::new(FRAME_CACHE_BYTES));
        let deltas = Mutex::new(Cache::new(DELTA_CACHE_BYTES));
        Self { storage, key, tocs, frames, deltas }
    }

    /// The pack with its table, from the cache or the storage.
    pub(crate) fn open(&self, id: &PackId) -> Result<Arc<OpenPack>> {
        if let Some(pack) = lock(&self.tocs).get(id) {
            return Ok(pack);
        }
        let pack = Arc::new(self.find_toc(id)?);
        lock(&self.tocs).insert(*id, Arc::clone(&pack), pack.weight());
        Ok(pack)
    }

    /// As [`PackReader::open`], of a pack that was listed with this length; its table is read anew.
    pub(crate) fn open_of_len(&self, id: &PackId, len: u64) -> Result<Arc<OpenPack>> {
        let pack = Arc::new(match self.read_toc_of_len(id, len) {
            Err(error) if error.is_damage() => self.find_toc(id)?,
            done => done?,
        });
        lock(&self.tocs).insert(*id, Arc::clone(&pack), pack.weight());
        Ok(pack)
    }

    /// Reads a pack's table from the storage, and checks it.
    pub(crate) fn read_toc(&self, id: &PackId) -> Result<OpenPack> {
        self.read_toc_of_len(id, self.len(id)?)
    }

    fn read_toc_of_len(&self, id: &PackId, len: u64) -> Result<OpenPack> {
        match self.read_toc_from(id, len, END_LEN) {
            // A bad block before the table is no loss of the table.
            Err(StoreError::Unread { .. }) => self.read_toc_from(id, len, PACK_TRAILER_LEN as u64),
            done => done,
        }
    }

    /// With the first request for `end_len` bytes.
    fn read_toc_from(&self, id: &PackId, len: u64, end_len: u64) -> Result<OpenPack> {
        let damaged = || StoreError::damaged(names::pack(id));
        let too_short = || damaged()(DecodeError::Damaged);
        let trailer_at = len.checked_sub(PACK_TRAILER_LEN as u64).ok_or_else(too_short)?;
        // With the trailer comes what lies before it, which is the table, or most of it; of a small pack all.
        let end_at = len.saturating_sub(end_len);
        let end = self.range(id, end_at..len)?;
        let at = |place: u64| usize::try_from(place.saturating_sub(end_at)).unwrap_or(usize::MAX);
        let trailer = end.get(at(trailer_at)..).ok_or_else(too_short)?;
        let trailer = PackTrailer::decode(trailer, len).map_err(damaged())?;
        let header = match end_at {
            0 => end.slice(..PACK_HEADER_LEN.min(end.len())),
            _ => self.range(id, 0..PACK_HEADER_LEN as u64)?,
        };
        let header = match PackHeader::decode(&header) {
            // A flipped bit in the version makes no newer pack.
            Err(DecodeError::TooNew { .. }) if PackId(Digest::of(&self.whole(id)?)) != *id => {
                return Err(too_short());
            }
            header => header.map_err(damaged())?,
        };
        let toc_end = trailer.toc_offset + u64::from(trailer.toc_len);
        let toc = match trailer.toc_offset >= end_at {
            true => end.get(at(trailer.toc_offset)..at(toc_end)).ok_or_else(too_short)?.to_vec(),
            false => self.range(id, trailer.toc_offset..toc_end)?.to_vec(),
        };
        let toc = PackToc::decode(&header, &trailer, toc, &self.key).map_err(damaged())?;
        Ok(OpenPack::new(*id, &header, toc, &self.key))
    }

    /// Like [`PackReader::read_toc`], but looks for the table of a pack to whose end something was added.
    pub(crate) fn find_toc(&self, id: &PackId) -> Result<OpenPack> {
        let error = match self.read_toc(id) {
            Err(error) if error.is_damage() => error,
            done => return done,
        };
        let len = self.len(id)?;
        let from = len.saturating_sub(ADDED_LEN_MAX);
        let end = self.range(id, from..len)?;
        for at in (0..end.len().saturating_sub(PACK_TRAILER_LEN)).rev() {
            let trailer_end = at + PACK_TRAILER_LEN;
            let pack_len = from + trailer_end as u64;
            if PackTrailer::decode(end.get(at..trailer_end).unwrap_or_default(), pack_len).is_ok() {
                let bytes = self.range(id, 0..pack_len)?;
                return self.parse(id, &bytes);
            }
        }
        Err(error)
    }

    /// A pack from its whole bytes.
    pub(crate) fn parse(&self, id: &PackId, bytes: &[u8]) -> Result<OpenPack> {
        let damaged = || StoreError::damaged(names::pack(id));
        let too_short = || damaged()(DecodeError::Damaged);
        let header = bytes.get(..PACK_HEADER_LEN).ok_or_else(too_short)?;
        let trailer_at = bytes.len().checked_sub(PACK_TRAILER_LEN).ok_or_else(too_short)?;
        let trailer = bytes.get(trailer_at..).ok_or_else(too_short)?;
        let trailer = PackTrailer::decode(trailer, bytes.len() as u64).map_err(damaged())?;
        let header = match PackHeader::decode(header) {
            Err(DecodeError::TooNew { .. }) if PackId(Digest::of(bytes)) != *id => return Err(too_short()),
            header => header.map_err(damaged())?,
        };
        let toc_at = usize::try_from(trailer.toc_offset).map_err(|_| too_short())?;
        let toc = bytes.get(toc_at..trailer_at).ok_or_else(too_short)?.to_vec();
        let toc = PackToc::decode(&header, &trailer, toc, &self.key).map_err(damaged())?;
        Ok(OpenPack::new(*id, &header, toc, &self.key))
    }

    /// What a body's frame holds, from the cache or the storage. Nothing in it is checked yet.
    pub(crate) fn frame(&self, pack: &OpenPack, body: usize) -> Result<Frame> {
        let slot = {
            let mut frames = lock(&self.frames);
            frames.get(&(pack.id, body)).unwrap_or_else(|| {
                let slot = FrameSlot::default();
                let weight = pack.toc.bodies.get(body).map_or(0, |entry| entry.plain_len as usize);
                frames.insert((pack.id, body), Arc::clone(&slot), weight);
                slot
            })
        };
        let mut slot = lock(&slot);
        if let Some(frame) = &*slot {
            return Ok(frame.clone());
        }
        let frame = match self.stored_body(pack, body) {
            Ok(stored) => pack.frame(body, stored),
            Err(error) if error.is_unreadable() => Frame::Rotten,
            Err(error) => return Err(error),
        };
        // What is rotten may be healed: it is read anew.
        if !matches!(frame, Frame::Rotten) {
            *slot = Some(frame.clone());
        }
        Ok(frame)
    }

    /// What a run is made from, if that was asked for before.
    pub(crate) fn known_delta(&self, pack: &PackId, run: usize) -> Option<Arc<DeltaRun>> {
        lock(&self.deltas).get(&(*pack, run))
    }

    pub(crate) fn remember_delta(&self, pack: &PackId, run: usize, delta: &Arc<DeltaRun>) {
        lock(&self.deltas).insert((*pack, run), Arc::clone(delta), delta.weight());
    }

    /// A body's bytes as they lie in the pack.
    pub(crate) fn stored_body(&self, pack: &OpenPack, body: usize) -> Result<Vec<u8>> {
        let (Some(entry), Some(start)) = (pack.toc.bodies.get(body), pack.bodies.get(body)) else {
            return Err(pack.damaged());
        };
        let range = *start..start + u64::from(entry.stored_len);
        match self.range(&pack.id, range) {
            Ok(stored) => Ok(stored.into()),
            Err(StoreError::Storage(error)) if error.kind == ErrorKind::OutOfRange => Err(pack.damaged()),
            Err(error) => Err(error),
        }
    }

    /// All of a pack's bytes.
    pub(crate) fn whole(&self, id: &PackId) -> Result<Bytes> {
        let name = names::pack(id);
        self.storage.get(&name).map_err(StoreError::unread(&name))
    }

    fn range(&self, id: &PackId, range: Range<u64>) -> Result<Bytes> {
        let name = names::pack(id);
        self.storage.get_range(&name, range).map_err(StoreError::unread(&name))
    }

    fn len(&self, id: &PackId) -> Result<u64> {
        let name = names::pack(id);
        self.storage.len(&name).map_err(StoreError::unread(&name))
    }

    /// Forgets what was read of a pack that is gone, or is not what it was.
    pub(crate) fn forget(&self, id: &PackId) {
        lock(&self.tocs).remove(id);
        lock(&self.frames).retain(|(pack, _)| pack != id);
        // Others may be coded on what lay in it.
        lock(&self.deltas).retain(|_| false);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
