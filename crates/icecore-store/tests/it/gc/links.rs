//! What is needed only for what is coded on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_storage::{ErrorKind, MemoryStorage, Storage};
use icecore_store::{GcOptions, GcReport, Silent, SnapshotReader, Store, VerifyExtent};
use icecore_testkit::{Call, Calls, Fault, FaultyStorage};

use super::{delete, gc};
use crate::support::{BOTH, Crypto, Fixture, check_all, find, gc_options, noise, options, write};

/// A table of which a little changes, and beside it what is new every night.
fn night(number: u64) -> Vec<u8> {
    let mut table = noise(1, 200_000);
    for n in 1..=number {
        let at = |row: usize| row * 5_000 + usize::try_from(n * 131 % 4_900).unwrap();
        for (row, bytes) in noise(100 + n, 40 * 50).chunks(50).enumerate() {
            table[at(row)..at(row) + 50].copy_from_slice(bytes);
        }
    }
    let cache = noise(1000 + number, 8_000);
    [&table[..100_000], &cache, &table[100_000..]].concat()
}

fn put_nights(store: &Arc<Store>, count: u64) -> Vec<(SnapshotId, Vec<u8>)> {
    (0..count).map(|n| (write(store, "shop", &[("a", &night(n))]).id, night(n))).collect()
}

fn keep(
    store: &Arc<Store>,
    nights: &[(SnapshotId, Vec<u8>)],
    kept: &[usize],
) -> BTreeMap<SnapshotId, Vec<u8>> {
    let (kept, gone): (Vec<_>, Vec<_>) =
        nights.iter().cloned().enumerate().partition(|(n, _)| kept.contains(n));
    gone.into_iter().for_each(|(_, (id, _))| delete(store, id));
    kept.into_iter().map(|(_, night)| night).collect()
}

fn fresh_len(crypto: Crypto, content: &[u8]) -> u64 {
    let fixture = Fixture::memory(crypto);
    write(&fixture.store, "shop", &[("a", content)]);
    fixture.stored_bytes()
}

fn check(fixture: &Fixture, expected: &BTreeMap<SnapshotId, Vec<u8>>) {
    check_all(&fixture.store, expected);
    check_all(&fixture.another_process(), expected);
    let verified = fixture.store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}

fn depth(store: &Arc<Store>, id: SnapshotId) -> u8 {
    SnapshotReader::new(Arc::clone(store), find(store, id).manifest).depths().unwrap().max
}

fn settle(store: &Arc<Store>) {
    let reports: Vec<GcReport> = (0..3).map(|_| gc(store)).collect();
    assert!(reports[0].bytes_freed < 20_000 && reports[2].packs_deleted == 0, "{reports:?}");
    assert!(store.plan_gc(&gc_options(), &Silent).unwrap().is_empty());
}

#[test]
fn the_last_of_many_nights_takes_little_more_than_a_first_one() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let nights = put_nights(&fixture.store, 25);
        let before = fixture.stored_bytes();
        let expected = keep(&fixture.store, &nights, &[24]);
        let plan = fixture.store.plan_gc(&gc_options(), &Silent).unwrap();
        assert_eq!(fixture.stored_bytes(), before, "a plan changes nothing");
        let report = gc(&fixture.store);
        let (after, fresh) = (fixture.stored_bytes(), fresh_len(crypto, &nights[24].1));
        assert_eq!((report.bytes_freed, report.bytes_kept), (before - after, after));
        // A quarter of the table was changed since the first night, which stays as what the rest is coded on.
        assert!(after * 2 < fresh * 3, "{after} bytes instead of {fresh}");
        let freed = before - after;
        assert!(plan.freed_bytes() * 2 > freed && plan.freed_bytes() < freed * 2, "{plan:?}");
        check(&fixture, &expected);
        assert!(depth(&fixture.store, nights[24].0) < 12);
        settle(&fixture.store);
        check(&fixture, &expected);
    }
}

#[test]
fn nights_that_are_kept_here_and_there_stay_what_they_were() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let nights = put_nights(&fixture.store, 25);
        let expected = keep(&fixture.store, &nights, &[12, 23, 24]);
        let before = fixture.stored_bytes();
        gc(&fixture.store);
        let after = fixture.stored_bytes();
        assert!(after * 3 < before * 2, "{after} of {before} bytes");
        check(&fixture, &expected);
        settle(&fixture.store);
        check(&fixture, &expected);
        // The next night is coded on the last one as ever.
        let grown = fixture.stored_bytes();
        write(&fixture.store, "shop", &[("a", &night(25))]);
        assert!(fixture.stored_bytes() < grown + 45_000);
    }
}

/// Each would take its own copy of it along.
#[test]
fn what_several_runs_are_coded_on_stays() {
    let fixture = Fixture::local(Crypto::Plain);
    let first = noise(1, 200_000);
    let base = [&first[..100_000], &noise(2, 80_000), &first[100_000..]].concat();
    let gone = [&first, &base].map(|content| write(&fixture.store, "shop", &[("a", content)]).id);
    let branches: Vec<Vec<u8>> = (0..6)
        .map(|n| {
            let mut branch = base.clone();
            branch.chunks_mut(20_000).zip(noise(10 + n, 20 * 100).chunks(100)).for_each(|(bytes, new)| {
                bytes[..100].copy_from_slice(new);
            });
            branch
        })
        .collect();
    let ids: Vec<_> =
        branches.iter().map(|branch| write(&fixture.store, "test", &[("a", branch)]).id).collect();
    gone.into_iter().for_each(|id| delete(&fixture.store, id));
    let before = fixture.stored_bytes();
    fixture.store.gc(&GcOptions { dead_share_max: 0.0, ..gc_options() }, &Silent).unwrap();
    let after = fixture.stored_bytes();
    assert!(after < before + 10_000, "{after} instead of {before} bytes");
    check(&fixture, &ids.into_iter().zip(branches).collect());
}

#[test]
fn what_is_dead_is_weighed_and_not_only_counted() {
    let fixture = Fixture::local(Crypto::Plain);
    let (table, cache) = (noise(1, 300_000), noise(2, 40_000));
    let mut changed = table.clone();
    changed.iter_mut().step_by(3_000).for_each(|byte| *byte ^= 1);
    let first = write(&fixture.store, "shop", &[("a", &table)]).id;
    let both = write(&fixture.store, "shop", &[("a", &changed), ("b", &cache)]).id;
    let one = write(&fixture.store, "shop", &[("a", &changed)]).id;
    delete(&fixture.store, both);
    let before = fixture.stored_bytes();
    gc(&fixture.store);
    assert!(
        before - fixture.stored_bytes() > 35_000,
        "the cache is one chunk in eight of its pack, and most of its bytes"
    );
    check(&fixture, &BTreeMap::from([(first, table), (one, changed)]));
}

/// Rows of the first night and of the last one have hardly a row in common by then, and what they have lies scattered.
#[test]
fn a_night_that_has_little_left_of_what_stays_takes_no_more_than_before() {
    let fixture = Fixture::local(Crypto::Plain);
    let mut table = noise(1, 200_000);
    let mut nights = vec![table.clone()];
    for n in 0..30 {
        for (row, bytes) in noise(100 + n, 25 * 160).chunks(160).enumerate() {
            let at = row * 8_000 + usize::try_from(n * 3_300 % 7_800).unwrap();
            table[at..at + 160].copy_from_slice(bytes);
        }
        nights.push(table.clone());
    }
    let nights: Vec<_> =
        nights.into_iter().map(|night| (write(&fixture.store, "shop", &[("a", &night)]).id, night)).collect();
    let expected = keep(&fixture.store, &nights, &[0, 30]);
    let before = fixture.stored_bytes();
    fixture.store.gc(&GcOptions { dead_share_max: 0.0, ..gc_options() }, &Silent).unwrap();
    let after = fixture.stored_bytes();
    assert!(after < before, "{after} instead of {before} bytes");
    check(&fixture, &expected);
}

#[test]
fn without_room_nothing_is_taken_out_and_nothing_more_is_stored() {
    let storage = Arc::new(FaultyStorage::new(MemoryStorage::new()));
    let fixture = Fixture::new(Arc::clone(&storage) as Arc<dyn Storage>, &options(Crypto::Plain));
    let nights = put_nights(&fixture.store, 25);
    let expected = keep(&fixture.store, &nights, &[12, 24]);
    let mut before = fixture.stored_bytes();
    let mut after_puts = 0;
    loop {
        let (calls, kind) = (Calls::Only(Call::Put), ErrorKind::Full);
        storage.fail(Fault { calls, prefix: "packs/", after: after_puts, kind, for_good: true });
        let report = fixture.store.gc(&gc_options(), &Silent).unwrap();
        let hit = storage.heal();
        assert_eq!(hit, report.full);
        check_all(&fixture.store, &expected);
        let after = fixture.stored_bytes();
        assert!(after <= before, "{after} instead of {before} bytes after {after_puts} packs");
        before = after;
        if !hit {
            break;
        }
        after_puts += 1;
    }
    assert!(after_puts > 1);
    let verified = fixture.store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}
