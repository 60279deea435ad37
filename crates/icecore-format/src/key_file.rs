//! One password's way to the store key.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::keys::{self, SecretBytes};
use crate::{Digest, StoreId, names};

/// What Argon2id costs: kibibytes of memory, passes, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Parallel lanes.
    pub lanes: u32,
}

impl KdfCost {
    /// Some hundredths of a second on two cores: the cost of new keys. More than the least that OWASP's cheat sheet on storing passwords
    /// advises for Argon2id, 46 MiB and one pass.
    pub const DEFAULT: Self = Self { memory_kib: 48 << 10, passes: 2, lanes: 2 };
    /// The cheapest Argon2id there is, for tests.
    pub const CHEAPEST: Self = Self { memory_kib: 16, passes: 1, lanes: 1 };
}

/// The password opens another key file, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password does not open this key")]
pub struct WrongPassword;

/// The store key, wrapped under a password. A store may have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFile {
    /// The key's name: eight hexadecimal digits, from the hash of its salt.
    pub id: String,
    /// What a person calls it.
    pub label: String,
    /// When it was added, RFC 3339.
    pub created_at: String,
    /// How hard the password is to guess with.
    pub cost: KdfCost,
    salt: Digest64,
    wrapped: String,
}

/// Thirty-two bytes as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Digest64(String);

impl KeyFile {
    /// Wraps `root` under `password`. `salt` must be fresh randomness; the key's id comes from it.
    pub fn wrap(
        root: &SecretBytes,
        store: StoreId,
        password: &[u8],
        label: &str,
        created_at: &str,
        cost: KdfCost,
        salt: [u8; 32],
    ) -> Self {
        let password_key = derive(password, &salt, cost).expect("the costs we choose are valid");
        let wrapped = keys::wrap(&password_key, &salt, store.as_bytes(), root);
        let hex = Digest(salt).to_hex();
        Self {
            id: Digest::of(&salt).to_hex().get(..8).unwrap_or_default().to_owned(),
            label: label.to_owned(),
            created_at: created_at.to_owned(),
            cost,
            salt: Digest64(hex),
            wrapped: to_hex(&wrapped),
        }
    }

    /// The store key, if this is the password.
    pub fn unwrap(&self, store: StoreId, password: &[u8]) -> std::result::Result<SecretBytes, WrongPassword> {
        let salt: Digest = self.salt.0.parse().map_err(|_| WrongPassword)?;
        let wrapped = from_hex(&self.wrapped).ok_or(WrongPassword)?;
        let password_key = derive(password, &salt.0, self.cost).ok_or(WrongPassword)?;
        keys::unwrap(&password_key, &salt.0, store.as_bytes(), &wrapped).ok_or(WrongPassword)
    }

    /// The object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self).expect("a key file is plain JSON");
        envelope::encode_plain(ObjectKind::Key, &names::key(&self.id), &json)
    }

    /// Decodes the key file called `id`, which must be what it says itself: by its id it is listed and removed.
    pub fn decode(id: &str, bytes: &[u8]) -> Result<Self> {
        let json = envelope::decode_plain(ObjectKind::Key, &names::key(id), bytes)?;
        let file: Self = serde_json::from_slice(json)
            .map_err(|error| DecodeError::Malformed { what: "key file", offset: error.column() })?;
        if file.id != id || !names::is_component(id) {
            return Err(DecodeError::Malformed { what: "key file's id", offset: 0 });
        }
        // A stranger's key file must not make us take gigabytes or hours.
        let bounded = file.cost.memory_kib <= 1 << 20 && file.cost.passes <= 64 && file.cost.lanes <= 64;
        if bounded {
            Ok(file)
        } else {
            Err(DecodeError::Malformed { what: "key derivation cost", offset: 0 })
        }
    }
}

fn derive(password: &[u8], salt: &[u8; 32], cost: KdfCost) -> Option<SecretBytes> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
    let mut key = SecretBytes([0; 32]);
    // Touched by all cores: to get so much memory from the system takes as long as a pass over it.
    let memory: Vec<Block> = (0..params.block_count()).into_par_iter().map(|_| Block::new()).collect();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut key.0, memory)
        .ok()?;
    Some(key)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}
