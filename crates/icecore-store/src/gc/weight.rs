//! How many bytes some chunks of a pack take.

use icecore_format::{Body, Parity};

use super::chunk_set::ChunkSet;
use super::plan::PackUse;
use crate::Result;
use crate::index::PackRecord;
use crate::pack::OpenPack;
use crate::store::Store;

impl Store {
    /// The stored bytes of a pack, those of its parity among them.
    pub(super) fn whole_len(&self, pack: &PackRecord) -> u64 {
        pack.len + Parity::stored_len(pack.len, self.config.parity)
    }

    /// How much of a pack is live.
    pub(super) fn pack_use(&self, pack: &PackRecord, live: &ChunkSet) -> Result<PackUse> {
        Ok(PackUse {
            id: pack.id,
            len: self.whole_len(pack),
            chunks: pack.chunks,
            live: live.count(&pack.id),
            live_len: self.len_of(pack, live)?,
        })
    }

    /// About how many of them these chunks take. In a pack without deltas they count alike; where there are deltas, a row that was changed lies
    /// beside what is new altogether, and the table tells how much room each body takes. Rounded up: what may just stay is not rewritten.
    pub(super) fn len_of(&self, pack: &PackRecord, chunks: &ChunkSet) -> Result<u64> {
        let (len, count) = (self.whole_len(pack), u64::from(chunks.count(&pack.id)));
        let all = u64::from(pack.chunks.max(1));
        if pack.deltas == 0 || count == 0 || count >= all {
            return Ok(len - part(len, all - count.min(all), all));
        }
        let open = match self.packs.open(&pack.id) {
            Ok(open) => open,
            Err(error) if error.is_unreadable() => return Ok(len - part(len, all - count, all)),
            Err(error) => return Err(error),
        };
        let bodies: u64 = open.toc.bodies.iter().map(|body| u64::from(body.stored_len)).sum();
        let table = part(pack.len.saturating_sub(bodies), count, all);
        let taken = bodies_len_of(&open, chunks).saturating_add(table);
        Ok(part(len, taken, pack.len).min(len))
    }
}

/// What bodies give these chunks, by their share of the plain bytes.
fn bodies_len_of(open: &OpenPack, chunks: &ChunkSet) -> u64 {
    let mut ordinal = 0;
    let mut share = |body: &Body| {
        let (mut chosen, mut all) = (0, 0);
        for chunk in body.runs.iter().flat_map(|run| &run.chunks) {
            let len = u64::from(chunk.len);
            all += len;
            chosen += if chunks.contains(&open.id, ordinal) { len } else { 0 };
            ordinal += 1;
        }
        part(body.stored_len.into(), chosen, all)
    };
    open.toc.bodies.iter().map(&mut share).sum()
}

/// `share` parts of `len`, if it has `all` of them. What a table says of lengths may be anything.
pub(super) fn part(len: u64, share: u64, all: u64) -> u64 {
    let part = u128::from(len) * u128::from(share) / u128::from(all.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_whatever_a_table_says_is_no_more_than_there_is() {
        assert_eq!((part(1001, 1, 4), part(7, 0, 0), part(0, 5, 5)), (250, 0, 0));
        assert_eq!(part(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(part(1 << 45, 1 << 26, 1 << 27), 1 << 44);
        assert_eq!(part(u64::MAX, 3, 2), u64::MAX);
    }
}
