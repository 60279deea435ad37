//! Packs: many bodies in one immutable file, with a table of contents at its end.
//!
//! ```text
//! header   64 bytes: "ICECORE" 'P', version u16, flags u16, reserved u32, salt (32), number of the first body u64, 0 (8)
//! bodies   back to back; each one frame over a run of neighbouring chunks, or over the residue of several runs
//! table    for each body: stored length u32, plain length u32, codec u8, runs u32, and for each of these:
//!          depth u8, flags u8, bases u16, chunks u32, then for each base the first half of its id (16) and its
//!          plain length u32, for each chunk its id (32) and plain length u32, then perhaps for each chunk its sketch
//! trailer  64 bytes: place of the table u64, its length u32, reserved u32, blake3 of the header, the stored table and
//!          the 12 bytes before (32), 0 (8), "ICECORE" 'p'
//! ```
//! In an encrypted store the bodies and the table are sealed under a key derived for the salt. Version 1 knew no deltas: there, a body's
//! entry is stored length u32, plain length u32, codec u8, 0 u16, chunks u32, then the chunks.

use crate::cursor::Cursor;
use crate::envelope::{FLAG_ENCRYPTED, MAGIC, ObjectKind, put_preamble_of, read_preamble};
use crate::error::{DecodeError, Result};
use crate::keys::StoreKey;
use crate::{BODY_LEN_MAX, CHUNK_LEN_MAX, ChunkId, Digest, FORMAT_VERSION, ShortId, Sketch};

/// Bytes before the first body.
pub const PACK_HEADER_LEN: usize = 64;
/// Bytes after the table of contents.
pub const PACK_TRAILER_LEN: usize = 64;
/// A run with bases is at least 1 and at most so deep: how many deltas are applied, one on the other, to read it.
pub const DEPTH_MAX: u8 = 31;
const BODY_ENTRY_LEN: usize = 13;
const RUN_ENTRY_LEN: usize = 8;
const BASE_ENTRY_LEN: usize = 20;
const CHUNK_ENTRY_LEN: usize = 36;
/// The flag of runs whose chunks' sketches follow.
const FLAG_SKETCHES: u8 = 1;
/// The flag of runs to whose bases the table itself belongs.
const FLAG_LISTED: u8 = 2;

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

/// How a body's runs were coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// One run, as it is.
    Raw,
    /// One run as one zstd frame.
    Zstd,
    /// One zstd frame over the residue of one run or more.
    Delta,
}

impl Codec {
    const fn byte(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Delta => 2,
        }
    }
}

/// A chunk that a run is coded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The first half of its id.
    pub id: ShortId,
    /// Its plain length in bytes.
    pub len: u32,
}

/// A chunk inside a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TocChunk {
    /// The chunk.
    pub id: ChunkId,
    /// Its plain length in bytes.
    pub len: u32,
}

/// What is stored as one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Bytes the body takes in the pack.
    pub stored_len: u32,
    /// Bytes of the frame when it is decompressed: those of its chunks, or the residue of its runs.
    pub plain_len: u32,
    /// What the frame holds.
    pub codec: Codec,
    /// Exactly one, unless they are coded as deltas.
    pub runs: Vec<Run>,
}

/// Neighbouring chunks that are coded together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// How many deltas are applied, one on the other, to read it: more than for any of its bases, and 0 only if it has none.
    pub depth: u8,
    /// The chunks whose plain bytes, one after the other, are what the residue refers to.
    pub bases: Vec<Base>,
    /// Whether these are followed by what [`PackToc::listing`] says of the bodies before this one: nodes of trees list the very chunks that
    /// lie in the same pack.
    pub is_listed: bool,
    /// The chunks, in the order of their bytes.
    pub chunks: Vec<TocChunk>,
    /// For each chunk its sketch, or nothing at all. Stored only for runs of depth 0.
    pub sketches: Vec<Sketch>,
}

impl Run {
    /// Bytes of the chunks together.
    pub fn plain_len(&self) -> u32 {
        // Checked when it was decoded.
        self.chunks.iter().fold(0, |sum, chunk| sum.saturating_add(chunk.len))
    }

    /// The ids of the bases.
    pub fn base_ids(&self) -> Vec<ShortId> {
        self.bases.iter().map(|base| base.id).collect()
    }

    /// The chunks, each with its bytes in `plain`, the run's. Where `plain` ends too early, so do they.
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
            body.encode(header.version, &mut plain);
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
            let body = Body::decode(&mut cursor, header.version)?;
            end += u64::from(body.stored_len);
            bodies.push(body);
        }
        if end == trailer.toc_offset { Ok(Self { bodies }) } else { Err(cursor.malformed()) }
    }

    /// What nodes of trees say of the chunks in the first so many bodies: their ids and lengths, as in a leaf.
    pub fn listing(&self, bodies: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let bodies = self.bodies.iter().take(bodies);
        for chunk in bodies.flat_map(|body| &body.runs).flat_map(|run| &run.chunks) {
            chunk.encode(&mut out);
        }
        out
    }

    /// The runs, in the order in which they lie in the pack.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.bodies.iter().flat_map(|body| &body.runs)
    }

    /// The chunks, in the order of their ordinals.
    pub fn chunks(&self) -> impl Iterator<Item = &TocChunk> {
        self.runs().flat_map(|run| &run.chunks)
    }

    /// How many chunks the pack holds.
    pub fn chunk_count(&self) -> usize {
        self.runs().map(|run| run.chunks.len()).sum()
    }
}

impl Body {
    /// Bytes this body adds to the table of a pack of this version.
    pub fn toc_len(&self) -> usize {
        BODY_ENTRY_LEN + self.runs.iter().map(Run::toc_len).sum::<usize>()
    }

    fn encode(&self, version: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.extend_from_slice(&self.plain_len.to_le_bytes());
        out.push(self.codec.byte());
        if version > 1 {
            out.extend_from_slice(&count(self.runs.len()).to_le_bytes());
        }
        self.runs.iter().for_each(|run| run.encode(version, out));
    }

    fn decode(cursor: &mut Cursor<'_>, version: u16) -> Result<Self> {
        let stored_len = cursor.u32()?;
        let plain_len = cursor.u32()?;
        let codec = match cursor.u8()? {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            2 if version > 1 => Codec::Delta,
            _ => return Err(cursor.malformed()),
        };
        let run_count = if version > 1 { cursor.u32()? as usize } else { 1 };
        let is_delta = codec == Codec::Delta;
        let bounded = (1..=cursor.remaining() / RUN_ENTRY_LEN).contains(&run_count);
        if !bounded
            || (run_count > 1 && !is_delta)
            || plain_len > BODY_LEN_MAX
            || stored_len > BODY_LEN_MAX + (1 << 20)
        {
            return Err(cursor.malformed());
        }
        let mut runs = Vec::with_capacity(run_count.min(1 << 10));
        for _ in 0..run_count {
            let run = if version > 1 { Run::decode(cursor)? } else { Run::decode_v1(cursor)? };
            if (run.depth == 0) == is_delta || (!is_delta && run.plain_len() != plain_len) {
                return Err(cursor.malformed());
            }
            runs.push(run);
        }
        Ok(Self { stored_len, plain_len, codec, runs })
    }
}

impl Run {
    fn toc_len(&self) -> usize {
        let sketches: usize = self.stored_sketches().iter().map(Sketch::encoded_len).sum();
        RUN_ENTRY_LEN + BASE_ENTRY_LEN * self.bases.len() + CHUNK_ENTRY_LEN * self.chunks.len() + sketches
    }

    /// Those of a delta are not worth their bytes: it is found through its bases as well.
    fn stored_sketches(&self) -> &[Sketch] {
        if self.depth == 0 { &self.sketches } else { &[] }
    }

    fn encode(&self, version: u16, out: &mut Vec<u8>) {
        let base_count = u16::try_from(self.bases.len()).expect("a run has few bases");
        let sketches = if version > 1 { self.stored_sketches() } else { &[] };
        if version > 1 {
            out.push(self.depth);
            let flags = [(!sketches.is_empty(), FLAG_SKETCHES), (self.is_listed, FLAG_LISTED)];
            out.push(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        }
        out.extend_from_slice(&base_count.to_le_bytes());
        out.extend_from_slice(&count(self.chunks.len()).to_le_bytes());
        for base in &self.bases {
            out.extend_from_slice(&base.id.0);
            out.extend_from_slice(&base.len.to_le_bytes());
        }
        self.chunks.iter().for_each(|chunk| chunk.encode(out));
        sketches.iter().for_each(|sketch| sketch.encode(out));
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let (depth, flags) = (cursor.u8()?, cursor.u8()?);
        let base_count = usize::from(cursor.u16()?);
        let chunk_count = cursor.u32()? as usize;
        let (has_sketches, is_listed) = (flags & FLAG_SKETCHES != 0, flags & FLAG_LISTED != 0);
        let is_known = flags & !(FLAG_SKETCHES | FLAG_LISTED) == 0 && !(has_sketches && depth > 0);
        if !is_known || depth > DEPTH_MAX || (depth == 0) != (base_count == 0 && !is_listed) {
            return Err(cursor.malformed());
        }
        let bases = decode_bases(cursor, base_count)?;
        let chunks = decode_chunks(cursor, chunk_count)?;
        if chunks.is_empty() {
            return Err(cursor.malformed());
        }
        let sketch_count = if has_sketches { chunks.len() } else { 0 };
        let sketches = (0..sketch_count).map(|_| Sketch::decode(cursor)).collect::<Result<_>>()?;
        Ok(Self { depth, bases, is_listed, chunks, sketches })
    }

    /// A run of version 1, which wrote a number of bases that was always 0.
    fn decode_v1(cursor: &mut Cursor<'_>) -> Result<Self> {
        let base_count = cursor.u16()?;
        let chunk_count = cursor.u32()? as usize;
        if base_count != 0 {
            return Err(cursor.malformed());
        }
        let chunks = decode_chunks(cursor, chunk_count)?;
        if chunks.is_empty() { Err(cursor.malformed()) } else { Ok(Self { chunks, ..Self::default() }) }
    }
}

impl TocChunk {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}

impl TocChunk {
    /// What it is called as a base.
    pub fn base(&self) -> Base {
        Base { id: self.id.short(), len: self.len }
    }
}

fn decode_chunks(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<TocChunk>> {
    let chunk = |cursor: &mut Cursor<'_>| {
        Ok(TocChunk { id: ChunkId::from_bytes(cursor.array()?), len: cursor.u32()? })
    };
    decode_entries(cursor, count, CHUNK_ENTRY_LEN, chunk, |chunk| chunk.len)
}

fn decode_bases(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<Base>> {
    let base = |cursor: &mut Cursor<'_>| Ok(Base { id: ShortId(cursor.array()?), len: cursor.u32()? });
    decode_entries(cursor, count, BASE_ENTRY_LEN, base, |base| base.len)
}

/// No more bytes together than a reader dares to allocate.
fn decode_entries<T>(
    cursor: &mut Cursor<'_>,
    count: usize,
    entry_len: usize,
    decode: impl Fn(&mut Cursor<'_>) -> Result<T>,
    len_of: impl Fn(&T) -> u32,
) -> Result<Vec<T>> {
    if count > cursor.remaining() / entry_len {
        return Err(cursor.malformed());
    }
    let mut sum = 0u64;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let entry = decode(cursor)?;
        let len = len_of(&entry);
        sum += u64::from(len);
        if len == 0 || len > CHUNK_LEN_MAX || sum > u64::from(BODY_LEN_MAX) {
            return Err(cursor.malformed());
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("a pack is smaller than 4 GiB")
}

fn checksum(header: &PackHeader, toc_offset: u64, toc_len: u32, stored_toc: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.encode());
    hasher.update(stored_toc);
    hasher.update(&toc_offset.to_le_bytes());
    hasher.update(&toc_len.to_le_bytes());
    Digest(*hasher.finalize().as_bytes())
}
