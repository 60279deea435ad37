//! Walking what snapshots refer to, and naming what damage harms.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use icecore_format::{Catalog, ChunkId, PackId, ShortId, TreeNode, names};

use super::VerifyReport;
use super::finding::{Damage, FindingKind};
use crate::index::{IndexBirth, IndexReader, PackRecord};
use crate::read::ANY_DEPTH;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::tree::NodeWalk;
use crate::{Monitor, Result, SnapshotReader, StoreError};

impl Store {
    /// For each chunk that the index finds in a pack that is not in the storage any more, that pack.
    pub(super) fn lost_packs(&self) -> Result<HashMap<ShortId, PackId>> {
        let listed = self.listed_packs()?;
        let known = self.index.read(IndexReader::packs)?;
        self.chunks_of(known.into_iter().filter(|(_, record)| !listed.contains_key(&record.id)))
    }

    pub(super) fn chunks_of(
        &self,
        packs: impl Iterator<Item = (u32, PackRecord)>,
    ) -> Result<HashMap<ShortId, PackId>> {
        let packs: HashMap<u32, PackId> = packs.map(|(number, record)| (number, record.id)).collect();
        if packs.is_empty() {
            return Ok(HashMap::new());
        }
        let chunks = self.index.read(|index| index.chunks_in(&packs.keys().copied().collect()))?;
        Ok(chunks.into_iter().filter_map(|(id, number)| Some((id.short(), *packs.get(&number)?))).collect())
    }

    /// Walks trees and catalogs; returns the packs that hold what they refer to.
    pub(super) fn walk(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        lost: &HashMap<ShortId, PackId>,
        damage: &mut Damage,
        report: &mut VerifyReport,
        monitor: &dyn Monitor,
    ) -> Result<HashSet<PackId>> {
        let mut since = self.refresh_index(&BTreeSet::new())?;
        self.put_unsound_last()?;
        let mut packs = HashSet::new();
        let mut walk = NodeWalk::default();
        for snapshot in snapshots {
            walk.enter(&snapshot.manifest);
            while let Some(step) = walk.step(self) {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let ids = match step {
                    Ok(ids) => ids,
                    Err((node, error)) => {
                        damage.unreadable(snapshot, Some(node), error)?;
                        continue;
                    }
                };
                let short: Vec<ShortId> = ids.iter().map(ChunkId::short).collect();
                let places = self.settled_places(&short, ANY_DEPTH, lost, &mut since)?;
                report.chunks += ids.len() as u64;
                for (id, place) in short.iter().zip(places) {
                    match place {
                        Some((pack, _)) => drop(packs.insert(pack)),
                        None => damage.missing(*id, lost.get(id)),
                    }
                }
            }
            let reader = SnapshotReader::new(Arc::clone(self), snapshot.manifest.clone());
            for part in reader.parts() {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                if let Err(error) = part {
                    damage.unreadable(snapshot, None, error)?;
                }
            }
        }
        Ok(packs)
    }

    /// Where chunks lie, less deep than `below`; what the index did not know has been asked for once more.
    pub(super) fn settled_places(
        &self,
        ids: &[ShortId],
        below: u8,
        lost: &HashMap<ShortId, PackId>,
        since: &mut IndexBirth,
    ) -> Result<Vec<Option<(PackId, u32)>>> {
        loop {
            let places = self.index.read(|index| index.base_places(ids, below))?;
            let unknown = |(id, place): (&ShortId, &Option<_>)| place.is_none() && !lost.contains_key(id);
            let again = match ids.iter().zip(&places).any(unknown) {
                true => self.ask_index_again(since)?,
                false => places.contains(&None) && self.was_made_anew(since)?,
            };
            if !again {
                return Ok(places);
            }
        }
    }

    /// Says for every finding which snapshots and parts it harms, and drops what harms none because a collection took it.
    pub(super) fn name_the_affected(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        damage: &mut Damage,
    ) -> Result<()> {
        if damage.findings.is_empty() {
            return Ok(());
        }
        // The index may have been made anew since.
        self.put_unsound_last()?;
        let known = self.index.read(IndexReader::packs)?;
        let unreadable =
            self.chunks_of(known.into_iter().filter(|(_, pack)| damage.whole_packs.contains(&pack.id)))?;
        let by_pack: HashMap<String, usize> = damage
            .findings
            .iter()
            .enumerate()
            .map(|(at, found)| (found.finding.object.clone(), at))
            .collect();
        let mut owners: HashMap<ShortId, Vec<usize>> = HashMap::new();
        for (at, damaged) in damage.findings.iter().enumerate() {
            for chunk in &damaged.chunks {
                owners.entry(*chunk).or_default().push(at);
            }
        }
        for (chunk, pack) in unreadable {
            owners.entry(chunk).or_default().extend(by_pack.get(&names::pack(&pack)));
        }
        self.trace_bases(&mut owners)?;

        let listed: BTreeSet<String> =
            self.storage.list(names::SNAPSHOTS)?.into_iter().map(|object| object.name).collect();
        // What was deleted in the meantime needs nothing any more.
        for snapshot in
            snapshots.iter().filter(|snapshot| snapshot.objects().any(|name| listed.contains(name)))
        {
            self.name_harm(snapshot, &owners, damage)?;
        }
        damage.findings.retain(|found| match found.finding.kind {
            FindingKind::PackMissing | FindingKind::ChunkMissing => !found.finding.snapshots.is_empty(),
            _ => true,
        });
        Ok(())
    }

    fn name_harm(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        owners: &HashMap<ShortId, Vec<usize>>,
        damage: &mut Damage,
    ) -> Result<()> {
        let (mut hits, mut catalog, mut clean) = (Vec::new(), Vec::new(), HashSet::new());
        self.harmed_ranges(&snapshot.manifest.content.root, 0, owners, &mut clean, &mut hits)?;
        if let Catalog::Stored(tree) = &snapshot.manifest.catalog {
            self.harmed_ranges(&tree.root, 0, owners, &mut clean, &mut catalog)?;
        }
        for (_, at) in hits.iter().chain(&catalog) {
            if let Some(damaged) = damage.findings.get_mut(*at) {
                damaged.finding.snapshots.entry(snapshot.id).or_default();
            }
        }
        if hits.is_empty() {
            return Ok(());
        }
        hits.sort_by_key(|(range, _)| range.start);
        let reader = SnapshotReader::new(Arc::clone(self), snapshot.manifest.clone());
        let mut rest = hits.as_slice();
        for part in reader.parts() {
            // A catalog that cannot be read is a finding of its own.
            let Ok(part) = part else { break };
            let (start, end) = (part.offset, part.offset + part.len);
            // Parts come in order: what ends before this one harms no later one.
            while let [(range, _), after @ ..] = rest
                && range.end <= start
            {
                rest = after;
            }
            if rest.is_empty() {
                break;
            }
            let before_end = rest.iter().take_while(|(range, _)| range.start < end);
            for (_, at) in before_end.filter(|(range, _)| range.end > start) {
                if let Some(damaged) = damage.findings.get_mut(*at) {
                    damaged.finding.snapshots.entry(snapshot.id).or_default().insert(part.display_name());
                }
            }
        }
        Ok(())
    }

    /// Adds the ranges of a content that findings harm: those of damaged chunks, and all that lies below damaged nodes. `clean` are nodes
    /// below which nothing is damaged: they may be met again and again. Trees are a few levels deep at most: the format says so.
    fn harmed_ranges(
        &self,
        node: &TreeNode,
        mut offset: u64,
        owners: &HashMap<ShortId, Vec<usize>>,
        clean: &mut HashSet<ChunkId>,
        hits: &mut Vec<Harm>,
    ) -> Result<()> {
        let hit = |id: &ChunkId, range: Range<u64>, hits: &mut Vec<Harm>| {
            let found = owners.get(&id.short()).into_iter().flatten();
            hits.extend(found.map(|at| (range.clone(), *at)));
        };
        match node {
            TreeNode::Leaf(chunks) => {
                for chunk in chunks {
                    let end = offset + u64::from(chunk.len);
                    hit(&chunk.id, offset..end, hits);
                    offset = end;
                }
            }
            TreeNode::Inner { depth, nodes } => {
                for reference in nodes {
                    let end = offset + reference.span;
                    if hits.len() >= HITS_MAX {
                        return Ok(());
                    }
                    if !clean.contains(&reference.node.id) {
                        let before = hits.len();
                        hit(&reference.node.id, offset..end, hits);
                        match self.read_node(reference, *depth) {
                            Ok(child) => self.harmed_ranges(&child, offset, owners, clean, hits)?,
                            // Its own chunk is among the findings.
                            Err(error) if error.is_out_of_reach() => (),
                            Err(error) => return Err(error),
                        }
                        if hits.len() == before {
                            clean.insert(reference.node.id);
                        }
                    }
                    offset = end;
                }
            }
        }
        Ok(())
    }
}

/// A range of a content, and which finding harms it.
type Harm = (Range<u64>, usize);

/// Ranges of one content that are told apart; a stranger's may repeat one damaged chunk without end.
const HITS_MAX: usize = 100_000;
