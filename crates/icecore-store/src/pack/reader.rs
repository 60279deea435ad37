//! Reading packs: tables of contents and bodies, both cached, both checked.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use icecore_format::{
    Body, BodyCipher, DecodeError, Digest, PACK_HEADER_LEN, PACK_TRAILER_LEN, PackHeader, PackId, PackToc,
    PackTrailer, StoreKey, names,
};
use icecore_storage::{ErrorKind, Storage};

use super::cache::Cache;
use super::decode_body;
use crate::{Result, StoreError};

/// Tables of contents kept in memory, in bytes.
const TOC_CACHE_BYTES: usize = 8 << 20;
/// Decoded bodies kept in memory, in bytes.
const BODY_CACHE_BYTES: usize = 24 << 20;

/// How much may have been added to a pack whose table is still looked for.
const ADDED_LEN_MAX: u64 = 1 << 20;

/// A pack whose table has been read.
#[derive(Debug)]
pub(crate) struct OpenPack {
    pub(crate) id: PackId,
    pub(crate) toc: PackToc,
    first_body: u64,
    cipher: BodyCipher,
    /// For each body: where it starts in the pack, and the ordinal of its first chunk.
    places: Vec<(u64, u32)>,
    /// For each chunk, by its ordinal: where it starts in its body. Summed up once: a body may hold a hundred thousand tiny ones.
    offsets: Vec<u32>,
}

/// A chunk's place once its pack is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyPlace {
    /// Which body of the pack.
    pub(crate) body: usize,
    /// Where the chunk's plain bytes start in the body's.
    pub(crate) offset: usize,
    /// Their length.
    pub(crate) len: usize,
}

impl OpenPack {
    fn new(id: PackId, header: &PackHeader, toc: PackToc, key: &StoreKey) -> Self {
        let mut offset = PACK_HEADER_LEN as u64;
        let mut ordinal = 0u32;
        let mut places = Vec::with_capacity(toc.bodies.len());
        let mut offsets = Vec::with_capacity(toc.chunk_count());
        for body in &toc.bodies {
            places.push((offset, ordinal));
            offset += u64::from(body.stored_len);
            offsets.extend(body.chunks.iter().scan(0u32, |at, chunk| {
                let start = *at;
                *at = at.saturating_add(chunk.len);
                Some(start)
            }));
            ordinal = ordinal.saturating_add(u32::try_from(body.chunks.len()).unwrap_or(u32::MAX));
        }
        Self {
            id,
            toc,
            first_body: header.first_body,
            cipher: key.pack_cipher(&header.salt),
            places,
            offsets,
        }
    }

    /// Where the chunk with this ordinal lies, and its entry.
    pub(crate) fn locate(&self, ordinal: u32) -> Option<(BodyPlace, &icecore_format::TocChunk)> {
        let body = self.places.partition_point(|(_, first)| *first <= ordinal).checked_sub(1)?;
        let (_, first) = self.places.get(body)?;
        let chunks = &self.toc.bodies.get(body)?.chunks;
        let at = (ordinal - first) as usize;
        let chunk = chunks.get(at)?;
        let offset = *self.offsets.get(ordinal as usize)? as usize;
        Some((BodyPlace { body, offset, len: chunk.len as usize }, chunk))
    }

    fn body(&self, body: usize) -> Option<(&Body, u64)> {
        Some((self.toc.bodies.get(body)?, self.places.get(body)?.0))
    }

    /// Decodes a body from its stored bytes.
    pub(crate) fn decode(&self, body: usize, stored: Vec<u8>) -> Result<Vec<u8>> {
        let Some((entry, _)) = self.body(body) else { return Err(self.damaged()) };
        decode_body(entry, stored, &self.cipher, self.first_body + body as u64)
            .map_err(|_| self.body_damaged(entry))
    }

    /// Opens a body without decompressing it: what a repack copies.
    pub(crate) fn unseal(&self, body: usize, stored: Vec<u8>) -> Result<Vec<u8>> {
        let Some((entry, _)) = self.body(body) else { return Err(self.damaged()) };
        self.cipher.open_body(self.first_body + body as u64, stored).map_err(|_| self.body_damaged(entry))
    }

    fn body_damaged(&self, entry: &Body) -> StoreError {
        match entry.chunks.first() {
            Some(chunk) => StoreError::ChunkDamaged { pack: self.id, chunk: chunk.id },
            None => self.damaged(),
        }
    }

    fn damaged(&self) -> StoreError {
        StoreError::damaged(names::pack(&self.id))(DecodeError::Damaged)
    }

    fn weight(&self) -> usize {
        self.toc.bodies.iter().map(|body| 96 + body.chunks.len() * 40).sum::<usize>() + 256
    }
}

/// A body that is decoded once, whoever asks first.
type BodySlot = Arc<Mutex<Option<Bytes>>>;

/// Reads packs of one store.
#[derive(Debug)]
pub(crate) struct PackReader {
    storage: Arc<dyn Storage>,
    key: StoreKey,
    tocs: Mutex<Cache<PackId, Arc<OpenPack>>>,
    bodies: Mutex<Cache<(PackId, usize), BodySlot>>,
}

impl PackReader {
    pub(crate) fn new(storage: Arc<dyn Storage>, key: StoreKey) -> Self {
        let tocs = Mutex::new(Cache::new(TOC_CACHE_BYTES));
        let bodies = Mutex::new(Cache::new(BODY_CACHE_BYTES));
        Self { storage, key, tocs, bodies }
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

    /// Reads a pack's table from the storage, and checks it.
    pub(crate) fn read_toc(&self, id: &PackId) -> Result<OpenPack> {
        let damaged = || StoreError::damaged(names::pack(id));
        let len = self.len(id)?;
        let too_short = || damaged()(DecodeError::Damaged);
        let trailer_at = len.checked_sub(PACK_TRAILER_LEN as u64).ok_or_else(too_short)?;
        let trailer = self.range(id, trailer_at..len)?;
        let trailer = PackTrailer::decode(&trailer, len).map_err(damaged())?;
        let header = self.range(id, 0..PACK_HEADER_LEN as u64)?;
        let header = match PackHeader::decode(&header) {
            // A flipped bit in the version makes no newer pack.
            Err(DecodeError::TooNew { .. }) if PackId(Digest::of(&self.whole(id)?)) != *id => {
                return Err(too_short());
            }
            header => header.map_err(damaged())?,
        };
        let toc_end = trailer.toc_offset + u64::from(trailer.toc_len);
        let toc = self.range(id, trailer.toc_offset..toc_end)?;
        let toc = PackToc::decode(&header, &trailer, toc.to_vec(), &self.key).map_err(damaged())?;
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

    /// A body's plain bytes, from the cache or the storage. Their chunks are not checked yet.
    pub(crate) fn body(&self, pack: &OpenPack, body: usize) -> Result<Bytes> {
        let slot = {
            let mut bodies = lock(&self.bodies);
            bodies.get(&(pack.id, body)).unwrap_or_else(|| {
                let weight = pack.toc.bodies.get(body).map_or(0, |entry| entry.plain_len as usize);
                let slot = BodySlot::default();
                bodies.insert((pack.id, body), Arc::clone(&slot), weight);
                slot
            })
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = &*slot {
            return Ok(plain.clone());
        }
        let stored = self.stored_body(pack, body)?;
        let plain = Bytes::from(pack.decode(body, stored)?);
        *slot = Some(plain.clone());
        Ok(plain)
    }

    /// A body's bytes as they lie in the pack.
    pub(crate) fn stored_body(&self, pack: &OpenPack, body: usize) -> Result<Vec<u8>> {
        let Some((entry, offset)) = pack.body(body) else { return Err(pack.damaged()) };
        let range = offset..offset + u64::from(entry.stored_len);
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
        lock(&self.bodies).retain(|(pack, _)| pack != id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
