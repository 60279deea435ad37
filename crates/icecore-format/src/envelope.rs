//! The frame around every small object: magic, kind, version, payload, checksum.
//!
//! ```text
//! "ICECORE"  7 bytes      kind       1 byte
//! version    u16          flags      u16 (bit 0: the payload is encrypted)
//! length     u32          payload    `length` bytes
//! checksum   32 bytes     blake3 over the object's name and all bytes before
//! ```
//! An encrypted payload is a salt of 32 bytes, then the AES-256-GCM ciphertext and its tag, under a key derived for this
//! salt alone. The name is part of the checksum (and of the associated data), so that an object moved to another
//! name does not pass for the one that belongs there.

use crate::cursor::Cursor;
use crate::error::{DecodeError, Result};
use crate::keys::StoreKey;
use crate::{Digest, FORMAT_VERSION};

pub(crate) const MAGIC: &[u8; 7] = b"ICECORE";
pub(crate) const FLAG_ENCRYPTED: u16 = 1;
const CHECKSUM_LEN: usize = 32;

/// What an object is; its kind byte follows the magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// [`crate::Config`]
    Config,
    /// [`crate::KeyFile`]
    Key,
    /// [`crate::Manifest`], or the marker of a fenced writer
    Manifest,
    /// [`crate::Label`]
    Label,
    /// [`crate::Claim`]
    Claim,
    /// [`crate::Epoch`]
    Epoch,
    /// [`crate::Condemned`]
    Condemned,
    /// A pack
    Pack,
    /// [`crate::Parity`]
    Parity,
}

impl ObjectKind {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Config => b'C',
            Self::Key => b'K',
            Self::Manifest => b'M',
            Self::Label => b'L',
            Self::Claim => b'W',
            Self::Epoch => b'E',
            Self::Condemned => b'X',
            Self::Pack => b'P',
            Self::Parity => b'R',
        }
    }
}

/// Checks magic, kind and version, and returns the version and the flags.
pub(crate) fn read_preamble(cursor: &mut Cursor<'_>, kind: ObjectKind) -> Result<(u16, u16)> {
    let magic: [u8; 7] = cursor.array().map_err(|_| DecodeError::NotIcecore)?;
    if &magic != MAGIC {
        return Err(DecodeError::NotIcecore);
    }
    let found = cursor.u8()?;
    if found != kind.byte() {
        return Err(DecodeError::WrongKind { expected: kind.byte().into(), found: found.into() });
    }
    let version = cursor.u16()?;
    if version > FORMAT_VERSION {
        return Err(DecodeError::TooNew { found: version, supported: FORMAT_VERSION });
    }
    Ok((version, cursor.u16()?))
}

pub(crate) fn put_preamble(out: &mut Vec<u8>, kind: ObjectKind, flags: u16) {
    put_preamble_of(FORMAT_VERSION, out, kind, flags);
}

pub(crate) fn put_preamble_of(version: u16, out: &mut Vec<u8>, kind: ObjectKind, flags: u16) {
    out.extend_from_slice(MAGIC);
    out.push(kind.byte());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
}

/// Frames a payload that is never encrypted.
pub(crate) fn encode_plain(kind: ObjectKind, name: &str, payload: &[u8]) -> Vec<u8> {
    frame(kind, 0, name, payload)
}

/// Frames a payload, encrypted if the store is. `salt` must be fresh randomness for every call.
pub(crate) fn encode(
    kind: ObjectKind,
    name: &str,
    payload: &[u8],
    key: &StoreKey,
    salt: &[u8; 32],
) -> Vec<u8> {
    match key.seal_object(salt, &associated_data(kind, name), payload) {
        None => frame(kind, 0, name, payload),
        Some(sealed) => {
            let mut stored = Vec::with_capacity(salt.len() + sealed.len());
            stored.extend_from_slice(salt);
            stored.extend_from_slice(&sealed);
            frame(kind, FLAG_ENCRYPTED, name, &stored)
        }
    }
}

pub(crate) fn decode_plain<'a>(kind: ObjectKind, name: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let (flags, payload) = unframe(kind, name, bytes)?;
    if flags == 0 { Ok(payload) } else { Err(DecodeError::CryptoMismatch) }
}

pub(crate) fn decode(kind: ObjectKind, name: &str, bytes: &[u8], key: &StoreKey) -> Result<Vec<u8>> {
    let (flags, stored) = unframe(kind, name, bytes)?;
    if (flags & FLAG_ENCRYPTED != 0) != key.is_encrypted() {
        return Err(DecodeError::CryptoMismatch);
    }
    if !key.is_encrypted() {
        return Ok(stored.to_vec());
    }
    let (salt, sealed) = stored.split_first_chunk::<32>().ok_or(DecodeError::Damaged)?;
    key.open_object(salt, &associated_data(kind, name), sealed).ok_or(DecodeError::Damaged)
}

fn frame(kind: ObjectKind, flags: u16, name: &str, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("small objects are smaller than 4 GiB");
    let mut out = Vec::with_capacity(payload.len() + 64);
    put_preamble(&mut out, kind, flags);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(payload);
    let checksum = checksum(name, &out);
    out.extend_from_slice(&checksum.0);
    out
}

fn unframe<'a>(kind: ObjectKind, name: &str, bytes: &'a [u8]) -> Result<(u16, &'a [u8])> {
    let mut cursor = Cursor::new("object", bytes);
    let (_, flags) = match read_preamble(&mut cursor, kind) {
        // A flipped bit in the version makes no newer object: in every version the checksum covers all before it.
        Err(DecodeError::TooNew { .. }) if !is_checked(name, bytes) => return Err(DecodeError::Damaged),
        preamble => preamble?,
    };
    let len = cursor.u32()?;
    let payload = cursor.bytes(usize::try_from(len).map_err(|_| cursor.malformed())?)?;
    cursor.bytes(CHECKSUM_LEN)?;
    cursor.finish()?;
    if !is_checked(name, bytes) {
        return Err(DecodeError::Damaged);
    }
    if flags & !FLAG_ENCRYPTED != 0 {
        return Err(DecodeError::Malformed { what: "object flags", offset: 10 });
    }
    Ok((flags, payload))
}

/// Whether the last bytes are the checksum of those before.
fn is_checked(name: &str, bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<CHECKSUM_LEN>()
        .is_some_and(|(covered, found)| checksum(name, covered).0 == *found)
}

pub(crate) fn checksum(name: &str, bytes: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher.update(bytes);
    Digest(*hasher.finalize().as_bytes())
}

fn associated_data(kind: ObjectKind, name: &str) -> Vec<u8> {
    let mut data = vec![kind.byte()];
    data.extend_from_slice(name.as_bytes());
    data
}
