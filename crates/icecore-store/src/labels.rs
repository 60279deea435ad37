//! Tags, notes, and evidence.

use std::collections::{BTreeMap, BTreeSet};

use icecore_format::{Evidence, Label, SnapshotId, names};
use icecore_storage::{ErrorKind, PutMode};

use crate::fetch::get_all;
use crate::snapshots::SnapshotLabels;
use crate::store::Store;
use crate::{Result, StoreError};

impl Store {
    /// Sets a tag, or the note.
    pub fn add_label(&self, id: &SnapshotId, label: &Label) -> Result<()> {
        let name = names::label(id, &label.object_name(&self.key));
        let bytes = label.encode(id, &self.key, &self.machine.salt());
        Ok(self.storage.put(&name, &bytes, PutMode::Overwrite)?)
    }

    /// Writes down what came of reading or restoring the snapshot; what an earlier attempt of this kind came to is forgotten.
    pub fn record_evidence(&self, id: &SnapshotId, evidence: Evidence) -> Result<()> {
        self.add_label(id, &Label::Evidence(evidence.clipped()))
    }

    /// Takes a tag, or the note, away. False if the snapshot did not have it.
    pub fn remove_label(&self, id: &SnapshotId, label: &Label) -> Result<bool> {
        match self.storage.delete(&names::label(id, &label.object_name(&self.key))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// All labels, and the errors of those that cannot be read: one damaged tag hides no other.
    pub(crate) fn labels(&self) -> Result<(BTreeMap<SnapshotId, SnapshotLabels>, Vec<StoreError>)> {
        let mut damaged = Vec::new();
        let mut all: BTreeMap<SnapshotId, SnapshotLabels> = BTreeMap::new();
        let names = self.label_names()?;
        let labels: Vec<(SnapshotId, &str)> =
            names.iter().filter_map(|name| Some((names::parse_label(name)?.0, name.as_str()))).collect();
        let read = get_all(&*self.storage, &labels.iter().map(|(_, name)| *name).collect::<Vec<_>>());
        for ((id, name), bytes) in labels.into_iter().zip(read) {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                // Taken away since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => {
                    damaged.push(self.still_listed(StoreError::unread(name)(error))?);
                    continue;
                }
            };
            match Label::decode(name, &bytes, &self.key) {
                Ok(Label::Tag(tag)) => drop(all.entry(id).or_default().tags.insert(tag)),
                Ok(Label::Note(note)) => all.entry(id).or_default().note = Some(note),
                Ok(Label::Evidence(evidence)) => {
                    drop(all.entry(id).or_default().evidence.insert(evidence.kind, evidence));
                }
                Err(error) => damaged.push(StoreError::damaged(name)(error)),
            }
        }
        Ok((all, damaged))
    }

    /// The names of all labels' objects. Whose snapshot is not in a listing made *after* this one is an orphan.
    pub(crate) fn label_names(&self) -> Result<Vec<String>> {
        Ok(self.storage.list(names::LABELS)?.into_iter().map(|object| object.name).collect())
    }

    /// Removes those of `labels` whose snapshots are not in `known`: what a crash between two deletes left.
    pub(crate) fn remove_orphaned_labels(
        &self,
        labels: &[String],
        known: &BTreeSet<SnapshotId>,
    ) -> Result<()> {
        for name in labels {
            if names::parse_label(name).is_some_and(|(id, _)| !known.contains(&id)) {
                self.delete_if_there(name)?;
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
