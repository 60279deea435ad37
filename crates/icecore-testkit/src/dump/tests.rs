use std::collections::{HashMap, HashSet};

use super::*;

const MOVED: Night = Night { changed: 0.01, how: Change::Moved };
const IN_PLACE: Night = Night { changed: 0.01, how: Change::InPlace };
const INSERTED: Night = Night { changed: 0.02, how: Change::Inserted };
const DELETED: Night = Night { changed: 0.03, how: Change::Deleted };

fn dump(dialect: Dialect, bytes: u64, nights: &[Night]) -> String {
    let mut out = Vec::new();
    write_dump(&DumpSpec { seed: 7, bytes, dialect, nights: nights.to_vec() }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Id and text of each row of a PostgreSQL table, in order.
fn rows<'a>(dump: &'a str, table: &str) -> Vec<(u64, &'a str)> {
    let (_, block) = dump.split_once(&format!("COPY public.{table} ")).unwrap();
    let (block, _) = block.split_once("\n\\.\n").unwrap();
    block.lines().skip(1).map(|row| (row.split('\t').next().unwrap().parse().unwrap(), row)).collect()
}

fn ids(rows: &[(u64, &str)]) -> Vec<u64> {
    rows.iter().map(|(id, _)| *id).collect()
}

fn ascending(ids: &[u64]) -> bool {
    ids.is_sorted_by(|a, b| a < b)
}

#[test]
fn the_same_spec_gives_the_same_bytes_for_ever() {
    let nights = [MOVED, INSERTED, DELETED, IN_PLACE];
    let hash = |dialect| blake3::hash(dump(dialect, 300_000, &nights).as_bytes()).to_hex().to_string();

    assert_eq!(hash(Dialect::Postgres), "7d21da2edd26e5bfd724c4bbed6d49360dfe00beaa97bafa8f1bb51c87cad4c1");
    assert_eq!(hash(Dialect::MariaDb), "3c129349e47e443c109a1ad95087fa610612bc6f38981432aa619036ca6cb88a");
}

#[test]
fn a_dump_is_about_as_large_as_asked_for() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let len = dump(dialect, 5_000_000, &[]).len();
        assert!((4_500_000..5_500_000).contains(&len), "{dialect:?}: {len}");
    }
}

#[test]
fn a_dump_compresses_like_real_ones() {
    for dialect in [Dialect::Postgres, Dialect::MariaDb] {
        let dump = dump(dialect, 12_000_000, &[]);
        let compressed = zstd::bulk::compress(dump.as_bytes(), 3).unwrap();
        // A small dump compresses a little worse than one of 300 MB.
        let ratio = dump.len() as f64 / compressed.len() as f64;
        assert!((3.2..3.7).contains(&ratio), "{dialect:?}: {ratio}");
    }
}

#[test]
fn no_row_is_there_twice() {
    let dump = dump(Dialect::Postgres, 5_000_000, &[MOVED, INSERTED, DELETED, MOVED]);

    for table in Table::ALL {
        let rows = rows(&dump, table.name());
        let ids: HashSet<u64> = rows.iter().map(|(id, _)| *id).collect();
        let texts: HashSet<&str> = rows.iter().filter_map(|(_, row)| Some(row.split_once('\t')?.1)).collect();
        assert_eq!((ids.len(), texts.len()), (rows.len(), rows.len()), "{table:?}");
    }
}

#[test]
fn rows_that_change_in_place_stay_where_they_are() {
    let (before, after) =
        (dump(Dialect::Postgres, 5_000_000, &[]), dump(Dialect::Postgres, 5_000_000, &[IN_PLACE]));

    for table in Table::ALL {
        assert_eq!(ids(&rows(&before, table.name())), ids(&rows(&after, table.name())), "{table:?}");
    }
}

#[test]
fn the_share_of_changed_rows_is_as_asked_for() {
    for night in [IN_PLACE, MOVED] {
        let (before, after) =
            (dump(Dialect::Postgres, 10_000_000, &[]), dump(Dialect::Postgres, 10_000_000, &[night]));
        let (mut all, mut changed) = (0, 0);
        for table in Table::ALL {
            let old: HashMap<u64, &str> = rows(&before, table.name()).into_iter().collect();
            let new = rows(&after, table.name());
            all += old.len();
            changed += new.iter().filter(|(id, row)| old[id] != *row).count();
        }
        let share = changed as f64 / all as f64;
        // Of 41 000 rows, 1 % is 410 give or take 20: four standard deviations each way.
        assert!((0.008..0.012).contains(&share), "{night:?}: {share}");
    }
}

#[test]
fn moved_rows_lie_at_the_end_in_the_order_of_their_moves() {
    let first = dump(Dialect::Postgres, 10_000_000, &[]);
    let second = dump(Dialect::Postgres, 10_000_000, &[MOVED]);
    let third = dump(Dialect::Postgres, 10_000_000, &[MOVED, MOVED]);
    let (first, second, third) = (rows(&first, "events"), rows(&second, "events"), rows(&third, "events"));
    let moved = |before: &[(u64, &str)], after: &[(u64, &str)]| {
        let old: HashMap<u64, &str> = before.iter().copied().collect();
        after.iter().filter(|(id, row)| old[id] != *row).map(|(id, _)| *id).collect::<Vec<u64>>()
    };

    let moved_first = moved(&first, &second);
    let moved_last = moved(&second, &third);
    assert!(ascending(&moved_first) && ascending(&moved_last));
    assert!(ids(&second).ends_with(&moved_first));
    assert!(ids(&third).ends_with(&moved_last));
    let stayed: Vec<u64> = ids(&second).into_iter().filter(|id| !moved_last.contains(id)).collect();
    assert_eq!(&ids(&third)[..stayed.len()], stayed);
}

#[test]
fn inserted_rows_come_after_all_others_and_deleted_ones_are_gone() {
    let before = dump(Dialect::Postgres, 10_000_000, &[]);
    let after = dump(Dialect::Postgres, 10_000_000, &[INSERTED, DELETED]);
    let (before, after) = (ids(&rows(&before, "order_lines")), ids(&rows(&after, "order_lines")));
    let last = before[before.len() - 1];

    assert!(ascending(&after));
    let share = after.len() as f64 / before.len() as f64;
    assert!((0.98..1.0).contains(&share), "{share}");
    assert!(after[after.len() - 1] > last);
}

#[test]
fn mariadb_keeps_its_rows_in_the_order_of_their_keys() {
    let moved = dump(Dialect::MariaDb, 2_000_000, &[MOVED, INSERTED]);
    let (_, block) = moved.split_once("INSERT INTO `customers` VALUES\n").unwrap();
    let (block, _) = block.split_once(";\n/*!40000").unwrap();
    let ids: Vec<u64> =
        block.lines().filter_map(|row| row.strip_prefix('(')?.split(',').next()?.parse().ok()).collect();

    assert!(ids.len() > 100 && ascending(&ids));
}
