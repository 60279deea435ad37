//! Chunks on their way into a pack: no longer new, not yet in the index.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icecore_format::ChunkId;

/// Shared by the sequencer, which adds, and the storer, which removes. Holds no more than the packs in flight.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    chunks: Arc<Mutex<HashSet<ChunkId>>>,
}

impl Pending {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashSet<ChunkId>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index knows these now.
    pub(super) fn settle(&self, chunks: impl Iterator<Item = ChunkId>) {
        let mut pending = self.lock();
        for chunk in chunks {
            pending.remove(&chunk);
        }
    }
}
