//! Tags, notes and evidence on their way.

use std::collections::BTreeSet;

use icecore_format::{Evidence, EvidenceKind, Label, names};
use icecore_storage::{ErrorKind, PutMode};

use super::Transfer;
use crate::fetch::get_all;
use crate::store::Store;
use crate::{Result, StoreError};

impl Transfer {
    /// Copies a label as it is: it is bound to its name, which is the same on both sides. False if it is not there any more, or if what the
    /// receiver has is newer.
    pub(super) fn send_label(&self, name: &str) -> Result<bool> {
        let bytes = match self.from.storage.get(name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::unread(name)(error)),
        };
        let label = Label::decode(name, &bytes, &self.from.key).map_err(StoreError::damaged(name))?;
        match (self.to.storage.put(name, &bytes, PutMode::CreateNew), label) {
            (Ok(()), _) => Ok(true),
            (Err(error), _) if error.kind != ErrorKind::AlreadyExists => Err(error.into()),
            (Err(_), Label::Evidence(evidence)) => self.replace_evidence(name, &bytes, &evidence),
            // Somebody else said the same, or something else, meanwhile.
            (Err(_), Label::Tag(_) | Label::Note(_)) => Ok(true),
        }
    }

    /// Of two attempts the later one counts, whoever made it.
    fn replace_evidence(&self, name: &str, bytes: &[u8], evidence: &Evidence) -> Result<bool> {
        let replaced = self.to.storage.get_versioned(name).and_then(|(there, version)| {
            match Label::decode(name, &there, &self.to.key) {
                Ok(Label::Evidence(there)) if there.at < evidence.at => {
                    self.to.storage.put(name, bytes, PutMode::Replace(&version)).map(|()| true)
                }
                // What is damaged there is for a repair to tell, and to mend.
                _ => Ok(false),
            }
        });
        match replaced {
            // Taken away, or tried once more, meanwhile.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::AlreadyExists) => Ok(false),
            replaced => Ok(replaced?),
        }
    }

    /// Those of these labels, which both sides have, that are evidence of a later attempt at the sender.
    pub(super) fn newer_evidence(&self, both: &[&str]) -> Result<BTreeSet<String>> {
        let names: Vec<&str> = both.iter().copied().filter(|name| is_evidence(name)).collect();
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (ours, theirs) = (read_evidence(&self.from, &names)?, read_evidence(&self.to, &names)?);
        let pairs = names.iter().zip(ours.into_iter().zip(theirs));
        let is_newer = |ours: &Evidence, theirs: &Evidence| ours.at > theirs.at;
        let newer = pairs.filter(|(_, (ours, theirs))| {
            ours.as_ref().zip(theirs.as_ref()).is_some_and(|(ours, theirs)| is_newer(ours, theirs))
        });
        Ok(newer.map(|(name, _)| (*name).to_owned()).collect())
    }
}

fn is_evidence(name: &str) -> bool {
    let kinds = [EvidenceKind::Verified, EvidenceKind::Restored];
    names::parse_label(name).is_some_and(|(_, label)| kinds.iter().any(|kind| label == kind.as_str()))
}

/// What lies under these names; nothing where it cannot be read, which a listing tells.
fn read_evidence(store: &Store, names: &[&str]) -> Result<Vec<Option<Evidence>>> {
    let read = names.iter().zip(get_all(&*store.storage, names));
    let decoded = read.map(|(name, bytes)| match bytes {
        Ok(bytes) => Ok(match Label::decode(name, &bytes, &store.key) {
            Ok(Label::Evidence(evidence)) => Some(evidence),
            _ => None,
        }),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => store.still_listed(StoreError::unread(name)(error)).map(|_| None),
    });
    decoded.collect()
}
