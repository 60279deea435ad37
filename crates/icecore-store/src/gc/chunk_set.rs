//! Chunks of packs.

use std::collections::BTreeMap;

use icecore_format::PackId;

/// A set of chunks: one bit for each of every pack, 12 MiB for a hundred million. By the packs' ids, for an index that is made anew numbers them
/// anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChunkSet {
    packs: BTreeMap<PackId, Vec<u64>>,
}

impl ChunkSet {
    /// Returns whether it was not there before.
    pub(crate) fn insert(&mut self, pack: PackId, ordinal: u32) -> bool {
        let words = self.packs.entry(pack).or_default();
        let word = (ordinal / 64) as usize;
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let Some(word) = words.get_mut(word) else { return false };
        let bit = 1 << (ordinal % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn contains(&self, pack: &PackId, ordinal: u32) -> bool {
        let word = self.packs.get(pack).and_then(|words| words.get((ordinal / 64) as usize));
        word.is_some_and(|word| word & (1 << (ordinal % 64)) != 0)
    }

    /// Whether one of these chunks of a pack is there: `count` ordinals from `first` on.
    pub(crate) fn contains_any(&self, pack: &PackId, first: u32, count: usize) -> bool {
        (first..).take(count).any(|ordinal| self.contains(pack, ordinal))
    }

    /// How many chunks of a pack are there.
    pub(crate) fn count(&self, pack: &PackId) -> u32 {
        self.packs.get(pack).map_or(0, |words| words.iter().map(|word| word.count_ones()).sum())
    }

    /// Of a pack, the chunks of one set that are not in another one.
    pub(crate) fn set_pack(&mut self, pack: &PackId, of: &Self, but: &Self) {
        let Some(words) = of.packs.get(pack) else { return };
        let but = but.packs.get(pack).map_or(&[][..], Vec::as_slice);
        let but = but.iter().copied().chain(std::iter::repeat(0));
        self.packs.insert(*pack, words.iter().zip(but).map(|(word, but)| word & !but).collect());
    }
}
