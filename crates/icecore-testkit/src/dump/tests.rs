use std::collections::{BTreeMap, HashSet};

use super::{Change, Dialect, DumpSpec, Night, write_dump};

const SEED: u64 = 1;
const SMALL: u64 = 300_000;
const MEDIUM: u64 = 4_000_000;

fn dump(bytes: u64, dialect: Dialect, nights: &[Night]) -> Vec<u8> {
    let mut dump = Vec::new();
    let spec = DumpSpec { seed: SEED, bytes, dialect, nights: nights.to_vec() };
    write_dump(&spec, &mut dump).expect("memory takes everything");
    dump
}

fn night(how: Change, changed: f64) -> Night {
    Night { changed, how }
}

/// Its id, and its line.
type Row = (u64, String);

/// The rows of each table, in their order.
#[derive(Debug)]
struct Rows(BTreeMap<String, Vec<Row>>);

impl Rows {
    fn of(bytes: u64, dialect: Dialect, nights: &[Night]) -> Self {
        let dump = String::from_utf8(dump(bytes, dialect, nights)).expect("dumps are UTF-8");
        let mut tables = BTreeMap::new();
        let mut table = None;
        for line in dump.lines() {
            let (start, end_of_name) = match dialect {
                Dialect::Postgres => ("COPY public.", ' '),
                Dialect::MariaDb => ("INSERT INTO `", '`'),
            };
            if let Some((name, _)) = line.strip_prefix(start).and_then(|rest| rest.split_once(end_of_name)) {
                table = Some(name.to_owned());
                continue;
            }
            let Some(name) = &table else { continue };
            let row = match dialect {
                Dialect::Postgres if line == "\\." => None,
                Dialect::Postgres => line.split_once('\t').map(|(id, _)| (id, line)),
                Dialect::MariaDb => line.strip_prefix('(').and_then(|rest| {
                    let row = line
                        .strip_suffix(',')
                        .or(line.strip_suffix(';'))
                        .expect("a row ends with a comma or a semicolon");
                    rest.split_once(',').map(|(id, _)| (id, row))
                }),
            };
            match row {
                Some((id, row)) => {
                    let id = id.parse().expect("a row begins with its id");
                    tables.entry(name.clone()).or_insert_with(Vec::new).push((id, row.to_owned()));
                }
                None => table = None,
            }
        }
        assert_eq!(tables.len(), 6, "all tables have rows");
        Self(tables)
    }

    /// The tables of both dumps side by side.
    fn zip<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a [Row], &'a [Row])> {
        assert!(self.0.keys().eq(other.0.keys()));
        self.0.values().zip(other.0.values()).map(|(own, other)| (own.as_slice(), other.as_slice()))
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

fn ids(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|(id, _)| *id).collect()
}

#[expect(clippy::cast_precision_loss, reason = "few rows")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// Within four standard deviations of what chance makes of the share.
fn assert_share(part: usize, whole: usize, expected: f64) {
    let deviation = (expected * (1.0 - expected) / share(whole, 1)).sqrt();
    let share = share(part, whole);
    assert!((share - expected).abs() < 4.0 * deviation, "{share} of {whole} instead of {expected}");
}

/// Whoever changes these hashes changes what all benchmarks measure.
#[test]
fn bytes_are_pinned() {
    let nights = [
        night(Change::Moved, 0.05),
        night(Change::Inserted, 0.02),
        night(Change::Deleted, 0.02),
        night(Change::InPlace, 0.05),
    ];
    let hash = |dialect, nights: &[Night]| blake3::hash(&dump(SMALL, dialect, nights)).to_hex().to_string();
    assert_eq!(
        [
            hash(Dialect::Postgres, &[]),
            hash(Dialect::Postgres, &nights),
            hash(Dialect::MariaDb, &[]),
            hash(Dialect::MariaDb, &nights),
        ],
        [
            "42636c130f7d970ac3464b14e7843e93acff422a0e4625a1f9dff2424d38fe8f",
            "2ece28176cfbf0594f9183eadd4960086ad14b291f8d70f2053b1b2291c8e766",
            "c026b23850eda8faff6e6859f6285424d38f4d132e37dae59be1e6d05bcfaefd",
            "cc2807983e895d131cf8845ab5ca2976b567746f4c4122039ccd8a0b1f01b032"
        ]
    );
}

#[test]
fn dumps_are_about_as_large_as_asked_for() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let len = dump(MEDIUM, dialect, &[]).len();
        let asked = usize::try_from(MEDIUM).expect("it is small");
        assert!((0.9..1.1).contains(&share(len, asked)), "{dialect:?}: {len}");
    }
}

#[test]
fn another_seed_makes_another_dump() {
    let mut other = Vec::new();
    let spec = DumpSpec { seed: SEED + 1, bytes: SMALL, dialect: Dialect::Postgres, nights: Vec::new() };
    write_dump(&spec, &mut other).expect("memory takes everything");
    let first = dump(SMALL, Dialect::Postgres, &[]);
    // Only rows have tabs.
    let lines: HashSet<_> = first.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'\t')).collect();
    let same = other
        .split(|byte| *byte == b'\n')
        .filter(|line| line.contains(&b'\t') && lines.contains(line))
        .count();
    assert_eq!(same, 0);
}

#[test]
fn rows_change_where_they_lie() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let before = Rows::of(MEDIUM, dialect, &[]);
        let after = Rows::of(MEDIUM, dialect, &[night(Change::InPlace, 0.05)]);
        let mut changed = 0;
        for (before, after) in before.zip(&after) {
            assert_eq!(ids(before), ids(after), "the order is kept");
            changed += before.iter().zip(after).filter(|(before, after)| before != after).count();
        }
        assert_share(changed, before.count(), 0.05);
    }
}

#[test]
fn changes_leave_most_of_a_row_alone() {
    let before = Rows::of(MEDIUM, Dialect::Postgres, &[]);
    let after = Rows::of(MEDIUM, Dialect::Postgres, &[night(Change::InPlace, 0.05)]);
    for ((id, before), (_, after)) in before.zip(&after).flat_map(|(before, after)| before.iter().zip(after))
    {
        let (before, after): (Vec<_>, Vec<_>) = (before.split('\t').collect(), after.split('\t').collect());
        assert_eq!(before.len(), after.len());
        let same = before.iter().zip(&after).filter(|(before, after)| before == after).count();
        assert!(2 * same >= before.len(), "row {id}: {before:?} became {after:?}");
    }
}

#[test]
fn moved_rows_lie_at_the_end_of_their_table() {
    let before = Rows::of(MEDIUM, Dialect::Postgres, &[]);
    let after = Rows::of(MEDIUM, Dialect::Postgres, &[night(Change::Moved, 0.05)]);
    let mut moved = 0;
    for (before, after) in before.zip(&after) {
        assert_eq!(before.len(), after.len());
        let known: HashSet<_> = before.iter().collect();
        let (stayed, came) = after.split_at(after.iter().take_while(|row| known.contains(row)).count());
        assert!(came.iter().all(|row| !known.contains(row)), "what moved has changed");
        assert!(stayed.is_sorted() && came.is_sorted(), "in the order of before");
        let mut all = ids(after);
        all.sort_unstable();
        assert_eq!(all, ids(before), "no row is lost or twice");
        moved += came.len();
    }
    assert_share(moved, before.count(), 0.05);
}

#[test]
fn mariadb_keeps_moved_rows_in_their_place() {
    let moved = dump(SMALL, Dialect::MariaDb, &[night(Change::Moved, 0.05)]);
    assert_eq!(moved, dump(SMALL, Dialect::MariaDb, &[night(Change::InPlace, 0.05)]));
}

#[test]
fn new_rows_come_last() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let before = Rows::of(MEDIUM, dialect, &[]);
        let after = Rows::of(MEDIUM, dialect, &[night(Change::Inserted, 0.05)]);
        for (before, after) in before.zip(&after) {
            let (old, new) = after.split_at(before.len());
            assert_eq!(old, before);
            assert!((share(new.len(), 1) - share(before.len(), 20)).abs() <= 0.5, "{} new rows", new.len());
            let last = before.last().map_or(0, |(id, _)| *id);
            assert!(ids(new).into_iter().eq((last + 1..).take(new.len())));
        }
    }
}

#[test]
fn deleted_rows_are_gone_and_nothing_else_is() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let before = Rows::of(MEDIUM, dialect, &[]);
        let after = Rows::of(MEDIUM, dialect, &[night(Change::Deleted, 0.05)]);
        for (before, after) in before.zip(&after) {
            let left: HashSet<_> = after.iter().collect();
            assert!(before.iter().filter(|row| left.contains(row)).eq(after));
        }
        assert_share(before.count() - after.count(), before.count(), 0.05);
    }
}

#[test]
fn nights_add_up() {
    let nights = [
        night(Change::Inserted, 0.10),
        night(Change::Deleted, 0.10),
        night(Change::Moved, 0.20),
        night(Change::Moved, 0.20),
        night(Change::Deleted, 0.10),
        night(Change::InPlace, 0.10),
    ];
    let first = Rows::of(MEDIUM, Dialect::Postgres, &[]);
    let before = Rows::of(MEDIUM, Dialect::Postgres, &nights[..2]);
    let after = Rows::of(MEDIUM, Dialect::Postgres, &nights);
    assert_share(before.count(), first.count() * 11 / 10, 0.90);
    assert_share(after.count(), before.count(), 0.90);
    for (before, after) in before.zip(&after) {
        let before: HashSet<_> = ids(before).into_iter().collect();
        let left: HashSet<_> = ids(after).into_iter().collect();
        assert_eq!(left.len(), after.len(), "no row lies in two places");
        assert!(left.is_subset(&before), "no row comes back");
    }
}

#[test]
fn everything_may_change() {
    let before = Rows::of(SMALL, Dialect::Postgres, &[]);
    let moved = Rows::of(SMALL, Dialect::Postgres, &[night(Change::Moved, 1.0)]);
    for (before, moved) in before.zip(&moved) {
        assert_eq!(ids(before), ids(moved));
        assert!(before.iter().zip(moved).all(|(before, moved)| before != moved));
    }
}

/// As `zstd -3` compresses dumps of real text.
#[test]
fn dumps_compress_like_real_ones() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let dump = dump(20_000_000, dialect, &[]);
        let compressed = zstd::bulk::compress(&dump, 3).expect("zstd takes everything");
        let ratio = share(dump.len(), compressed.len());
        assert!((3.0..3.8).contains(&ratio), "{dialect:?}: {ratio}");
    }
}

#[test]
fn no_row_says_the_same_as_another() {
    let nights = [night(Change::Moved, 0.05), night(Change::Inserted, 0.05), night(Change::Moved, 0.05)];
    let rows = Rows::of(MEDIUM, Dialect::Postgres, &nights);
    for rows in rows.0.values() {
        let texts: HashSet<_> =
            rows.iter().filter_map(|(_, row)| row.split_once('\t')).map(|row| row.1).collect();
        assert_eq!(texts.len(), rows.len());
    }
}

#[test]
fn rows_moved_in_the_last_night_come_last() {
    let second = Rows::of(MEDIUM, Dialect::Postgres, &[night(Change::Moved, 0.05)]);
    let third =
        Rows::of(MEDIUM, Dialect::Postgres, &[night(Change::Moved, 0.05), night(Change::Moved, 0.05)]);
    for (second, third) in second.zip(&third) {
        let known: HashSet<_> = second.iter().collect();
        let (stayed, came) = third.split_at(third.iter().take_while(|row| known.contains(row)).count());
        assert!(came.iter().all(|row| !known.contains(row)));
        let came: HashSet<u64> = ids(came).into_iter().collect();
        assert!(second.iter().filter(|(id, _)| !came.contains(id)).eq(stayed), "the others keep their order");
    }
}
