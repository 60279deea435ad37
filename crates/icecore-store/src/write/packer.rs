//! The pipeline's end: bodies into packs, packs into the storage, their chunks into the index.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use icecore_format::names;
use icecore_storage::{ErrorKind, PutMode};

use super::pending::Pending;
use crate::pack::{EncodedBody, PackBuilder, SealedPack};
use crate::store::Store;
use crate::{Counter, Monitor, Result};

/// Fills packs with bodies in the order in which they were begun.
pub(super) fn pack_bodies(
    store: &Store,
    salt: [u8; 32],
    bodies: &Receiver<Receiver<EncodedBody>>,
    out: &Sender<SealedPack>,
) {
    let encrypted = store.key.is_encrypted();
    let mut next_body = 0;
    let mut pack = PackBuilder::new(encrypted, salt, next_body);
    for body in bodies {
        // The pool dropped it: it is shutting down with us.
        let Ok(body) = body.recv() else { return };
        pack.push(body);
        next_body += 1;
        if pack.len() >= store.config.pack_len as usize {
            let full = std::mem::replace(&mut pack, PackBuilder::new(encrypted, salt, next_body));
            if out.send(full.seal(&store.key)).is_err() {
                return;
            }
        }
    }
    if !pack.is_empty() {
        // If the storer is gone, it says why.
        let _ = out.send(pack.seal(&store.key));
    }
}

/// Makes packs durable, then known. Returns the bytes stored.
pub(super) fn store_packs(
    store: &Store,
    packs: &Receiver<SealedPack>,
    pending: &Pending,
    monitor: &Arc<dyn Monitor>,
) -> Result<u64> {
    let mut stored = 0;
    for pack in packs {
        let len = store.put_pack(&pack)?;
        stored += len;
        monitor.count(Counter::StoredBytes, len);
        pending.settle(pack.toc.bodies.iter().flat_map(|body| &body.chunks).map(|chunk| chunk.id));
    }
    Ok(stored)
}

impl Store {
    /// Puts a pack, its parity before it, and adds it to the index, in this order: the index never knows what is not durable. Returns
    /// the bytes of both.
    pub(crate) fn put_pack(&self, pack: &SealedPack) -> Result<u64> {
        let len = pack.bytes.len() as u64;
        let parity_len = self.put_parity(&pack.id, &pack.bytes)?;
        match self.storage.put(&names::pack(&pack.id), &pack.bytes, PutMode::CreateNew) {
            Ok(()) => (),
            // The name is the hash of the content: it is the same pack.
            Err(error) if error.kind == ErrorKind::AlreadyExists => (),
            Err(error) => return Err(error.into()),
        }
        self.index.write(|index| index.add_pack((pack.id, len, &pack.toc)))?;
        Ok(len + parity_len)
    }
}
