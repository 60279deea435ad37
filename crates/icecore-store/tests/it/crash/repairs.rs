//! Repairs of damaged packs.

use icecore_storage::PutMode;
use icecore_store::{RepairOptions, RepairReport, Result, Silent, VerifyExtent};

use super::site::Site;
use super::{Operation, every_crash_point, every_crash_point_with_parity, prepare_one};
use crate::support::noise;

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
