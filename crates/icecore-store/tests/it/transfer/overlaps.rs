//! What is far away is asked for side by side, and not one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use icecore_storage::{MemoryStorage, Storage};
use icecore_store::{RepairOptions, Silent, Store, Transfer, Unlock};
use icecore_testkit::{Call, Recorded, RecordingStorage};

use super::{Pair, check_sound, ids, nights, pull, push, transfer_options};
use crate::support::{Crypto, Fixture, find, gc_options, noise, write};

/// Enough packs that hold deltas for several hands.
const NIGHTS: usize = 24;

/// How many answers of a kind about packs are under way at a time.
#[derive(Debug, Default)]
struct Traffic {
    now: AtomicUsize,
    most: AtomicUsize,
    asked: AtomicUsize,
}

impl Traffic {
    /// A call takes its time, as over a network.
    fn note(&self, recorded: &Recorded, call: Call) {
        if recorded.call != call || !recorded.name.starts_with("packs/") {
            return;
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.most.store(0, Ordering::Relaxed);
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Many were asked for, and several at a time.
    #[track_caller]
    fn check(&self) {
        let (asked, most) = (self.asked.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed));
        assert!(asked >= NIGHTS, "only {asked} were asked for");
        assert!(most >= 3, "of {asked} at most {most} were under way at a time");
    }
}

/// A far store of which calls of one kind are watched.
fn watched(call: Call) -> (Arc<Traffic>, Pair) {
    let traffic = Arc::new(Traffic::default());
    let watcher = Arc::clone(&traffic);
    let storage = RecordingStorage::watched(MemoryStorage::new(), move |it| watcher.note(it, call));
    (traffic, Pair::between(Fixture::memory(Crypto::Plain), Arc::new(storage)))
}

/// The far store, as the next process on a machine opens it.
fn far(pair: &Pair, machine: &str) -> Arc<Store> {
    let dir = pair.dir.path().join(machine);
    let key = Unlock::Key(pair.local.store.key().clone());
    let storage = Arc::clone(&pair.remote_storage);
    Arc::new(Store::open(storage, "there", dir.join("index.redb"), key).unwrap().far_away())
}

#[test]
fn after_a_collection_elsewhere_a_push_reads_the_tables_of_deltas_side_by_side() {
    let (traffic, pair) = watched(Call::GetRange);
    let gone = write(&pair.local.store, "gone", &[("a", &noise(50, 100_000))]).id;
    nights(&pair.local.store, NIGHTS);
    push(&pair.local.store, &far(&pair, "cache"), &ids(&pair.local.store)).unwrap();
    let collector = far(&pair, "collector");
    collector.delete_snapshot(&find(&collector, gone)).unwrap();
    let packs = pair.names("packs/").len();
    for _ in 0..2 {
        collector.gc(&gc_options(), &Silent).unwrap();
    }
    assert!(pair.names("packs/").len() < packs);
    traffic.forget();
    let new = write(&pair.local.store, "new", &[("a", b"new")]).id;
    push(&pair.local.store, &far(&pair, "cache"), &[new]).unwrap();
    traffic.check();
    // What was found sound is not looked at again.
    traffic.forget();
    let newer = write(&pair.local.store, "new", &[("a", b"newer")]).id;
    push(&pair.local.store, &far(&pair, "cache"), &[newer]).unwrap();
    assert_eq!(traffic.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_pull_reads_the_tables_of_deltas_side_by_side() {
    let (traffic, pair) = watched(Call::GetRange);
    // What is pulled lies in many packs, each of which is coded on another one.
    let files: Vec<Vec<u8>> = (0..NIGHTS as u64)
        .map(|n| {
            let mut file = noise(n, 20_000);
            write(&pair.local.store, "one", &[("a", &file)]);
            file.iter_mut().step_by(3_000).for_each(|byte| *byte ^= 1);
            write(&pair.local.store, "one", &[("a", &file)]);
            file
        })
        .collect();
    let parts: Vec<(&str, &[u8])> = files.iter().map(|file| ("a", file.as_slice())).collect();
    let id = write(&pair.local.store, "all", &parts).id;
    pair.push(&ids(&pair.local.store));
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let joined = Arc::new(pair.remote.clone_to(storage, "here", dir.path().join("index.redb")).unwrap());
    // An earlier process has learnt which packs there are.
    let first = Transfer::pull(Arc::clone(&joined), far(&pair, "joined"), transfer_options()).unwrap();
    first.plan(&[id], &Silent).unwrap();
    traffic.forget();
    pull(&joined, &far(&pair, "joined"), &[id]).unwrap();
    traffic.check();
    check_sound(&joined, &BTreeMap::from([(id, files.concat())]));
}

#[test]
fn a_repair_fetches_packs_side_by_side() {
    let (traffic, pair) = watched(Call::Get);
    let expected = nights(&pair.local.store, NIGHTS);
    pair.push(&ids(&pair.local.store));
    for pack in pair.local.names("packs/") {
        pair.local.tamper(&pack, |bytes| bytes.fill(0));
    }
    let plan = pair.local.reopen().plan_repair(1, &Silent).unwrap();
    traffic.forget();
    let way = Transfer::pull(pair.local.reopen(), far(&pair, "cache"), transfer_options()).unwrap();
    let done = way.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
    assert!(done.fetched == pair.names("packs/").len() as u64 && done.broken.is_empty(), "{done:?}");
    traffic.check();
    check_sound(&pair.local.reopen(), &expected);
}
