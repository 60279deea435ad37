//! The end of the next chunk.

use std::fmt;

use fastcdc::v2020::{Normalization, cut_gear, select_masks};
use icecore_format::ChunkSizes;

use crate::gear::Gear;
use crate::grain::Grain;

/// Finds where chunks end. Cheap to share; holds no state between chunks.
#[derive(Clone)]
pub struct Cutter {
    sizes: ChunkSizes,
    mask_small: u64,
    mask_large: u64,
    gear: Gear,
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Cutter {
    /// A cutter for valid `sizes`; `seed` makes its cuts secret.
    ///
    /// # Panics
    /// If [`ChunkSizes::is_valid`] says no.
    pub fn new(sizes: ChunkSizes, seed: Option<&[u8; 32]>) -> Self {
        assert!(sizes.is_valid());
        let (mask_small, mask_large) = select_masks(sizes.avg as usize, Normalization::Level1);
        let gear = seed.map_or_else(Gear::published, Gear::keyed);
        Self { sizes, mask_small, mask_large, gear }
    }

    /// With this many bytes at hand, a cut can be decided without knowing what follows.
    pub fn lookahead(&self, grain: Grain) -> usize {
        self.sizes.max as usize + grain.lookahead()
    }

    /// The length of the chunk at the front of `data`, which is at least [`Cutter::lookahead`] bytes long or the last there is
    /// before a forced cut. Zero only for no data.
    pub fn cut(&self, data: &[u8], grain: Grain) -> usize {
        let (min, avg, max) = (self.sizes.min as usize, self.sizes.avg as usize, self.sizes.max as usize);
        let (small, large) = (self.mask_small, self.mask_large);
        let (_, cut) = cut_gear(
            data,
            min,
            avg,
            max,
            small,
            large,
            small << 1,
            large << 1,
            self.gear.table.as_slice(),
            self.gear.shifted.as_slice(),
        );
        // `fastcdc` may cut after nothing when the data is shorter than its minimum; a chunk has at least a byte.
        let cut = cut.clamp(usize::from(!data.is_empty()), data.len());
        if cut == data.len() { cut } else { grain.snap(data, cut) }
    }
}

#[cfg(test)]
mod tests;
