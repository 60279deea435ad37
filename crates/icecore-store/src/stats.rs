//! How much there is.

use std::collections::BTreeSet;

use crate::Result;
use crate::index::PackRecord;
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
    /// Plain bytes of chunks that are coded on others.
    pub delta_bytes: u64,
    /// What these take in the storage.
    pub delta_stored_bytes: u64,
    /// What they would take more if they were compressed as well as the others are, each by itself.
    pub delta_saved_bytes: u64,
}

impl Store {
    /// Counts what is stored.
    pub fn stats(&self) -> Result<Stats> {
        let (snapshots, _) = self.snapshots()?;
        self.refresh_index(&BTreeSet::new())?;
        let parity_len: u64 = self.listed_parity()?.iter().map(|(_, object)| object.len).sum();
        let (packs, chunks) = self.index.read(|index| Ok((index.packs()?, index.chunk_count()?)))?;
        let sum =
            |of: fn(&PackRecord) -> u64| packs.iter().map(|(_, pack)| of(pack)).fold(0, u64::saturating_add);
        let (delta_bytes, delta_stored_bytes) =
            (sum(|pack| pack.delta_len), sum(|pack| pack.delta_stored_len));
        let (plain, plain_stored) =
            (sum(|pack| pack.plain_len), sum(|pack| pack.len).saturating_sub(delta_stored_bytes));
        let alone = u128::from(delta_bytes) * u128::from(plain_stored) / u128::from(plain.max(1));
        let delta_saved_bytes = u64::try_from(alone).unwrap_or(u64::MAX).saturating_sub(delta_stored_bytes);
        Ok(Stats {
            delta_bytes,
            delta_stored_bytes,
            delta_saved_bytes,
            snapshots: snapshots.len() as u64,
            logical_bytes: snapshots
                .iter()
                .fold(0, |sum, snapshot| snapshot.info().logical_bytes.saturating_add(sum)),
            stored_bytes: sum(|pack| pack.len)
                + parity_len
                + snapshots.iter().map(|snapshot| snapshot.manifest_len).sum::<u64>(),
            packs: packs.len() as u64,
            chunks,
        })
    }
}
