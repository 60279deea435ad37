//! Packs: many bodies in one immutable file, with a table of contents at its end.
//!
//! ```text
//! header   64 bytes: "ICECORE" 'P', version u16, flags u16, reserved u32, salt (32), number of the first body u64, 0 (8)
//! bodies   back to back; each one frame over a run of neighbouring chunks
//! table    for each body: stored length u32, plain length u32, codec u8, bases u16, chunks u32,
//!          then the base chunks' ids (32 each), then for each chunk its id (32) and plain length u32
//! trailer  64 bytes: place of the table u64, its length u32, reserved u32, blake3 of the header, the stored table and
//!          the 12 bytes before (32), 0 (8), "ICECORE" 'p'
//! ```
//! In an encrypted store the bodies and the table are sealed under a key derived for the salt.

use crate::cursor::Cursor;
use crate::envelope::{FLAG_ENCRYPTED, MAGIC, ObjectKind, put_preamble_of, read_preamble};
use crate::error::{DecodeError, Result};
use crate::keys::StoreKey;
use crate::{BODY_LEN_MAX, CHUNK_LEN_MAX, ChunkId, Digest, FORMAT_VERSION};

/// Bytes before the first body.
pub const PACK_HEADER_LEN: usize = 64;
/// Bytes after the table of contents.
pub const PACK_TRAILER_LEN: usize = 64;
const BODY_ENTRY_LEN: usize = 15;
const CHUNK_ENTRY_LEN: usize = 36;

/// The start of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackHeader {
    /// Whether the store is encrypted.
    pub encrypted: bool,
    /// Drawn by the writer for all its packs.
    pub salt: [u8; 32],
    /// Bodies are numbered from here on; no number appears twice under one salt.
    pub first_body: u64,
    version: u16,
}

impl PackHeader {
    /// The header of a new pack.
    pub fn new(encrypted: bool, salt: [u8; 32], first_body: u64) -> Self {
        Self { encrypted, salt, first_body, version: FORMAT_VERSION }
    }

    /// The header's [`PACK_HEADER_LEN`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PACK_HEADER_LEN);
        put_preamble_of(
            self.version,
            &mut out,
            ObjectKind::Pack,
            if self.encrypted { FLAG_ENCRYPTED } else { 0 },
        );
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.first_body.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out
    }

    /// Decodes the first [`PACK_HEADER_LEN`] bytes of a pack.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new("pack header", bytes);
        let (version, flags) = read_preamble(&mut cursor, ObjectKind::Pack)?;
        let reserved = cursor.u32()?;
        let salt = cursor.array()?;
        let first_body = cursor.u64()?;
        let more_reserved = cursor.u64()?;
        // Reserved bytes are zero, so that a decoded header encodes to the very bytes it came from: they are hashed.
        if flags & !FLAG_ENCRYPTED != 0 || first_body >> 62 != 0 || reserved != 0 || more_reserved != 0 {
            return Err(cursor.malformed());
        }
        cursor.finish()?;
        Ok(Self { encrypted: flags & FLAG_ENCRYPTED != 0, salt, first_body, version })
    }
}

/// How a body's plain bytes were coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As they are.
    Raw,
    /// One zstd frame.
    Zstd,
}

impl Codec {
    const fn byte(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
        }
    }
}

/// A chunk inside a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TocChunk {
    /// The chunk.
    pub id: ChunkId,
    /// Its plain length in bytes.
    pub len: u32,
}

/// One frame over a run of neighbouring chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Bytes the body takes in the pack.
    pub stored_len: u32,
    /// Bytes of its chunks together.
    pub plain_len: u32,
    /// How to get the plain bytes.
    pub codec: Codec,
    /// The chunks whose plain bytes, one after the other, are the frame's prefix. Always empty in version 1.
    pub bases: Vec<ChunkId>,
    /// The chunks, in the order of their bytes.
    pub chunks: Vec<TocChunk>,
}

impl Body {
    /// The chunks, each with its bytes in `plain`, the body's. Where `plain` ends too early, so do they.
    pub fn split<'b>(&'b self, plain: &'b [u8]) -> impl Iterator<Item = (&'b TocChunk, &'b [u8])> {
        let mut rest = plain;
        self.chunks.iter().map(move |chunk| {
            let (bytes, after) = rest.split_at_checked(chunk.len as usize).unwrap_or((rest, &[]));
            rest = after;
            (chunk, bytes)
        })
    }
}

/// A pack's table of contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackToc {
    /// The bodies, in the order in which they lie in the pack.
    pub bodies: Vec<Body>,
}

/// The end of a pack: where its table lies, and what it hashes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackTrailer {
    /// Offset of the stored table in the pack.
    pub toc_offset: u64,
    /// Stored length of the table.
    pub toc_len: u32,
    checksum: Digest,
}

impl PackTrailer {
    fn new(header: &PackHeader, toc_offset: u64, stored_toc: &[u8]) -> Self {
        let toc_len = u32::try_from(stored_toc.len()).expect("packs are smaller than 4 GiB");
        Self { toc_offset, toc_len, checksum: checksum(header, toc_offset, toc_len, stored_toc) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PACK_TRAILER_LEN);
        out.extend_from_slice(&self.toc_offset.to_le_bytes());
        out.extend_from_slice(&self.toc_len.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.checksum.0);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(MAGIC);
        out.push(b'p');
        out
    }

    /// Decodes the last [`PACK_TRAILER_LEN`] bytes of a pack that is `pack_len` bytes long.
    pub fn decode(bytes: &[u8], pack_len: u64) -> Result<Self> {
        let mut cursor = Cursor::new("pack trailer", bytes);
        let toc_offset = cursor.u64()?;
        let toc_len = cursor.u32()?;
        let reserved = cursor.u32()?;
        let checksum = Digest(cursor.array()?);
        let more_reserved = cursor.u64()?;
        let magic: [u8; 8] = cursor.array()?;
        if magic.as_slice() != b"ICECOREp" {
            return Err(DecodeError::NotIcecore);
        }
        let end = toc_offset.checked_add(u64::from(toc_len) + PACK_TRAILER_LEN as u64);
        cursor.clone().finish()?;
        if toc_offset < PACK_HEADER_LEN as u64 || end != Some(pack_len) || reserved != 0 || more_reserved != 0
        {
            return Err(cursor.malformed());
        }
        Ok(Self { toc_offset, toc_len, checksum })
    }
}

impl PackToc {
    /// The table as it is stored, sealed if the store is encrypted, and the trailer behind it.
    pub fn encode(&self, header: &PackHeader, toc_offset: u64, key: &StoreKey) -> Vec<u8> {
        let mut plain = Vec::new();
        for body in &self.bodies {
            body.encode(&mut plain);
        }
        let mut stored = key.pack_cipher(&header.salt).seal_toc(header.first_body, plain);
        let trailer = PackTrailer::new(header, toc_offset, &stored);
        stored.extend_from_slice(&trailer.encode());
        stored
    }

    /// Decodes a stored table; `stored` is what lies at the trailer's place.
    pub fn decode(
        header: &PackHeader,
        trailer: &PackTrailer,
        stored: Vec<u8>,
        key: &StoreKey,
    ) -> Result<Self> {
        if checksum(header, trailer.toc_offset, trailer.toc_len, &stored) != trailer.checksum {
            return Err(DecodeError::Damaged);
        }
        if header.encrypted != key.is_encrypted() {
            return Err(DecodeError::CryptoMismatch);
        }
        let plain = key.pack_cipher(&header.salt).open_toc(header.first_body, stored)?;
        let mut cursor = Cursor::new("pack table", &plain);
        let mut bodies = Vec::new();
        let mut end = PACK_HEADER_LEN as u64;
        while !cursor.is_empty() {
            let body = Body::decode(&mut cursor)?;
            end += u64::from(body.stored_len);
            bodies.push(body);
        }
        if end == trailer.toc_offset { Ok(Self { bodies }) } else { Err(cursor.malformed()) }
    }

    /// How many chunks the pack holds.
    pub fn chunk_count(&self) -> usize {
        self.bodies.iter().map(|body| body.chunks.len()).sum()
    }
}

impl Body {
    fn encode(&self, out: &mut Vec<u8>) {
        let base_count = u16::try_from(self.bases.len()).expect("a body has few bases");
        let chunk_count = u32::try_from(self.chunks.len()).expect("a body has few chunks");
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.plain_len.to_le_bytes());
        out.push(self.codec.byte());
        out.extend_from_slice(&base_count.to_le_bytes());
        out.extend_from_slice(&chunk_count.to_le_bytes());
        for base in &self.bases {
            out.extend_from_slice(base.as_bytes());
        }
        for chunk in &self.chunks {
            out.extend_from_slice(chunk.id.as_bytes());
            out.extend_from_slice(&chunk.len.to_le_bytes());
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let stored_len = cursor.u32()?;
        let plain_len = cursor.u32()?;
        let codec = match cursor.u8()? {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            _ => return Err(cursor.malformed()),
        };
        let base_count = usize::from(cursor.u16()?);
        let chunk_count = usize::try_from(cursor.u32()?).map_err(|_| cursor.malformed())?;
        let bounded = base_count * 32 <= cursor.remaining()
            && chunk_count.checked_mul(CHUNK_ENTRY_LEN).is_some_and(|len| len <= cursor.remaining());
        // No codec of this version looks at bases: a body that has some would be decoded wrongly.
        if base_count != 0 || !bounded || plain_len > BODY_LEN_MAX || stored_len > BODY_LEN_MAX + (1 << 20) {
            return Err(cursor.malformed());
        }
        let bases =
            (0..base_count).map(|_| cursor.array().map(ChunkId::from_bytes)).collect::<Result<_>>()?;
        let mut sum = 0u64;
        let mut chunks = Vec::with_capacity(chunk_count);
        for _ in 0..chunk_count {
            let chunk = TocChunk { id: ChunkId::from_bytes(cursor.array()?), len: cursor.u32()? };
            if chunk.len == 0 || chunk.len > CHUNK_LEN_MAX {
                return Err(cursor.malformed());
            }
            sum += u64::from(chunk.len);
            chunks.push(chunk);
        }
        if sum == u64::from(plain_len) && !chunks.is_empty() {
            Ok(Self { stored_len, plain_len, codec, bases, chunks })
        } else {
            Err(cursor.malformed())
        }
    }

    /// Bytes this body adds to the pack's table.
    pub fn toc_len(&self) -> usize {
        BODY_ENTRY_LEN + 32 * self.bases.len() + CHUNK_ENTRY_LEN * self.chunks.len()
    }
}

fn checksum(header: &PackHeader, toc_offset: u64, toc_len: u32, stored_toc: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.encode());
    hasher.update(stored_toc);
    hasher.update(&toc_offset.to_le_bytes());
    hasher.update(&toc_len.to_le_bytes());
    Digest(*hasher.finalize().as_bytes())
}
