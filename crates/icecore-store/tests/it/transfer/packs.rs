//! Packs that go as they are, packs of which some goes, and in which order.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_storage::{ErrorKind, MemoryStorage, PutMode, Storage};
use icecore_store::{IndexReader, Silent};
use icecore_testkit::{Call, Calls, Fault, FaultyStorage, RecordingStorage};

use super::{Pair, check_sound, ids, night, nights, pull, push};
use crate::support::{BOTH, Crypto, Fixture, find, gc_options, noise, write};

#[test]
fn of_packs_that_hold_much_else_only_what_is_needed_is_sent() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let files: Vec<Vec<u8>> = (0..24).map(|n| noise(n, 8_000)).collect();
        let all: Vec<(&str, &[u8])> = files.iter().map(|file| ("f", file.as_slice())).collect();
        let some: Vec<(&str, &[u8])> = all.iter().copied().step_by(6).collect();
        write(&pair.local.store, "all", &all);
        let id = write(&pair.local.store, "some", &some).id;
        let sent = pair.push(&[id]);
        assert!(sent.bytes < 60_000, "{sent:?}");
        let content = some.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
        // The packs that are left of it are others, and nothing is sent twice because of that.
        let rest = pair.push(&ids(&pair.local.store));
        assert_eq!(rest.published.len(), 1);
        check_sound(&pair.elsewhere("another"), &pair_contents(&pair));
    }
}

fn pair_contents(pair: &Pair) -> BTreeMap<icecore_format::SnapshotId, Vec<u8>> {
    let local = &pair.local.store;
    ids(local).into_iter().map(|id| (id, crate::support::read(local, id).unwrap())).collect()
}

#[test]
fn some_of_many_nights_are_rewritten_with_what_they_are_coded_on() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let other = |n: u64| {
            let mut other = noise(99, 200_000);
            other.iter_mut().step_by(5_000 + usize::try_from(n).unwrap()).for_each(|byte| *byte ^= 1);
            other
        };
        // In every pack the larger half is of what is not sent.
        for n in 0..4u64 {
            let small = night(usize::try_from(n).unwrap());
            write(&pair.local.store, "both", &[("b", &other(n)), ("a", &small)]);
        }
        let id = write(&pair.local.store, "shop", &[("a", &night(4))]).id;
        let sent = pair.push(&[id]);
        // Where chunks end is different in each store, and so is how much of what is beside them comes along.
        let all: u64 = pair.local.storage.list("packs/").unwrap().iter().map(|pack| pack.len).sum();
        assert!(sent.bytes * 3 < all * 2, "{sent:?} of {all}");
        check_sound(&pair.remote, &BTreeMap::from([(id, night(4))]));
        pair.push(&ids(&pair.local.store));
        check_sound(&pair.elsewhere("another"), &pair_contents(&pair));
    }
}

/// After each pack that arrives, whoever looks finds everything that the packs are coded on.
#[test]
fn what_something_is_coded_on_arrives_before_it() {
    let local = Fixture::memory(Crypto::Plain);
    nights(&local.store, 5);
    let recording = Arc::new(RecordingStorage::new(MemoryStorage::new()));
    let pair = Pair::between(local, Arc::clone(&recording) as Arc<dyn Storage>);
    recording.take();
    pair.push(&ids(&pair.local.store));
    let calls = recording.take();
    let puts: Vec<String> = calls.iter().filter(|c| c.call == Call::Put).map(|c| c.name.clone()).collect();
    let packs = puts.iter().filter(|name| name.starts_with("packs/")).count();
    assert!(packs >= 5, "{puts:?}");
    // Replayed, object by object, on an empty place; after each a writer there finds all packs sound.
    let replay: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let store = pair.local.store.clone_to(Arc::clone(&replay), "there", dir.path().join("i.redb")).unwrap();
    let store = Arc::new(store);
    for name in puts.iter().filter(|name| name.starts_with("packs/") || name.starts_with("snapshots/")) {
        replay.put(name, &pair.remote_storage.get(name).unwrap(), PutMode::CreateNew).unwrap();
        let report = store.verify(None, icecore_store::VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(report.findings.is_empty(), "after {name}: {:?}", report.findings);
        for (_, record) in store.index().read(IndexReader::packs).unwrap() {
            assert!(replay.len(&icecore_format::names::pack(&record.id)).is_ok());
        }
    }
}

/// A pack that a collection is about to delete must not be relied on, nor put again under its name.
#[test]
fn what_a_collection_is_about_to_delete_is_sent_in_new_packs() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let content = noise(1, 150_000);
        let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
        pair.push(&[id]);
        let kept = write(&pair.remote, "kept", &[("a", &noise(2, 9_000))]).id;
        pair.remote.delete_snapshot(&find(&pair.remote, id)).unwrap();
        // It condemns, and a writer that starts meanwhile keeps it from deleting.
        let slot = Arc::new(std::sync::Mutex::new(None));
        let (writing, store) = (Arc::clone(&slot), pair.elsewhere("another"));
        let start = crate::gc::During(std::sync::Once::new(), move || {
            *writing.lock().unwrap() = Some(crate::support::begin_with(&store, "new", b"x"));
        });
        let report = pair.remote.gc(&gc_options(), &start).unwrap();
        assert!(report.packs_condemned > 0 && report.packs_deleted == 0, "{report:?}");
        assert_eq!(pair.push(&[id]).published, [id]);
        drop(slot.lock().unwrap().take());
        assert!(pair.remote.gc(&gc_options(), &Silent).unwrap().packs_deleted > 0);
        check_sound(&pair.remote, &BTreeMap::from([(id, content), (kept, noise(2, 9_000))]));
    }
}

/// A collection may be about to remove parity that it found without its pack.
#[test]
fn a_pack_whose_parity_lies_there_without_it_gets_another_name() {
    let pair = Pair::with_parity(Crypto::Plain);
    let content = noise(1, 50_000);
    let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
    let [parity] = pair.local.names("parity/").try_into().unwrap();
    let bytes = pair.local.storage.get(&parity).unwrap();
    pair.remote_storage.put(&parity, &bytes, PutMode::CreateNew).unwrap();
    pair.push(&[id]);
    assert_ne!(pair.names("packs/"), pair.local.names("packs/"));
    // As the collection does that listed it before.
    pair.remote_storage.delete(&parity).unwrap();
    check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
}

#[test]
fn a_pack_that_lies_there_damaged_is_put_again() {
    for damage in [&b"garbage"[..], b""] {
        let pair = Pair::new(Crypto::Plain);
        let content = noise(1, 50_000);
        let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
        for name in pair.local.names("packs/") {
            pair.remote_storage.put(&name, damage, PutMode::CreateNew).unwrap();
        }
        pair.push(&[id]);
        check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
    }
}

#[test]
fn a_pack_that_goes_at_the_sender_is_looked_up_again() {
    let pair = Pair::new(Crypto::Plain);
    let files: Vec<Vec<u8>> = (0..24).map(|n| noise(n, 8_000)).collect();
    let all: Vec<(&str, &[u8])> = files.iter().map(|file| ("f", file.as_slice())).collect();
    let some: Vec<(&str, &[u8])> = all.iter().copied().step_by(3).collect();
    let dead = write(&pair.local.store, "all", &all).id;
    let id = write(&pair.local.store, "some", &some).id;
    let local = pair.local.reopen();
    let transfer = icecore_store::Transfer::push(
        Arc::clone(&local),
        Arc::clone(&pair.remote),
        super::transfer_options(),
    );
    let transfer = transfer.unwrap();
    let plan = transfer.plan(&[id], &Silent).unwrap();
    pair.local.store.delete_snapshot(&find(&pair.local.store, dead)).unwrap();
    let report = pair.local.store.gc(&gc_options(), &Silent).unwrap();
    assert!(report.packs_deleted > 0);
    assert_eq!(transfer.carry_out(plan, &Silent).unwrap().published, [id]);
    let content: Vec<u8> = some.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
    drop(push(&local, &pair.remote, &[id]).unwrap());
}

#[test]
fn what_has_arrived_is_not_sent_again() {
    for is_push in [true, false] {
        let local = Fixture::memory(Crypto::Plain);
        let content = noise(1, 400_000);
        let id = write(&local.store, "shop", &[("a", &content)]).id;
        let recording = Arc::new(RecordingStorage::new(FaultyStorage::new(MemoryStorage::new())));
        let faulty = recording.inner();
        let pair = Pair::between(local, Arc::clone(&recording) as Arc<dyn Storage>);
        recording.take();
        faulty.fail(Fault {
            calls: Calls::Only(Call::Put),
            prefix: "packs/",
            after: 3,
            kind: ErrorKind::Other,
            for_good: false,
        });
        let run = |remote: &Arc<icecore_store::Store>| match is_push {
            true => push(&pair.local.store, remote, &[id]),
            // The sender of a pull is only read, and is the same kind of storage.
            false => pull(remote, &pair.local.store, &[id]),
        };
        run(&pair.remote).unwrap_err();
        assert!(faulty.heal());
        let first = packs_put(&recording);
        run(&pair.elsewhere("after a crash")).unwrap();
        let second = packs_put(&recording);
        assert!(first.len() >= 3 && !second.is_empty());
        assert!(first.iter().all(|name| !second.contains(name)), "{first:?} {second:?}");
        check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
    }
}

fn packs_put(recording: &RecordingStorage<FaultyStorage<MemoryStorage>>) -> Vec<String> {
    let calls = recording.take().into_iter();
    calls.filter(|c| c.call == Call::Put && c.name.starts_with("packs/")).map(|c| c.name).collect()
}
