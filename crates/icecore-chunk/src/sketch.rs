//! What a chunk is recognised by when it has changed a little.

use std::fmt;

use icecore_format::{ChunkSizes, Sketch};

use crate::gear::Gear;

/// Bytes that a gear hash of 64 bits depends on.
const WINDOW: usize = 64;
/// An average chunk has about 64 windows to choose from.
const CANDIDATES_LOG2: u32 = 6;

/// Draws sketches. Two chunks share a number of their sketches with the probability that a place drawn by lot is the same in both, so that
/// chunks with few changes share most.
///
/// A bottom-k sketch (A. Z. Broder, "On the resemblance and containment of documents", 1997) over content-defined samples of gear hashes.
#[derive(Clone)]
pub struct Sketcher {
    gear: Gear,
    /// A window is a candidate if these bits of its hash are clear.
    sampled: u64,
}

impl fmt::Debug for Sketcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sketcher(..)")
    }
}

impl Sketcher {
    /// For chunks of these sizes; `seed` makes the sketches say nothing to those who do not know it.
    pub fn new(sizes: ChunkSizes, seed: Option<&[u8; 32]>) -> Self {
        let bits = sizes.avg.max(1).ilog2().saturating_sub(CANDIDATES_LOG2).max(1);
        Self { gear: seed.map_or_else(Gear::published, Gear::keyed), sampled: !0 << (u64::BITS - bits) }
    }

    /// The sketch of a chunk with these bytes. One that is short or has no variety may have none.
    pub fn sketch(&self, bytes: &[u8]) -> Sketch {
        let mut sketch = Sketch::default();
        let mut hash = 0u64;
        let mut add = |byte: u8| {
            // As many entries as bytes have values.
            hash =
                (hash << 1).wrapping_add(self.gear.table.get(usize::from(byte)).copied().unwrap_or_default());
            hash
        };
        let (start, rest) = bytes.split_at(bytes.len().min(WINDOW - 1));
        for byte in start {
            add(*byte);
        }
        for byte in rest {
            let hash = add(*byte);
            if hash & self.sampled == 0 {
                sketch.insert(mix(hash));
            }
        }
        sketch
    }
}

/// Spreads what is left of a sampled hash over all bits: David Stafford's mix 13.
fn mix(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
