//! What can change about a snapshot: tags, a note, and what is known of it by trying.

use serde::{Deserialize, Serialize};

use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::evidence::Evidence;
use crate::keys::StoreKey;
use crate::{SnapshotId, names};

/// A tag, the note, or a piece of evidence. One object each, so that two people who tag at once do not overwrite each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// One of any number of tags.
    Tag(String),
    /// The snapshot's only note.
    Note(String),
    /// What came of the last attempt of one kind.
    Evidence(Evidence),
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
            Self::Evidence(evidence) => evidence.kind.as_str().to_owned(),
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
        let label = serde_json::from_slice(&json)
            .map_err(|error| DecodeError::Malformed { what: "label", offset: error.column() })?;
        match &label {
            Self::Evidence(evidence) if !evidence.is_bounded() => {
                Err(DecodeError::Malformed { what: "evidence", offset: 0 })
            }
            _ => Ok(label),
        }
    }
}
