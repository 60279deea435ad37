//! Keys and passwords.

use icecore_format::KdfCost;
use icecore_store::{Result, Store, StoreError};

use super::site::{SECOND, Site};
use super::{Operation, crash_everywhere, prepare_one};
use crate::support::{Crypto, PASSWORD};

pub(super) fn add_second_key(store: &Store) -> Result<String> {
    Ok(store.add_key(SECOND, "second", "2026-11-21T10:00:00Z", KdfCost::CHEAPEST)?.id)
}

fn remove_key(store: &Store, id: &str) -> Result<()> {
    match store.remove_key(id) {
        // The crash came after it had gone.
        Ok(()) | Err(StoreError::NoKey { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn opens_with(site: &Site, password: &[u8]) -> bool {
    match site.open_with(password) {
        Ok(_) => true,
        Err(StoreError::WrongPassword { .. }) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn every_crash_point_of_adding_a_key() {
    let operation = Operation {
        prepare: Some(prepare_one),
        work: |site, _| add_second_key(&*site.open()?).map(drop),
        done: |site| opens_with(site, PASSWORD) && opens_with(site, SECOND),
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}

#[test]
fn every_crash_point_of_removing_a_key() {
    let operation = Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.key = add_second_key(store).expect("add");
        }),
        work: |site, expected| remove_key(&*site.open()?, &expected.key),
        done: |site| opens_with(site, PASSWORD) && !opens_with(site, SECOND),
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}

#[test]
fn every_crash_point_of_a_change_of_the_password() {
    let operation = Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.key = store.key_of(PASSWORD).expect("key").id;
        }),
        work: |site, expected| {
            let store = site.open()?;
            if !opens_with(site, SECOND) {
                add_second_key(&store)?;
            }
            remove_key(&store, &expected.key)
        },
        done: |site| !opens_with(site, PASSWORD) && opens_with(site, SECOND),
    };
    crash_everywhere(operation, Crypto::Encrypted, 0);
}
