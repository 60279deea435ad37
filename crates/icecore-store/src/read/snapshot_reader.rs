//! A snapshot's parts and their bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use icecore_format::{Catalog, ChunkRef, Digest, Manifest, Part, decode_parts};

use super::ContentReader;
use crate::store::Store;
use crate::{Result, StoreError, TreeReader};

/// A catalog's records that are not whole yet may not be longer than this: more is no record.
const RECORD_LEN_MAX: usize = 64 << 20;

/// Reads one snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotReader {
    store: Arc<Store>,
    manifest: Manifest,
}

impl SnapshotReader {
    /// Reads what `manifest` describes.
    pub fn new(store: Arc<Store>, manifest: Manifest) -> Self {
        Self { store, manifest }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The parts in order.
    pub fn parts(&self) -> PartReader {
        PartReader::new(Arc::clone(&self.store), &self.manifest)
    }

    /// The references of the content from `offset` on, each with its own place; the first may start before.
    pub fn tree(&self) -> TreeReader<'_> {
        TreeReader::new(&self.store, &self.manifest.content)
    }

    /// The whole content, chunk by chunk.
    pub fn content(&self) -> impl Iterator<Item = Result<(ChunkRef, Bytes)>> + '_ {
        let mut tree = self.tree();
        let refs = std::iter::from_fn(move || {
            tree.next_chunk().map(|found| found.map(|(_, chunk)| chunk)).transpose()
        });
        ContentReader::new(&self.store, refs)
    }

    /// The bytes of the content from `offset` on, `len` of them.
    pub fn range(&self, offset: u64, len: u64) -> Result<impl Iterator<Item = Result<Bytes>> + '_> {
        let mut tree = self.tree();
        tree.seek(offset)?;
        let mut at = tree.offset();
        let end = offset.saturating_add(len);
        let refs = std::iter::from_fn(move || {
            if tree.offset() >= end {
                return None;
            }
            tree.next_chunk().map(|found| found.map(|(_, chunk)| chunk)).transpose()
        });
        let cut = move |found: Result<(ChunkRef, Bytes)>| {
            let (_, bytes) = found?;
            let chunk_end = at + bytes.len() as u64;
            let from = usize::try_from(offset.saturating_sub(at)).unwrap_or(bytes.len());
            let to = bytes.len() - usize::try_from(chunk_end.saturating_sub(end)).unwrap_or(bytes.len());
            at = chunk_end;
            Ok(bytes.slice(from.min(to)..to))
        };
        Ok(ContentReader::new(&self.store, refs).map(cut))
    }

    /// The bytes of the chunks that `refs` name, in that order.
    pub fn chunks<'a>(
        &'a self,
        refs: impl Iterator<Item = Result<ChunkRef>> + 'a,
    ) -> impl Iterator<Item = Result<(ChunkRef, Bytes)>> + 'a {
        ContentReader::new(&self.store, refs)
    }

    /// The bytes of one chunk, checked by its id.
    pub fn chunk(&self, chunk: &ChunkRef) -> Result<Bytes> {
        self.store.read_chunk(&chunk.id)
    }

    /// Hashes a part's bytes as they were hashed when it was captured.
    pub fn part_hasher(&self) -> blake3::Hasher {
        self.store.key.part_hasher()
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

/// The parts of a snapshot, in order, without holding more than a few in memory.
#[derive(Debug)]
pub struct PartReader {
    store: Arc<Store>,
    /// What is left of a catalog in the store: its chunks.
    chunks: VecDeque<ChunkRef>,
    catalog: Option<icecore_format::Tree>,
    /// How many of the catalog's bytes have been asked for.
    asked: u64,
    buf: Vec<u8>,
    parts: VecDeque<Part>,
    offset: u64,
    empty_hash: Digest,
    total: u64,
    failed: bool,
}

impl PartReader {
    fn new(store: Arc<Store>, manifest: &Manifest) -> Self {
        let (buf, catalog) = match &manifest.catalog {
            Catalog::Inline(records) => (records.clone(), None),
            Catalog::Stored(tree) => (Vec::new(), Some(tree.clone())),
        };
        let empty_hash = Digest(*store.key.part_hasher().finalize().as_bytes());
        Self {
            store,
            chunks: VecDeque::new(),
            catalog,
            asked: 0,
            buf,
            parts: VecDeque::new(),
            offset: 0,
            empty_hash,
            total: manifest.content.len(),
            failed: false,
        }
    }

    /// Decodes what is there, and reads more while nothing is.
    fn fill(&mut self) -> Result<()> {
        while self.parts.is_empty() {
            let damaged = StoreError::damaged("the catalog");
            let (parts, consumed) = decode_parts(&self.buf, self.offset, self.empty_hash).map_err(damaged)?;
            self.buf.drain(..consumed);
            self.offset = parts.last().map_or(self.offset, |part| part.offset + part.len);
            self.parts.extend(parts);
            if self.parts.is_empty() && !self.read_more()? {
                let complete = self.buf.is_empty() && self.offset == self.total;
                let damage = || StoreError::damaged("the catalog")(icecore_format::DecodeError::Damaged);
                return if complete { Ok(()) } else { Err(damage()) };
            }
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<bool> {
        let Some(catalog) = &self.catalog else { return Ok(false) };
        if self.buf.len() > RECORD_LEN_MAX {
            return Err(StoreError::damaged("the catalog")(icecore_format::DecodeError::Damaged));
        }
        if self.chunks.is_empty() {
            let mut tree = TreeReader::new(&self.store, catalog);
            tree.seek(self.asked)?;
            while self.chunks.len() < 256 {
                match tree.next_chunk()? {
                    Some((_, chunk)) => self.chunks.push_back(chunk),
                    None => break,
                }
            }
        }
        let Some(chunk) = self.chunks.pop_front() else { return Ok(false) };
        self.asked += u64::from(chunk.len);
        self.buf.extend_from_slice(&self.store.read_chunk(&chunk.id)?);
        Ok(true)
    }
}

impl Iterator for PartReader {
    type Item = Result<Part>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if let Err(error) = self.fill() {
            self.failed = true;
            return Some(Err(error));
        }
        self.parts.pop_front().map(Ok)
    }
}
