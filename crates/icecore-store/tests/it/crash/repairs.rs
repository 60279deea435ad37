//! Repairs of damaged packs.

use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_storage::{MemoryStorage, PutMode, Storage};
use icecore_store::{
    GcOptions, RepairOptions, RepairReport, Result, Silent, Store, Transfer, TransferOptions, VerifyExtent,
};

use super::expected::{Expected, Sender};
use super::site::Site;
use super::{
    Operation, crash_everywhere, every_crash_point, every_crash_point_with_parity, night, prepare_one,
};
use crate::support::{Crypto, find, gc_options, noise};

/// An object to which something was added is not what its name says.
fn add_to(site: &Site, name: &str) {
    let bytes = [&site.storage.get(name).expect("get")[..], b"something added"].concat();
    site.storage.put(name, &bytes, PutMode::Overwrite).expect("put");
}

fn repair(site: &Site) -> Result<RepairReport> {
    let store = site.open()?;
    let plan = store.plan_repair(1, &Silent)?;
    let report = store.repair(&plan, &RepairOptions::default(), 1, &Silent)?;
    assert!(report.broken.is_empty(), "{report:?}");
    Ok(report)
}

fn nothing_is_found(site: &Site) -> bool {
    let store = site.open().expect("open");
    store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify").findings.is_empty()
}

/// A pack to which something was added has all its chunks.
#[test]
fn every_crash_point_of_a_repair() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.damaged = true;
            site.names("packs/").iter().for_each(|name| add_to(site, name));
        }),
        work: |site, _| {
            let report = repair(site)?;
            assert!(report.chunks_lost == 0, "{report:?}");
            Ok(())
        },
        done: nothing_is_found,
    });
}

/// Every other pack is damaged, and the parity of the others.
#[test]
fn every_crash_point_of_a_repair_by_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(|site, store, expected| {
            expected.write(store, &[("a", &noise(1, 150_000))]);
            expected.damaged = true;
            for (name, turn) in site.names("packs/").into_iter().zip(0..) {
                let name = if turn % 2 == 0 { name } else { name.replace("packs/", "parity/") };
                add_to(site, &name);
            }
        }),
        work: |site, _| {
            let report = repair(site)?;
            assert!(report.set_aside.is_empty(), "{report:?}");
            Ok(())
        },
        done: nothing_is_found,
    });
}

fn options() -> TransferOptions {
    TransferOptions { host: "db3".to_owned() }
}

/// Lets the same store elsewhere have what is here.
fn push(store: &Arc<Store>, expected: &mut Expected) -> Arc<Store> {
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).expect("a temporary directory");
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let sender = store.clone_to(storage, "elsewhere", dir.path().join("index.redb")).expect("cloned");
    let sender = Arc::new(sender);
    let ids: Vec<SnapshotId> = expected.snapshots.keys().copied().collect();
    let transfer = Transfer::push(Arc::clone(store), Arc::clone(&sender), options()).expect("the same store");
    transfer.carry_out(transfer.plan(&ids, &Silent).expect("plan"), &Silent).expect("pushed");
    let there = Sender { store: Arc::clone(&sender), snapshots: Vec::new(), _dir: dir };
    expected.sender = Some(Arc::new(there));
    expected.lost = true;
    sender
}

fn repair_from_sender(site: &Site, expected: &mut Expected) -> Result<()> {
    let store = site.open()?;
    let sender = Arc::clone(&expected.sender.as_ref().expect("there is a sender").store);
    let transfer = Transfer::pull(Arc::clone(&store), sender, options())?;
    let plan = store.plan_repair(1, &Silent)?;
    let report = transfer.repair(&plan, &RepairOptions::default(), 1, &Silent)?;
    assert!(report.broken.is_empty() && report.not_fetched.is_empty(), "{report:?}");
    expected.lost = false;
    Ok(())
}

/// The bodies of every other pack are zeros, and one pack is gone.
fn lose_much(site: &Site) {
    let packs = site.names("packs/");
    for name in packs.iter().step_by(2) {
        let mut bytes = site.storage.get(name).expect("get").to_vec();
        let bodies = 64..bytes.len() / 2;
        bytes[bodies].fill(0);
        site.storage.put(name, &bytes, PutMode::Overwrite).expect("put");
    }
    site.storage.delete(packs.last().expect("there are packs")).expect("delete");
}

// Each crash of the next two costs much: they are tried in a store of one kind each.

#[test]
fn every_crash_point_of_a_repair_with_packs_from_elsewhere() {
    let operation = Operation {
        prepare: Some(|site, store, expected| {
            expected.write(store, &[("a", &[night(0), noise(2, 80_000)].concat())]);
            expected.write(store, &[("a", &night(1))]);
            push(store, expected);
            lose_much(site);
        }),
        work: repair_from_sender,
        done: nothing_is_found,
    };
    crash_everywhere(operation, Crypto::Plain, 5);
}

/// Elsewhere everything lies in other packs, and comes out of these.
#[test]
fn every_crash_point_of_a_repair_with_chunks_from_elsewhere() {
    let operation = Operation {
        prepare: Some(|site, store, expected| {
            let other = noise(3, 60_000);
            let gone = expected.write(store, &[("b", &other), ("a", &night(0))]);
            expected.write(store, &[("a", &night(1))]);
            let sender = push(store, expected);
            for store in [&sender, store] {
                store.delete_snapshot(&find(store, gone)).expect("delete");
            }
            expected.snapshots.remove(&gone);
            for _ in 0..2 {
                let options = GcOptions { dead_share_max: 0.0, ..gc_options() };
                sender.gc(&options, &Silent).expect("gc");
            }
            lose_much(site);
        }),
        work: repair_from_sender,
        done: nothing_is_found,
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}
