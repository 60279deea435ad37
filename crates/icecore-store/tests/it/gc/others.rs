//! Other collections, readers, and people who stop one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use icecore_format::{Condemned, names};
use icecore_storage::{LocalStorage, PutMode};
use icecore_store::{FencePolicy, GcOptions, InitOptions, Monitor, Silent, SnapshotReader, StoreError};
use icecore_testkit::{Call, RecordingStorage, Schedule, ScheduledStorage, SharedStorage, Weather};

use super::{During, delete, gc};
use crate::support::{
    Crypto, Fixture, begin, begin_with, check_all, find, gc_options, in_time, noise, open, options, read,
    restore, write,
};

#[test]
fn a_second_collector_is_told_that_one_runs() {
    let fixture = Fixture::local(Crypto::Plain);
    write(&fixture.store, "kept", &[("a", b"x")]);
    let other = fixture.another_process();
    let seen = Arc::new(std::sync::Mutex::new(None));
    let note = Arc::clone(&seen);
    let during = During(std::sync::Once::new(), move || {
        // Of two that begin in the same millisecond either may be the first; the other one would wait for this thread, then.
        thread::sleep(Duration::from_millis(2));
        *note.lock().unwrap() = Some(other.gc(&gc_options(), &Silent));
    });
    fixture.store.gc(&gc_options(), &during).unwrap();
    assert!(matches!(seen.lock().unwrap().take(), Some(Err(StoreError::Busy { .. }))));
    gc(&fixture.store);
}

/// A list that came after this collection had begun is unknown to writers that register before it came.
#[test]
fn a_list_that_another_collection_writes_meanwhile_is_not_worked_off() {
    let fixture = Fixture::local(Crypto::Plain);
    // Long enough that a writer sees what is known of it before it commits.
    let dead = noise(1, 3_000_000);
    let id = write(&fixture.store, "old", &[("a", &dead)]).id;
    let doomed: Vec<_> = fixture.names("packs/").iter().filter_map(|name| names::parse_pack(name)).collect();
    delete(&fixture.store, id);
    let first = begin_with(&fixture.store, "first", &noise(2, 1000));
    let epoch = fixture.storage.get(names::EPOCH).unwrap();
    let other = fixture.another_process();
    let collector = thread::spawn(move || gc(&other));
    while fixture.storage.get(names::EPOCH).unwrap() == epoch {
        thread::yield_now();
    }
    // Registered after the collection began, and refers to what is dead.
    let writer = begin_with(&fixture.store, "new", &dead);
    let name = names::condemned(0);
    let list = Condemned { packs: doomed }.encode(&name);
    fixture.storage.put(&name, &list, PutMode::CreateNew).unwrap();
    // Its blocks are looked up while it waits for more.
    thread::sleep(Duration::from_millis(500));
    drop(first);
    in_time(move || collector.join().unwrap());
    let written = writer.commit(|_| ()).unwrap();
    check_all(&fixture.reopen(), &BTreeMap::from([(written.id, dead)]));
}

#[test]
fn a_list_that_another_collection_works_off_meanwhile_is_no_error() {
    let fixture = Fixture::local(Crypto::Plain);
    let name = names::condemned(0);
    fixture.storage.put(&name, &Condemned::default().encode(&name), PutMode::CreateNew).unwrap();
    let other = Arc::clone(&fixture.storage);
    let storage = RecordingStorage::watched(LocalStorage::new(fixture.dir.path()), move |recorded| {
        if recorded.call == Call::List && recorded.name == names::CONDEMNED {
            let _ = other.delete(&names::condemned(0));
        }
    });
    gc(&open(Arc::new(storage), fixture.index_path()));
}

/// Where nobody can tell that another collection lives, it is fenced, and may still be in the middle of its work.
#[test]
fn a_collection_from_under_which_another_takes_packs_gives_way() {
    let mut gave_way = 0;
    let small = InitOptions { pack_len: 6000, ..options(Crypto::Plain) };
    for at in 0..20 {
        let schedule = Schedule::new(0, 1, Weather::default(), false);
        let shared = SharedStorage::new("", false, false);
        let storage = Arc::new(ScheduledStorage::new(shared, schedule, 0, || ()));
        let fixture = Fixture::new(Arc::clone(&storage) as _, &small);
        let other = open(storage, fixture.dir.path().join("other.redb"));
        let kept = noise(9, 4000);
        let ids: Vec<_> = (0..4)
            .map(|n| write(&fixture.store, "shop", &[("a", &noise(n, 4000)), ("b", &noise(20 + n, 4000))]).id)
            .collect();
        let last: Vec<_> =
            (0..4).map(|n| write(&fixture.store, "b", &[("b", &noise(20 + n, 4000))]).id).collect();
        let whole = write(&fixture.store, "kept", &[("a", &kept)]).id;
        ids.iter().for_each(|id| delete(&fixture.store, *id));
        let act = || {
            last.iter().for_each(|id| delete(&other, *id));
            let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(1) };
            other.gc(&GcOptions { fence, ..GcOptions::default() }, &Silent).unwrap();
        };
        let when = When { at, looks: std::sync::atomic::AtomicUsize::new(0), act };
        match fixture.store.gc(&gc_options(), &when) {
            Err(StoreError::Busy { .. }) => gave_way += 1,
            outcome => assert!(matches!(outcome, Ok(_) | Err(StoreError::Fenced)), "{at}: {outcome:?}"),
        }
        assert!(read(&fixture.store, whole).unwrap() == kept);
    }
    assert!(gave_way > 0);
}

/// Does something when it is looked at for the `at`-th time.
struct When<F> {
    at: usize,
    looks: std::sync::atomic::AtomicUsize,
    act: F,
}

impl<F: Fn() + Send + Sync> Monitor for When<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {}
    fn is_cancelled(&self) -> bool {
        if self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == self.at {
            (self.act)();
        }
        false
    }
}

#[test]
fn a_plan_is_made_while_a_collection_takes_packs_from_under_it() {
    for at in 0..8 {
        let fixture = Fixture::local(Crypto::Plain);
        let ids: Vec<_> =
            (0..4).map(|seed| write(&fixture.store, "shop", &[("a", &noise(seed, 400_000))]).id).collect();
        delete(&fixture.store, ids[0]);
        let other = fixture.another_process();
        let act = || {
            delete(&other, ids[1]);
            delete(&other, ids[2]);
            gc(&other);
        };
        let when = When { at, looks: std::sync::atomic::AtomicUsize::new(0), act };
        fixture.store.plan_gc(&gc_options(), &when).unwrap();
        assert!(read(&fixture.store, ids[3]).unwrap() == noise(3, 400_000));
    }
}

#[test]
fn what_was_deleted_while_it_was_read_is_gone_and_not_damaged() {
    let fixture = Fixture::local(Crypto::Plain);
    let id = write(&fixture.store, "shop", &[("a", &noise(1, 400_000))]).id;
    let other = fixture.another_process();
    let snapshot = find(&other, id);
    delete(&fixture.store, id);
    gc(&fixture.store);
    let error = restore(&SnapshotReader::new(Arc::clone(&other), snapshot.manifest.clone())).unwrap_err();
    assert!(matches!(error, StoreError::ChunkMissing { .. }), "{error:?}");
    let told = other.unless_deleted(&snapshot, error);
    assert!(matches!(told, StoreError::NoSnapshot { id: gone } if gone == id), "{told:?}");
}

#[test]
fn a_collection_can_be_cancelled_while_it_waits() {
    struct Cancel;
    impl Monitor for Cancel {
        fn count(&self, _: icecore_store::Counter, _: u64) {}
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let fixture = Fixture::memory(Crypto::Plain);
    let writer = begin(&fixture.store, "shop").unwrap();
    assert!(matches!(fixture.store.gc(&gc_options(), &Cancel), Err(StoreError::Cancelled)));
    writer.commit(|_| ()).unwrap();
    gc(&fixture.store);
}
