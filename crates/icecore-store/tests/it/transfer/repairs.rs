//! Repairs with what the same store elsewhere has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use icecore_format::{Label, SnapshotId, names};
use icecore_storage::{ErrorKind, MemoryStorage, PutMode, Storage};
use icecore_store::{
    Piece, RepairOptions, RepairPlan, RepairReport, Result, Silent, SnapshotReader, Store, StoreError,
    Transfer, VerifyExtent,
};
use icecore_testkit::{Calls, Fault, FaultyStorage};

use super::others::After;
use super::{Pair, check_sound, ids, night, nights, transfer_options};
use crate::support::{BOTH, Crypto, Fixture, begin_with, find, gc_options, in_time, noise, read, write};

fn way(pair: &Pair) -> Transfer {
    Transfer::pull(pair.local.reopen(), Arc::clone(&pair.remote), transfer_options()).unwrap()
}

fn plan(pair: &Pair) -> RepairPlan {
    pair.local.reopen().plan_repair(1, &Silent).unwrap()
}

fn try_repair(pair: &Pair) -> Result<RepairReport> {
    way(pair).repair(&plan(pair), &RepairOptions::default(), 1, &Silent)
}

fn repair(pair: &Pair) -> RepairReport {
    try_repair(pair).unwrap()
}

fn objects(pair: &Pair) -> BTreeMap<String, Vec<u8>> {
    let names = ["packs/", "parity/"].map(|prefix| pair.local.names(prefix)).concat();
    names.into_iter().map(|name| (name.clone(), pair.local.storage.get(&name).unwrap().to_vec())).collect()
}

/// What makes of an object something else.
type Damage = fn(&Fixture, &str);

const DAMAGES: [(&str, Damage); 5] = [
    ("bodies", |fixture, name| {
        fixture.tamper(name, |bytes| {
            let bodies = 64..bytes.len() / 2;
            bytes[bodies].fill(0);
        });
    }),
    ("all", |fixture, name| fixture.tamper(name, |bytes| bytes.fill(0))),
    ("cut", |fixture, name| fixture.tamper(name, |bytes| bytes.truncate(bytes.len() / 3))),
    ("added", |fixture, name| fixture.tamper(name, |bytes| bytes.extend_from_slice(b"more"))),
    ("gone", |fixture, name| fixture.storage.delete(name).unwrap()),
];

#[test]
fn every_damage_of_a_pack_is_mended_with_the_copy_elsewhere() {
    for pair in BOTH.into_iter().flat_map(|crypto| [Pair::new(crypto), Pair::with_parity(crypto)]) {
        let expected = nights(&pair.local.store, 3);
        pair.push(&ids(&pair.local.store));
        for pack in pair.local.names("packs/") {
            let whole = objects(&pair);
            for (what, damage) in DAMAGES {
                damage(&pair.local, &pack);
                let done = repair(&pair);
                assert_eq!(done.fetched + done.healed, 1, "{what}: {done:?}");
                assert!(done.healed == 0 || pair.local.store.config().parity > 0, "{what}: {done:?}");
                assert_eq!((done.broken.len(), done.set_aside.len()), (0, 0), "{what}: {done:?}");
                // Parity alone may be what a collection is about to remove: what it is of does not come under its name.
                let comes_otherwise = what == "gone" && pair.local.store.config().parity > 0;
                assert!(comes_otherwise || objects(&pair) == whole, "{what}");
                check_sound(&pair.local.reopen(), &expected);
            }
        }
        assert_eq!(pair.local.names("damaged/"), [""; 0]);
    }
}

/// What deltas are coded on is lost, and with it they.
#[test]
fn all_packs_at_once_come_back() {
    for pair in BOTH.into_iter().flat_map(|crypto| [Pair::new(crypto), Pair::with_parity(crypto)]) {
        let expected = nights(&pair.local.store, 5);
        pair.push(&ids(&pair.local.store));
        for (what, damage) in DAMAGES {
            pair.local.names("packs/").iter().for_each(|pack| damage(&pair.local, pack));
            let done = repair(&pair);
            assert!(done.broken.is_empty() && done.not_fetched.is_empty(), "{what}: {done:?}");
            check_sound(&pair.local.reopen(), &expected);
        }
    }
}

/// A store whose packs the other side has rewritten: they hold less there, and are called otherwise.
fn repacked(crypto: Crypto) -> (Pair, SnapshotId, BTreeMap<SnapshotId, Vec<u8>>) {
    let pair = Pair::new(crypto);
    let other: Vec<u8> = noise(99, 100_000);
    let only_here = write(&pair.local.store, "both", &[("b", &other), ("a", &night(0))]).id;
    let mut kept: BTreeMap<SnapshotId, Vec<u8>> = BTreeMap::new();
    for n in 1..4 {
        kept.insert(write(&pair.local.store, "shop", &[("a", &night(n))]).id, night(n));
    }
    pair.push(&ids(&pair.local.store));
    pair.remote.delete_snapshot(&find(&pair.remote, only_here)).unwrap();
    let options = icecore_store::GcOptions { dead_share_max: 0.0, ..gc_options() };
    for _ in 0..3 {
        pair.remote.gc(&options, &Silent).unwrap();
    }
    let here: BTreeSet<String> = pair.local.names("packs/").into_iter().collect();
    assert!(pair.names("packs/").iter().any(|pack| !here.contains(pack)));
    (pair, only_here, kept)
}

#[test]
fn what_lies_in_other_packs_elsewhere_is_copied_out_of_them() {
    for crypto in BOTH {
        for (what, damage) in DAMAGES.into_iter().filter(|(what, _)| *what != "added") {
            let (pair, only_here, mut expected) = repacked(crypto);
            pair.local.names("packs/").iter().for_each(|pack| damage(&pair.local, pack));
            let done = repair(&pair);
            let broken: Vec<_> = done.broken.iter().map(|broken| broken.id).collect();
            assert_eq!(broken, [only_here], "{what}: {done:?}");
            let told = done.not_fetched.iter().find(|it| it.object == only_here.to_string());
            assert!(told.is_some_and(|told| told.is_damaged), "{what}: {done:?}");
            let local = pair.local.reopen();
            for (id, content) in &expected {
                assert!(read(&local, *id).unwrap() == *content, "{what}");
            }
            // Nothing was published, here or there.
            assert_eq!(ids(&local).len(), expected.len() + 1);
            assert_eq!(ids(&pair.remote).len(), expected.len());
            local.delete_snapshot(&find(&local, only_here)).unwrap();
            local.gc(&gc_options(), &Silent).unwrap();
            assert_eq!(pair.local.names("claims/"), [""; 0]);
            check_sound(&local, &expected);
            expected.clear();
        }
    }
}

#[test]
fn of_two_damaged_copies_a_whole_one_is_made() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let content = noise(1, 50_000);
        let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
        pair.push(&[id]);
        for pack in pair.local.names("packs/") {
            pair.local.tamper(&pack, |bytes| bytes[500] ^= 1);
            let mut there = pair.remote_storage.get(&pack).unwrap().to_vec();
            let late = there.len() * 2 / 3;
            there[late] ^= 1;
            pair.remote_storage.put(&pack, &there, PutMode::Overwrite).unwrap();
        }
        let done = repair(&pair);
        assert!(done.broken.is_empty() && !done.not_fetched.is_empty(), "{done:?}");
        assert!(done.chunks_saved > 0 && done.fetched > 0, "{done:?}");
        check_sound(&pair.local.reopen(), &BTreeMap::from([(id, content)]));
    }
}

#[test]
fn what_is_damaged_on_both_sides_is_not_taken_and_told() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let lost = write(&pair.local.store, "lost", &[("a", &noise(1, 10_000))]).id;
        let kept = write(&pair.local.store, "kept", &[("a", &noise(2, 10_000))]).id;
        pair.push(&[lost, kept]);
        let local = Arc::clone(&pair.local.store);
        let pack = |id| {
            let of = |name: &String| {
                let other = read(&local, if id == lost { kept } else { lost });
                let (bytes, damage) = (pair.local.storage.get(name).unwrap(), DAMAGES[4].1);
                damage(&pair.local, name);
                let is_its = read(&pair.local.reopen(), id).is_err() && other.is_ok();
                pair.local.storage.put(name, &bytes, PutMode::CreateNew).unwrap();
                is_its
            };
            pair.local.names("packs/").into_iter().find(of).unwrap()
        };
        let names = [pack(lost), pack(kept)];
        for name in &names {
            pair.local.tamper(name, |bytes| bytes[100..].fill(0));
        }
        pair.remote_storage.put(&names[0], b"not what it is called", PutMode::Overwrite).unwrap();
        let done = repair(&pair);
        assert_eq!(done.broken.iter().map(|broken| broken.id).collect::<Vec<_>>(), [lost], "{done:?}");
        assert!(done.not_fetched.iter().any(|it| it.object == names[0]), "{done:?}");
        assert_eq!(read(&pair.local.reopen(), kept).unwrap(), noise(2, 10_000));
        // What was not taken is not here.
        assert_eq!(done.set_aside, [names[0].clone()]);
    }
}

#[test]
fn a_preview_says_what_would_come_and_changes_nothing() {
    let pair = Pair::new(Crypto::Plain);
    nights(&pair.local.store, 3);
    pair.push(&ids(&pair.local.store));
    let packs = pair.local.names("packs/");
    DAMAGES[0].1(&pair.local, &packs[0]);
    DAMAGES[4].1(&pair.local, &packs[1]);
    let before = objects(&pair);
    let local = pair.local.reopen();
    let way = Transfer::pull(Arc::clone(&local), Arc::clone(&pair.remote), transfer_options()).unwrap();
    let plan = local.preview_repair(1, &Silent).unwrap();
    let fetch = way.plan_repair(&plan, &Silent).unwrap();
    assert!(objects(&pair) == before);
    assert_eq!((fetch.packs, fetch.lacking.len()), (2, 0), "{fetch:?}");
    assert_eq!(fetch.replaced.iter().map(names::pack).collect::<Vec<_>>(), [packs[0].clone()]);
    let done = repair(&pair);
    assert_eq!((done.fetched, done.fetched_bytes), (fetch.packs, fetch.bytes));
}

#[test]
fn labels_and_keys_come_back_too() {
    for crypto in BOTH {
        let pair = Pair::new(crypto);
        let content = noise(1, 3000);
        let id = write(&pair.local.store, "shop", &[("a", &content)]).id;
        pair.local.store.add_label(&id, &Label::Tag("release".into())).unwrap();
        pair.local.store.add_label(&id, &Label::Note("mine".into())).unwrap();
        pair.push(&[id]);
        let open = pair.local.reopen();
        let records = ["labels/", "keys/", "copies/keys/"].map(|prefix| pair.local.names(prefix)).concat();
        for name in &records {
            pair.local.tamper(name, |bytes| bytes.truncate(20));
        }
        let way = Transfer::pull(Arc::clone(&open), Arc::clone(&pair.remote), transfer_options()).unwrap();
        let plan = open.plan_repair(1, &Silent).unwrap();
        let done = way.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
        let copies = records.iter().filter(|name| name.starts_with("copies/")).count();
        assert_eq!(
            (done.records_fetched, done.set_aside.len()),
            ((records.len() - copies) as u64, 0),
            "{done:?}"
        );
        let local = pair.local.reopen();
        check_sound(&local, &BTreeMap::from([(id, content)]));
        let labels = find(&local, id).labels;
        assert!(labels.tags.contains("release") && labels.note.as_deref() == Some("mine"), "{labels:?}");
    }
}

/// A pack on a bad sector gets a good place.
#[test]
fn a_pack_that_the_disk_does_not_give_back_is_put_anew() {
    let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
    let local =
        Fixture::new(Arc::clone(&faulty) as Arc<dyn Storage>, &crate::support::options(Crypto::Plain));
    let pair = Pair::between(local, Arc::new(MemoryStorage::new()));
    let expected = nights(&pair.local.store, 2);
    pair.push(&ids(&pair.local.store));
    let packs = pair.local.names("packs/").len() as u64;
    let fault =
        Fault { calls: Calls::Look, prefix: "packs/", after: 0, kind: ErrorKind::Other, for_good: true };
    let unread = Fault { calls: Calls::Only(icecore_testkit::Call::Get), ..fault };
    faulty.fail(unread);
    let plan = plan(&pair);
    assert_eq!((plan.unread.len() as u64, plan.packs.len()), (packs, 0), "{plan:?}");
    let done = way(&pair).repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
    assert!(faulty.heal());
    assert_eq!((done.fetched, done.unread.len()), (packs, 0), "{done:?}");
    check_sound(&pair.local.reopen(), &expected);
}

#[test]
fn a_sender_that_cannot_be_reached_is_no_damaged_one() {
    for kind in [ErrorKind::Unreachable, ErrorKind::Other] {
        let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
        let pair = Pair::between(Fixture::memory(Crypto::Plain), Arc::clone(&faulty) as Arc<dyn Storage>);
        let expected = nights(&pair.local.store, 2);
        pair.push(&ids(&pair.local.store));
        for pack in pair.local.names("packs/") {
            DAMAGES[0].1(&pair.local, &pack);
        }
        let before = objects(&pair);
        // All that is asked of it, from some moment on: the packs that it has, and then one after the other.
        for (after, came) in [(0, 0), (1, 0), (2, 1)] {
            faulty.fail(Fault { calls: Calls::Any, prefix: "", after, kind, for_good: true });
            let error = try_repair(&pair).unwrap_err();
            assert!(matches!(&error, StoreError::Storage(error) if error.kind == kind), "{error:?}");
            faulty.heal();
            assert_eq!(pair.local.names("damaged/"), [""; 0]);
            let healed = objects(&pair).iter().filter(|(name, bytes)| before[*name] != **bytes).count();
            assert_eq!(healed, came);
        }
        let done = repair(&pair);
        assert!(done.broken.is_empty(), "{done:?}");
        check_sound(&pair.local.reopen(), &expected);
    }
}

#[test]
fn a_storage_that_cannot_be_reached_is_not_called_damaged() {
    for kind in [ErrorKind::Unreachable, ErrorKind::Other] {
        let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
        let storage = Arc::clone(&faulty) as Arc<dyn Storage>;
        let options = icecore_store::InitOptions { parity: 5, ..crate::support::options(Crypto::Plain) };
        let fixture = Fixture::new(storage, &options);
        let id = write(&fixture.store, "shop", &[("a", &noise(1, 300_000))]).id;
        let verify = |store: &Arc<Store>| {
            let report = store.verify(None, VerifyExtent::Everything, 1, &Silent)?;
            assert_eq!(report.findings, []);
            Ok(())
        };
        let salvage = |store: &Arc<Store>| {
            let (snapshots, errors) = store.snapshots()?;
            assert!(errors.is_empty(), "{errors:?}");
            let manifest = snapshots.into_iter().find(|snapshot| snapshot.id == id).unwrap().manifest;
            let reader = SnapshotReader::new(Arc::clone(store), manifest);
            let pieces: Vec<Piece> = reader.salvage(0).collect::<Result<_>>()?;
            assert!(pieces.iter().all(|piece| matches!(piece, Piece::Bytes(_))));
            Ok(())
        };
        never_damage(&fixture, &faulty, kind, &verify);
        never_damage(&fixture, &faulty, kind, &salvage);
    }
}

type Work<'a> = &'a dyn Fn(&Arc<Store>) -> Result<()>;

/// Whenever nothing answers any more, `work` fails for that reason.
fn never_damage(fixture: &Fixture, faulty: &FaultyStorage<MemoryStorage>, kind: ErrorKind, work: Work<'_>) {
    for after in 0.. {
        let store = fixture.reopen();
        faulty.fail(Fault { calls: Calls::Any, prefix: "", after, kind, for_good: true });
        let outcome = work(&store);
        if !faulty.heal() {
            assert!(outcome.is_ok() && after > 3, "{outcome:?}, {after}");
            return;
        }
        let error = outcome.unwrap_err();
        assert!(matches!(&error, StoreError::Storage(error) if error.kind == kind), "{after}: {error:?}");
    }
}

#[test]
fn a_repair_waits_for_a_writer_and_a_collection_for_what_a_repair_fetches() {
    let (pair, only_here, kept) = repacked(Crypto::Plain);
    for pack in pair.local.names("packs/") {
        DAMAGES[0].1(&pair.local, &pack);
    }
    let plan = plan(&pair);
    let writer = begin_with(&pair.local.store, "new", &noise(7, 5_000));
    let collector = pair.local.reopen();
    let slot = Arc::new(std::sync::Mutex::new(None));
    let running = Arc::clone(&slot);
    // Called when the first pack has arrived.
    let start = After(std::sync::Once::new(), move || {
        let collector = Arc::clone(&collector);
        let thread = std::thread::spawn(move || collector.gc(&gc_options(), &Silent));
        std::thread::sleep(Duration::from_millis(150));
        assert!(!thread.is_finished());
        *running.lock().unwrap() = Some(thread);
    });
    let way = way(&pair);
    let repair = std::thread::spawn(move || way.repair(&plan, &repair_options(), 1, &start).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!repair.is_finished());
    let new = writer.commit(|_| ()).unwrap().id;
    let done = in_time(move || repair.join().unwrap());
    assert_eq!(done.broken.iter().map(|broken| broken.id).collect::<Vec<_>>(), [only_here]);
    let thread = slot.lock().unwrap().take().unwrap();
    let _ = in_time(move || thread.join().unwrap());
    let local = pair.local.reopen();
    assert_eq!(read(&local, new).unwrap(), noise(7, 5_000));
    for (id, content) in &kept {
        assert!(read(&local, *id).unwrap() == *content);
    }
}

fn repair_options() -> RepairOptions {
    RepairOptions { fence: gc_options().fence, ..RepairOptions::default() }
}
