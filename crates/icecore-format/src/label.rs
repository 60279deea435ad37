//! What can change about a snapshot: tags and a note.

use serde::{Deserialize, Serialize};

use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::keys::StoreKey;
use crate::{SnapshotId, names};

/// A tag or the note of a snapshot. One object each, so that two people who tag at once do not overwrite each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// One of any number of tags.
    Tag(String),
    /// The snapshot's only note.
    Note(String),
}

impl Label {
    /// The last component of the object's name. A tag's is a hash of it, keyed in an encrypted store, so that the name
    /// gives nothing away and any text can be a tag.
    pub fn object_name(&self, key: &StoreKey) -> String {
        match self {
            Self::Tag(tag) => {
                let digest = key.chunk_id(format!("tag {tag}").as_bytes()).0.to_hex();
                format!("tag-{}", digest.get(..32).unwrap_or_default())
            }
            Self::Note(_) => "note".to_owned(),
        }
    }

    /// The object's bytes. `salt` must be fresh randomness.
    pub fn encode(&self, snapshot: &SnapshotId, key: &StoreKey, salt: &[u8; 32]) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a label is plain JSON");
        let name = names::label(snapshot, &self.object_name(key));
        envelope::encode(ObjectKind::Label, &name, &json, key, salt)
    }

    /// Decodes the label that lies under `name`.
    pub fn decode(name: &str, bytes: &[u8], key: &StoreKey) -> Result<Self> {
        let json = envelope::decode(ObjectKind::Label, name, bytes, key)?;
        serde_json::from_slice(&json)
            .map_err(|error| DecodeError::Malformed { what: "label", offset: error.column() })
    }
}
