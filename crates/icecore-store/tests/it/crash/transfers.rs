//! Snapshots and whole stores that come from elsewhere.

use std::sync::{Arc, OnceLock};

use icecore_format::{Label, SnapshotId};
use icecore_storage::{MemoryStorage, Storage};
use icecore_store::{Result, Silent, Store, Transfer, TransferOptions};

use super::expected::{Expected, Sender};
use super::site::Site;
use super::{Operation, every_crash_point, every_crash_point_with_parity, night, nothing_more};
use crate::support::{Crypto, Fixture, noise, options, write};

/// A store of the same id with these snapshots, from which they come.
fn sender(store: &Arc<Store>, expected: &mut Expected, contents: &[Vec<u8>]) {
    let dir = tempfile::tempdir_in(icecore_testkit::memory()).expect("a temporary directory");
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let sender = store.clone_to(storage, "elsewhere", dir.path().join("index.redb")).expect("cloned");
    let sender = Arc::new(sender);
    let mut snapshots = Vec::new();
    for content in contents {
        let id = write(&sender, "shop", &[("a", content)]).id;
        sender.add_label(&id, &Label::Tag("kept".into())).expect("tag");
        snapshots.push((id, content.clone()));
    }
    expected.sender = Some(Arc::new(Sender { store: sender, snapshots, _dir: dir }));
}

fn receive(site: &Site, expected: &mut Expected, is_push: bool) -> Result<()> {
    let sender = Arc::clone(expected.sender.as_ref().expect("there is a sender"));
    let options = TransferOptions { host: "db3".to_owned() };
    let receiver = site.open()?;
    for (id, content) in &sender.snapshots {
        expected.newborn.insert(content.clone());
        expected.open_tags.insert((*id, "kept".to_owned()));
    }
    let transfer = match is_push {
        true => Transfer::push(Arc::clone(&sender.store), receiver, options)?,
        false => Transfer::pull(receiver, Arc::clone(&sender.store), options)?,
    };
    let ids: Vec<SnapshotId> = sender.snapshots.iter().map(|(id, _)| *id).collect();
    let sent = transfer.carry_out(transfer.plan(&ids, &Silent)?, &Silent)?;
    assert!(sent.failed.is_empty(), "{sent:?}");
    expected.snapshots.extend(sender.snapshots.iter().cloned());
    for (id, _) in &sender.snapshots {
        expected.open_tags.remove(&(*id, "kept".to_owned()));
        expected.tags.insert((*id, "kept".to_owned()));
    }
    expected.stored = Some(sent.bytes);
    Ok(())
}

fn two_packs_and_a_night(_: &Site, store: &Arc<Store>, expected: &mut Expected) {
    sender(store, expected, &[[night(0), noise(2, 80_000)].concat(), night(1)]);
}

#[test]
fn every_crash_point_of_a_push() {
    every_crash_point(Operation {
        prepare: Some(two_packs_and_a_night),
        work: |site, expected| receive(site, expected, true),
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_pull_into_a_store_with_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(|site, store, expected| {
            expected.write(store, &[("a", &night(0))]);
            two_packs_and_a_night(site, store, expected);
        }),
        work: |site, expected| receive(site, expected, false),
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_push_of_some_of_what_packs_hold() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let all: Vec<u8> = (0..6).flat_map(|n| noise(n, 24_000)).collect();
            let some: Vec<u8> = [noise(1, 24_000), noise(4, 24_000)].concat();
            sender(store, expected, &[all, some]);
            // Only the second one is sent.
            let sender = expected.sender.as_mut().and_then(Arc::get_mut).expect("there is a sender");
            sender.snapshots.remove(0);
        }),
        work: |site, expected| receive(site, expected, true),
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_clone() {
    fn original(crypto: Crypto) -> &'static Fixture {
        static ORIGINALS: [OnceLock<Fixture>; 2] = [OnceLock::new(), OnceLock::new()];
        let [plain, encrypted] = &ORIGINALS;
        let slot = if crypto == Crypto::Plain { plain } else { encrypted };
        slot.get_or_init(|| Fixture::new(Arc::new(MemoryStorage::new()), &options(crypto)))
    }
    every_crash_point(Operation {
        prepare: None,
        work: |site, _| {
            original(site.crypto)
                .store
                .clone_to(Arc::clone(&site.storage), "here", site.index_path())
                .map(drop)
        },
        done: |site| site.open().is_ok_and(|store| store.config() == original(site.crypto).store.config()),
    });
}
