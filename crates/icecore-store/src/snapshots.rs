//! Which snapshots there are.

use std::collections::BTreeSet;

use icecore_format::{Manifest, SnapshotId, SnapshotInfo, names};
use icecore_storage::ErrorKind;

use crate::store::Store;
use crate::{Result, StoreError};

/// What people said about a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotLabels {
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Its note.
    pub note: Option<String>,
}

/// A snapshot in a listing.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its identity.
    pub id: SnapshotId,
    /// The name of the manifest's object.
    pub object: String,
    /// Bytes of the manifest's object.
    pub manifest_len: u64,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its tags and note.
    pub labels: SnapshotLabels,
}

impl Snapshot {
    /// What it is.
    pub fn info(&self) -> &SnapshotInfo {
        &self.manifest.info
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

    /// The same, and the names of the markers that fenced writers.
    pub(crate) fn snapshots_and_markers(&self) -> Result<(Vec<Snapshot>, Vec<StoreError>, Vec<String>)> {
        let mut snapshots = Vec::new();
        let mut markers = Vec::new();
        let (labels, mut damaged) = self.labels()?;
        for object in self.storage.list(names::SNAPSHOTS)? {
            let bytes = match self.storage.get(&object.name) {
                Ok(bytes) => bytes,
                // Deleted since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                // The others are there all the same.
                Err(error) => {
                    damaged.push(still_listed(StoreError::unread(&object.name)(error))?);
                    continue;
                }
            };
            match Manifest::decode(&object.name, &bytes, &self.key) {
                Ok(Some((id, manifest))) => snapshots.push(Snapshot {
                    id,
                    object: object.name,
                    manifest_len: object.len,
                    manifest,
                    labels: labels.get(&id).cloned().unwrap_or_default(),
                }),
                Ok(None) => markers.push(object.name),
                Err(error) => damaged.push(StoreError::damaged(&object.name)(error)),
            }
        }
        // By time, and for equal times by claim, which sorts by time too.
        snapshots.sort_by(|a, b| (&b.info().created_at, &b.object).cmp(&(&a.info().created_at, &a.object)));
        Ok((snapshots, damaged, markers))
    }

    /// What to say when a snapshot that was listed cannot be read: if it was deleted since, its chunks may be gone with right.
    pub fn unless_deleted(&self, snapshot: &Snapshot, error: StoreError) -> StoreError {
        match self.storage.len(&snapshot.object) {
            Err(gone) if error.is_damage() && gone.kind == ErrorKind::NotFound => {
                StoreError::NoSnapshot { id: snapshot.id }
            }
            _ => error,
        }
    }

    /// Removes a snapshot from the list. Its chunks stay until a collection.
    pub fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        // The manifest first: labels without a snapshot are harmless, and the next collection takes them.
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

/// An error that concerns one record, and not the others; any other is handed back as an error.
pub(crate) fn still_listed(error: StoreError) -> Result<StoreError> {
    if error.is_out_of_reach() { Ok(error) } else { Err(error) }
}
