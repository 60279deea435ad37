//! Numbers that only depend on the seed.
//!
//! Splitmix64: small, fast, and written out here, so that no library upgrade can change a dump
//! whose hash somebody pinned. Not for secrets.

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Scrambles one number; neighbours come out unrelated.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Rng {
    state: u64,
}

impl Rng {
    /// The stream that belongs to these words; a row's are its table, id and version.
    pub(super) fn of(words: &[u64]) -> Self {
        let state = words
            .iter()
            .fold(0, |state: u64, word| mix(state ^ word.wrapping_add(GAMMA)).wrapping_add(GAMMA));
        Self { state }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        // The upper half.
        (product >> 64) as u64
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index into something of this length; every index is as likely as the next.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("it is below a usize")
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.index(choices.len())]
    }

    /// An index, the first ones much more likely than the last ones.
    pub(super) fn skewed(&mut self, len: usize) -> usize {
        let first = self.index(len);
        self.index(first + 1)
    }
}
