//! The index's tables and how their values are packed.

use icecore_format::PackId;
use redb::{MultimapTableDefinition, TableDefinition};

use super::ChunkPlace;

/// A chunk's id to its place.
pub(super) const CHUNKS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("chunks-1");
/// A pack's number to its record.
pub(super) const PACKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("packs-1");
/// A pack's id to its number.
pub(super) const PACK_NUMBERS: TableDefinition<'_, &[u8; 32], u32> = TableDefinition::new("pack-numbers-1");

/// Further places of chunks that lie in several packs: few, and what is fallen back on when a pack goes.
pub(super) const SPARES: MultimapTableDefinition<'_, &[u8; 32], u64> =
    MultimapTableDefinition::new("spare-places-1");
/// Counters, by name.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta-1");
/// The number of the next pack: none is given twice, for somebody may still hold it.
pub(super) const NEXT_NUMBER: &str = "next-number";

/// A number drawn when the file was made: it tells one index from the next.
pub(super) const BIRTH: &str = "birth";

const RECORD_LEN: usize = 52;

/// What the index knows of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRecord {
    /// The pack.
    pub id: PackId,
    /// Bytes it takes in the storage.
    pub len: u64,
    /// How many chunks its table lists.
    pub chunks: u32,
    /// When it was last read and found right, in seconds since 1970; zero for never.
    pub verified_at: u64,
}

impl PackRecord {
    /// The record as the index holds it.
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut out = [0; RECORD_LEN];
        let fields = [
            &self.id.as_bytes()[..],
            &self.len.to_le_bytes(),
            &self.chunks.to_le_bytes(),
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
        let verified_at = rest.first_chunk::<8>()?;
        Some(Self {
            id: PackId::from_bytes(*id),
            len: u64::from_le_bytes(*len),
            chunks: u32::from_le_bytes(*chunks),
            verified_at: u64::from_le_bytes(*verified_at),
        })
    }
}

pub(super) fn pack_place(place: ChunkPlace) -> u64 {
    u64::from(place.pack) << 32 | u64::from(place.ordinal)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a u64")]
pub(super) fn unpack_place(place: u64) -> ChunkPlace {
    ChunkPlace { pack: (place >> 32) as u32, ordinal: place as u32 }
}
