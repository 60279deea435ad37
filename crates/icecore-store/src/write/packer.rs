//! The pipeline's end: bodies into packs, packs into the storage, their chunks into the index.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use icecore_chunk::Matcher;
use icecore_format::names;
use icecore_storage::{ErrorKind, PutMode};

use super::CodedRun;
use super::pending::Pending;
use crate::delta::code_listed;
use crate::pack::{DeltaGroup, PackBuilder, SealedPack, encode_deltas, encode_plain};
use crate::store::Store;
use crate::{Counter, Monitor, Result};

/// Fills packs with runs in the order in which they were begun; those that are coded as deltas wait for each other. Returns how many chunks
/// these have.
pub(super) fn pack_runs(store: &Store, runs: &Receiver<Receiver<CodedRun>>, out: &Sender<SealedPack>) -> u64 {
    let mut pack = PackBuilder::new(store.key.clone(), store.machine.salt());
    let mut deltas = DeltaGroup::default();
    let mut matcher = Matcher::default();
    let mut delta_chunks = 0;
    for run in runs {
        // The pool dropped it: it is shutting down with us.
        let Ok(run) = run.recv() else { return delta_chunks };
        let body = match run {
            CodedRun::Plain(body) => Some(body),
            CodedRun::Delta(run, difference) => {
                delta_chunks += run.chunks.len() as u64;
                deltas.push(run, difference)
            }
            CodedRun::Listed { run, plain, bases } => {
                // What waits is listed as well.
                deltas.flush().into_iter().for_each(|body| pack.push(body));
                Some(match code_listed(run, &plain, bases, &pack.listing(), &mut matcher) {
                    Ok((run, difference)) => encode_deltas(vec![run], &[difference]),
                    Err(run) => {
                        encode_plain(store.without_bases(run, &plain), &plain, store.config.zstd_level)
                    }
                })
            }
        };
        body.into_iter().for_each(|body| pack.push(body));
        if pack.len() >= store.config.pack_len as usize && out.send(pack.seal()).is_err() {
            return delta_chunks;
        }
    }
    deltas.flush().into_iter().for_each(|body| pack.push(body));
    if !pack.is_empty() {
        // If the storer is gone, it says why.
        let _ = out.send(pack.seal());
    }
    delta_chunks
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
        pending.settle(pack.toc.chunks().map(|chunk| chunk.id));
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
