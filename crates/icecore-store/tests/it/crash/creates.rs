//! New stores and new snapshots.

use icecore_store::StoreError;

use super::{Operation, every_crash_point, every_crash_point_with_parity, night, nothing_more, prepare_one};
use crate::support::{PASSWORD, begin, noise};

#[test]
fn every_crash_point_of_an_init() {
    every_crash_point(Operation {
        prepare: None,
        work: |site, _| match site.init() {
            // The crash came after it had been made.
            Ok(_) | Err(StoreError::StoreExists { .. }) => Ok(()),
            Err(error) => Err(error),
        },
        done: |site| site.open_with(PASSWORD).is_ok(),
    });
}

#[test]
fn every_crash_point_of_a_first_create() {
    every_crash_point(Operation {
        prepare: Some(|_, _, _| ()),
        work: |site, expected| {
            expected.try_write(&site.open()?, &[("a", &noise(1, 90_000)), ("b", &noise(2, 60_000))])
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_second_create() {
    every_crash_point(Operation {
        prepare: Some(prepare_one),
        work: |site, expected| {
            expected.try_write(&site.open()?, &[("a", &noise(1, 100_000)), ("b", &noise(2, 120_000))])
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_create_that_is_coded_on_another() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            expected.write(store, &[("a", &night(0))]);
            expected.write(store, &[("a", &night(1))]);
        }),
        work: |site, expected| expected.try_write(&site.open()?, &[("a", &night(2))]),
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_create_with_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(prepare_one),
        work: |site, expected| {
            expected.try_write(&site.open()?, &[("a", &noise(1, 100_000)), ("b", &noise(2, 80_000))])
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_create_of_an_unchanged_source() {
    every_crash_point(Operation {
        prepare: Some(prepare_one),
        work: |site, expected| {
            let store = site.open()?;
            let parent = expected.first(&store)?.expect("it is there");
            let bytes = expected.snapshots[&parent.id].clone();
            expected.newborn.insert(bytes.clone());
            let writer = begin(&store, "shop")?;
            let written = writer.commit_same(&parent, |_| ())?.expect("the parent is whole");
            expected.snapshots.insert(written.id, bytes);
            Ok(())
        },
        done: nothing_more,
    });
}
