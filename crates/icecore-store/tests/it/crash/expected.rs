//! What must be in a store, whatever crashed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{FindingKind, Result, Silent, Snapshot, SnapshotReader, Store, StoreError, VerifyExtent};

use tempfile::TempDir;

use super::site::Site;
use crate::support::{restore, try_write, write};

/// What must be in the store.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// Snapshots that are there, and their bytes.
    pub(super) snapshots: BTreeMap<SnapshotId, Vec<u8>>,
    /// Those of them that may be gone.
    pub(super) doomed: BTreeSet<SnapshotId>,
    /// Bytes of snapshots that may be there although nobody was told.
    pub(super) newborn: BTreeSet<Vec<u8>>,
    /// Tags that are there.
    pub(super) tags: BTreeSet<(SnapshotId, String)>,
    /// Tags that may be there or not.
    pub(super) open_tags: BTreeSet<(SnapshotId, String)>,
    /// Bytes in packs that the last create has stored.
    pub(super) stored: Option<u64>,
    /// The id of the key that is to go.
    pub(super) key: String,
    /// Where snapshots come from.
    pub(super) sender: Option<Arc<Sender>>,
    /// Whether something is damaged that harms no snapshot.
    pub(super) damaged: bool,
    /// Whether something is lost that snapshots need, so that they need not restore yet.
    pub(super) lost: bool,
}

/// The same store elsewhere.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) store: Arc<Store>,
    pub(super) snapshots: Vec<(SnapshotId, Vec<u8>)>,
    /// Of its index.
    pub(super) _dir: TempDir,
}

impl Expected {
    pub(super) fn write(&mut self, store: &Arc<Store>, parts: &[(&str, &[u8])]) -> SnapshotId {
        let written = write(store, "shop", parts);
        self.snapshots.insert(written.id, parts.concat_bytes());
        written.id
    }

    /// Takes a snapshot that may be published before we learn of it.
    pub(super) fn try_write(&mut self, store: &Arc<Store>, parts: &[(&str, &[u8])]) -> Result<()> {
        let bytes = parts.concat_bytes();
        self.newborn.insert(bytes.clone());
        let written = try_write(store, "shop", parts)?;
        self.snapshots.insert(written.id, bytes);
        self.stored = Some(written.info.stored_bytes);
        Ok(())
    }

    /// The oldest snapshot that is expected, if it is there.
    pub(super) fn first(&self, store: &Store) -> Result<Option<Snapshot>> {
        let (snapshots, _) = store.snapshots()?;
        Ok(snapshots.into_iter().rev().find(|snapshot| self.snapshots.contains_key(&snapshot.id)))
    }

    pub(super) fn check(&self, site: &Site, context: &dyn fmt::Display) {
        let store = match site.open() {
            Err(StoreError::NoStore { .. }) if self.no_store_yet(site) => return,
            opened => opened.unwrap_or_else(|error| panic!("the store does not open, {error:?}, {context}")),
        };
        let (snapshots, damaged) = store.snapshots().expect("list");
        assert!(damaged.is_empty(), "{damaged:?}, {context}");
        for id in self.snapshots.keys().filter(|id| !self.doomed.contains(id)) {
            assert!(snapshots.iter().any(|snapshot| snapshot.id == *id), "{id} is lost, {context}");
        }
        let mut tags = BTreeSet::new();
        for snapshot in snapshots {
            tags.extend(snapshot.labels.tags.iter().map(|tag| (snapshot.id, tag.clone())));
            let reader = SnapshotReader::new(Arc::clone(&store), snapshot.manifest);
            let bytes = match restore(&reader) {
                Err(error) if self.lost && error.is_damage() => continue,
                restored => restored.unwrap_or_else(|error| panic!("{error:?}, {context}")),
            };
            let right = match self.snapshots.get(&snapshot.id) {
                Some(expected) => bytes == *expected,
                None => self.newborn.contains(&bytes),
            };
            assert!(right, "the bytes are those that were written, {context}");
        }
        let sure = |tags: &BTreeSet<_>| tags.difference(&self.open_tags).cloned().collect::<BTreeSet<_>>();
        assert_eq!(sure(&tags), sure(&self.tags), "{context}");
        let mut report = store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify");
        // Between an object and its second copy there is none, until the next collection or repair.
        report.findings.retain(|finding| finding.kind != FindingKind::Copy);
        let harmless = self.damaged && report.findings.iter().all(|finding| finding.snapshots.is_empty());
        assert!(harmless || self.lost || report.findings.is_empty(), "{:?}, {context}", report.findings);
    }

    fn no_store_yet(&self, site: &Site) -> bool {
        self.snapshots.is_empty() && site.names("snapshots/").is_empty()
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [(&str, &[u8])] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }
}
