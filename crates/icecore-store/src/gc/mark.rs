//! Which chunks are live.

use std::collections::{BTreeMap, BTreeSet};

use icecore_format::{ChunkId, PackId, ShortId, SnapshotId};

use super::chunk_set::ChunkSet;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::tree::NodeWalk;
use crate::{Monitor, Result, StoreError};

/// References looked up in one transaction.
const REFS_A_LOOKUP: usize = 4096;

/// What a marking has found.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// What a snapshot reaches, and what that is coded on.
    pub(crate) live: ChunkSet,
    /// Snapshots share most of their nodes: this goes on where it was with the one before.
    walk: NodeWalk,
    /// Chunks that no pack holds, and who needs them. Nothing else is unknown because of them: a pack is deleted only if the index knows
    /// where each of its chunks lies, which it does not of these.
    pub(crate) missing: BTreeMap<ShortId, BTreeSet<SnapshotId>>,
    /// Bases that no pack holds, of runs that nobody needs: no loss, unless the index did not know them for a moment.
    pub(super) unfound: BTreeSet<ShortId>,
    /// Packs in which runs that nobody needs are coded on those: what is there of them cannot be read.
    pub(super) stranded: BTreeSet<PackId>,
    /// Tree nodes that cannot be read, and whose they are. What lies below them is unknown.
    hidden: BTreeMap<ChunkId, BTreeSet<SnapshotId>>,
}

impl Marks {
    /// Whether this chunk was looked for and not found.
    pub(super) fn was_looked_for(&self, chunk: &ChunkId) -> bool {
        self.missing.contains_key(&chunk.short()) || self.unfound.contains(&chunk.short())
    }

    /// Whether all that snapshots refer to was found.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.hidden.is_empty()
    }

    /// Whether all was found, what nobody needs among it.
    pub(super) fn is_sound(&self) -> bool {
        self.is_complete() && self.unfound.is_empty() && self.stranded.is_empty()
    }

    /// An error if a node could not be read: what it leads to is unknown, so that nothing may be deleted.
    pub(crate) fn resolved(&self) -> Result<()> {
        if self.hidden.is_empty() {
            return Ok(());
        }
        let affected: BTreeSet<_> = self.hidden.values().flatten().collect();
        let short = |id: &&SnapshotId| id.brief();
        let snapshots = affected.iter().map(short).collect::<Vec<_>>().join(", ");
        Err(StoreError::Unresolved { nodes: self.hidden.len() as u64, snapshots })
    }
}

impl Store {
    /// Marks everything that `snapshots` reach.
    pub(crate) fn mark(
        &self,
        snapshots: &[Snapshot],
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        for snapshot in snapshots {
            marks.walk.enter(&snapshot.manifest);
            while let Some(step) = marks.walk.step(self) {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                match step {
                    Ok(ids) => self.mark_chunks(&ids, snapshot.id, marks)?,
                    // What lies below is unknown: nothing may be deleted.
                    Err((node, error)) if error.is_unreadable() => {
                        marks.hidden.entry(node).or_default().insert(snapshot.id);
                    }
                    Err((_, error)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn mark_chunks(&self, ids: &[ChunkId], owner: SnapshotId, marks: &mut Marks) -> Result<()> {
        for ids in ids.chunks(REFS_A_LOOKUP) {
            let places = self.index.read(|index| index.places(ids))?;
            for (id, place) in ids.iter().zip(places) {
                match place {
                    Some((pack, ordinal)) => drop(marks.live.insert(pack, ordinal)),
                    None => drop(marks.missing.entry(id.short()).or_default().insert(owner)),
                }
            }
        }
        Ok(())
    }
}
