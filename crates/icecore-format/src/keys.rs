//! The store key, and what is derived from it: chunk ids, snapshot ids, cut points, ciphers.
//!
//! Nothing is encrypted under the store key itself. Each use has its own key (`blake3::derive_key` with a context string),
//! and each sealed object and each pack its own again, derived from a random salt of 32 bytes: an AES-GCM nonce is then a
//! counter below one salt, and can not repeat.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{DecodeError, Result};
use crate::{ChunkId, Digest, SnapshotId};

const CONTEXT_CHUNK_ID: &str = "icecore 2026-11 chunk id";
const CONTEXT_SNAPSHOT_ID: &str = "icecore 2026-11 snapshot id";
const CONTEXT_GEAR: &str = "icecore 2026-11 chunker gear";
const CONTEXT_OBJECT: &str = "icecore 2026-11 sealed object";
const CONTEXT_PACK: &str = "icecore 2026-11 pack";
const CONTEXT_WRAP: &str = "icecore 2026-11 key wrap";

/// Thirty-two secret bytes: erased when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(pub [u8; 32]);

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

/// How a store hashes and seals: plainly, or under a secret of 32 bytes.
#[derive(Debug, Clone)]
pub enum StoreKey {
    /// The store is not encrypted.
    Plain,
    /// The store is encrypted under this key.
    Secret(SecretKeys),
}

/// The keys derived once from a store key.
#[derive(Clone)]
pub struct SecretKeys {
    root: SecretBytes,
    chunk_id: SecretBytes,
    snapshot_id: SecretBytes,
}

impl std::fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKeys(..)")
    }
}

impl StoreKey {
    /// The key of an encrypted store.
    pub fn secret(root: SecretBytes) -> Self {
        let chunk_id = SecretBytes(blake3::derive_key(CONTEXT_CHUNK_ID, &root.0));
        let snapshot_id = SecretBytes(blake3::derive_key(CONTEXT_SNAPSHOT_ID, &root.0));
        Self::Secret(SecretKeys { root, chunk_id, snapshot_id })
    }

    /// Whether the store is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// The secret itself, to wrap it under a password.
    pub fn root(&self) -> Option<&SecretBytes> {
        match self {
            Self::Plain => None,
            Self::Secret(keys) => Some(&keys.root),
        }
    }

    /// The id of a chunk with these plain bytes.
    pub fn chunk_id(&self, plain: &[u8]) -> ChunkId {
        match self {
            Self::Plain => ChunkId(Digest::of(plain)),
            Self::Secret(keys) => ChunkId(keyed(&keys.chunk_id, plain)),
        }
    }

    /// A hasher for the content of a part, which is hashed like a chunk.
    pub fn part_hasher(&self) -> blake3::Hasher {
        match self {
            Self::Plain => blake3::Hasher::new(),
            Self::Secret(keys) => blake3::Hasher::new_keyed(&keys.chunk_id.0),
        }
    }

    /// The id of a snapshot with this manifest payload.
    pub fn snapshot_id(&self, payload: &[u8]) -> SnapshotId {
        match self {
            Self::Plain => SnapshotId(Digest::of(payload)),
            Self::Secret(keys) => SnapshotId(keyed(&keys.snapshot_id, payload)),
        }
    }

    /// The seed of the chunker's gear table; `None` in a plain store, which uses the published table.
    pub fn gear_seed(&self) -> Option<SecretBytes> {
        self.root().map(|root| SecretBytes(blake3::derive_key(CONTEXT_GEAR, &root.0)))
    }

    /// The cipher for the bodies and the table of contents of the packs made with this salt.
    pub fn pack_cipher(&self, salt: &[u8; 32]) -> BodyCipher {
        BodyCipher { key: self.root().map(|root| aead_key(CONTEXT_PACK, root, salt)) }
    }

    pub(crate) fn seal_object(&self, salt: &[u8; 32], associated: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let root = self.root()?;
        Some(seal(&aead_key(CONTEXT_OBJECT, root, salt), 0, associated, plain.to_vec()))
    }

    pub(crate) fn open_object(&self, salt: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        open(&aead_key(CONTEXT_OBJECT, self.root()?, salt), 0, associated, sealed.to_vec())
    }
}

/// Seals the bodies of packs that share a salt. In a plain store it passes bytes through.
pub struct BodyCipher {
    key: Option<LessSafeKey>,
}

impl std::fmt::Debug for BodyCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyCipher(..)")
    }
}

impl BodyCipher {
    /// Seals body number `number`; a number must never be used twice with one salt.
    pub fn seal_body(&self, number: u64, plain: Vec<u8>) -> Vec<u8> {
        match &self.key {
            None => plain,
            Some(key) => seal(key, number, b"body", plain),
        }
    }

    /// Opens body number `number`.
    pub fn open_body(&self, number: u64, sealed: Vec<u8>) -> Result<Vec<u8>> {
        match &self.key {
            None => Ok(sealed),
            Some(key) => open(key, number, b"body", sealed).ok_or(DecodeError::Damaged),
        }
    }

    /// Seals the table of contents of a pack whose first body has this number.
    pub(crate) fn seal_toc(&self, first_body: u64, plain: Vec<u8>) -> Vec<u8> {
        match &self.key {
            None => plain,
            Some(key) => seal(key, toc_nonce(first_body), b"toc", plain),
        }
    }

    pub(crate) fn open_toc(&self, first_body: u64, sealed: Vec<u8>) -> Result<Vec<u8>> {
        match &self.key {
            None => Ok(sealed),
            Some(key) => open(key, toc_nonce(first_body), b"toc", sealed).ok_or(DecodeError::Damaged),
        }
    }
}

/// Bodies count up from zero; the tables of contents use the other half of the nonces.
fn toc_nonce(first_body: u64) -> u64 {
    first_body | (1 << 63)
}

/// Wraps the store key under a key derived from a password.
pub(crate) fn wrap(
    password_key: &SecretBytes,
    salt: &[u8; 32],
    associated: &[u8],
    root: &SecretBytes,
) -> Vec<u8> {
    seal(&aead_key(CONTEXT_WRAP, password_key, salt), 0, associated, root.0.to_vec())
}

pub(crate) fn unwrap(
    password_key: &SecretBytes,
    salt: &[u8; 32],
    associated: &[u8],
    wrapped: &[u8],
) -> Option<SecretBytes> {
    let mut plain = open(&aead_key(CONTEXT_WRAP, password_key, salt), 0, associated, wrapped.to_vec())?;
    let root = plain.as_slice().try_into().ok().map(SecretBytes);
    plain.zeroize();
    root
}

fn keyed(key: &SecretBytes, bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(&key.0, bytes).as_bytes())
}

fn aead_key(context: &str, root: &SecretBytes, salt: &[u8; 32]) -> LessSafeKey {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(&root.0);
    hasher.update(salt);
    let mut key = *hasher.finalize().as_bytes();
    let unbound = UnboundKey::new(&AES_256_GCM, &key).expect("a key of 32 bytes fits AES-256");
    key.zeroize();
    LessSafeKey::new(unbound)
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0u8; 12];
    if let Some(low) = bytes.first_chunk_mut::<8>() {
        *low = number.to_le_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

fn seal(key: &LessSafeKey, number: u64, associated: &[u8], mut plain: Vec<u8>) -> Vec<u8> {
    key.seal_in_place_append_tag(nonce(number), Aad::from(associated), &mut plain)
        .expect("AES-GCM seals anything below 64 GiB");
    plain
}

fn open(key: &LessSafeKey, number: u64, associated: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let len = key.open_in_place(nonce(number), Aad::from(associated), &mut sealed).ok()?.len();
    sealed.truncate(len);
    Some(sealed)
}
