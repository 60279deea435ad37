//! What no snapshot reaches goes; everything else stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use icecore_format::{Claim, Condemned, Epoch, Label, Manifest, SnapshotId, TreeNode, names};
use icecore_storage::PutMode;
use icecore_store::{
    FencePolicy, GcOptions, GcReport, Monitor, RepairOptions, Silent, SnapshotReader, Store, StoreError,
    VerifyExtent,
};

use crate::support::{
    BOTH, Crypto, Fixture, begin, begin_with, check_all, find, gc_options, in_time, noise, read, restore,
    write,
};

fn gc(store: &Arc<Store>) -> GcReport {
    store.gc(&gc_options(), &Silent).unwrap()
}

fn delete(store: &Store, id: SnapshotId) {
    store.delete_snapshot(&find(store, id)).unwrap();
}

#[test]
fn a_collection_removes_exactly_what_is_unreachable() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let store = &fixture.store;
        let mut expected = BTreeMap::new();
        let mut ids = Vec::new();
        for seed in 0..6 {
            let content = [noise(100, 100_000), noise(seed, 200_000)].concat();
            ids.push(write(store, "shop", &[("a", &content)]).id);
            expected.insert(ids[ids.len() - 1], content);
        }
        assert!(store.plan_gc(&gc_options(), &Silent).unwrap().drop.is_empty());
        for id in &ids[1..4] {
            delete(store, *id);
            expected.remove(id);
        }
        let before = fixture.stored_bytes();
        let plan = store.plan_gc(&gc_options(), &Silent).unwrap();
        assert_eq!(plan, store.plan_gc(&gc_options(), &Silent).unwrap());
        let report = gc(store);
        let after = fixture.stored_bytes();
        assert_eq!(report.packs_deleted, (plan.drop.len() + plan.rewrite.len()) as u64);
        assert_eq!(report.packs_rewritten, plan.rewrite.len() as u64);
        assert_eq!(report.bytes_freed, before - after);
        assert_eq!(report.bytes_kept, after);
        // 100 KB shared and three times 200 KB stay, and few of the dead.
        assert!(after < 900_000, "{after}");
        assert!(before - after > 500_000);
        check_all(store, &expected);
        check_all(&fixture.another_process(), &expected);

        let idle = gc(store);
        assert_eq!((idle.packs_deleted, idle.packs_rewritten, idle.bytes_freed), (0, 0, 0));
        assert_eq!(idle.bytes_kept, after);

        for id in ids.iter().filter(|id| expected.contains_key(id)) {
            delete(store, *id);
        }
        assert_eq!(gc(store).bytes_freed, after);
        for prefix in ["packs/", "condemned/", "claims/"] {
            assert_eq!(fixture.names(prefix), [""; 0]);
        }
    }
}

#[test]
fn half_dead_packs_are_rewritten() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let store = &fixture.store;
        // Each pack gets chunks of both: the writer's queue is filled file by file.
        let files: Vec<Vec<u8>> = (0..60).map(|n| noise(n, 8_000)).collect();
        let all: Vec<(&str, &[u8])> = files.iter().map(|file| ("f", file.as_slice())).collect();
        let some: Vec<(&str, &[u8])> = all.iter().copied().step_by(3).collect();
        let first = write(store, "all", &all).id;
        let second = write(store, "some", &some);
        assert_eq!(second.info.new_chunks, 0);
        delete(store, first);
        let report = gc(store);
        assert!(report.packs_rewritten > 3, "{report:?}");
        assert!(report.bytes_freed > 250_000, "{report:?}");
        let content: Vec<u8> = some.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        check_all(store, &BTreeMap::from([(second.id, content)]));
        assert_eq!(gc(store).packs_deleted, 0);
        let verified = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    }
}

#[test]
fn many_small_packs_become_few() {
    let fixture = Fixture::memory(Crypto::Plain);
    let mut expected = BTreeMap::new();
    for seed in 0..40 {
        let content = noise(seed, 3000);
        expected.insert(write(&fixture.store, "small", &[("a", &content)]).id, content);
    }
    assert_eq!(fixture.names("packs/").len(), 40);
    gc(&fixture.store);
    assert!(fixture.names("packs/").len() <= 2);
    check_all(&fixture.reopen(), &expected);
    assert_eq!(gc(&fixture.store).packs_deleted, 0);
}

#[test]
fn a_missing_chunk_harms_its_snapshot_and_stops_no_collection() {
    let fixture = Fixture::memory(Crypto::Plain);
    let gone = write(&fixture.store, "gone", &[("a", &noise(1, 100_000))]).id;
    let victim = write(&fixture.store, "victim", &[("a", &noise(2, 100_000))]).id;
    let whole = write(&fixture.store, "whole", &[("a", &noise(3, 1_000))]).id;
    let lost = noise(2, 100_000);
    delete(&fixture.store, gone);
    // The pack that holds the victim's first chunk.
    let plan = fixture.store.plan_gc(&gc_options(), &Silent).unwrap();
    let kept = plan.keep.iter().max_by_key(|pack| pack.len).unwrap();
    fixture.storage.delete(&names::pack(&kept.id)).unwrap();
    for store in [Arc::clone(&fixture.store), fixture.reopen()] {
        let report = gc(&store);
        assert_eq!(report.harmed, BTreeSet::from([victim]));
        assert_eq!(read(&store, whole).unwrap(), noise(3, 1_000));
        assert!(matches!(read(&store, victim), Err(StoreError::ChunkMissing { .. })));
    }
    // What is missing heals when it comes again.
    write(&fixture.store, "again", &[("a", &lost)]);
    assert_eq!(read(&fixture.store, victim).unwrap(), lost);
    assert!(gc(&fixture.store).harmed.is_empty());
}

/// What hangs below a lost node is unknown.
#[test]
fn nothing_is_deleted_when_a_tree_node_is_missing() {
    let fixture = Fixture::memory(Crypto::Plain);
    let gone = write(&fixture.store, "gone", &[("a", &noise(1, 100_000))]).id;
    // Tree nodes lie in the last pack of their writer.
    let before = fixture.names("packs/");
    let victim = write(&fixture.store, "victim", &[("a", &noise(2, 3_000_000))]).id;
    assert!(matches!(find(&fixture.store, victim).manifest.content.root, TreeNode::Inner { .. }));
    delete(&fixture.store, gone);
    let store = fixture.reopen();
    let fresh: Vec<_> = fixture.names("packs/").into_iter().filter(|name| !before.contains(name)).collect();
    let with_node = fresh.iter().find(|name| {
        let bytes = fixture.storage.get(name).unwrap();
        fixture.storage.delete(name).unwrap();
        let hidden = matches!(store.plan_gc(&gc_options(), &Silent), Err(StoreError::Unresolved { .. }));
        if !hidden {
            fixture.storage.put(name, &bytes, PutMode::CreateNew).unwrap();
        }
        hidden
    });
    assert!(with_node.is_some());
    let left = fixture.names("packs/");
    for store in [Arc::clone(&fixture.store), fixture.reopen()] {
        let error = store.gc(&gc_options(), &Silent).unwrap_err();
        let StoreError::Unresolved { snapshots, .. } = &error else { panic!("{error}") };
        assert_eq!(*snapshots, victim.to_string()[..8]);
        assert_eq!(fixture.names("packs/"), left);
    }
    // The way out: the damaged snapshot is given up.
    delete(&fixture.store, victim);
    gc(&fixture.store);
    assert_eq!(fixture.names("packs/"), [""; 0]);
}

/// What could not be copied must not go.
#[test]
fn a_half_dead_pack_that_cannot_be_read_stays() {
    let fixture = Fixture::memory(Crypto::Plain);
    let kept = noise(1, 20_000);
    let both = write(&fixture.store, "both", &[("a", &kept), ("b", &noise(3, 40_000))]).id;
    let one = write(&fixture.store, "one", &[("a", &kept)]).id;
    delete(&fixture.store, both);
    let plan = fixture.store.plan_gc(&gc_options(), &Silent).unwrap();
    let [pack] = plan.rewrite.as_slice() else { panic!("{plan:?}") };
    let name = names::pack(&pack.id);
    fixture.tamper(&name, |bytes| bytes[200] ^= 1);
    let store = fixture.reopen();
    let report = gc(&store);
    assert_eq!(report.packs_damaged, [pack.id]);
    assert!(fixture.names("packs/").contains(&name));
    assert!(matches!(read(&store, one), Err(StoreError::ChunkDamaged { .. })));
    // The damage undone, nothing was lost.
    fixture.tamper(&name, |bytes| bytes[200] ^= 1);
    assert_eq!(read(&fixture.reopen(), one).unwrap(), kept);
}

#[test]
fn nothing_is_deleted_when_a_manifest_is_damaged() {
    let fixture = Fixture::memory(Crypto::Plain);
    let gone = write(&fixture.store, "gone", &[("a", &noise(1, 50_000))]).id;
    write(&fixture.store, "victim", &[("a", &noise(2, 50_000))]);
    delete(&fixture.store, gone);
    let [name] = fixture.names("snapshots/").try_into().unwrap();
    fixture.tamper(&name, |bytes| bytes[100] ^= 1);
    let packs = fixture.names("packs/");
    let error = fixture.store.gc(&gc_options(), &Silent).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { object, .. } if *object == name), "{error}");
    assert_eq!(fixture.names("packs/"), packs);
}

#[test]
fn an_index_that_lies_makes_gc_delete_nothing_that_is_live() {
    let fixture = Fixture::local(Crypto::Plain);
    let mut expected = BTreeMap::new();
    let mut ids = Vec::new();
    for seed in 0..4 {
        let content = noise(seed, 150_000);
        ids.push(write(&fixture.store, "shop", &[("a", &content)]).id);
        expected.insert(ids[ids.len() - 1], content);
    }
    let good = std::fs::read(fixture.index_path()).unwrap();
    delete(&fixture.store, ids[0]);
    expected.remove(&ids[0]);
    // One place more or less in the values and keys: no checksum is looked at when redb reads.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..40 {
        let mut bytes = good.clone();
        for _ in 0..40 {
            let at = random.usize(4096..bytes.len());
            if bytes[at] != 0 {
                bytes[at] = bytes[at].wrapping_add(1);
            }
        }
        std::fs::write(fixture.index_path(), bytes).unwrap();
        let store = fixture.another_process();
        let _ = in_time(move || store.gc(&gc_options(), &Silent));
        check_all(&fixture.another_process(), &expected);
    }
}

/// Publishes something when the collection looks at it for the `at`-th time, and takes its index away then and the next times.
struct Robbed<F> {
    at: usize,
    looks: std::sync::atomic::AtomicUsize,
    index: std::path::PathBuf,
    publish: F,
}

impl<F: Fn() + Send + Sync> Monitor for Robbed<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {}
    fn is_cancelled(&self) -> bool {
        let look = self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if look == self.at {
            (self.publish)();
        }
        if (self.at..self.at + 8).contains(&look) {
            std::fs::remove_file(&self.index).unwrap();
        }
        false
    }
}

#[test]
fn an_index_that_others_make_anew_makes_gc_delete_nothing_that_is_live() {
    for at in 0..12 {
        let fixture = Fixture::local(Crypto::Plain);
        let mut expected = BTreeMap::new();
        for seed in 0..3 {
            let content = noise(seed, 100_000);
            expected.insert(write(&fixture.store, "kept", &[("a", &content)]).id, content);
        }
        let dead = noise(9, 150_000);
        let id = write(&fixture.store, "dead", &[("a", &dead)]).id;
        delete(&fixture.store, id);
        let other = fixture.another_process();
        let published = std::sync::Mutex::new(None);
        let robbed = Robbed {
            at,
            looks: std::sync::atomic::AtomicUsize::new(0),
            index: fixture.index_path(),
            publish: || *published.lock().unwrap() = Some(write(&other, "new", &[("a", &dead)]).id),
        };
        let report = fixture.store.gc(&gc_options(), &robbed).unwrap();
        assert!(report.harmed.is_empty(), "{at}: {report:?}");
        let published = published.lock().unwrap().take();
        expected.extend(published.map(|id| (id, dead.clone())));
        check_all(&fixture.another_process(), &expected);
    }
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
fn gc_waits_for_a_writer_that_was_there_first() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let dead = noise(1, 150_000);
        let id = write(&fixture.store, "old", &[("a", &dead)]).id;
        delete(&fixture.store, id);
        // It refers to chunks that no published snapshot reaches.
        let writer = begin_with(&fixture.store, "new", &dead);
        let other = fixture.another_process();
        let collector = std::thread::spawn(move || gc(&other));
        std::thread::sleep(Duration::from_millis(150));
        assert!(!collector.is_finished());
        let written = writer.commit(|_| ()).unwrap();
        assert_eq!(written.info.new_chunks, 0);
        let report = in_time(move || collector.join().unwrap());
        assert_eq!(report.packs_deleted, 0);
        check_all(&fixture.store, &BTreeMap::from([(written.id, dead)]));
    }
}

/// A list that came after this collection had begun is unknown to writers that register before it came.
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
    let other = fixture.another_process();
    let collector = std::thread::spawn(move || gc(&other));
    std::thread::sleep(Duration::from_millis(150));
    assert!(!collector.is_finished());
    let written = writer.commit(|_| ()).unwrap();
    in_time(move || collector.join().unwrap());
    check_all(&fixture.store, &BTreeMap::from([(written.id, dead)]));
}

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
    let collector = std::thread::spawn(move || gc(&other));
    while fixture.storage.get(names::EPOCH).unwrap() == epoch {
        std::thread::yield_now();
    }
    // Registered after the collection began, and refers to what is dead.
    let writer = begin_with(&fixture.store, "new", &dead);
    let name = names::condemned(0);
    let list = Condemned { packs: doomed }.encode(&name);
    fixture.storage.put(&name, &list, PutMode::CreateNew).unwrap();
    // Its blocks are looked up while it waits for more.
    std::thread::sleep(Duration::from_millis(500));
    drop(first);
    in_time(move || collector.join().unwrap());
    let written = writer.commit(|_| ()).unwrap();
    check_all(&fixture.reopen(), &BTreeMap::from([(written.id, dead)]));
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
    let other = fixture.another_process();
    let collector = std::thread::spawn(move || gc(&other));
    std::thread::sleep(Duration::from_millis(150));
    assert!(!collector.is_finished());
    let written = writer.commit(|_| ()).unwrap();
    in_time(move || collector.join().unwrap());
    check_all(&fixture.reopen(), &BTreeMap::from([(written.id, dead)]));
}

/// What is missing when it is looked for may come back before the packs are counted: then it is no pack that nobody needs.
#[test]
fn a_pack_that_comes_back_while_gc_marks_is_kept() {
    let fixture = Fixture::local(Crypto::Plain);
    let bytes = noise(2, 6_000);
    let others: Vec<_> =
        (10..14).map(|n| write(&fixture.store, "other", &[("a", &noise(n, 2000))]).id).collect();
    let before = fixture.names("packs/");
    let victim = write(&fixture.store, "victim", &[("a", &bytes)]).id;
    let fresh: Vec<_> = fixture.names("packs/").into_iter().filter(|name| !before.contains(name)).collect();
    let saved: Vec<_> = fresh.iter().map(|name| (name.clone(), fixture.storage.get(name).unwrap())).collect();
    fresh.iter().for_each(|name| fixture.storage.delete(name).unwrap());
    // The marking is done twice, for the index is doubted once.
    for after in 1..=3 * (others.len() + 1) {
        let (storage, store, saved) =
            (Arc::clone(&fixture.storage), fixture.another_process(), saved.clone());
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let is_back = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let back = Arc::clone(&is_back);
        let bring_back = Asked(move || {
            if calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == after {
                back.store(true, std::sync::atomic::Ordering::Relaxed);
                for (name, bytes) in &saved {
                    drop(storage.put(name, bytes, PutMode::CreateNew));
                }
                store.stats().unwrap();
            }
        });
        fixture.another_process().gc(&gc_options(), &bring_back).unwrap();
        if is_back.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(read(&fixture.reopen(), victim).unwrap(), bytes, "after {after} calls");
        }
        for name in &fresh {
            drop(fixture.storage.delete(name));
        }
        fixture.another_process().stats().unwrap();
    }
}

/// Two copies, of which the index prefers the one that has rotten: the other must not go as its duplicate.
#[test]
fn the_only_copy_that_can_be_read_is_kept() {
    let fixture = Fixture::local(Crypto::Plain);
    let bytes = noise(1, 30_000);
    let one = write(&fixture.store, "one", &[("a", &bytes)]);
    // As two machines would, that do not know of each other.
    let ours: Vec<_> = fixture
        .names("packs/")
        .into_iter()
        .map(|name| (name.clone(), fixture.storage.get(&name).unwrap()))
        .collect();
    ours.iter().for_each(|(name, _)| fixture.storage.delete(name).unwrap());
    write(&fixture.another_process(), "two", &[("a", &bytes)]);
    for (name, bytes) in &ours {
        fixture.storage.put(name, bytes, PutMode::CreateNew).unwrap();
    }
    // Whichever the index points at is the one that rots.
    let plan = fixture.another_process().plan_gc(&gc_options(), &Silent).unwrap();
    let live = plan.keep.iter().chain(&plan.rewrite).max_by_key(|pack| pack.live).unwrap();
    fixture.tamper(&names::pack(&live.id), |bytes| bytes[200] ^= 1);
    gc(&fixture.another_process());
    assert!(fixture.names("packs/").len() >= 2, "{:?}", fixture.names("packs/"));
    // With the rotten one set aside, the other is found.
    let store = fixture.another_process();
    let plan = store.plan_repair(1, &Silent).unwrap();
    store.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
    assert_eq!(read(&fixture.another_process(), one.id).unwrap(), bytes);
}

/// Does something whenever a collection asks whether to stop.
struct Asked<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Monitor for Asked<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {}

    fn is_cancelled(&self) -> bool {
        (self.0)();
        false
    }
}

/// Starts something when a collection first tells that its plan is made: it is asked whether it is cancelled while it marks.
struct During<F: Fn() + Send + Sync>(std::sync::Once, F);

impl<F: Fn() + Send + Sync> Monitor for During<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.call_once(&self.1);
        false
    }
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
fn a_fenced_writer_is_told_and_can_run_again() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let content = noise(1, 3 << 20);
        let writer = begin_with(&fixture.store, "slow", &content);
        let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(2) };
        let options = GcOptions { fence, ..GcOptions::default() };
        fixture.another_process().gc(&options, &Silent).unwrap();
        assert!(matches!(writer.commit(|_| ()), Err(StoreError::Fenced)));
        // The marker has served.
        assert_eq!(fixture.names("snapshots/"), [""; 0]);
        check_all(&fixture.store, &BTreeMap::new());
        let written = write(&fixture.store, "slow", &[("a", &content)]);
        check_all(&fixture.store, &BTreeMap::from([(written.id, content)]));
        gc(&fixture.store);
        assert_eq!(fixture.names("claims/"), [""; 0]);
    }
}

#[test]
fn the_marker_of_a_fenced_writer_stays_while_it_may_publish_and_goes_when_it_is_dead() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(2) };
    let options = GcOptions { fence, ..GcOptions::default() };
    let writer = begin_with(&fixture.store, "slow", b"x");
    for _ in 0..2 {
        fixture.reopen().gc(&options, &Silent).unwrap();
        assert_eq!((fixture.names("claims/").len(), fixture.names("snapshots/").len()), (1, 1));
    }
    let [claim] = fixture.names("claims/").try_into().unwrap();
    let ([marker], bytes) =
        (fixture.names("snapshots/").try_into().unwrap(), fixture.storage.get(&claim).unwrap());
    let marker_bytes = fixture.storage.get(&marker).unwrap();
    drop(writer);
    assert_eq!((fixture.names("claims/").len(), fixture.names("snapshots/").len()), (0, 0));
    // As a killed process leaves them.
    fixture.storage.put(&claim, &bytes, PutMode::CreateNew).unwrap();
    fixture.storage.put(&marker, &marker_bytes, PutMode::CreateNew).unwrap();
    gc(&fixture.store);
    assert_eq!((fixture.names("claims/").len(), fixture.names("snapshots/").len()), (0, 0));
}

/// A writer that ends just before it is fenced takes its claim with it, and finds no marker yet.
#[test]
fn a_marker_whose_writer_is_gone_is_removed() {
    let fixture = Fixture::memory(Crypto::Encrypted);
    let name = names::snapshot("01hzzzzzzzzzzzzzzzzzzzzzzz");
    let marker = Manifest::encode_fence(&name, fixture.store.key(), &[7; 32]);
    fixture.storage.put(&name, &marker, PutMode::CreateNew).unwrap();
    gc(&fixture.store);
    assert_eq!(fixture.names("snapshots/"), [""; 0]);
}

#[test]
fn the_claim_of_a_dead_writer_is_cleared() {
    for fixture in [Fixture::memory(Crypto::Plain), Fixture::local(Crypto::Plain)] {
        let name = names::claim("01hzzzzzzzzzzzzzzzzzzzzzzz");
        let claim = Claim { epoch: Epoch(0), heartbeat: 0, holder: "create shop on db3".into() };
        // Put, not held: as a killed process leaves it.
        fixture.storage.put(&name, &claim.encode(&name), PutMode::CreateNew).unwrap();
        let garbage = names::claim("01hzzzzzzzzzzzzzzzzzzzzzz0");
        fixture.storage.put(&garbage, b"torn", PutMode::CreateNew).unwrap();
        let store = Arc::clone(&fixture.store);
        in_time(move || gc(&store));
        assert_eq!(fixture.names("claims/"), [""; 0]);
    }
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

#[test]
fn labels_without_a_snapshot_are_removed() {
    let fixture = Fixture::memory(Crypto::Plain);
    let (gone, kept) =
        (write(&fixture.store, "a", &[("a", b"1")]).id, write(&fixture.store, "a", &[("a", b"2")]).id);
    for id in [gone, kept] {
        fixture.store.add_label(&id, &Label::Tag("t".into())).unwrap();
    }
    let object = find(&fixture.store, gone).object;
    fixture.storage.delete(&object).unwrap();
    gc(&fixture.store);
    assert_eq!(fixture.names("labels/").len(), 1);
    assert!(find(&fixture.store, kept).labels.tags.contains("t"));
    assert_eq!(read(&fixture.store, kept).unwrap(), b"2");
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

#[test]
fn a_second_collector_is_told_that_one_runs() {
    let fixture = Fixture::local(Crypto::Plain);
    write(&fixture.store, "kept", &[("a", b"x")]);
    let other = fixture.another_process();
    let seen = Arc::new(std::sync::Mutex::new(None));
    let note = Arc::clone(&seen);
    let during = During(std::sync::Once::new(), move || {
        *note.lock().unwrap() = Some(other.gc(&gc_options(), &Silent));
    });
    fixture.store.gc(&gc_options(), &during).unwrap();
    assert!(matches!(seen.lock().unwrap().take(), Some(Err(StoreError::Busy { .. }))));
    gc(&fixture.store);
}
