//! Collections of what nobody needs.

use std::sync::Arc;
use std::time::Duration;

use icecore_format::Label;
use icecore_storage::PutMode;
use icecore_store::{FencePolicy, GcOptions, Result, Silent, SnapshotReader, StoreError};

use super::expected::Expected;
use super::site::Site;
use super::{Operation, every_crash_point, every_crash_point_with_parity, night, nothing_more, prepare_one};
use crate::support::{begin, find, gc_options, noise, write};

fn collect(site: &Site, _: &mut Expected) -> Result<()> {
    let report = site.open()?.gc(&gc_options(), &Silent)?;
    assert_eq!(report.packs_condemned, 0);
    Ok(())
}

#[test]
fn every_crash_point_of_a_collection_that_drops_packs() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            let id = write(store, "shop", &[("a", &noise(1, 150_000))]).id;
            store.add_label(&id, &Label::Tag("orphan".into())).expect("tag");
            expected.write(store, &[("a", &noise(2, 80_000))]);
            // Its labels stay, as when a deletion is cut off.
            site.storage.delete(&find(store, id).object).expect("delete");
        }),
        work: collect,
        // A pack that comes back is dead still, and goes next time.
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_with_parity() {
    every_crash_point_with_parity(Operation {
        prepare: Some(|site, store, expected| {
            let id = write(store, "shop", &[("a", &noise(1, 150_000))]).id;
            expected.write(store, &[("a", &noise(2, 80_000))]);
            store.delete_snapshot(&find(store, id)).expect("delete");
            let orphan = format!("parity/ab/{}", "ab".repeat(32));
            site.storage.put(&orphan, b"left by somebody", PutMode::CreateNew).expect("put");
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_fences_a_writer() {
    every_crash_point(Operation {
        prepare: Some(prepare_one),
        work: |site, _| {
            let writer = begin(&site.open()?, "slow")?;
            let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(1) };
            site.open()?.gc(&GcOptions { fence, ..gc_options() }, &Silent)?;
            match writer.commit(|_| ()) {
                Ok(_) => panic!("a fenced writer has published"),
                Err(StoreError::Fenced) => Ok(()),
                Err(error) => Err(error),
            }
        },
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_clears_a_fenced_writer_that_died() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            let writer = begin(store, "slow").expect("begin");
            let fence = FencePolicy { after: Duration::ZERO, poll: Duration::from_millis(1) };
            store.gc(&GcOptions { fence, ..gc_options() }, &Silent).expect("gc");
            let [claim] = site.names("claims/").try_into().expect("one claim");
            let left = [claim.replace("claims", "snapshots"), claim];
            let left = left.map(|name| (site.storage.get(&name).expect("get"), name));
            drop(writer);
            // As a killed process leaves them.
            for (bytes, name) in left {
                site.storage.put(&name, &bytes, PutMode::CreateNew).expect("put");
            }
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_repacks() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let files: Vec<Vec<u8>> = (0..24).map(|n| noise(n, 8_000)).collect();
            let all: Vec<(&str, &[u8])> = files.iter().map(|file| ("f", file.as_slice())).collect();
            let some: Vec<(&str, &[u8])> = all.iter().copied().step_by(3).collect();
            let first = write(store, "all", &all).id;
            expected.write(store, &some);
            store.delete_snapshot(&find(store, first)).expect("delete");
            let plan = store.plan_gc(&gc_options(), &Silent).expect("plan");
            assert!(plan.rewrite.len() > 1, "{plan:?}");
        }),
        work: collect,
        done: nothing_more,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_repacks_deltas() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let first = write(store, "all", &[("a", &night(0)), ("b", &noise(2, 25_000))]).id;
            let mut other = noise(2, 25_000);
            other.iter_mut().step_by(7_000).for_each(|byte| *byte ^= 1);
            let both = write(store, "all", &[("a", &night(1)), ("b", &other)]).id;
            expected.write(store, &[("a", &night(1))]);
            for id in [first, both] {
                store.delete_snapshot(&find(store, id)).expect("delete");
            }
            let plan = store.plan_gc(&gc_options(), &Silent).expect("plan");
            assert!(!plan.rewrite.is_empty(), "{plan:?}");
        }),
        work: collect,
        done: nothing_more,
    });
}

/// No chunk of a snapshot is coded on one that is coded on another.
fn no_deeper_than_one(site: &Site) -> bool {
    let store = site.open().expect("opens");
    let (snapshots, _) = store.snapshots().expect("listed");
    snapshots.into_iter().all(|snapshot| {
        let reader = SnapshotReader::new(Arc::clone(&store), snapshot.manifest);
        reader.depths().expect("read").max <= 1
    })
}

#[test]
fn every_crash_point_of_a_collection_that_flattens() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            for n in 0..3 {
                expected.write(store, &[("a", &night(n))]);
            }
        }),
        work: |site, _| {
            let report = site.open()?.gc(&GcOptions { depth_max: 1, ..gc_options() }, &Silent)?;
            assert_eq!(report.packs_condemned, 0);
            Ok(())
        },
        done: no_deeper_than_one,
    });
}

#[test]
fn every_crash_point_of_a_collection_that_takes_links_out() {
    every_crash_point(Operation {
        prepare: Some(|_, store, expected| {
            let first = write(store, "shop", &[("a", &night(0))]).id;
            let link = write(store, "shop", &[("a", &night(1))]).id;
            expected.write(store, &[("a", &night(2))]);
            for id in [first, link] {
                store.delete_snapshot(&find(store, id)).expect("delete");
            }
        }),
        work: |site, _| {
            let report = site.open()?.gc(&GcOptions { dead_share_max: 0.0, ..gc_options() }, &Silent)?;
            assert_eq!(report.packs_condemned, 0);
            Ok(())
        },
        done: no_deeper_than_one,
    });
}
