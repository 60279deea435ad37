//! Which chunks are live.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use icecore_format::{Catalog, ChunkId, PackId, SnapshotId, Tree, TreeNode};

use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::tree::Pending;
use crate::{Monitor, Result, StoreError};

/// References looked up in one transaction.
const REFS_A_LOOKUP: usize = 4096;

/// One bit a chunk of every pack: 12 MiB for a hundred million chunks. By the packs' ids, for an index that is made anew numbers them
/// anew.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    packs: BTreeMap<PackId, Vec<u64>>,
    /// Tree nodes that were walked already; snapshots share most of them.
    walked: HashSet<ChunkId>,
    /// Chunks that no pack holds, and who needs them. Nothing else is unknown because of them: a pack is deleted only if the index knows
    /// where each of its chunks lies, which it does not of these.
    pub(crate) missing: BTreeMap<ChunkId, BTreeSet<SnapshotId>>,
    /// Tree nodes that cannot be read, and whose they are. What lies below them is unknown.
    hidden: BTreeMap<ChunkId, BTreeSet<SnapshotId>>,
}

impl Marks {
    fn set(&mut self, pack: PackId, ordinal: u32) {
        let words = self.packs.entry(pack).or_default();
        let word = (ordinal / 64) as usize;
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        if let Some(word) = words.get_mut(word) {
            *word |= 1 << (ordinal % 64);
        }
    }

    /// Whether a snapshot reaches this chunk.
    pub(crate) fn is_live(&self, pack: &PackId, ordinal: u32) -> bool {
        let word = self.packs.get(pack).and_then(|words| words.get((ordinal / 64) as usize));
        word.is_some_and(|word| word & (1 << (ordinal % 64)) != 0)
    }

    /// Whether all that snapshots refer to was found.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.hidden.is_empty()
    }

    /// An error if a node could not be read: what it leads to is unknown, so that nothing may be deleted.
    pub(crate) fn resolved(&self) -> Result<()> {
        if self.hidden.is_empty() {
            return Ok(());
        }
        let affected: BTreeSet<_> = self.hidden.values().flatten().collect();
        let short = |id: &&SnapshotId| id.to_string().get(..8).unwrap_or_default().to_owned();
        let snapshots = affected.iter().map(short).collect::<Vec<_>>().join(", ");
        Err(StoreError::Unresolved { nodes: self.hidden.len() as u64, snapshots })
    }

    /// How many chunks of a pack are live.
    pub(crate) fn live_count(&self, pack: &PackId) -> u32 {
        self.packs.get(pack).map_or(0, |words| words.iter().map(|word| word.count_ones()).sum())
    }
}

impl Store {
    /// Marks everything that `snapshots` reach.
    pub(crate) fn mark(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        for snapshot in snapshots {
            self.mark_tree(&snapshot.manifest.content, snapshot.id, marks, monitor)?;
            if let Catalog::Stored(tree) = &snapshot.manifest.catalog {
                self.mark_tree(tree, snapshot.id, marks, monitor)?;
            }
        }
        Ok(())
    }

    fn mark_tree(
        self: &Arc<Self>,
        tree: &Tree,
        owner: SnapshotId,
        marks: &mut Marks,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let mut open = vec![Pending::Root(tree.root.clone())];
        while let Some(pending) = open.pop() {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let node = match pending {
                Pending::Root(node) => node,
                Pending::Below(reference, depth) => match self.read_node(&reference, depth) {
                    Ok(node) => node,
                    Err(error) if error.is_unreadable() => {
                        // What lies below is unknown: nothing may be deleted.
                        marks.hidden.entry(reference.node.id).or_default().insert(owner);
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            match node {
                TreeNode::Leaf(chunks) => {
                    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
                    self.mark_chunks(&ids, owner, marks)?;
                }
                TreeNode::Inner { depth, nodes } => {
                    let fresh: Vec<_> =
                        nodes.into_iter().filter(|node| marks.walked.insert(node.node.id)).collect();
                    let ids: Vec<_> = fresh.iter().map(|node| node.node.id).collect();
                    self.mark_chunks(&ids, owner, marks)?;
                    open.extend(fresh.into_iter().map(|reference| Pending::Below(reference, depth)));
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
                    Some((pack, ordinal)) => marks.set(pack, ordinal),
                    None => drop(marks.missing.entry(*id).or_default().insert(owner)),
                }
            }
        }
        Ok(())
    }
}
