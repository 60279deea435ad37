//! A snapshot that holds much less than those before it. It was taken whole; but a disk that is not mounted is an empty directory, and nobody but its owner
//! knows whether a database was meant to be emptied.

use std::collections::BTreeMap;

use jiff::Timestamp;

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
    /// That snapshot.
    pub left: Good,
    /// The one that held so much more.
    pub from: Good,
    /// Whether next to nothing is left.
    pub to_nothing: bool,
}

/// One of the snapshots that are compared.
#[derive(Debug, Clone)]
pub(super) struct Sight<'a> {
    /// Where it was taken.
    pub(super) host: &'a str,
    pub(super) good: Good,
    /// Whether somebody wrote a note on it.
    pub(super) is_noted: bool,
}

/// Looks at what each machine took of one service, from the newest to the oldest: what machines have under one name may be two things that have nothing to
/// do with each other. One that has taken nothing since another one began, though, is that one by an earlier name: containers get new ones.
pub(super) fn shrunk(sights: &[Sight<'_>]) -> Option<Shrunk> {
    // Since when each has taken any, and until when.
    let mut spans: BTreeMap<&str, (Timestamp, Timestamp)> = BTreeMap::new();
    let mut hosts: Vec<&str> = Vec::new();
    for Sight { host, good, .. } in sights {
        let (first, last) = spans.entry(*host).or_insert_with(|| {
            hosts.push(*host);
            (good.taken, good.taken)
        });
        (*first, *last) = (good.taken.min(*first), good.taken.max(*last));
    }
    let span = |host: &str| spans.get(host);
    let is_earlier = |host: &str, than: &str| span(host).map(|it| it.1) < span(than).map(|it| it.0);
    let last = hosts.iter().filter(|host| !hosts.iter().any(|other| is_earlier(host, other)));
    let mut found =
        last.map(|host| compared(sights.iter().filter(|it| it.host == *host || is_earlier(it.host, host))));
    let newest = found.next()?;
    if newest.as_ref().is_some_and(|shrunk| shrunk.to_nothing) {
        return newest;
    }
    found.flatten().find(|shrunk| shrunk.to_nothing).or(newest)
}

/// Compares the first with those that follow: what a note is on is as it is meant to be, and what was before it is past. However long ago it was: an alarm
/// that ends by itself ends when retention may take the last one that was whole.
fn compared<'a>(mut series: impl Iterator<Item = &'a Sight<'a>>) -> Option<Shrunk> {
    let newest = series.next().filter(|newest| !newest.is_noted)?;
    let mut before: Option<&Good> = None;
    let mut largest: Option<&Good> = None;
    for Sight { good, is_noted, .. } in series {
        before.get_or_insert(good);
        if largest.is_none_or(|largest| largest.logical_bytes < good.logical_bytes) {
            largest = Some(good);
        }
        if *is_noted {
            break;
        }
    }
    let left = &newest.good;
    let is_less = |than: &Good, part: u64, lost_min: u64| {
        let lost = than.logical_bytes.saturating_sub(left.logical_bytes);
        lost > lost_min && left.logical_bytes < than.logical_bytes / part
    };
    let to_nothing = largest.filter(|largest| is_less(largest, PART_OF_NOTHING, LOST_MIN_TO_NOTHING));
    let less = before.filter(|before| is_less(before, PART, LOST_MIN));
    let from = to_nothing.or(less)?.clone();
    Some(Shrunk { left: left.clone(), from, to_nothing: to_nothing.is_some() })
}

#[cfg(test)]
mod tests {
    use icecore_format::{Digest, SnapshotId};
    use jiff::SignedDuration;

    use super::*;

    const MB: u64 = 1_000_000;

    /// Snapshots of so many bytes, so many days ago, and whether somebody wrote a note.
    fn check(snapshots: &[(u64, i64, bool)], expected: Option<(u64, bool)>) {
        let snapshots: Vec<_> =
            snapshots.iter().map(|&(bytes, days, noted)| ("db1", bytes, days, noted)).collect();
        check_of(&snapshots, expected.map(|(from, to_nothing)| (snapshots[0].1, from, to_nothing)));
    }

    /// The same of several machines, and what is left where.
    fn check_of(snapshots: &[(&'static str, u64, i64, bool)], expected: Option<(u64, u64, bool)>) {
        let sight = |&(host, bytes, days, is_noted): &(&'static str, u64, i64, bool)| {
            let now: Timestamp = "2026-11-20T02:30:00Z".parse().expect("a time");
            let taken = now - SignedDuration::from_hours(24 * days);
            let id = SnapshotId(Digest::of(&days.to_le_bytes()));
            Sight { host, good: Good { id, taken, logical_bytes: bytes, stored_bytes: 0 }, is_noted }
        };
        let found = shrunk(&snapshots.iter().map(sight).collect::<Vec<_>>());
        let found = found.map(|it| (it.left.logical_bytes, it.from.logical_bytes, it.to_nothing));
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

    #[test]
    fn what_machines_have_under_one_name_is_not_compared() {
        let (large, small) = (100_000 * MB, 50 * MB);
        // Each of them takes its own.
        check_of(&[("b", small, 0, false), ("a", large, 1, false), ("b", small, 2, false)], None);
        check_of(
            &[("b", small, 0, false), ("a", large, 1, false), ("b", small, 2, false), ("a", large, 3, false)],
            None,
        );
        // What one of them has lost is lost, whoever took the newest.
        let lost =
            [("b", small, 0, false), ("a", 99, 1, false), ("b", small, 2, false), ("a", large, 3, false)];
        check_of(&lost, Some((99, large, true)));
        let noted =
            [("b", small, 0, false), ("a", 99, 1, true), ("b", small, 2, false), ("a", large, 3, false)];
        check_of(&noted, None);
        // But that it has become less is told of the newest alone.
        let quarter = large / 4;
        let less = [
            ("b", small, 0, false),
            ("a", quarter, 1, false),
            ("b", small, 2, false),
            ("a", large, 3, false),
        ];
        check_of(&less, None);
    }

    #[test]
    fn a_machine_with_a_new_name_is_the_one_that_was() {
        let full = 100 * MB;
        check_of(&[("new", 99, 0, false), ("old", full, 1, false)], Some((99, full, true)));
        check_of(
            &[("new", 99, 0, false), ("new", 99, 1, false), ("old", full, 2, false)],
            Some((99, full, true)),
        );
        check_of(&[("c", 99, 0, false), ("b", 98, 1, false), ("a", full, 2, false)], Some((99, full, true)));
        check_of(&[("c", full, 0, false), ("b", 98, 1, false), ("a", full, 2, false)], None);
    }
}
