//! What came later, without what is where it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_storage::{MemoryStorage, Storage};
use icecore_store::{GcOptions, Sent, Silent, Snapshot, Store, StoreError, Transfer, TransferPlan};
use tempfile::TempDir;

use super::{Pair, check_sound, ids, night, nights, push, transfer_options};
use crate::support::{BOTH, Crypto, find, gc_options, noise, read, write};

/// What was left on the way, for someone to take along.
struct Carried {
    storage: Arc<dyn Storage>,
    dir: TempDir,
}

impl Carried {
    /// These snapshots without what `earlier` ones need.
    fn of(store: &Arc<Store>, later: &[SnapshotId], earlier: &[SnapshotId]) -> (Self, Sent) {
        let (storage, dir) =
            (Arc::new(MemoryStorage::new()) as Arc<dyn Storage>, tempfile::tempdir().unwrap());
        let made = store.clone_to(Arc::clone(&storage), "way", dir.path().join("way.redb")).unwrap();
        let earlier: Vec<Snapshot> = earlier.iter().map(|id| find(store, *id)).collect();
        let way = Transfer::push(Arc::clone(store), Arc::new(made), transfer_options()).unwrap();
        let way = way.without(&earlier, &Silent).unwrap();
        let sent = way.carry_out(way.plan(later, &Silent).unwrap(), &Silent).unwrap();
        assert_eq!(sent.published.len(), later.len());
        (Self { storage, dir }, sent)
    }

    fn open(&self, store: &Arc<Store>) -> Arc<Store> {
        let index = self.dir.path().join("arrived.redb");
        let opened = store.clone_to(Arc::clone(&self.storage), "way", index).unwrap();
        Arc::new(opened.beside(Arc::clone(store)))
    }

    fn way_to(&self, store: &Arc<Store>) -> (Transfer, TransferPlan) {
        let opened = self.open(store);
        let ids = ids(&opened);
        let way = Transfer::pull(Arc::clone(store), opened, transfer_options()).unwrap();
        let plan = way.plan(&ids, &Silent).unwrap();
        (way, plan)
    }

    fn bring(&self, store: &Arc<Store>) -> Sent {
        let (way, plan) = self.way_to(store);
        assert!(plan.damaged.is_empty(), "{:?}", plan.damaged);
        let sent = way.carry_out(plan, &Silent).unwrap();
        assert!(sent.failed.is_empty(), "{:?}", sent.failed);
        sent
    }
}

/// All nights so far, oldest first.
fn in_order(store: &Store) -> Vec<SnapshotId> {
    let mut ids = ids(store);
    ids.reverse();
    ids
}

#[test]
fn each_step_brings_what_the_one_before_did_not() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let expected = nights(&pair.local.store, 7);
        let ids = in_order(&pair.local.store);
        let whole = push(&pair.local.store, &pair.remote, &ids[..1]).unwrap();
        for step in [1..3, 3..4, 4..7] {
            let (carried, sent) = Carried::of(&pair.local.store, &ids[step.clone()], &ids[..step.start]);
            assert!(sent.bytes < whole.bytes / 2 * step.len() as u64, "{} of {}", sent.bytes, whole.bytes);
            carried.bring(&pair.remote);
        }
        check_sound(&pair.remote, &expected);
        assert_eq!(pair.names("packs/"), pair.local.names("packs/"));
    }
}

#[test]
fn what_came_before_may_be_deleted_and_collected_on_both_sides() {
    let pair = Pair::new(Crypto::Plain);
    let mut expected = nights(&pair.local.store, 4);
    let ids = in_order(&pair.local.store);
    push(&pair.local.store, &pair.remote, &ids).unwrap();
    for (store, gone) in [(&pair.local.store, &ids[..2]), (&pair.remote, &ids[..3])] {
        for id in gone {
            store.delete_snapshot(&find(store, *id)).unwrap();
        }
        for _ in 0..3 {
            store.gc(&gc_options(), &Silent).unwrap();
        }
    }
    let id = write(&pair.local.store, "shop", &[("a", &night(4))]).id;
    let (carried, _) = Carried::of(&pair.local.store, &[id], &ids[2..]);
    carried.bring(&pair.remote);
    expected.insert(id, night(4));
    expected.retain(|id, _| !ids[..3].contains(id));
    check_sound(&pair.remote, &expected);
}

#[test]
fn some_of_a_pack_is_copied_although_what_it_is_coded_on_is_not_there() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let first = write(&pair.local.store, "shop", &[("a", &night(0))]).id;
        push(&pair.local.store, &pair.remote, &[first]).unwrap();
        let second = write(&pair.local.store, "shop", &[("a", &night(1))]).id;
        let (carried, _) = Carried::of(&pair.local.store, &[second], &[first]);
        // Most of it came another way.
        let most = &night(1)[..45_000];
        let own = write(&pair.remote, "own", &[("a", most)]).id;
        let before = pair.names("packs/");
        carried.bring(&pair.remote);
        let expected = [(first, night(0)), (second, night(1)), (own, most.to_vec())];
        check_sound(&pair.remote, &BTreeMap::from(expected));
        let new: Vec<String> = pair.names("packs/").into_iter().filter(|it| !before.contains(it)).collect();
        assert!(
            !new.is_empty() && new.iter().any(|name| !pair.local.names("packs/").contains(name)),
            "{new:?}"
        );
    }
}

#[test]
fn without_what_came_before_nothing_can_be_planned() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        nights(&pair.local.store, 3);
        let ids = in_order(&pair.local.store);
        push(&pair.local.store, &pair.remote, &ids[..1]).unwrap();
        let before = pair.names("");
        let (carried, _) = Carried::of(&pair.local.store, &ids[2..], &ids[..2]);
        let (_, plan) = carried.way_to(&pair.remote);
        let missing =
            |(_, error): &(SnapshotId, StoreError)| matches!(error, StoreError::ChunkMissing { .. });
        assert!(plan.damaged.len() == 1 && plan.damaged.iter().all(missing), "{:?}", plan.damaged);
        assert_eq!(pair.names(""), before);
    }
}

/// Only its own index was asked again: what a collection there had moved was not found.
#[test]
fn what_lies_beside_is_looked_for_again_after_a_collection_there() {
    let pair = Pair::new(Crypto::Plain);
    let expected = nights(&pair.local.store, 4);
    let ids = in_order(&pair.local.store);
    push(&pair.local.store, &pair.remote, &ids[..3]).unwrap();
    let (carried, _) = Carried::of(&pair.local.store, &ids[3..], &ids[..3]);
    let opened = carried.open(&pair.remote);
    let before = pair.names("packs/");
    let elsewhere = pair.elsewhere("collector");
    elsewhere.gc(&GcOptions { depth_max: 1, ..gc_options() }, &Silent).unwrap();
    let after = pair.names("packs/");
    assert!(before.iter().any(|pack| !after.contains(pack)), "something was moved");
    assert_eq!(read(&opened, ids[3]).unwrap(), expected[&ids[3]]);
}

/// An old pack that nothing later needs, and that could not be read, kept all that came later from being carried.
#[test]
fn an_old_pack_that_cannot_be_read_keeps_nothing_else_from_going() {
    let pair = Pair::new(Crypto::Plain);
    let local = &pair.local;
    let expected = nights(&local.store, 2);
    let known = local.names("packs/");
    let other = write(&local.store, "other", &[("b", &noise(9, 60_000))]).id;
    let mut changed = noise(9, 60_000);
    changed[30_000] ^= 1;
    let coded = write(&local.store, "other", &[("b", &changed)]).id;
    let packs: Vec<String> = local.names("packs/").into_iter().filter(|name| !known.contains(name)).collect();
    let id = write(&local.store, "shop", &[("a", &night(2))]).id;
    let earlier: Vec<SnapshotId> = expected.keys().copied().chain([other, coded]).collect();
    push(&local.store, &pair.remote, &earlier).unwrap();
    for pack in packs {
        local.tamper(&pack, |bytes| bytes.truncate(bytes.len() / 2));
    }
    let reopened = local.reopen();
    let (carried, _) = Carried::of(&reopened, &[id], &earlier);
    carried.bring(&pair.remote);
    assert_eq!(read(&pair.remote, id).unwrap(), night(2));
}
