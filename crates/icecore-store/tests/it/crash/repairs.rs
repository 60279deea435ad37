//! Repairs of damaged packs.

use icecore_storage::PutMode;
use icecore_store::{RepairOptions, Silent, VerifyExtent};

use super::{Operation, every_crash_point, every_crash_point_with_parity, prepare_one};
use crate::support::noise;

/// A pack to which something was added has all its chunks, and is not what its name says.
#[test]
fn every_crash_point_of_a_repair() {
    every_crash_point(Operation {
        prepare: Some(|site, store, expected| {
            prepare_one(site, store, expected);
            expected.damaged = true;
            for name in site.names("packs/") {
                let bytes = [&site.storage.get(&name).expect("get")[..], b"something added"].concat();
                site.storage.put(&name, &bytes, PutMode::Overwrite).expect("put");
            }
        }),
        work: |site, _| {
            let store = site.open()?;
            let plan = store.plan_repair(1, &Silent)?;
            let report = store.repair(&plan, &RepairOptions::default(), 1, &Silent)?;
            assert!(report.broken.is_empty() && report.chunks_lost == 0, "{report:?}");
            Ok(())
        },
        done: |site| {
            let store = site.open().expect("open");
            store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify").findings.is_empty()
        },
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
                let bytes = [&site.storage.get(&name).expect("get")[..], b"something added"].concat();
                site.storage.put(&name, &bytes, PutMode::Overwrite).expect("put");
            }
        }),
        work: |site, _| {
            let store = site.open()?;
            let plan = store.plan_repair(1, &Silent)?;
            let report = store.repair(&plan, &RepairOptions::default(), 1, &Silent)?;
            assert!(report.broken.is_empty() && report.set_aside.is_empty(), "{report:?}");
            Ok(())
        },
        done: |site| {
            let store = site.open().expect("open");
            store.verify(None, VerifyExtent::Everything, 1, &Silent).expect("verify").findings.is_empty()
        },
    });
}
