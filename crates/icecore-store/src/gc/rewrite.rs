//! Copying what is live of half-dead packs into new ones.

use std::collections::BTreeSet;

use icecore_format::{BodyCipher, PackId, names};

use super::mark::Marks;
use super::plan::PackUse;
use crate::pack::{EncodedBody, OpenPack, PackBuilder, encode_body};
use crate::store::Store;
use crate::{Monitor, Result, StoreError, random};

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

/// Fills new packs.
pub(crate) struct Rewriter<'s> {
    store: &'s Store,
    salt: [u8; 32],
    cipher: BodyCipher,
    next_body: u64,
    builder: PackBuilder,
    /// Copied into the pack that grows: they have moved once it is stored.
    waiting: Vec<PackId>,
    pub(super) moved: BTreeSet<PackId>,
    pub(super) len: u64,
}

impl<'s> Rewriter<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        let salt = random::salt();
        let builder = PackBuilder::new(store.key.is_encrypted(), salt, 0);
        let cipher = store.key.pack_cipher(&salt);
        let (waiting, moved) = (Vec::new(), BTreeSet::new());
        Self { store, salt, cipher, next_body: 0, builder, waiting, moved, len: 0 }
    }

    /// Copies what is live of one pack: all of it, or nothing that counts.
    pub(super) fn copy(&mut self, pack: &PackUse, marks: &Marks, monitor: &dyn Monitor) -> Result<()> {
        let open = self.store.packs.open(&pack.id)?;
        for body in live_bodies(pack, &open, marks) {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let copied = self.copy_body(&open, &body, self.next_body)?;
            self.push(copied)?;
        }
        self.waiting.push(pack.id);
        Ok(())
    }

    /// Copies every chunk of a damaged pack that can be read, and returns how many those are.
    pub(crate) fn salvage(&mut self, open: &OpenPack, monitor: &dyn Monitor) -> Result<u64> {
        let mut saved = 0;
        for (number, body) in open.toc.bodies.iter().enumerate() {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let stored = self.store.packs.stored_body(open, number);
            let plain = match stored.and_then(|stored| open.decode(number, stored)) {
                Ok(plain) => plain,
                Err(error) if error.is_unreadable() => continue,
                // A cable, perhaps: what cannot be read now is not lost.
                Err(error) => return Err(error),
            };
            let (mut kept, mut chunks) = (Vec::new(), Vec::new());
            for (chunk, bytes) in body.split(&plain) {
                if self.store.key.chunk_id(bytes) == chunk.id {
                    kept.extend_from_slice(bytes);
                    chunks.push((chunk.id, chunk.len));
                }
            }
            saved += chunks.len() as u64;
            if !chunks.is_empty() {
                let level = self.store.config.zstd_level;
                self.push(encode_body(&kept, chunks, level, &self.cipher, self.next_body))?;
            }
        }
        Ok(saved)
    }

    fn push(&mut self, body: EncodedBody) -> Result<()> {
        self.next_body += 1;
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
        let next = PackBuilder::new(self.store.key.is_encrypted(), self.salt, self.next_body);
        let full = std::mem::replace(&mut self.builder, next);
        // Taken out first: if this fails, they have not moved, whatever is tried next.
        let waiting = std::mem::take(&mut self.waiting);
        if !full.is_empty() {
            self.len += self.store.put_pack(&full.seal(&self.store.key))?;
        }
        self.moved.extend(waiting);
        Ok(())
    }

    /// A body for a new pack, its chunks checked: as it is if all of it is live, else with its live chunks only.
    fn copy_body(&self, pack: &OpenPack, live: &LiveBody, number: u64) -> Result<EncodedBody> {
        let (store, cipher) = (self.store, &self.cipher);
        let Some(entry) = pack.toc.bodies.get(live.body) else {
            return Err(StoreError::damaged(names::pack(&pack.id))(icecore_format::DecodeError::Damaged));
        };
        let stored = store.packs.stored_body(pack, live.body)?;
        let plain = pack.decode(live.body, stored.clone())?;
        let mut kept = Vec::with_capacity(plain.len());
        let mut chunks = Vec::new();
        for ((chunk, bytes), keep) in entry.split(&plain).zip(&live.chunks) {
            if *keep {
                if store.key.chunk_id(bytes) != chunk.id {
                    return Err(StoreError::ChunkDamaged { pack: pack.id, chunk: chunk.id });
                }
                kept.extend_from_slice(bytes);
                chunks.push((chunk.id, chunk.len));
            }
        }
        if live.chunks.contains(&false) {
            return Ok(encode_body(&kept, chunks, store.config.zstd_level, cipher, number));
        }
        // All of it is live: the frame is copied, and sealed anew for its new place.
        let coded = pack.unseal(live.body, stored)?;
        let stored = cipher.seal_body(number, coded);
        Ok(EncodedBody { entry: entry.clone(), stored })
    }
}

impl Store {
    /// Copies the live chunks of `packs` into new packs. A pack that cannot be read stays as it is, and so do those for which there is no
    /// room.
    pub(super) fn rewrite(
        &self,
        packs: &[PackUse],
        marks: &Marks,
        monitor: &dyn Monitor,
    ) -> Result<Rewritten> {
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
}

/// A body with a live chunk.
struct LiveBody {
    body: usize,
    /// For each chunk of it, whether it is live.
    chunks: Vec<bool>,
}

fn live_bodies(pack: &PackUse, open: &OpenPack, marks: &Marks) -> Vec<LiveBody> {
    let mut ordinal = 0u32;
    let mut live = Vec::new();
    for (body, entry) in open.toc.bodies.iter().enumerate() {
        let mut is_live = |_: &icecore_format::TocChunk| {
            let is_live = marks.is_live(&pack.id, ordinal);
            ordinal += 1;
            is_live
        };
        let chunks: Vec<bool> = entry.chunks.iter().map(&mut is_live).collect();
        if chunks.contains(&true) {
            live.push(LiveBody { body, chunks });
        }
    }
    live
}
