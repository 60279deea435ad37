//! Reading back, and checking.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use icecore_format::{Catalog, ChunkId, Digest, PackId, SnapshotId, TreeNode, names};
use icecore_storage::ErrorKind;

use crate::index::{IndexReader, PackRecord};
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::{Counter, Monitor, Result, SnapshotReader, StoreError, random};

/// Packs that are in memory at once: whole ones, of 32 MiB.
const PACKS_AT_ONCE: usize = 3;

/// How much of the data is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Extent {
    /// Manifests, catalogs, trees, tables of contents; no data.
    Structure,
    /// A share of the packs, between 0 and 1: those that were not verified for longest, drawn by lot where that is equal.
    Share(f64),
    /// As many packs as have this many bytes, chosen in the same way.
    Budget(u64),
    /// All packs.
    Everything,
}

/// What kind of object a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A manifest cannot be read.
    Manifest,
    /// A tag or note cannot be read.
    Label,
    /// A pack is damaged.
    Pack,
    /// A pack that the index knows is not there.
    PackMissing,
    /// A chunk that a snapshot needs is in no pack.
    ChunkMissing,
    /// A catalog or tree cannot be read.
    Catalog,
}

impl FindingKind {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Label => "label",
            Self::Pack => "pack",
            Self::PackMissing => "pack_missing",
            Self::ChunkMissing => "chunk_missing",
            Self::Catalog => "catalog",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of object.
    pub kind: FindingKind,
    /// The object's name.
    pub object: String,
    /// In words.
    pub message: String,
    /// The snapshots that cannot be restored whole, each with the names of the damaged parts.
    pub snapshots: BTreeMap<SnapshotId, BTreeSet<String>>,
}

/// What a verification saw.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Snapshots whose structure was walked.
    pub snapshots: u64,
    /// Chunks that were decoded and hashed, or, without data, looked up.
    pub chunks: u64,
    /// Stored bytes that were read.
    pub bytes_read: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What of one pack is damaged.
struct PackDamage {
    finding: Finding,
    chunks: Vec<ChunkId>,
}

impl Store {
    /// Checks `snapshots`, or the whole store if there are none given. `now` is in seconds since 1970 and is remembered for the packs
    /// that were found right.
    pub fn verify(
        self: &Arc<Self>,
        snapshots: Option<&[Snapshot]>,
        extent: Extent,
        now: u64,
        monitor: &dyn Monitor,
    ) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let (all, damaged) = self.snapshots()?;
        if snapshots.is_none() {
            report.findings.extend(damaged.iter().map(manifest_finding));
        }
        let mut damage = Damage::default();
        // Everything counts, condemned or not: a condemned pack may hold what was published since.
        let lost = self.lost_packs()?;
        self.refresh_index(&BTreeSet::new())?;
        let chosen = snapshots.unwrap_or(&all);
        report.snapshots = chosen.len() as u64;

        let needed = self.walk(chosen, &lost, &mut damage, &mut report, monitor)?;
        let packs = self.index.read(IndexReader::packs)?;
        let packs: Vec<_> = packs
            .into_iter()
            .map(|(_, record)| record)
            .filter(|record| snapshots.is_none() || needed.contains(&record.id))
            .collect();
        self.check_unknown_packs(&mut damage)?;
        let verified = self.check_packs(packs, extent, &mut damage, &mut report, monitor)?;
        self.note_vanished(&mut damage)?;
        self.name_the_affected(&all, &mut damage)?;
        report.findings.extend(damage.findings.into_iter().map(|damage| damage.finding));
        self.remember_verified(&verified, now)?;
        Ok(report)
    }

    /// A store that may only be read is verified as well, only that nobody will know of it.
    fn remember_verified(&self, packs: &[PackId], now: u64) -> Result<()> {
        match self.index.write(|index| index.set_verified(packs, now)) {
            Err(error) if error.is_denied() => Ok(()),
            done => done,
        }
    }

    /// For each chunk that the index finds in a pack that is not in the storage any more, that pack.
    fn lost_packs(&self) -> Result<HashMap<ChunkId, PackId>> {
        let listed: BTreeSet<PackId> = self
            .storage
            .list(names::PACKS)?
            .iter()
            .filter_map(|object| names::parse_pack(&object.name))
            .collect();
        let known = self.index.read(IndexReader::packs)?;
        self.chunks_of(known.into_iter().filter(|(_, record)| !listed.contains(&record.id)))
    }

    fn chunks_of(&self, packs: impl Iterator<Item = (u32, PackRecord)>) -> Result<HashMap<ChunkId, PackId>> {
        let packs: HashMap<u32, PackId> = packs.map(|(number, record)| (number, record.id)).collect();
        if packs.is_empty() {
            return Ok(HashMap::new());
        }
        let chunks = self.index.read(|index| index.chunks_in(&packs.keys().copied().collect()))?;
        Ok(chunks.into_iter().filter_map(|(id, number)| Some((id, *packs.get(&number)?))).collect())
    }

    /// Walks trees and catalogs; returns the packs that hold what they refer to.
    fn walk(
        self: &Arc<Self>,
        snapshots: &[Snapshot],
        lost: &HashMap<ChunkId, PackId>,
        damage: &mut Damage,
        report: &mut VerifyReport,
        monitor: &dyn Monitor,
    ) -> Result<HashSet<PackId>> {
        let mut packs = HashSet::new();
        let mut walked = HashSet::new();
        for snapshot in snapshots {
            let mut roots = vec![snapshot.manifest.content.root.clone()];
            if let Catalog::Stored(tree) = &snapshot.manifest.catalog {
                roots.push(tree.root.clone());
            }
            while let Some(node) = roots.pop() {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let ids = ids_in(&node);
                let mut places = self.index.read(|index| index.places(&ids))?;
                let unknown =
                    ids.iter().zip(&places).any(|(id, place)| place.is_none() && !lost.contains_key(id));
                if unknown && self.index.doubt() {
                    self.refresh_index(&BTreeSet::new())?;
                    places = self.index.read(|index| index.places(&ids))?;
                }
                report.chunks += ids.len() as u64;
                for (id, place) in ids.iter().zip(places) {
                    match place {
                        Some((pack, _)) => drop(packs.insert(pack)),
                        None => damage.missing(*id, lost.get(id)),
                    }
                }
                let TreeNode::Inner { depth, nodes } = node else { continue };
                for reference in nodes {
                    if walked.insert(reference.node.id) {
                        match self.read_node(&reference, depth) {
                            Ok(node) => roots.push(node),
                            Err(error) => damage.unreadable(snapshot, Some(reference.node.id), error)?,
                        }
                    }
                }
            }
            let reader = SnapshotReader::new(Arc::clone(self), snapshot.manifest.clone());
            if let Some(error) = reader.parts().find_map(std::result::Result::err) {
                damage.unreadable(snapshot, None, error)?;
            }
        }
        Ok(packs)
    }

    /// Packs whose tables cannot be read never got into the index.
    fn check_unknown_packs(&self, damage: &mut Damage) -> Result<()> {
        let known: BTreeSet<PackId> =
            self.index.read(IndexReader::packs)?.iter().map(|(_, r)| r.id).collect();
        for object in self.storage.list(names::PACKS)? {
            let Some(id) = names::parse_pack(&object.name) else { continue };
            if !known.contains(&id) {
                match self.packs.read_toc(&id) {
                    Err(error) if error.is_unreadable() => {
                        damage.pack(FindingKind::Pack, &id, &full_message(&error), Vec::new());
                    }
                    _ => (),
                }
            }
        }
        Ok(())
    }

    /// Packs that went while they were verified: a collection took them, or they are lost.
    fn note_vanished(&self, damage: &mut Damage) -> Result<()> {
        if damage.vanished.is_empty() {
            return Ok(());
        }
        let known = self.index.read(IndexReader::packs)?;
        let chunks =
            self.chunks_of(known.into_iter().filter(|(_, record)| damage.vanished.contains(&record.id)))?;
        self.refresh_index(&BTreeSet::new())?;
        let ids: Vec<ChunkId> = chunks.keys().copied().collect();
        let places =
            self.index.read(|index| ids.iter().map(|id| index.find(id)).collect::<Result<Vec<_>>>())?;
        for (id, place) in ids.iter().zip(places) {
            if place.is_none() {
                damage.missing(*id, chunks.get(id));
            }
        }
        Ok(())
    }

    /// Reads packs as `extent` says. Returns those that are right.
    fn check_packs(
        &self,
        mut packs: Vec<PackRecord>,
        extent: Extent,
        damage: &mut Damage,
        report: &mut VerifyReport,
        monitor: &dyn Monitor,
    ) -> Result<Vec<PackId>> {
        // Packs of one night were all verified at once, or never: without the lot, the same ones would come first again and again.
        let lot = random::salt();
        packs.sort_by_cached_key(|pack| (pack.verified_at, drawn(&lot, &pack.id)));
        let total: u64 = packs.iter().map(|pack| pack.len).sum();
        let budget = match extent {
            Extent::Structure => 0,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of bytes need not be exact"
            )]
            Extent::Share(share) => (total as f64 * share.clamp(0.0, 1.0)).ceil() as u64,
            Extent::Budget(bytes) => bytes,
            Extent::Everything => u64::MAX,
        };
        let mut taken = 0u64;
        let (read, rest): (Vec<_>, Vec<_>) = packs.into_iter().partition(|pack| {
            // At least one pack whenever any data is to be read, or a small budget would never get anywhere.
            let take = budget > 0 && (taken == 0 || taken.saturating_add(pack.len) <= budget);
            taken += if take { pack.len } else { 0 };
            take
        });
        monitor.expect(read.iter().map(|pack| pack.len).sum());
        for pack in rest {
            if let Err(error) = self.packs.read_toc(&pack.id) {
                self.note_pack_error(&pack, error, damage)?;
            }
        }
        if matches!(extent, Extent::Structure) {
            return Ok(Vec::new());
        }
        report.chunks = 0;
        let outcomes: Mutex<Vec<(PackRecord, Result<u64>)>> = Mutex::default();
        let next = AtomicUsize::new(0);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        std::thread::scope(|scope| {
            for _ in 0..cores.min(PACKS_AT_ONCE) {
                scope.spawn(|| {
                    while let Some(pack) = read.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let cancelled = monitor.is_cancelled();
                        let outcome = if cancelled {
                            Err(StoreError::Cancelled)
                        } else {
                            self.check_pack(pack, monitor)
                        };
                        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((*pack, outcome));
                    }
                });
            }
        });
        let mut verified = Vec::new();
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(pack, _)| pack.id);
        for (pack, outcome) in outcomes {
            report.bytes_read += pack.len;
            match outcome {
                Ok(chunks) => {
                    report.chunks += chunks;
                    verified.push(pack.id);
                }
                Err(error) => self.note_pack_error(&pack, error, damage)?,
            }
        }
        Ok(verified)
    }

    /// Reads one pack whole: its hash, its table, every body, every chunk. Returns how many chunks.
    fn check_pack(&self, pack: &PackRecord, monitor: &dyn Monitor) -> Result<u64> {
        let bytes = self.storage.get(&names::pack(&pack.id))?;
        monitor.count(Counter::ReadBytes, bytes.len() as u64);
        let open = self.packs.parse(&pack.id, &bytes)?;
        let mut at = icecore_format::PACK_HEADER_LEN;
        let mut chunks = 0;
        for (number, body) in open.toc.bodies.iter().enumerate() {
            let stored = bytes.get(at..at + body.stored_len as usize).unwrap_or_default().to_vec();
            at += body.stored_len as usize;
            let plain = open.decode(number, stored)?;
            let mut rest = plain.as_slice();
            for chunk in &body.chunks {
                let (this, after) = rest.split_at_checked(chunk.len as usize).unwrap_or((rest, &[]));
                rest = after;
                if self.key.chunk_id(this) != chunk.id {
                    return Err(StoreError::ChunkDamaged { pack: pack.id, chunk: chunk.id });
                }
                chunks += 1;
            }
        }
        if PackId(Digest::of(&bytes)) == pack.id {
            Ok(chunks)
        } else {
            // Every chunk is right, but bytes between are not: a header field, or something appended.
            Err(StoreError::damaged(names::pack(&pack.id))(icecore_format::DecodeError::Damaged))
        }
    }

    /// Finds out what of a damaged pack is damaged: each body on its own.
    fn note_pack_error(&self, pack: &PackRecord, error: StoreError, damage: &mut Damage) -> Result<()> {
        if let StoreError::Storage(error) = &error
            && error.kind == ErrorKind::NotFound
        {
            damage.vanished.insert(pack.id);
            return Ok(());
        }
        let out_of_range =
            matches!(&error, StoreError::Storage(error) if error.kind == ErrorKind::OutOfRange);
        if !error.is_unreadable() && !out_of_range {
            return Err(error);
        }
        let mut chunks = Vec::new();
        let mut readable = false;
        if let Ok(open) = self.packs.read_toc(&pack.id) {
            readable = true;
            for (number, body) in open.toc.bodies.iter().enumerate() {
                let plain =
                    self.packs.stored_body(&open, number).and_then(|stored| open.decode(number, stored));
                let plain = plain.unwrap_or_default();
                let mut at = 0;
                for chunk in &body.chunks {
                    let bytes = plain.get(at..at + chunk.len as usize).unwrap_or_default();
                    at += chunk.len as usize;
                    if self.key.chunk_id(bytes) != chunk.id {
                        chunks.push(chunk.id);
                    }
                }
            }
        }
        let message = full_message(&error);
        damage.pack(FindingKind::Pack, &pack.id, &message, chunks);
        if !readable {
            damage.whole_packs.insert(pack.id);
        }
        Ok(())
    }

    /// Says for every finding which snapshots and parts it harms, and drops what harms none because a collection took it.
    fn name_the_affected(self: &Arc<Self>, snapshots: &[Snapshot], damage: &mut Damage) -> Result<()> {
        if damage.findings.is_empty() {
            return Ok(());
        }
        let known = self.index.read(IndexReader::packs)?;
        let unreadable =
            self.chunks_of(known.into_iter().filter(|(_, pack)| damage.whole_packs.contains(&pack.id)))?;
        let by_pack: HashMap<String, usize> = damage
            .findings
            .iter()
            .enumerate()
            .map(|(at, found)| (found.finding.object.clone(), at))
            .collect();
        let mut owners: HashMap<ChunkId, Vec<usize>> = HashMap::new();
        for (at, damaged) in damage.findings.iter().enumerate() {
            for chunk in &damaged.chunks {
                owners.entry(*chunk).or_default().push(at);
            }
        }
        for (chunk, pack) in unreadable {
            owners.entry(chunk).or_default().extend(by_pack.get(&names::pack(&pack)));
        }

        let listed: BTreeSet<String> =
            self.storage.list(names::SNAPSHOTS)?.into_iter().map(|object| object.name).collect();
        // What was deleted in the meantime needs nothing any more.
        for snapshot in snapshots.iter().filter(|snapshot| listed.contains(&snapshot.object)) {
            self.name_harm(snapshot, &owners, damage)?;
        }
        damage.findings.retain(|found| match found.finding.kind {
            FindingKind::PackMissing | FindingKind::ChunkMissing => !found.finding.snapshots.is_empty(),
            FindingKind::Manifest | FindingKind::Label | FindingKind::Pack | FindingKind::Catalog => true,
        });
        Ok(())
    }

    fn name_harm(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        owners: &HashMap<ChunkId, Vec<usize>>,
        damage: &mut Damage,
    ) -> Result<()> {
        let mut hits = self.harmed_ranges(snapshot.manifest.content.root.clone(), owners)?;
        let catalog = match &snapshot.manifest.catalog {
            Catalog::Stored(tree) => self.harmed_ranges(tree.root.clone(), owners)?,
            Catalog::Inline(_) => Vec::new(),
        };
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
        for part in reader.parts() {
            // A catalog that cannot be read is a finding of its own.
            let Ok(part) = part else { break };
            let (start, end) = (part.offset, part.offset + part.len);
            for (_, at) in
                hits.iter().take_while(|(range, _)| range.start < end).filter(|(range, _)| range.end > start)
            {
                if let Some(damaged) = damage.findings.get_mut(*at) {
                    damaged.finding.snapshots.entry(snapshot.id).or_default().insert(part.display_name());
                }
            }
        }
        Ok(())
    }

    /// The ranges of a content that findings harm: those of damaged chunks, and all that lies below damaged nodes.
    fn harmed_ranges(
        &self,
        root: TreeNode,
        owners: &HashMap<ChunkId, Vec<usize>>,
    ) -> Result<Vec<(Range<u64>, usize)>> {
        let mut hits = Vec::new();
        let mut open = vec![(root, 0u64)];
        while let Some((node, mut offset)) = open.pop() {
            let mut hit = |id: &ChunkId, range: Range<u64>| {
                let found = owners.get(id).into_iter().flatten();
                hits.extend(found.map(|at| (range.clone(), *at)));
            };
            match node {
                TreeNode::Leaf(chunks) => {
                    for chunk in chunks {
                        let end = offset + u64::from(chunk.len);
                        hit(&chunk.id, offset..end);
                        offset = end;
                    }
                }
                TreeNode::Inner { depth, nodes } => {
                    for reference in nodes {
                        let end = offset + reference.span;
                        hit(&reference.node.id, offset..end);
                        match self.read_node(&reference, depth) {
                            Ok(node) => open.push((node, offset)),
                            // Its own chunk is among the findings.
                            Err(error) if error.is_unreadable() => (),
                            Err(error) => return Err(error),
                        }
                        offset = end;
                    }
                }
            }
        }
        Ok(hits)
    }
}

/// A pack's number in a lottery.
fn drawn(lot: &[u8; 32], pack: &PackId) -> [u8; 32] {
    *blake3::keyed_hash(lot, pack.as_bytes()).as_bytes()
}

fn ids_in(node: &TreeNode) -> Vec<ChunkId> {
    match node {
        TreeNode::Leaf(chunks) => chunks.iter().map(|chunk| chunk.id).collect(),
        TreeNode::Inner { nodes, .. } => nodes.iter().map(|node| node.node.id).collect(),
    }
}

/// What has been found so far.
#[derive(Default)]
struct Damage {
    findings: Vec<PackDamage>,
    /// Where in `findings` an object's is.
    objects: HashMap<String, usize>,
    /// Packs of which nothing can be read.
    whole_packs: BTreeSet<PackId>,
    /// Packs that were listed, but not there when they were read.
    vanished: BTreeSet<PackId>,
}

impl Damage {
    /// One finding for each object; what is found later about it adds its chunks.
    fn note(
        &mut self,
        kind: FindingKind,
        object: String,
        message: &str,
        chunks: Vec<ChunkId>,
    ) -> Option<&mut PackDamage> {
        let at = *self.objects.entry(object.clone()).or_insert(self.findings.len());
        if at == self.findings.len() {
            let finding = Finding { kind, object, message: message.to_owned(), snapshots: BTreeMap::new() };
            self.findings.push(PackDamage { finding, chunks: Vec::new() });
        }
        let found = self.findings.get_mut(at)?;
        found.chunks.extend(chunks);
        Some(found)
    }

    /// A chunk that is in no pack; `pack` held it before.
    fn missing(&mut self, chunk: ChunkId, pack: Option<&PackId>) {
        match pack {
            Some(pack) => {
                self.pack(FindingKind::PackMissing, pack, "the pack is not in the storage", vec![chunk]);
            }
            None => drop(self.note(
                FindingKind::ChunkMissing,
                format!("chunk {chunk}"),
                "no pack holds it",
                vec![chunk],
            )),
        }
    }

    fn pack(&mut self, kind: FindingKind, id: &PackId, message: &str, chunks: Vec<ChunkId>) {
        self.note(kind, names::pack(id), message, chunks);
    }

    /// A tree node or catalog of `snapshot` that cannot be read; an error that is no damage is handed back.
    fn unreadable(&mut self, snapshot: &Snapshot, node: Option<ChunkId>, error: StoreError) -> Result<()> {
        match error {
            StoreError::ChunkMissing { chunk } => {
                // Found missing when it was looked up, and named there, perhaps with its pack.
                if self.findings.iter().all(|found| !found.chunks.contains(&chunk)) {
                    self.missing(chunk, None);
                }
            }
            StoreError::ChunkDamaged { pack, chunk } => {
                self.pack(FindingKind::Pack, &pack, &full_message(&error), vec![chunk]);
            }
            StoreError::Damaged { ref object, .. } | StoreError::StoreTooNew { place: ref object, .. }
                if let Some(pack) = names::parse_pack(object) =>
            {
                self.pack(FindingKind::Pack, &pack, &full_message(&error), Vec::from_iter(node));
                self.whole_packs.insert(pack);
            }
            error if error.is_unreadable() => {
                let message = full_message(&error);
                let found =
                    self.note(FindingKind::Catalog, snapshot.object.clone(), &message, Vec::from_iter(node));
                if let Some(found) = found {
                    found.finding.snapshots.entry(snapshot.id).or_default();
                }
            }
            error => return Err(error),
        }
        Ok(())
    }
}

fn manifest_finding(error: &StoreError) -> Finding {
    let object = match &error {
        StoreError::Damaged { object, .. } | StoreError::StoreTooNew { place: object, .. } => object.clone(),
        _ => String::new(),
    };
    let kind = if object.starts_with(names::LABELS) { FindingKind::Label } else { FindingKind::Manifest };
    Finding { kind, object, message: full_message(error), snapshots: BTreeMap::new() }
}

/// What is wrong, without the object's name, which a finding has already.
fn full_message(error: &StoreError) -> String {
    match (error, std::error::Error::source(error)) {
        (StoreError::Damaged { source, .. }, _) => source.to_string(),
        (_, Some(source)) => format!("{error}: {source}"),
        (_, None) => error.to_string(),
    }
}
