//! How deep the chunks of a snapshot lie.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::ChunkId;

use super::SnapshotReader;
use crate::Result;
use crate::store::Store;

/// References that are looked up in one transaction.
const REFS_A_LOOKUP: usize = 4096;

/// How many deltas must be undone, one on the other, to read a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depths {
    /// Plain bytes in all.
    pub bytes: u64,
    /// Plain bytes that are coded on others.
    pub delta_bytes: u64,
    /// The most deltas that any of them takes.
    pub max: u8,
    /// For each byte the deltas that it takes, summed up.
    sum: u64,
}

impl Depths {
    /// How many deltas a byte takes on average, of those that take any.
    pub fn mean(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let mean = self.sum as f64 / self.delta_bytes.max(1) as f64;
        mean
    }

    fn add(&mut self, len: u32, depth: u8) {
        self.bytes = self.bytes.saturating_add(len.into());
        if depth > 0 {
            self.delta_bytes = self.delta_bytes.saturating_add(len.into());
            self.sum = self.sum.saturating_add(u64::from(len) * u64::from(depth));
            self.max = self.max.max(depth);
        }
    }
}

impl SnapshotReader {
    /// How deep the content lies, as far as the index knows where it is.
    pub fn depths(&self) -> Result<Depths> {
        let mut depths = Depths::default();
        let mut tree = self.tree();
        let mut is_fresh = false;
        loop {
            let mut chunks = Vec::with_capacity(REFS_A_LOOKUP);
            while chunks.len() < REFS_A_LOOKUP
                && let Some((_, chunk)) = tree.next_chunk()?
            {
                chunks.push(chunk);
            }
            if chunks.is_empty() {
                return Ok(depths);
            }
            let ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
            let mut found = depths_of(self.store(), &ids)?;
            // Once: what is still not known then is missing.
            if found.contains(&None) && !std::mem::replace(&mut is_fresh, true) {
                self.store().refresh_index(&BTreeSet::new())?;
                found = depths_of(self.store(), &ids)?;
            }
            for (chunk, depth) in chunks.iter().zip(found) {
                depths.add(chunk.len, depth.unwrap_or_default());
            }
        }
    }
}

fn depths_of(store: &Arc<Store>, ids: &[ChunkId]) -> Result<Vec<Option<u8>>> {
    store.index.read(|index| ids.iter().map(|id| Ok(index.find(id)?.map(|place| place.depth))).collect())
}
