//! What was found to be there, or gone, after a process died is so when the machine dies too.

use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{Silent, Store, StoreError};
use icecore_testkit::{SimDisk, Survival};

use super::keys::{add_second_key, opens_with};
use super::site::{SECOND, Site};
use crate::support::{Crypto, gc_options, noise, write};

/// A store on which a process was killed in the middle of `work`.
fn killed_in(crypto: Crypto, work: impl Fn(&Site, &Arc<Store>)) -> (Site, SnapshotId) {
    let site = Site::new(&SimDisk::new(), None, crypto);
    let store = Arc::new(site.init().unwrap());
    let id = write(&store, "shop", &[("a", &noise(1, 50_000))]).id;
    work(&site, &store);
    assert!(site.disk.has_crashed());
    (Site::new(&site.disk.reboot(Survival::Killed), site.index().as_deref(), crypto), id)
}

#[test]
fn a_deleted_snapshot_does_not_come_back_without_its_chunks() {
    let (site, _) = killed_in(Crypto::Plain, |site, store| {
        let (snapshots, _) = store.snapshots().unwrap();
        site.disk.crash_at(1);
        store.delete_snapshot(&snapshots[0]).unwrap_err();
    });
    site.open().unwrap().gc(&gc_options(), &Silent).unwrap();
    let rebooted = Site::new(&site.disk.reboot(Survival::SyncedOnly), None, Crypto::Plain);
    assert_eq!(rebooted.names("packs/"), [""; 0]);
    assert_eq!(rebooted.names("snapshots/"), [""; 0]);
}

#[test]
fn a_key_that_was_found_to_be_gone_does_not_come_back() {
    let (site, _) = killed_in(Crypto::Encrypted, |site, store| {
        let key = add_second_key(store).unwrap();
        // The copy is removed and its folder synced; then the key, but not its folder.
        site.disk.crash_at(3);
        store.remove_key(&key).unwrap_err();
    });
    let error = site.open().unwrap().remove_key("second").unwrap_err();
    assert!(matches!(error, StoreError::NoKey { .. }), "{error:?}");
    let rebooted = Site::new(&site.disk.reboot(Survival::SyncedOnly), None, Crypto::Encrypted);
    assert!(!opens_with(&rebooted, SECOND));
}

#[test]
fn a_store_that_init_finds_does_not_go_away() {
    // The last step that must succeed makes the name of the configuration durable; a copy that could not be made is no failure.
    let last = (0..).map_while(|step| {
        let site = Site::new(&SimDisk::new(), None, Crypto::Plain);
        site.disk.crash_at(step);
        site.init().is_err().then_some(step)
    });
    let site = Site::new(&SimDisk::new(), None, Crypto::Plain);
    site.disk.crash_at(last.last().unwrap());
    site.init().unwrap_err();
    let killed = Site::new(&site.disk.reboot(Survival::Killed), None, Crypto::Plain);
    assert!(matches!(killed.init(), Err(StoreError::StoreExists { .. })));
    let rebooted = Site::new(&killed.disk.reboot(Survival::SyncedOnly), None, Crypto::Plain);
    rebooted.open().unwrap();
}
