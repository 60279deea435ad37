//! What somebody else does between one step of an operation and the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::Duration;

use icecore_chunk::Grain;
use icecore_format::{Epoch, KdfCost, Label, PartKind, names};
use icecore_storage::{LocalStorage, PutMode, Storage as _};
use icecore_store::{
    Counter, FencePolicy, Monitor, RepairOptions, RepairPlan, Silent, SnapshotWriter, Store, StoreError,
    VerifyExtent, Written,
};
use icecore_testkit::{Call, RecordingStorage};

use crate::support::{
    Crypto, Fixture, begin, begin_with, check_all, find, gc_options, in_time, noise, open, read, write,
};

/// The store of `fixture` in a process that stops once, right after its first successful `call` of `prefix`, for `meanwhile`.
fn stopping(
    fixture: &Fixture,
    (call, prefix): (Call, &'static str),
    meanwhile: impl Fn() + Send + Sync + 'static,
) -> Arc<Store> {
    let once = Once::new();
    let storage = RecordingStorage::watched(LocalStorage::new(fixture.dir.path()), move |recorded| {
        if recorded.call == call && recorded.name.starts_with(prefix) {
            once.call_once(&meanwhile);
        }
    });
    open(Arc::new(storage), fixture.index_path())
}

/// A monitor that runs something when reading begins.
struct Reading<F>(F);

impl<F: Fn() + Send + Sync> Monitor for Reading<F> {
    fn count(&self, _: Counter, _: u64) {}
    fn expect(&self, _: u64) {
        (self.0)();
    }
}

#[test]
fn what_goes_between_listing_and_reading_is_no_error() {
    for prefix in ["snapshots/", "labels/"] {
        let fixture = Fixture::local(Crypto::Plain);
        let kept = write(&fixture.store, "kept", &[("a", &noise(1, 10_000))]).id;
        let going = write(&fixture.store, "going", &[("a", &noise(2, 10_000))]).id;
        fixture.store.add_label(&going, &Label::Tag("going".into())).unwrap();
        let other = fixture.another_process();
        let store = stopping(&fixture, (Call::List, prefix), move || {
            other.delete_snapshot(&find(&other, going)).unwrap();
        });
        let (snapshots, damaged) = store.snapshots().unwrap();
        assert!(damaged.is_empty(), "{damaged:?}");
        assert_eq!(snapshots.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [kept], "{prefix}");
    }
}

#[test]
fn labels_of_what_is_published_while_gc_lists_are_kept() {
    let fixture = Fixture::local(Crypto::Plain);
    write(&fixture.store, "old", &[("a", &noise(1, 10_000))]);
    let (other, published) = (fixture.another_process(), Arc::new(Mutex::new(None)));
    let note = Arc::clone(&published);
    let store = stopping(&fixture, (Call::List, "snapshots/"), move || {
        let written = write(&other, "new", &[("a", &noise(2, 10_000))]);
        other.add_label(&written.id, &Label::Tag("fresh".into())).unwrap();
        *note.lock().unwrap() = Some(written.id);
    });
    store.gc(&gc_options(), &Silent).unwrap();
    let id = published.lock().unwrap().unwrap();
    assert!(find(&fixture.store, id).labels.tags.contains("fresh"));
}

/// A list of condemned packs goes when they are gone, and not before: whoever starts then finds neither.
#[test]
fn a_writer_that_starts_when_the_list_goes_refers_to_nothing_that_is_deleted() {
    for is_old_list in [false, true] {
        let fixture = Fixture::local(Crypto::Plain);
        let dead = noise(1, 150_000);
        let id = write(&fixture.store, "dead", &[("a", &dead)]).id;
        fixture.store.delete_snapshot(&find(&fixture.store, id)).unwrap();
        if is_old_list {
            // A writer that starts while it collects keeps the first collection from deleting anything.
            let (other, running) = (fixture.another_process(), Arc::new(Mutex::new(None)));
            let note = Arc::clone(&running);
            let store = stopping(&fixture, (Call::Put, "condemned/"), move || {
                *note.lock().unwrap() = Some(begin(&other, "running").unwrap());
            });
            assert!(store.gc(&gc_options(), &Silent).unwrap().packs_condemned > 0);
            drop(running.lock().unwrap().take());
        }
        let (other, bytes, written) = (fixture.another_process(), dead.clone(), Arc::new(Mutex::new(None)));
        let note = Arc::clone(&written);
        let store = stopping(&fixture, (Call::Delete, "condemned/"), move || {
            *note.lock().unwrap() = Some(write(&other, "new", &[("a", &bytes)]));
        });
        assert!(store.gc(&gc_options(), &Silent).unwrap().packs_deleted > 0);
        let written: Written = written.lock().unwrap().take().unwrap();
        assert_eq!(read(&fixture.reopen(), written.id).unwrap(), dead);
    }
}

#[test]
fn a_pack_that_a_collection_takes_while_it_is_verified_is_no_finding() {
    let fixture = Fixture::local(Crypto::Plain);
    write(&fixture.store, "kept", &[("a", &noise(1, 50_000))]);
    let going = write(&fixture.store, "going", &[("a", &noise(2, 50_000))]).id;
    let other = fixture.another_process();
    let packs = fixture.names("packs/").len();
    let meanwhile = Reading(move || {
        other.delete_snapshot(&find(&other, going)).unwrap();
        other.gc(&gc_options(), &Silent).unwrap();
    });
    let report = fixture.store.verify(None, VerifyExtent::Everything, 1, &meanwhile).unwrap();
    assert!(fixture.names("packs/").len() < packs);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_pack_that_is_lost_while_it_is_verified_is_a_finding() {
    let fixture = Fixture::local(Crypto::Plain);
    let victim = write(&fixture.store, "victim", &[("a", &noise(1, 50_000))]).id;
    let packs = fixture.names("packs/");
    let storage = LocalStorage::new(fixture.dir.path());
    let meanwhile = Reading(move || packs.iter().for_each(|pack| storage.delete(pack).unwrap()));
    let report = fixture.store.verify(None, VerifyExtent::Everything, 1, &meanwhile).unwrap();
    assert!(report.findings.iter().any(|found| found.snapshots.contains_key(&victim)), "{report:?}");
}

#[test]
fn of_two_who_delete_one_finds_nothing() {
    let fixture = Fixture::local(Crypto::Plain);
    let id = write(&fixture.store, "going", &[("a", &noise(1, 10_000))]).id;
    for tag in ["one", "two"] {
        fixture.store.add_label(&id, &Label::Tag(tag.into())).unwrap();
    }
    let snapshot = find(&fixture.store, id);
    // One listed the labels, and the other takes them away.
    let other = LocalStorage::new(fixture.dir.path());
    let labels = fixture.names("labels/");
    let store = stopping(&fixture, (Call::List, "labels/"), move || {
        labels.iter().for_each(|label| other.delete(label).unwrap());
    });
    store.delete_snapshot(&snapshot).unwrap();
    let again = fixture.another_process().delete_snapshot(&snapshot);
    assert!(matches!(again, Err(StoreError::NoSnapshot { id: gone }) if gone == id), "{again:?}");
}

/// A store with a snapshot whose content can no longer be read, and the plan for its repair.
fn broken() -> (Fixture, Vec<u8>, RepairPlan) {
    let fixture = Fixture::local(Crypto::Plain);
    let content = noise(1, 150_000);
    write(&fixture.store, "victim", &[("a", &content)]);
    for pack in fixture.names("packs/") {
        // Every body, but not the table.
        fixture.tamper(&pack, |bytes| {
            let bodies = 64..bytes.len() / 2;
            bytes[bodies].fill(0);
        });
    }
    let plan = fixture.reopen().plan_repair(1, &Silent).unwrap();
    assert!(!plan.packs.is_empty() && !plan.broken.is_empty());
    (fixture, content, plan)
}

fn repair_options() -> RepairOptions {
    let fence = FencePolicy { after: Duration::from_secs(3600), poll: Duration::from_millis(2) };
    RepairOptions { fence, ..RepairOptions::default() }
}

#[test]
fn a_repair_waits_for_a_writer_that_was_there_first() {
    struct Cancel(Mutex<bool>);
    impl Monitor for Cancel {
        fn count(&self, _: Counter, _: u64) {}
        fn notice(&self, sentence: &str) {
            *self.0.lock().unwrap() |= sentence.starts_with("waiting for create");
        }
        fn is_cancelled(&self) -> bool {
            *self.0.lock().unwrap()
        }
    }
    let (fixture, _, plan) = broken();
    let packs = fixture.names("packs/");
    let writer = begin_with(&fixture.store, "new", &noise(2, 1000));
    let repair = fixture.another_process().repair(&plan, &repair_options(), 1, &Cancel(Mutex::new(false)));
    assert!(matches!(repair, Err(StoreError::Cancelled)), "{repair:?}");
    // Before it has copied or condemned anything.
    assert_eq!((fixture.names("packs/"), fixture.names("condemned/").len()), (packs, 0));
    writer.commit(|_| ()).unwrap();
}

/// Who starts after the list is there stores what is lost again, and what it stores is whole.
#[test]
fn a_writer_that_starts_during_a_repair_refers_to_nothing_that_is_lost() {
    let (fixture, content, plan) = broken();
    let (other, bytes, written) = (fixture.another_process(), content.clone(), Arc::new(Mutex::new(None)));
    let note = Arc::clone(&written);
    let store = stopping(&fixture, (Call::Put, "condemned/"), move || {
        *note.lock().unwrap() = Some(write(&other, "again", &[("a", &bytes)]));
    });
    let report = store.repair(&plan, &repair_options(), 1, &Silent).unwrap();
    let again: Written = written.lock().unwrap().take().unwrap();
    assert!(again.info.changed_bytes > 0);
    assert!(report.broken.is_empty(), "{report:?}");
    assert_eq!(read(&fixture.reopen(), again.id).unwrap(), content);
}

/// Who started before the list was there may refer to what is lost: the repair waits for it, and says so at the end.
#[test]
fn a_writer_that_does_not_know_what_is_lost_is_waited_for_and_named() {
    let (fixture, content, plan) = broken();
    let (other, (begun, writing)) = (fixture.another_process(), mpsc::channel());
    // Right after the epoch was raised for the first time.
    let store = stopping(&fixture, (Call::Put, "epoch"), move || {
        begun.send(begin_with(&other, "again", &content)).unwrap();
    });
    let repair = std::thread::spawn(move || store.repair(&plan, &repair_options(), 1, &Silent).unwrap());
    let writer: SnapshotWriter = writing.recv_timeout(Duration::from_secs(60)).unwrap();
    // Long enough for a repair that does not wait.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!repair.is_finished());
    let written = writer.commit(|_| ()).unwrap();
    let report = in_time(move || repair.join().unwrap());
    assert!(report.broken.iter().any(|broken| broken.id == written.id), "{report:?}");
}

/// An old epoch that came back, say, or a claim that nobody saw: the later one must not work on what it no longer knows.
#[test]
fn of_two_collections_that_raise_the_epoch_together_one_goes_on() {
    // After the claim was checked, and after the epoch was read to be raised.
    for read_before in [1, 2] {
        let fixture = Fixture::local(Crypto::Plain);
        let dead = write(&fixture.store, "dead", &[("a", &noise(1, 50_000))]).id;
        let kept = write(&fixture.store, "kept", &[("a", &noise(2, 50_000))]).id;
        fixture.store.delete_snapshot(&find(&fixture.store, dead)).unwrap();
        let (other, reads) = (LocalStorage::new(fixture.dir.path()), AtomicUsize::new(0));
        let storage = RecordingStorage::watched(LocalStorage::new(fixture.dir.path()), move |recorded| {
            let is_read = recorded.call == Call::Get && recorded.name == names::EPOCH;
            if is_read && reads.fetch_add(1, Ordering::Relaxed) == read_before {
                let next = Epoch(99).encode(names::EPOCH);
                other.put(names::EPOCH, &next, PutMode::Overwrite).unwrap();
            }
        });
        let collected = open(Arc::new(storage), fixture.index_path()).gc(&gc_options(), &Silent);
        assert!(matches!(collected, Err(StoreError::Busy { .. })), "{read_before}: {collected:?}");
        assert!(fixture.store.gc(&gc_options(), &Silent).unwrap().packs_deleted > 0);
        check_all(&fixture.reopen(), &BTreeMap::from([(kept, noise(2, 50_000))]));
    }
}

#[test]
fn a_key_that_is_removed_while_it_is_added_stays_removed() {
    let fixture = Fixture::local(Crypto::Encrypted);
    let first = fixture.store.keys().unwrap().remove(0).id;
    let other = fixture.another_process();
    let store = stopping(&fixture, (Call::Put, names::KEYS), move || {
        let keys = other.keys().unwrap();
        let added = keys.into_iter().find(|key| key.id != first).unwrap();
        other.remove_key(&added.id).unwrap();
    });
    store.add_key(b"new", "new", "2026-11-20T10:00:00Z", KdfCost::CHEAPEST).unwrap();
    // Nor is there a copy to bring it back.
    assert_eq!(fixture.reopen().keys().unwrap().len(), 1);
    assert_eq!(fixture.names(names::KEYS).len(), 1);
}

/// The index learns of a pack while a collection deletes it: a writer that has started since must not be led there.
#[test]
fn a_pack_that_goes_while_the_index_learns_of_it_is_not_known() {
    let fixture = Fixture::local(Crypto::Plain);
    let content = noise(1, 50_000);
    let dead = write(&fixture.store, "dead", &[("a", &content)]).id;
    fixture.store.delete_snapshot(&find(&fixture.store, dead)).unwrap();
    std::fs::remove_file(fixture.index_path()).unwrap();
    let (other, storage) = (fixture.another_process(), LocalStorage::new(fixture.dir.path()));
    let (packs, writing) = (fixture.names("packs/"), Arc::new(Mutex::new(None)));
    let note = Arc::clone(&writing);
    let store = stopping(&fixture, (Call::Settle, "packs/"), move || {
        packs.iter().for_each(|pack| storage.delete(pack).unwrap());
        *note.lock().unwrap() = Some(begin(&other, "new").unwrap());
    });
    store.plan_gc(&gc_options(), &Silent).unwrap();
    let mut writer: SnapshotWriter = writing.lock().unwrap().take().unwrap();
    writer.begin_part(b"a", PartKind::File, Grain::Byte, true).unwrap();
    writer.write(&content).unwrap();
    writer.end_part(None, None).unwrap();
    let written = writer.commit(|_| ()).unwrap();
    assert_eq!(read(&fixture.reopen(), written.id).unwrap(), content);
}
