//! Writers that were there before a collection, or come while it runs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use icecore_format::{Epoch, Label, names};
use icecore_storage::PutMode;
use icecore_store::{GcReport, Silent, SnapshotWriter, VerifyExtent, Written};

use super::{During, delete, gc};
use crate::support::{
    BOTH, Crypto, Fixture, begin_with, check_all, find, gc_options, in_time, noise, read, write,
};

/// A collection in another process waits for the writer, which publishes at last.
fn commit_while_gc_waits(fixture: &Fixture, writer: SnapshotWriter) -> (Written, GcReport) {
    let other = fixture.another_process();
    let collector = std::thread::spawn(move || gc(&other));
    std::thread::sleep(Duration::from_millis(150));
    assert!(!collector.is_finished());
    let written = writer.commit(|_| ()).unwrap();
    (written, in_time(move || collector.join().unwrap()))
}

#[test]
fn gc_waits_for_a_writer_that_was_there_first() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let dead = noise(1, 150_000);
        let id = write(&fixture.store, "old", &[("a", &dead)]).id;
        delete(&fixture.store, id);
        // It refers to chunks that no published snapshot reaches.
        let writer = begin_with(&fixture.store, "new", &dead);
        let (written, report) = commit_while_gc_waits(&fixture, writer);
        assert_eq!(written.info.new_chunks, 0);
        assert_eq!(report.packs_deleted, 0);
        check_all(&fixture.store, &BTreeMap::from([(written.id, dead)]));
    }
}

/// A claim that cannot be read may be of any epoch: its writer lives, and is waited for.
#[test]
fn a_writer_whose_claim_cannot_be_read_is_waited_for() {
    let fixture = Fixture::local(Crypto::Plain);
    let dead = noise(1, 150_000);
    let id = write(&fixture.store, "old", &[("a", &dead)]).id;
    delete(&fixture.store, id);
    let writer = begin_with(&fixture.store, "new", &dead);
    // Where it lies, for its lock is what says that it lives.
    let claim = fixture.dir.path().join(&fixture.names("claims/")[0]);
    let mut bytes = std::fs::read(&claim).unwrap();
    bytes[20] ^= 1;
    std::fs::OpenOptions::new().write(true).open(&claim).and_then(|mut file| file.write_all(&bytes)).unwrap();
    let (written, _) = commit_while_gc_waits(&fixture, writer);
    check_all(&fixture.store, &BTreeMap::from([(written.id, dead)]));
}

/// An old `epoch` may come back from somebody's backup.
#[test]
fn a_writer_of_a_later_epoch_is_waited_for_like_one_of_an_earlier() {
    let fixture = Fixture::local(Crypto::Plain);
    let dead = noise(1, 150_000);
    let id = write(&fixture.store, "old", &[("a", &dead)]).id;
    delete(&fixture.store, id);
    let put = |epoch| {
        let bytes = Epoch(epoch).encode(names::EPOCH);
        fixture.storage.put(names::EPOCH, &bytes, PutMode::Overwrite).unwrap();
    };
    put(7);
    let writer = begin_with(&fixture.store, "new", &dead);
    put(3);
    let (written, _) = commit_while_gc_waits(&fixture, writer);
    check_all(&fixture.reopen(), &BTreeMap::from([(written.id, dead)]));
}

#[test]
fn a_writer_that_starts_during_gc_makes_it_condemn_but_not_delete() {
    for reuses in [true, false] {
        let fixture = Fixture::local(Crypto::Plain);
        let (kept, dead) = (noise(1, 50_000), noise(2, 150_000));
        let mut expected = BTreeMap::new();
        expected.insert(write(&fixture.store, "kept", &[("a", &kept)]).id, kept);
        let id = write(&fixture.store, "dead", &[("a", &dead)]).id;
        delete(&fixture.store, id);

        let slot = Arc::new(std::sync::Mutex::new(None));
        let content = if reuses { dead.clone() } else { noise(3, 60_000) };
        let (writing, store, bytes) = (Arc::clone(&slot), fixture.another_process(), content.clone());
        let start = During(std::sync::Once::new(), move || {
            *writing.lock().unwrap() = Some(begin_with(&store, "new", &bytes));
        });
        let report = fixture.store.gc(&gc_options(), &start).unwrap();
        assert!(report.packs_condemned > 0, "{report:?}");
        assert_eq!(report.packs_deleted, 0);
        assert_eq!(fixture.names("condemned/").len(), 1);

        let writer = slot.lock().unwrap().take().unwrap();
        let written = writer.commit(|_| ()).unwrap();
        expected.insert(written.id, content);
        assert_eq!(written.info.new_chunks == 0, reuses);
        check_all(&fixture.store, &expected);

        // Whoever starts now treats the condemned packs as absent.
        let later = write(&fixture.another_process(), "later", &[("a", &dead)]);
        assert_eq!(later.info.changed_bytes, 150_000);
        expected.insert(later.id, dead);

        // What the condemned packs hold is verified as long as snapshots need it, with the index and without.
        std::fs::remove_file(fixture.index_path()).unwrap();
        let verified = fixture.store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);

        let report = gc(&fixture.store);
        assert!(report.packs_deleted > 0);
        assert_eq!(fixture.names("condemned/"), [""; 0]);
        check_all(&fixture.another_process(), &expected);
        assert_eq!(gc(&fixture.store).packs_deleted, 0);
    }
}

#[test]
fn what_was_published_during_gc_is_acquitted() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let (kept, dead) = (noise(1, 50_000), noise(2, 150_000));
        let mut expected = BTreeMap::new();
        expected.insert(write(&fixture.store, "kept", &[("a", &kept)]).id, kept);
        let id = write(&fixture.store, "dead", &[("a", &dead)]).id;
        delete(&fixture.store, id);
        let (store, bytes, published) =
            (fixture.another_process(), dead.clone(), Arc::new(std::sync::Mutex::new(None)));
        let note = Arc::clone(&published);
        let start = During(std::sync::Once::new(), move || {
            let written = write(&store, "new", &[("a", &bytes)]);
            store.add_label(&written.id, &Label::Tag("fresh".into())).unwrap();
            *note.lock().unwrap() = Some(written);
        });
        let report = fixture.store.gc(&gc_options(), &start).unwrap();
        assert_eq!((report.packs_deleted, report.packs_condemned), (0, 0));
        assert_eq!(report.bytes_kept, fixture.stored_bytes());
        let written = published.lock().unwrap().take().unwrap();
        assert_eq!(written.info.new_chunks, 0);
        assert!(find(&fixture.store, written.id).labels.tags.contains("fresh"));
        expected.insert(written.id, dead);
        check_all(&fixture.store, &expected);
        assert_eq!(fixture.names("condemned/"), [""; 0]);
    }
}

#[test]
fn writers_that_never_pause_do_not_keep_gc_from_its_work() {
    let fixture = Fixture::local(Crypto::Plain);
    let id = write(&fixture.store, "dead", &[("a", &noise(1, 150_000))]).id;
    delete(&fixture.store, id);
    let running = Arc::new(std::sync::Mutex::new(Vec::new()));
    // Each collection sees a writer start, before the last one ends.
    let collect = |seed: u64| {
        let (store, running) = (fixture.another_process(), Arc::clone(&running));
        let start = During(std::sync::Once::new(), move || {
            running.lock().unwrap().push(begin_with(&store, "busy", &noise(seed, 5000)));
        });
        fixture.store.gc(&gc_options(), &start).unwrap()
    };
    write(&fixture.store, "kept", &[("a", &noise(2, 1000))]);
    let first = collect(10);
    assert!(first.packs_condemned > 0 && first.packs_deleted == 0, "{first:?}");
    running.lock().unwrap().drain(..).for_each(|writer| drop(writer.commit(|_| ()).unwrap()));
    let second = collect(11);
    assert!(second.packs_deleted >= first.packs_condemned && second.bytes_freed > 140_000, "{second:?}");
    running.lock().unwrap().drain(..).for_each(|writer| drop(writer.commit(|_| ()).unwrap()));
    let (snapshots, _) = fixture.store.snapshots().unwrap();
    for snapshot in snapshots {
        read(&fixture.store, snapshot.id).unwrap();
    }
}
