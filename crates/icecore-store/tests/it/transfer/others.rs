//! Others that work at the same time, and machines that die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use icecore_format::{EvidenceKind, Label};
use icecore_storage::{PutMode, Storage};
use icecore_store::{FencePolicy, GcOptions, Monitor, Silent, Store, StoreError, Transfer};
use icecore_testkit::{Call, FarStorage, RecordingStorage};

use super::{Pair, check_sound, ids, night, nights, pull, push, transfer_options};
use crate::evidence::evidence;
use crate::support::{BOTH, Crypto, Fixture, begin_with, find, gc_options, in_time, noise, open, write};

/// Does something once, when so many bytes have gone over.
pub(super) struct After<F: Fn() + Send + Sync>(pub(super) std::sync::Once, pub(super) F);

impl<F: Fn() + Send + Sync> Monitor for After<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {
        self.0.call_once(&self.1);
    }
}

fn fence_at_once() -> GcOptions {
    let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(1) };
    GcOptions { fence, ..gc_options() }
}

#[test]
fn a_push_that_a_collection_overtook_says_so_and_goes_on_when_it_is_repeated() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let content = noise(1, 300_000);
        let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
        let transfer =
            Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options());
        let transfer = transfer.unwrap();
        let plan = transfer.plan(&[id], &Silent).unwrap();
        let collector = pair.elsewhere("another");
        let overtake =
            After(std::sync::Once::new(), move || drop(collector.gc(&fence_at_once(), &Silent).unwrap()));
        let error = transfer.carry_out(plan, &overtake).unwrap_err();
        assert!(matches!(error, StoreError::Fenced), "{error:?}");
        // The marker has served, and the claim is withdrawn.
        assert_eq!((pair.names("snapshots/").len(), pair.names("claims/").len()), (0, 0));
        assert_eq!(pair.push(&[id]).published, [id]);
        check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
    }
}

#[test]
fn a_collection_waits_for_a_push_that_was_there_first() {
    let pair = Pair::new(Crypto::Plain);
    let content = noise(1, 300_000);
    let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
    // What it relies on lies there, dead.
    pair.push(&[id]);
    pair.remote.delete_snapshot(&find(&pair.remote, id)).unwrap();
    let more = noise(2, 50_000);
    let second = write(&pair.local.store, "shop", &[("a", &content), ("b", &more)]).id;
    let transfer =
        Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options()).unwrap();
    let plan = transfer.plan(&[second], &Silent).unwrap();
    let (collector, slot) = (pair.elsewhere("another"), Arc::new(std::sync::Mutex::new(None)));
    let running = Arc::clone(&slot);
    let start = After(std::sync::Once::new(), move || {
        let collector = Arc::clone(&collector);
        let thread = std::thread::spawn(move || collector.gc(&gc_options(), &Silent).unwrap());
        std::thread::sleep(Duration::from_millis(150));
        assert!(!thread.is_finished());
        *running.lock().unwrap() = Some(thread);
    });
    assert_eq!(transfer.carry_out(plan, &start).unwrap().published, [second]);
    let thread = slot.lock().unwrap().take().unwrap();
    assert_eq!(in_time(move || thread.join().unwrap()).packs_deleted, 0);
    check_sound(&pair.remote, &BTreeMap::from([(second, [content, more].concat())]));
}

#[test]
fn a_push_that_is_interrupted_publishes_nothing_more() {
    struct Cancelled(AtomicBool);
    impl Monitor for Cancelled {
        fn count(&self, _: icecore_store::Counter, _: u64) {
            self.0.store(true, Ordering::Relaxed);
        }
        fn is_cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }
    let pair = Pair::new(Crypto::Plain);
    let content = noise(1, 300_000);
    let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
    let transfer =
        Transfer::push(Arc::clone(&pair.local.store), Arc::clone(&pair.remote), transfer_options()).unwrap();
    let plan = transfer.plan(&[id], &Silent).unwrap();
    let error = transfer.carry_out(plan, &Cancelled(AtomicBool::new(false))).unwrap_err();
    assert!(matches!(error, StoreError::Cancelled), "{error:?}");
    assert_eq!((pair.names("snapshots/").len(), pair.names("claims/").len()), (0, 0));
    let packs = pair.names("packs/").len();
    assert!(packs > 0);
    assert_eq!(pair.push(&[id]).packs, (pair.names("packs/").len() - packs) as u64);
    check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
}

/// Two machines push the same and different things, a third one collects, on a place that cannot tell who lives.
#[test]
fn pushers_and_a_collector_at_once() {
    for crypto in BOTH {
        let local = Fixture::memory(crypto);
        let far = FarStorage::new();
        let pair = Pair::between(local, Arc::new(far.clone()));
        let mut expected = nights(&pair.local.store, 3);
        let all = ids(&pair.local.store);
        let other_dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        let other = pair.remote.clone_to(
            Arc::new(icecore_storage::MemoryStorage::new()),
            "other",
            other_dir.path().join("index.redb"),
        );
        let other = Arc::new(other.unwrap());
        let theirs: BTreeMap<_, _> = (0..3)
            .map(|n| {
                let content = [night(0), noise(50 + n, 30_000)].concat();
                (write(&other, "theirs", &[("a", &content)]).id, content)
            })
            .collect();
        pull(&other, &pair.local.store, &all).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let pushers = [(&pair.local.store, "one"), (&other, "two")].map(|(store, machine)| {
                let remote = pair.elsewhere(machine);
                scope.spawn(move || {
                    for _ in 0..3 {
                        for id in ids(store) {
                            push(store, &remote, &[id]).unwrap();
                        }
                    }
                })
            });
            let collector = pair.elsewhere("three");
            let done = &done;
            let collecting = scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    collector.gc(&gc_options(), &Silent).unwrap();
                }
            });
            pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
            done.store(true, Ordering::Relaxed);
            collecting.join().unwrap();
        });
        expected.extend(theirs);
        check_sound(&pair.elsewhere("four"), &expected);
        pair.remote.gc(&gc_options(), &Silent).unwrap();
        check_sound(&pair.elsewhere("five"), &expected);
        assert_eq!(pair.names("claims/"), [""; 0]);
    }
}

/// Names are unique, so that no put needs its condition, as long as nobody collects.
#[test]
fn where_conditions_are_ignored_writers_and_pushers_lose_nothing() {
    for crypto in BOTH {
        let far = FarStorage::ignoring_conditions();
        let pair = Pair::between(Fixture::memory(crypto), Arc::new(far));
        let mut expected = nights(&pair.local.store, 3);
        let all = ids(&pair.local.store);
        std::thread::scope(|scope| {
            for machine in ["one", "two"] {
                let (remote, all) = (pair.elsewhere(machine), &all);
                let store = &pair.local.store;
                scope.spawn(move || push(store, &remote, all).unwrap());
            }
            let direct = pair.elsewhere("three");
            let written = scope.spawn(move || write(&direct, "shop", &[("a", &night(7))]));
            expected.insert(written.join().unwrap().id, night(7));
        });
        pair.local.store.add_label(&all[0], &Label::Tag("x".into())).unwrap();
        assert_eq!(pair.push(&all).labels, 1);
        check_sound(&pair.elsewhere("four"), &expected);
    }
}

/// A store on a place that cannot tell who lives, and the directory of its machine's index.
fn machine(storage: &FarStorage, dir: &std::path::Path) -> Arc<Store> {
    open(Arc::new(storage.clone()) as Arc<dyn Storage>, dir.join("index.redb"))
}

#[test]
fn a_machine_withdraws_the_claims_of_its_own_that_died_and_no_others() {
    let far = FarStorage::new();
    let pair = Pair::between(Fixture::memory(Crypto::Plain), Arc::new(far.clone()));
    let (one, two) = (tempfile::tempdir_in(icecore_testkit::memory()).unwrap(), tempfile::tempdir().unwrap());
    let dying = far.another_machine();
    let dead = begin_with(&machine(&dying, one.path()), "shop", b"x");
    let alive = begin_with(&machine(&far, one.path()), "shop", b"y");
    let elsewhere = begin_with(&machine(&far, two.path()), "shop", b"z");
    dying.die();
    drop(dead);
    assert_eq!(pair.names("claims/").len(), 3);
    // Any writer there will do: also one that is on its way.
    write(&machine(&far, two.path()), "shop", &[("a", b"w")]);
    assert_eq!(pair.names("claims/").len(), 3);
    write(&machine(&far, one.path()), "shop", &[("a", b"v")]);
    assert_eq!(pair.names("claims/").len(), 2);
    alive.commit(|_| ()).unwrap();
    elsewhere.commit(|_| ()).unwrap();
    assert_eq!(pair.names("claims/"), [""; 0]);
    for dir in [one, two] {
        let left: Vec<_> = std::fs::read_dir(dir.path().join("index.claims")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_collector_that_was_given_up_and_moves_again_takes_nothing_that_was_pushed_since() {
    let far = FarStorage::new();
    let pair = Pair::between(Fixture::memory(Crypto::Plain), Arc::new(far.clone()));
    let content = noise(1, 300_000);
    let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
    assert!(pair.push(&[id]).packs > 2);
    pair.remote.delete_snapshot(&find(&pair.remote, id)).unwrap();
    // It stops after the first pack, is given up, and all of it is collected and pushed again.
    let (local, remote, once) =
        (Arc::clone(&pair.local.store), Arc::clone(&pair.remote), std::sync::Once::new());
    let slow = RecordingStorage::watched(far.another_machine(), move |recorded| {
        if recorded.call == Call::Delete && recorded.name.starts_with("packs/") {
            once.call_once(|| {
                remote.gc(&fence_at_once(), &Silent).unwrap();
                assert_eq!(push(&local, &remote, &[id]).unwrap().published, [id]);
            });
        }
    });
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let slow = open(Arc::new(slow) as Arc<dyn Storage>, dir.path().join("index.redb"));
    let error = slow.gc(&gc_options(), &Silent).unwrap_err();
    assert!(matches!(error, StoreError::Fenced), "{error:?}");
    check_sound(&pair.remote, &BTreeMap::from([(id, content)]));
    // What was pushed is not sent again, under whatever name it lies there.
    assert_eq!(pair.push(&[id]).packs, 0);
}

#[test]
fn a_manifest_that_its_dead_writer_had_sent_does_not_arrive_after_its_claim_is_gone() {
    let far = FarStorage::new();
    let pair = Pair::between(Fixture::memory(Crypto::Encrypted), Arc::new(far.clone()));
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let dying = far.another_machine();
    // The storage gets the manifest, and the machine dies before it is put.
    dying.die_at_put_of("snapshots/");
    begin_with(&machine(&dying, dir.path()), "shop", b"x").commit(|_| ()).unwrap_err();
    let late = dying.take_late().unwrap();
    let next = machine(&far, dir.path());
    let kept = write(&next, "shop", &[("a", b"y")]).id;
    pair.remote.gc(&gc_options(), &Silent).unwrap();
    // It arrives now, and finds its place taken.
    far.put(&late.0, &late.1, PutMode::CreateNew).unwrap_err();
    check_sound(&next, &BTreeMap::from([(kept, b"y".to_vec())]));
}

#[test]
fn a_snapshot_whose_writer_died_right_after_it_was_published_stays() {
    for far in [FarStorage::new(), FarStorage::ignoring_conditions()] {
        let _pair = Pair::between(Fixture::memory(Crypto::Plain), Arc::new(far.clone()));
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
        let dying = far.another_machine();
        dying.die_at_put_of("snapshots/");
        begin_with(&machine(&dying, dir.path()), "shop", b"x").commit(|_| ()).unwrap_err();
        let (name, bytes) = dying.take_late().unwrap();
        far.put(&name, &bytes, PutMode::CreateNew).unwrap();
        let next = machine(&far, dir.path());
        write(&next, "shop", &[("a", b"y")]);
        assert_eq!((ids(&next).len(), far.list("claims/").unwrap().len()), (2, 0));
    }
}

#[test]
fn the_marker_that_fenced_a_dead_machine_goes_when_it_comes_back() {
    let far = FarStorage::new();
    let pair = Pair::between(Fixture::memory(Crypto::Encrypted), Arc::new(far.clone()));
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let dying = far.another_machine();
    let dead = begin_with(&machine(&dying, dir.path()), "shop", b"x");
    dying.die();
    drop(dead);
    pair.remote.gc(&fence_at_once(), &Silent).unwrap();
    assert_eq!((pair.names("claims/").len(), pair.names("snapshots/").len()), (1, 1));
    machine(&far, dir.path()).gc(&gc_options(), &Silent).unwrap();
    assert_eq!((pair.names("claims/").len(), pair.names("snapshots/").len()), (0, 0));
}

#[test]
fn of_two_proofs_the_later_one_is_on_both_sides_after_a_push_or_a_pull() {
    let kind = EvidenceKind::Restored;
    for crypto in BOTH {
        for (ours, theirs) in [(Some(1), None), (Some(2), Some(1)), (Some(1), Some(2)), (None, Some(1))] {
            let pair = Pair::new(crypto);
            let id = write(&pair.local.store, "shop", &[("a", &noise(1, 3000))]).id;
            pair.push(&[id]);
            for (store, minute) in [(&pair.local.store, ours), (&pair.remote, theirs)] {
                if let Some(minute) = minute {
                    store.record_evidence(&id, evidence(kind, minute)).unwrap();
                }
            }
            let is_pushed = ours > theirs;
            assert_eq!(pair.push(&[id]).labels, u64::from(is_pushed), "{ours:?} {theirs:?}");
            let pulled = pull(&pair.local.store, &pair.remote, &[id]).unwrap();
            assert_eq!(pulled.labels, u64::from(theirs > ours), "{ours:?} {theirs:?}");
            for store in [&pair.local.store, &pair.remote] {
                let labels = find(store, id).labels;
                assert_eq!(labels.restored(), Some(&evidence(kind, ours.max(theirs).unwrap())));
            }
            assert_eq!(pair.push(&[id]).labels, 0);
        }
    }
}
