//! How much there is.

use std::collections::BTreeSet;

use crate::Result;
use crate::store::Store;

/// Totals of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Snapshots.
    pub snapshots: u64,
    /// Plain bytes of all snapshots' contents, each counted in full.
    pub logical_bytes: u64,
    /// Bytes of packs, their parity, and manifests in the storage.
    pub stored_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Different chunks.
    pub chunks: u64,
}

impl Store {
    /// Counts what is stored.
    pub fn stats(&self) -> Result<Stats> {
        let (snapshots, _) = self.snapshots()?;
        self.refresh_index(&BTreeSet::new())?;
        let parity_len: u64 = self.listed_parity()?.iter().map(|(_, object)| object.len).sum();
        let (packs, chunks) = self.index.read(|index| Ok((index.packs()?, index.chunk_count()?)))?;
        Ok(Stats {
            snapshots: snapshots.len() as u64,
            logical_bytes: snapshots
                .iter()
                .fold(0, |sum, snapshot| snapshot.info().logical_bytes.saturating_add(sum)),
            stored_bytes: packs.iter().map(|(_, pack)| pack.len).sum::<u64>()
                + parity_len
                + snapshots.iter().map(|snapshot| snapshot.manifest_len).sum::<u64>(),
            packs: packs.len() as u64,
            chunks,
        })
    }
}
