//! Tags and notes on their way.

use std::collections::BTreeSet;

use icecore_format::{Label, SnapshotId, names};
use icecore_storage::{ErrorKind, PutMode};

use super::Transfer;
use crate::{Result, StoreError};

impl Transfer {
    /// The names of the labels of these snapshots that the receiver lacks. A tag's name says which it is; a note that is there stays.
    pub(super) fn lacking_labels(&self, snapshots: &BTreeSet<SnapshotId>) -> Result<Vec<String>> {
        let there: BTreeSet<String> = self.to.label_names()?.into_iter().collect();
        let is_wanted = |name: &String| {
            let label = names::parse_label(name);
            label.is_some_and(|(id, _)| snapshots.contains(&id)) && !there.contains(name)
        };
        Ok(self.from.label_names()?.into_iter().filter(is_wanted).collect())
    }

    /// Copies a label as it is: it is bound to its name, which is the same on both sides. False if it is not there any more.
    pub(super) fn send_label(&self, name: &str) -> Result<bool> {
        let bytes = match self.from.storage.get(name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::unread(name)(error)),
        };
        Label::decode(name, &bytes, &self.from.key).map_err(StoreError::damaged(name))?;
        match self.to.storage.put(name, &bytes, PutMode::CreateNew) {
            // Somebody else said the same, or something else, meanwhile.
            Err(error) if error.kind != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(true),
        }
    }
}
