//! The small objects by which writers and collectors keep out of each other's way (`docs/concurrency.md`).

use serde::{Deserialize, Serialize};

use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::{PackId, names};

/// The number that only grows, and only when a collection starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// A running writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The epoch in which the writer started.
    pub epoch: Epoch,
    /// Raised now and then; a collector that sees it stand still may fence the writer.
    pub heartbeat: u64,
    /// What the writer does and where, for people.
    pub holder: String,
}

/// Packs that a collection of some epoch found dead, and that a later one will delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemned {
    /// The packs, in no particular order.
    pub packs: Vec<PackId>,
}

macro_rules! json_object {
    ($type:ty, $kind:expr, $what:literal) => {
        impl $type {
            /// The bytes of the object called `name`.
            pub fn encode(&self, name: &str) -> Vec<u8> {
                let json = serde_json::to_vec(self).expect("protocol objects are plain JSON");
                envelope::encode_plain($kind, name, &json)
            }

            /// Decodes the object called `name`.
            pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
                let json = envelope::decode_plain($kind, name, bytes)?;
                serde_json::from_slice(json)
                    .map_err(|error| DecodeError::Malformed { what: $what, offset: error.column() })
            }
        }
    };
}

json_object!(Epoch, ObjectKind::Epoch, "epoch");
json_object!(Claim, ObjectKind::Claim, "claim");
json_object!(Condemned, ObjectKind::Condemned, "condemned list");

impl Condemned {
    /// The epoch in a name below `condemned/`.
    pub fn parse_name(name: &str) -> Option<u64> {
        let epoch = name.strip_prefix(names::CONDEMNED)?.parse().ok()?;
        (names::condemned(epoch) == name).then_some(epoch)
    }
}
