//! Every crash point of everything that changes a store.
//!
//! Each operation runs on a disk that crashes before its first step, before its second, and so on until it gets through. After each
//! crash, for each way in which a machine or a process dies, and with the index as it was left, lost, or older than it should be: the
//! store opens without help, what was there is there and restores, nothing is reported as damaged, the operation succeeds when it is
//! repeated, and a collection leaves nothing behind.
//!
//! To add an operation, add a test that calls [`every_crash_point`]: what it starts from, what it does, and
//! what has then been done.

mod changes;
mod collections;
mod creates;
mod expected;
mod keys;
mod repairs;
mod site;
mod transfers;
mod twice;

use std::fmt;
use std::sync::Arc;

use icecore_store::{Result, Silent, Store};
use icecore_testkit::{SimDisk, Survival};

use self::expected::Expected;
use self::site::Site;
use crate::support::{BOTH, Crypto, gc_options, noise};

/// What an operation starts from, does, and has done when it has returned without an error.
#[derive(Clone, Copy)]
struct Operation {
    /// Fills the new store; `None` if there is to be none yet.
    prepare: Option<fn(&Site, &Arc<Store>, &mut Expected)>,
    /// The operation itself. It begins with what it finds, as a person does who repeats a command, and keeps `Expected` true at every
    /// moment at which it could be cut off.
    work: fn(&Site, &mut Expected) -> Result<()>,
    /// Whether all is as it is to be once it has succeeded, besides `Expected`.
    done: fn(&Site) -> bool,
}

/// Crashes an operation before each of its steps, in stores of both kinds.
fn every_crash_point(operation: Operation) {
    for crypto in BOTH {
        crash_everywhere(operation, crypto, 0);
    }
}

/// The same in stores whose packs have parity.
fn every_crash_point_with_parity(operation: Operation) {
    for crypto in BOTH {
        crash_everywhere(operation, crypto, 5);
    }
}

#[expect(clippy::print_stdout, reason = "how much was tried, for whoever asks with --nocapture")]
fn crash_everywhere(operation: Operation, crypto: Crypto, parity: u8) {
    let start = Site::new(&SimDisk::new(), None, crypto);
    let mut expected = Expected::default();
    if let Some(prepare) = operation.prepare {
        prepare(&start, &Arc::new(start.init_with_parity(parity).expect("init")), &mut expected);
    }
    let disk = start.disk.reboot(Survival::Everything);
    let older = start.index();
    let packs = start.names("packs/");

    let whole = Site::new(&disk.reboot(Survival::Killed), older.as_deref(), crypto);
    let mut after = expected.clone();
    (operation.work)(&whole, &mut after).expect("without a crash it succeeds");
    after.check(&whole, &"no crash");
    let whole_stored = after.stored;

    let (mut cases, mut reused) = (0, 0);
    for step in 0.. {
        let site = Site::new(&disk.reboot(Survival::Killed), older.as_deref(), crypto);
        let mut expected = expected.clone();
        site.disk.crash_at(step);
        let outcome = (operation.work)(&site, &mut expected);
        let crashed = site.disk.has_crashed();
        let left = site.index();
        let indexes = [(left.as_deref(), "as it was left"), (None, "lost"), (older.as_deref(), "older")];
        for (survival, turn) in Survival::all([2 * step, 2 * step + 1]).into_iter().zip(0..) {
            // Of an unlucky machine every index; of a lucky one each in turn.
            let every = matches!(survival, Survival::Killed | Survival::SyncedOnly | Survival::NamesOnly);
            let turn = usize::try_from(step).expect("few steps") + turn;
            for (index, what) in if every { &indexes[..] } else { &indexes[turn % 3..=turn % 3] } {
                // The log has all bytes that were written: it is put into words only for whoever reads them.
                let context = fmt::from_fn(|f| {
                    let log = site.disk.log();
                    write!(f, "{crypto:?} {survival:?}, index {what}, after {log:#?} and {outcome:?}")
                });
                let found = Site::new(&site.disk.reboot(survival), *index, crypto);
                let packs_left = found.names("packs/").iter().any(|name| !packs.contains(name));
                let repeated = aftermath(operation, &found, expected.clone(), outcome.is_ok(), &context);
                if let (true, Some(stored), Some(whole)) = (packs_left, repeated.stored, whole_stored) {
                    assert!(stored < whole, "nothing was reused: {stored} of {whole} bytes, {context}");
                    reused += 1;
                }
                cases += 1;
            }
        }
        if !crashed {
            outcome.expect("without a crash it succeeds");
            assert!(step >= 2, "only {step} steps");
            assert!(reused > 0 || whole_stored.is_none_or(|stored| stored == 0), "nothing was ever reused");
            println!("{crypto:?}: {step} steps, {cases} crashes, {reused} times something was reused");
            return;
        }
    }
}

/// What a process finds after a crash, does again, and leaves.
fn aftermath(
    operation: Operation,
    site: &Site,
    mut expected: Expected,
    done: bool,
    context: &dyn fmt::Display,
) -> Expected {
    expected.check(site, context);
    assert!(!done || (operation.done)(site), "what succeeded is not done, {context}");
    (operation.work)(site, &mut expected).unwrap_or_else(|error| panic!("repeated: {error:?}, {context}"));
    assert!((operation.done)(site), "what succeeded when it was repeated is not done, {context}");
    let again = |what: &'static str| fmt::from_fn(move |f| write!(f, "repeated, {what}, {context}"));
    expected.check(site, &again("at once"));
    power_cut(operation, site, &expected, &again("then a power cut"));

    let store = site.open().expect("open");
    let report = store.gc(&gc_options(), &Silent).unwrap_or_else(|error| panic!("gc: {error:?}, {context}"));
    assert_eq!(report.packs_condemned, 0, "{context}");
    expected.check(site, &again("collected"));
    for prefix in ["claims/", "condemned/"] {
        assert_eq!(site.names(prefix), [""; 0], "{context}");
    }
    let plan = store.plan_gc(&gc_options(), &Silent).expect("plan");
    assert!(plan.is_empty() && plan.keep.iter().all(|pack| pack.live > 0), "{plan:?}, {context}");
    assert_eq!(plan.keep.len(), site.names("packs/").len(), "{context}");
    let parity = site.names("packs/").into_iter().map(|name| name.replace("packs/", "parity/"));
    let parity: Vec<_> = parity.filter(|_| store.config().parity > 0).collect();
    assert_eq!(site.names("parity/"), parity, "{context}");
    assert_eq!(site.storage.clear_unfinished().expect("clear"), 0, "{context}");
    let (snapshots, _) = store.snapshots().expect("list");
    let labels: usize = snapshots.iter().map(|snapshot| snapshot.labels.tags.len()).sum();
    assert_eq!(site.names("labels/").len(), labels, "{context}");
    assert_eq!(site.names("snapshots/").len(), snapshots.len(), "{context}");
    power_cut(operation, site, &expected, &again("collected, then a power cut"));
    expected
}

/// What has succeeded is still there when the machine dies.
fn power_cut(operation: Operation, site: &Site, expected: &Expected, context: &dyn fmt::Display) {
    let rebooted = Site::new(&site.disk.reboot(Survival::SyncedOnly), site.index().as_deref(), site.crypto);
    expected.check(&rebooted, context);
    assert!((operation.done)(&rebooted), "what was done is undone, {context}");
}

fn nothing_more(_: &Site) -> bool {
    true
}

/// A snapshot of two packs.
fn prepare_one(_: &Site, store: &Arc<Store>, expected: &mut Expected) {
    expected.write(store, &[("a", &noise(1, 100_000))]);
}

/// A content of which a few bytes here and there are others every night.
fn night(n: u64) -> Vec<u8> {
    let mut content = noise(1, 30_000);
    for night in 0..=n {
        content
            .iter_mut()
            .skip(usize::try_from(night).unwrap() * 31)
            .step_by(9_000)
            .for_each(|byte| *byte ^= 1);
    }
    content
}
