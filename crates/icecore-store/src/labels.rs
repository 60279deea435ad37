//! Tags and notes.

use std::collections::{BTreeMap, BTreeSet};

use icecore_format::{Label, SnapshotId, names};
use icecore_storage::{ErrorKind, PutMode};

use crate::snapshots::SnapshotLabels;
use crate::store::Store;
use crate::{Result, StoreError, random};

impl Store {
    /// Sets a tag, or the note.
    pub fn add_label(&self, id: &SnapshotId, label: &Label) -> Result<()> {
        let name = names::label(id, &label.object_name(&self.key));
        let bytes = label.encode(id, &self.key, &random::salt());
        Ok(self.storage.put(&name, &bytes, PutMode::Overwrite)?)
    }

    /// Takes a tag, or the note, away. False if the snapshot did not have it.
    pub fn remove_label(&self, id: &SnapshotId, label: &Label) -> Result<bool> {
        match self.storage.delete(&names::label(id, &label.object_name(&self.key))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn labels(&self) -> Result<BTreeMap<SnapshotId, SnapshotLabels>> {
        let mut all: BTreeMap<SnapshotId, SnapshotLabels> = BTreeMap::new();
        for object in self.storage.list(names::LABELS)? {
            let Some((id, _)) = names::parse_label(&object.name) else { continue };
            let bytes = match self.storage.get(&object.name) {
                Ok(bytes) => bytes,
                // Taken away since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let label =
                Label::decode(&object.name, &bytes, &self.key).map_err(StoreError::damaged(&object.name))?;
            let labels = all.entry(id).or_default();
            match label {
                Label::Tag(tag) => drop(labels.tags.insert(tag)),
                Label::Note(note) => labels.note = Some(note),
            }
        }
        Ok(all)
    }

    /// Removes the labels of snapshots that are not in `known`: what a crash between two deletes left.
    pub(crate) fn remove_orphaned_labels(&self, known: &BTreeSet<SnapshotId>) -> Result<()> {
        for object in self.storage.list(names::LABELS)? {
            let orphan = names::parse_label(&object.name).is_some_and(|(id, _)| !known.contains(&id));
            if orphan {
                self.delete_if_there(&object.name)?;
            }
        }
        Ok(())
    }

    pub(crate) fn delete_if_there(&self, name: &str) -> Result<()> {
        match self.storage.delete(name) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
