//! The store's configuration: written once by `init`, read by everything.

use serde::{Deserialize, Serialize};

use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::{CHUNK_LEN_MAX, StoreId, names};

/// The lengths between which the chunker cuts, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkSizes {
    /// No chunk is shorter, but at a forced boundary.
    pub min: u32,
    /// What chunks are long on average.
    pub avg: u32,
    /// No chunk is longer, but by the distance to the next row end.
    pub max: u32,
}

impl Default for ChunkSizes {
    fn default() -> Self {
        Self { min: 16 << 10, avg: 64 << 10, max: 256 << 10 }
    }
}

impl ChunkSizes {
    /// Whether the chunker accepts these sizes: even, in order, and within its bounds.
    pub fn is_valid(&self) -> bool {
        let even = [self.min, self.avg, self.max].iter().all(|size| size % 2 == 0);
        even && (64..=1 << 20).contains(&self.min)
            && (256..=4 << 20).contains(&self.avg)
            && (1024..=CHUNK_LEN_MAX / 2).contains(&self.max)
            && self.min < self.avg
            && self.avg < self.max
    }
}

/// What seals an encrypted store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CryptoSuite {
    /// AES-256-GCM, keyed blake3 ids, keys wrapped by Argon2id.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
}

/// What a store is. Immutable: changing it would make another store of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Drawn at random when the store was made.
    pub store_id: StoreId,
    /// When the store was made, RFC 3339.
    pub created_at: String,
    /// Where the chunker cuts.
    pub chunk_sizes: ChunkSizes,
    /// A pack is closed once it holds this many stored bytes.
    pub pack_len: u32,
    /// A body is closed once it holds this many plain bytes of neighbouring chunks.
    pub body_len: u32,
    /// The zstd level of new bodies.
    pub zstd_level: i32,
    /// `None` in a plain store.
    pub crypto: Option<CryptoSuite>,
    /// Parity beside each pack, in percent of its bytes; 0 is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub parity: u8,
    /// Whether what is new may be coded on what it resembles.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub deltas: bool,
}

impl Config {
    /// The object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self).expect("a configuration is plain JSON");
        envelope::encode_plain(ObjectKind::Config, names::CONFIG, &json)
    }

    /// # Errors
    /// Among others, that the store is of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let json = envelope::decode_plain(ObjectKind::Config, names::CONFIG, bytes)?;
        let config: Self = serde_json::from_slice(json)
            .map_err(|error| DecodeError::Malformed { what: "configuration", offset: error.column() })?;
        let bounded = (1..=1 << 30).contains(&config.pack_len)
            && (1..=crate::BODY_LEN_MAX / 2).contains(&config.body_len)
            && config.chunk_sizes.is_valid()
            && config.parity <= 100;
        if bounded { Ok(config) } else { Err(DecodeError::Malformed { what: "configuration", offset: 0 }) }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_yes(deltas: &bool) -> bool {
    *deltas
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(parity: &u8) -> bool {
    *parity == 0
}
