//! What is damaged or missing takes nothing with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::{TreeNode, names};
use icecore_storage::PutMode;
use icecore_store::{Monitor, RepairOptions, Silent, StoreError};

use super::{delete, gc};
use crate::support::{Crypto, Fixture, find, gc_options, noise, read, write};

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
