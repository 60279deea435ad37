//! Which snapshots there are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use icecore_format::{Evidence, EvidenceKind, Manifest, SnapshotId, SnapshotInfo, names};
use icecore_storage::{ErrorKind, ObjectMeta};

use crate::fetch::get_all;
use crate::manifests::ManifestCache;
use crate::store::Store;
use crate::{Result, StoreError};

/// Manifests that are read at once: they are small.
const MANIFESTS_AT_ONCE: usize = 256;

/// What people said about a snapshot, and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotLabels {
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Its note.
    pub note: Option<String>,
    /// What came of the last attempt of each kind to read or restore it.
    pub evidence: BTreeMap<EvidenceKind, Evidence>,
}

impl SnapshotLabels {
    /// What came of the last time that all of it was read.
    pub fn verified(&self) -> Option<&Evidence> {
        self.evidence.get(&EvidenceKind::Verified)
    }

    /// What came of the last time that it was restored to see whether it can be.
    pub fn restored(&self) -> Option<&Evidence> {
        self.evidence.get(&EvidenceKind::Restored)
    }

    /// What says that the snapshot is not right. Who restored it well since it could not be read has read it; who only read it well since it could not be
    /// restored has not restored it.
    pub fn faulty(&self) -> impl Iterator<Item = &Evidence> {
        let restored = self.restored().filter(|restored| restored.is_ok());
        let is_past = move |fault: &Evidence| restored.is_some_and(|restored| restored.at > fault.at);
        self.evidence.values().filter(move |evidence| !evidence.is_ok() && !is_past(evidence))
    }
}

/// A snapshot in a listing.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its identity.
    pub id: SnapshotId,
    /// The name of the manifest's object.
    pub object: String,
    /// The names of further objects with the same manifest: two machines may have pushed it at the same time.
    pub copies: Vec<String>,
    /// Bytes of the manifest's object.
    pub manifest_len: u64,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its tags, its note, and the evidence.
    pub labels: SnapshotLabels,
}

impl Snapshot {
    /// What it is.
    pub fn info(&self) -> &SnapshotInfo {
        &self.manifest.info
    }

    /// The names of all objects with its manifest.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.object).chain(&self.copies)
    }

    /// Bytes it added to the store, its manifest included.
    pub fn stored_bytes(&self) -> u64 {
        self.info().stored_bytes.saturating_add(self.manifest_len)
    }
}

impl Store {
    /// All snapshots, newest first, and the errors of manifests and labels that cannot be read, be it for now.
    ///
    /// A reader that goes on to the index must have listed first: then it knows every chunk of what it saw.
    pub fn snapshots(&self) -> Result<(Vec<Snapshot>, Vec<StoreError>)> {
        let (snapshots, damaged, _) = self.snapshots_and_markers()?;
        Ok((snapshots, damaged))
    }

    /// The same, from the storage in any case: what is kept elsewhere says nothing about what is damaged there.
    pub(crate) fn stored_snapshots(&self) -> Result<(Vec<Snapshot>, Vec<StoreError>)> {
        let (snapshots, damaged, _) = self.list_snapshots(None, self.labels()?)?;
        Ok((snapshots, damaged))
    }

    /// The ids of all snapshots that can be read.
    pub(crate) fn snapshot_ids(&self) -> Result<BTreeSet<SnapshotId>> {
        let (snapshots, ..) = self.list_snapshots(self.manifests.as_ref(), (BTreeMap::new(), Vec::new()))?;
        Ok(snapshots.iter().map(|snapshot| snapshot.id).collect())
    }

    /// The same, and the names of the markers that fenced writers.
    pub(crate) fn snapshots_and_markers(&self) -> Result<(Vec<Snapshot>, Vec<StoreError>, Vec<String>)> {
        self.list_snapshots(self.manifests.as_ref(), self.labels()?)
    }

    fn list_snapshots(
        &self,
        cache: Option<&ManifestCache>,
        (labels, mut damaged): (BTreeMap<SnapshotId, SnapshotLabels>, Vec<StoreError>),
    ) -> Result<(Vec<Snapshot>, Vec<StoreError>, Vec<String>)> {
        let mut snapshots = Vec::new();
        let mut markers = Vec::new();
        let listed = self.storage.list(names::SNAPSHOTS)?;
        if let Some(cache) = cache {
            cache.keep_only(&listed);
        }
        for group in listed.chunks(MANIFESTS_AT_ONCE) {
            for (object, bytes) in group.iter().zip(self.get_manifests(group, cache)) {
                let bytes = match bytes {
                    Ok(bytes) => bytes,
                    // Deleted since it was listed.
                    Err(error) if error.kind == ErrorKind::NotFound => continue,
                    // The others are there all the same.
                    Err(error) => {
                        damaged.push(self.still_listed(StoreError::unread(&object.name)(error))?);
                        continue;
                    }
                };
                match Manifest::decode(&object.name, &bytes, &self.key) {
                    Ok(Some((id, manifest))) => snapshots.push(Snapshot {
                        id,
                        object: object.name.clone(),
                        copies: Vec::new(),
                        manifest_len: object.len,
                        manifest,
                        labels: labels.get(&id).cloned().unwrap_or_default(),
                    }),
                    Ok(None) => markers.push(object.name.clone()),
                    Err(error) => damaged.push(StoreError::damaged(&object.name)(error)),
                }
            }
        }
        // By time, and for equal times by claim, which sorts by time too.
        snapshots.sort_by(|a, b| (&b.info().created_at, &b.object).cmp(&(&a.info().created_at, &a.object)));
        // One of each: of equal ones the latest comes first, and the earliest is what others have been told of.
        let mut listed: BTreeMap<SnapshotId, usize> = BTreeMap::new();
        let mut distinct: Vec<Snapshot> = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots {
            match listed.get(&snapshot.id).and_then(|at| distinct.get_mut(*at)) {
                Some(found) => found.copies.push(std::mem::replace(&mut found.object, snapshot.object)),
                None => {
                    listed.insert(snapshot.id, distinct.len());
                    distinct.push(snapshot);
                }
            }
        }
        Ok((distinct, damaged, markers))
    }

    /// The bytes of these objects, in this order; from the cache, where there is one, if they can be read there.
    fn get_manifests(
        &self,
        objects: &[ObjectMeta],
        cache: Option<&ManifestCache>,
    ) -> Vec<icecore_storage::Result<Bytes>> {
        let is_right =
            |name: &str, bytes: &Bytes| matches!(Manifest::decode(name, bytes, &self.key), Ok(Some(_)));
        let kept = |object: &ObjectMeta| {
            let bytes = cache?.get(object)?;
            is_right(&object.name, &bytes).then_some(bytes)
        };
        let kept: Vec<Option<Bytes>> = objects.iter().map(kept).collect();
        let names: Vec<&str> = objects
            .iter()
            .zip(&kept)
            .filter(|(_, kept)| kept.is_none())
            .map(|(object, _)| object.name.as_str())
            .collect();
        let read = get_all(&*self.storage, &names);
        if let Some(cache) = cache {
            for (name, bytes) in names.iter().zip(&read) {
                // A marker goes when it has served.
                match bytes {
                    Ok(bytes) if is_right(name, bytes) => cache.put(name, bytes),
                    _ => (),
                }
            }
        }
        let mut read = read.into_iter();
        kept.into_iter().filter_map(|kept| kept.map(Ok).or_else(|| read.next())).collect()
    }

    /// An error that concerns one record, and not the others; any other is handed back as an error.
    pub(crate) fn still_listed(&self, error: StoreError) -> Result<StoreError> {
        self.check_reach(&error)?;
        if error.is_out_of_reach() { Ok(error) } else { Err(error) }
    }

    /// What to say when a snapshot that was listed cannot be read: if it was deleted since, its chunks may be gone with right.
    pub fn unless_deleted(&self, snapshot: &Snapshot, error: StoreError) -> StoreError {
        let is_gone =
            |name: &String| self.storage.len(name).is_err_and(|error| error.kind == ErrorKind::NotFound);
        if error.is_damage() && snapshot.objects().all(is_gone) {
            StoreError::NoSnapshot { id: snapshot.id }
        } else {
            error
        }
    }

    /// Removes a snapshot from the list. Its chunks stay until a collection.
    pub fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        // The manifest first: labels without a snapshot are harmless, and the next collection takes them.
        for copy in &snapshot.copies {
            self.delete_if_there(copy)?;
        }
        self.storage.delete(&snapshot.object).map_err(|error| match error.kind {
            ErrorKind::NotFound => StoreError::NoSnapshot { id: snapshot.id },
            _ => error.into(),
        })?;
        for object in self.storage.list(&names::labels_of(&snapshot.id))? {
            self.delete_if_there(&object.name)?;
        }
        Ok(())
    }
}
