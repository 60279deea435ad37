//! A snapshot that holds much less than those before it. It was taken whole; but a disk that is not mounted is an empty directory, and nobody but its owner
//! knows whether a database was meant to be emptied.

use super::judge::Good;

/// Whoever loses no more than this has hardly lost anything.
const LOST_MIN: u64 = 1_000_000;
/// What holds less than this part of the one before it is told.
const PART: u64 = 2;
/// What holds less than this part of any before it holds next to nothing.
const PART_OF_NOTHING: u64 = 100;
/// What is small may be dear: a folder of keys. Of that, too, more than this must be lost.
const LOST_MIN_TO_NOTHING: u64 = 1_000;

/// What a newest snapshot is too small for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The one that held so much more.
    pub from: Good,
    /// Whether next to nothing is left.
    pub to_nothing: bool,
}

/// Compares the first with those that follow, from the newest to the oldest, each with whether somebody wrote a note on it: what a note is on is as it is
/// meant to be, and what was before it is past. However long ago it was: an alarm that ends by itself ends when retention may take the last one that was whole.
pub(super) fn shrunk(mut snapshots: impl Iterator<Item = (Good, bool)>) -> Option<Shrunk> {
    let (newest, false) = snapshots.next()? else { return None };
    let mut before: Option<Good> = None;
    let mut largest: Option<Good> = None;
    for (snapshot, is_noted) in snapshots {
        before.get_or_insert_with(|| snapshot.clone());
        if largest.as_ref().is_none_or(|largest| largest.logical_bytes < snapshot.logical_bytes) {
            largest = Some(snapshot);
        }
        if is_noted {
            break;
        }
    }
    let is_less = |than: &Good, part: u64, lost_min: u64| {
        let lost = than.logical_bytes.saturating_sub(newest.logical_bytes);
        lost > lost_min && newest.logical_bytes < than.logical_bytes / part
    };
    let to_nothing = largest.filter(|largest| is_less(largest, PART_OF_NOTHING, LOST_MIN_TO_NOTHING));
    let less = before.filter(|before| is_less(before, PART, LOST_MIN));
    let to_nothing = to_nothing.map(|from| Shrunk { from, to_nothing: true });
    to_nothing.or_else(|| Some(Shrunk { from: less?, to_nothing: false }))
}

#[cfg(test)]
mod tests {
    use icecore_format::{Digest, SnapshotId};
    use jiff::SignedDuration;

    use super::*;

    const MB: u64 = 1_000_000;

    /// Snapshots of so many bytes, so many days ago, and whether somebody wrote a note.
    fn check(snapshots: &[(u64, i64, bool)], expected: Option<(u64, bool)>) {
        let good = |&(bytes, days, is_noted): &(u64, i64, bool)| {
            let now: jiff::Timestamp = "2026-11-20T02:30:00Z".parse().expect("a time");
            let taken = now - SignedDuration::from_hours(24 * days);
            let id = SnapshotId(Digest::of(&days.to_le_bytes()));
            (Good { id, taken, logical_bytes: bytes, stored_bytes: 0 }, is_noted)
        };
        let found = shrunk(snapshots.iter().map(good));
        let found = found.map(|found| (found.from.logical_bytes, found.to_nothing));
        assert_eq!(found, expected, "{snapshots:?}");
    }

    #[test]
    fn half_of_the_one_before_is_told_for_a_night() {
        check(&[], None);
        check(&[(MB, 0, false)], None);
        check(&[(49 * MB, 0, false), (100 * MB, 1, false)], Some((100 * MB, false)));
        check(&[(50 * MB, 0, false), (100 * MB, 1, false)], None);
        check(&[(49 * MB, 0, false), (49 * MB, 1, false), (100 * MB, 2, false)], None);
        check(&[(200 * MB, 0, false), (100 * MB, 1, false)], None);
        // What is small shrinks without anybody's caring.
        check(&[(MB / 10, 0, false), (MB, 1, false)], None);
        check(&[(MB, 0, false), (3 * MB, 1, false)], Some((3 * MB, false)));
        // However long ago that was.
        check(&[(49 * MB, 0, false), (100 * MB, 400, false)], Some((100 * MB, false)));
    }

    #[test]
    fn next_to_nothing_is_told_until_somebody_says_that_it_is_meant() {
        let full = 100 * MB;
        check(&[(99, 0, false), (full, 1, false)], Some((full, true)));
        check(&[(99, 0, false), (99, 1, false), (98, 2, false), (full, 3, false)], Some((full, true)));
        check(&[(MB, 0, false), (99, 1, false), (full, 2, false)], None);
        check(&[(99, 0, false), (99, 29, false), (full, 30, false)], Some((full, true)));
        check(&[(99, 0, false), (99, 29, false), (full, 300, false)], Some((full, true)));
        check(&[(0, 0, false), (1_001, 1, false)], Some((1_001, true)));
        check(&[(0, 0, false), (1_000, 1, false)], None);
        check(&[(99, 0, true), (full, 1, false)], None);
        check(&[(99, 0, false), (99, 1, true), (full, 2, false)], None);
        // A note from before says nothing of it.
        check(&[(99, 0, false), (full, 1, true), (2 * full, 2, false)], Some((full, true)));
    }
}
