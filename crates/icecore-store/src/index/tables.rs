//! The index's tables and how their values are packed.

use icecore_format::{ChunkId, Codec, PackId, PackToc};
use redb::{MultimapTableDefinition, TableDefinition};

use super::ChunkPlace;

/// A chunk's id to its place.
pub(super) const CHUNKS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("chunks-2");
/// A pack's number to its record.
pub(super) const PACKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("packs-2");
/// A pack's id to its number.
pub(super) const PACK_NUMBERS: TableDefinition<'_, &[u8; 32], u32> = TableDefinition::new("pack-numbers-2");

/// Further places of chunks that lie in several packs: few, and what is fallen back on when a pack goes.
pub(super) const SPARES: MultimapTableDefinition<'_, &[u8; 32], u64> =
    MultimapTableDefinition::new("spare-places-2");
/// A number of a sketch to the chunks that have it: see [`Namesakes`].
pub(super) const SKETCHES: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("sketches-2");
/// Counters, by name.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta-2");

/// What an index of version 1 holds, which is of no use any more.
pub(super) const OLD_TABLES: [TableDefinition<'_, &str, u64>; 4] = [
    TableDefinition::new("chunks-1"),
    TableDefinition::new("packs-1"),
    TableDefinition::new("pack-numbers-1"),
    TableDefinition::new("meta-1"),
];
/// As [`OLD_TABLES`].
pub(super) const OLD_MULTIMAP: MultimapTableDefinition<'_, &[u8; 32], u64> =
    MultimapTableDefinition::new("spare-places-1");

/// The number of the next pack: none is given twice, for somebody may still hold it.
pub(super) const NEXT_NUMBER: &str = "next-number";

/// Counts how often packs were taken out: what was found before may be gone since.
pub(super) const REMOVALS: &str = "removals";

/// A number drawn when the file was made: it tells one index from the next.
pub(super) const BIRTH: &str = "birth";

const RECORD_LEN: usize = 88;

/// What the index knows of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRecord {
    /// The pack.
    pub id: PackId,
    /// Bytes it takes in the storage.
    pub len: u64,
    /// How many chunks its table lists.
    pub chunks: u32,
    /// How many of its runs are coded as deltas.
    pub deltas: u32,
    /// Plain bytes of its chunks that are coded by themselves.
    pub plain_len: u64,
    /// Plain bytes of its chunks that are coded on others.
    pub delta_len: u64,
    /// What these take in the pack.
    pub delta_stored_len: u64,
    /// One more than [`super::IndexReader::removals`] was when all bases of its runs were last found; zero for never.
    pub sound_at: u64,
    /// When it was last read and found right, in seconds since 1970; zero for never.
    pub verified_at: u64,
}

impl PackRecord {
    /// What is known of a pack of `len` bytes from its table. It was never verified.
    pub(super) fn new(id: PackId, len: u64, toc: &PackToc) -> Self {
        let (mut plain_len, mut delta_len, mut delta_stored_len, mut deltas) = (0, 0, 0, 0u32);
        for body in &toc.bodies {
            let len: u64 = body.runs.iter().map(|run| u64::from(run.plain_len())).sum();
            if body.codec == Codec::Delta {
                delta_len += len;
                delta_stored_len += u64::from(body.stored_len);
                deltas = deltas.saturating_add(u32::try_from(body.runs.len()).unwrap_or(u32::MAX));
            } else {
                plain_len += len;
            }
        }
        let chunks = u32::try_from(toc.chunk_count()).unwrap_or(u32::MAX);
        Self { id, len, chunks, deltas, plain_len, delta_len, delta_stored_len, sound_at: 0, verified_at: 0 }
    }

    /// Whether all bases of its runs were found, and no pack was taken out of the index since.
    pub(crate) fn is_sound(&self, removals: u64) -> bool {
        self.sound_at == removals + 1
    }

    /// The record as the index holds it.
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut out = [0; RECORD_LEN];
        let fields = [
            &self.id.as_bytes()[..],
            &self.len.to_le_bytes(),
            &self.chunks.to_le_bytes(),
            &self.deltas.to_le_bytes(),
            &self.plain_len.to_le_bytes(),
            &self.delta_len.to_le_bytes(),
            &self.delta_stored_len.to_le_bytes(),
            &self.sound_at.to_le_bytes(),
            &self.verified_at.to_le_bytes(),
        ];
        for (to, from) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        out
    }

    /// Reads a record; `None` if it is too short to be one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<32>()?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (chunks, rest) = rest.split_first_chunk::<4>()?;
        let (deltas, rest) = rest.split_first_chunk::<4>()?;
        let (plain_len, rest) = rest.split_first_chunk::<8>()?;
        let (delta_len, rest) = rest.split_first_chunk::<8>()?;
        let (delta_stored_len, rest) = rest.split_first_chunk::<8>()?;
        let (sound_at, rest) = rest.split_first_chunk::<8>()?;
        let verified_at = rest.first_chunk::<8>()?;
        Some(Self {
            id: PackId::from_bytes(*id),
            len: u64::from_le_bytes(*len),
            chunks: u32::from_le_bytes(*chunks),
            deltas: u32::from_le_bytes(*deltas),
            plain_len: u64::from_le_bytes(*plain_len),
            delta_len: u64::from_le_bytes(*delta_len),
            delta_stored_len: u64::from_le_bytes(*delta_stored_len),
            sound_at: u64::from_le_bytes(*sound_at),
            verified_at: u64::from_le_bytes(*verified_at),
        })
    }
}

/// Bits of an ordinal: a pack's table is shorter than 4 GiB, and a chunk takes 36 bytes there.
const ORDINAL_BITS: u32 = 27;

pub(super) fn pack_place(place: ChunkPlace) -> u64 {
    u64::from(place.pack) << 32 | u64::from(place.depth) << ORDINAL_BITS | u64::from(place.ordinal)
}

#[expect(clippy::cast_possible_truncation, reason = "the parts of a u64, each masked")]
pub(super) fn unpack_place(place: u64) -> ChunkPlace {
    ChunkPlace {
        pack: (place >> 32) as u32,
        ordinal: place as u32 & ((1 << ORDINAL_BITS) - 1),
        depth: (place as u32 >> ORDINAL_BITS) as u8,
    }
}

/// A chunk that has a number in its sketch: the first 59 bits of its id, and how deep it lay when it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Namesake(u64);

const DEPTH_MASK: u64 = 0x1f;

impl Namesake {
    pub(super) fn new(id: &ChunkId, depth: u8) -> Self {
        Self(id.first() & !DEPTH_MASK | u64::from(depth) & DEPTH_MASK)
    }

    pub(super) fn depth(self) -> u64 {
        self.0 & DEPTH_MASK
    }

    /// Whether it is called so, however deep it lies.
    pub(super) fn is(self, id: &ChunkId) -> bool {
        self.0 & !DEPTH_MASK == Self::new(id, 0).0
    }

    /// Where in the order of ids it is.
    pub(super) fn range(self) -> ([u8; 32], [u8; 32]) {
        let (mut from, mut to) = ([0; 32], [0xff; 32]);
        let bounds = [(&mut from, self.0 & !DEPTH_MASK), (&mut to, self.0 | DEPTH_MASK)];
        for (bound, first) in bounds {
            if let Some(start) = bound.first_chunk_mut::<8>() {
                *start = first.to_be_bytes();
            }
        }
        (from, to)
    }
}

/// The chunks that have a number in their sketches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Namesakes {
    /// The one that was stored last: the most like what comes next.
    pub(super) newest: Namesake,
    /// The last one that did not make the chain longer: what a chain that has grown goes back to.
    pub(super) anchor: Namesake,
}

impl Namesakes {
    pub(super) fn unpack((newest, anchor): (u64, u64)) -> Self {
        Self { newest: Namesake(newest), anchor: Namesake(anchor) }
    }

    pub(super) fn pack(self) -> (u64, u64) {
        (self.newest.0, self.anchor.0)
    }

    /// Only this one.
    pub(super) fn only(namesake: Namesake) -> Self {
        Self { newest: namesake, anchor: namesake }
    }

    /// One more that was stored.
    pub(super) fn followed_by(self, newest: Namesake) -> Self {
        let anchor = if newest.depth() > self.newest.depth() { self.anchor } else { newest };
        Self { newest, anchor }
    }

    /// Those that are left without this chunk.
    pub(super) fn without(self, id: &ChunkId) -> Option<Self> {
        match (self.newest.is(id), self.anchor.is(id)) {
            (true, true) => None,
            (true, false) => Some(Self::only(self.anchor)),
            (false, true) => Some(Self::only(self.newest)),
            (false, false) => Some(self),
        }
    }
}
