//! Which runs a chunk is needed for in the end.

/// So many neighbouring runs may need one chunk, and it is still needed at one place: it lay across a border between runs once. No more than two:
/// the runs of two small snapshots may lie in a pack one after the other, with their nodes in between.
const NEIGHBOURS_MAX: u32 = 2;
const WIDTH_BITS: u32 = 1;

/// Runs by their numbers, packed: nobody, some neighbours, or too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Users(u32);

impl Users {
    const MANY: Self = Self(u32::MAX);

    /// This run alone.
    pub(super) fn one(run: usize) -> Self {
        Self::between(u32::try_from(run).unwrap_or(u32::MAX), 0)
    }

    /// Whether there are some, next to each other.
    pub(super) fn are_neighbours(self) -> bool {
        self.bounds().is_some()
    }

    /// Both.
    pub(super) fn join(self, other: Self) -> Self {
        if self == Self::default() || self == other {
            return other;
        }
        if other == Self::default() {
            return self;
        }
        let (Some((first, last)), Some((other_first, other_last))) = (self.bounds(), other.bounds()) else {
            return Self::MANY;
        };
        let first = first.min(other_first);
        Self::between(first, last.max(other_last) - first)
    }

    fn between(first: u32, width: u32) -> Self {
        // The numbers that are too high for it count as many: nothing is made of them then.
        if width >= NEIGHBOURS_MAX || first >= u32::MAX >> WIDTH_BITS {
            return Self::MANY;
        }
        Self((first << WIDTH_BITS | width) + 1)
    }

    fn bounds(self) -> Option<(u32, u32)> {
        let packed = self.0.checked_sub(1).filter(|_| self != Self::MANY)?;
        let first = packed >> WIDTH_BITS;
        Some((first, first + (packed & ((1 << WIDTH_BITS) - 1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_stay_together_and_others_are_many() {
        let nobody = Users::default();
        assert!(!nobody.are_neighbours() && Users::one(0).are_neighbours());
        assert_eq!(nobody.join(Users::one(7)), Users::one(7));
        assert_eq!(Users::one(7).join(nobody), Users::one(7));
        let two = Users::one(7).join(Users::one(8));
        assert_eq!(two.bounds(), Some((7, 8)));
        assert_eq!((two.join(Users::one(8)), Users::one(8).join(Users::one(7))), (two, two));
        assert_eq!(two.join(Users::one(9)), Users::MANY);
        assert_eq!(Users::one(6).join(two), Users::MANY);
        assert_eq!(Users::MANY.join(Users::one(6)), Users::MANY);
        assert!(!Users::MANY.are_neighbours());
        assert!(!Users::one(usize::MAX).are_neighbours());
        let last = (u32::MAX >> WIDTH_BITS) - 1;
        assert_eq!(Users::one(last as usize).bounds(), Some((last, last)));
    }
}
