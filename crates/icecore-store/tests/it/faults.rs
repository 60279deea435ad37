//! A storage that fails: no hang, no panic, and the store stays usable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_chunk::Grain;
use icecore_format::{Label, SnapshotId, TreeNode, names};
use icecore_storage::{ErrorKind, MemoryStorage, Storage};
use icecore_store::{FindingKind, RepairOptions, Silent, SnapshotReader, Store, StoreError, VerifyExtent};
use icecore_testkit::{Call, Calls, ERROR_KINDS, Fault, FaultyStorage};

use crate::support::{
    Crypto, Fixture, begin, check_all, find, gc_options, in_time, noise, options, read, try_write, write,
};

type Faulty = FaultyStorage<MemoryStorage>;

fn faulty(crypto: Crypto) -> (Arc<Faulty>, Fixture) {
    let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
    let fixture = Fixture::new(Arc::clone(&faulty) as Arc<dyn Storage>, &options(crypto));
    (faulty, fixture)
}

fn faults(calls: Calls) -> impl Iterator<Item = Fault> {
    [(ErrorKind::Full, false), (ErrorKind::Other, true)].into_iter().flat_map(move |(kind, for_good)| {
        (0..200).map(move |after| Fault { calls, prefix: "", after, kind, for_good })
    })
}

#[test]
fn a_create_fails_with_the_storages_error_wherever_it_fails() {
    for calls in [Calls::Change, Calls::Look] {
        let mut done = None;
        for fault in faults(calls) {
            if done == Some(fault.kind) {
                continue;
            }
            let (storage, fixture) = faulty(Crypto::Plain);
            let (old, new) = (noise(1, 50_000), [noise(1, 50_000), noise(2, 200_000)].concat());
            let mut expected = BTreeMap::new();
            expected.insert(write(&fixture.store, "shop", &[("a", &old)]).id, old);
            let store = Arc::clone(&fixture.store);
            storage.fail(fault);
            let content = new.clone();
            let outcome = in_time(move || try_write(&store, "shop", &[("a", &content)]));
            let hit = storage.heal();
            match outcome {
                Ok(written) => {
                    assert!(!hit || calls == Calls::Look, "an error was lost: {fault:?}");
                    done = (!hit).then_some(fault.kind);
                    expected.insert(written.id, new.clone());
                }
                Err(StoreError::Storage(error)) => assert_eq!(error.kind, fault.kind),
                Err(error) => panic!("{fault:?}: {error:?}"),
            }
            assert_eq!(fixture.names("claims/"), [""; 0], "{fault:?}");
            check_all(&fixture.store, &expected);
            expected.insert(write(&fixture.store, "shop", &[("a", &new)]).id, new);
            check_all(&fixture.store, &expected);
        }
        assert!(done.is_some(), "no run was without a fault");
    }
}

#[test]
fn no_error_of_any_kind_at_any_call_of_a_create_panics_hangs_or_harms() {
    for kind in ERROR_KINDS {
        // That an object is there already, or is not, or ends early, is an answer: of a put it must be true.
        let is_answer =
            matches!(kind, ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::OutOfRange);
        let calls = if is_answer { Calls::Look } else { Calls::Any };
        for after in 0.. {
            let (storage, fixture) = faulty(Crypto::Plain);
            let (old, new) = (noise(1, 20_000), [noise(1, 20_000), noise(2, 80_000)].concat());
            let mut expected = BTreeMap::new();
            expected.insert(write(&fixture.store, "shop", &[("a", &old)]).id, old);
            storage.fail(Fault { calls, prefix: "", after, kind, for_good: false });
            let (store, content) = (Arc::clone(&fixture.store), new.clone());
            let outcome = in_time(move || try_write(&store, "shop", &[("a", &content)]));
            let hit = storage.heal();
            if let Ok(written) = outcome {
                expected.insert(written.id, new.clone());
            }
            check_all(&fixture.reopen(), &expected);
            expected.insert(write(&fixture.store, "shop", &[("a", &new)]).id, new);
            check_all(&fixture.store, &expected);
            if !hit {
                assert!(after > 2, "{kind:?}");
                break;
            }
        }
    }
}

#[test]
fn an_init_that_fails_can_be_repeated() {
    for crypto in crate::support::BOTH {
        for after in 0..6 {
            let faulty = Arc::new(FaultyStorage::new(MemoryStorage::new()));
            let dir = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
            let storage = Arc::clone(&faulty) as Arc<dyn Storage>;
            let init = || Store::init(Arc::clone(&storage), dir.path().join("index.redb"), &options(crypto));
            faulty.fail(Fault {
                calls: Calls::Change,
                prefix: "",
                after,
                kind: ErrorKind::Full,
                for_good: true,
            });
            let first = init();
            let hit = faulty.heal();
            // The copy of the configuration is the one thing that may be missing.
            let is_made = storage.len(names::CONFIG).is_ok();
            assert_eq!(first.is_ok(), is_made);
            assert!(hit || first.is_ok());
            let second = init();
            assert_eq!(second.is_ok(), first.is_err(), "{second:?}");
            let store = crate::support::open(Arc::clone(&storage), dir.path().join("index.redb"));
            write(&store, "shop", &[("a", b"x")]);
        }
    }
}

/// A writer may refer to what is dead in a pack that stays.
#[test]
fn a_pack_for_whose_copy_there_is_no_room_keeps_what_it_is_coded_on() {
    let (storage, fixture) = faulty(Crypto::Plain);
    let one = noise(31, 30_000);
    let mut changed = one.clone();
    changed.iter_mut().step_by(900).for_each(|byte| *byte ^= 1);
    let base = write(&fixture.store, "base", &[("a", &one)]).id;
    let under = fixture.names("packs/");
    let other = noise(32, 16_600);
    let both = write(&fixture.store, "both", &[("b", &other), ("a", &changed)]).id;
    let half = write(&fixture.store, "half", &[("b", &other)]).id;
    for id in [base, both] {
        fixture.store.delete_snapshot(&find(&fixture.store, id)).unwrap();
    }
    let plan = fixture.store.plan_gc(&gc_options(), &Silent).unwrap();
    assert!(!plan.rewrite.is_empty() && !plan.drop.is_empty(), "{plan:?}");
    let (calls, kind) = (Calls::Only(Call::Put), ErrorKind::Full);
    storage.fail(Fault { calls, prefix: "packs/", after: 0, kind, for_good: true });
    let report = fixture.store.gc(&gc_options(), &Silent).unwrap();
    assert!(storage.heal() && report.full);
    assert!(under.iter().all(|name| fixture.names("packs/").contains(name)), "what stays keeps its bases");
    let again = write(&fixture.reopen(), "again", &[("a", &changed)]).id;
    check_all(&fixture.reopen(), &BTreeMap::from([(half, other), (again, changed)]));
}

/// As for a reader whose pack a collection has just rewritten.
#[test]
fn a_pack_that_is_gone_when_it_is_read_is_looked_up_once_more() {
    let (storage, fixture) = faulty(Crypto::Plain);
    let content = noise(1, 200_000);
    let id = write(&fixture.store, "shop", &[("a", &content)]).id;
    let mut hits = 0;
    for after in 0..60 {
        let store = fixture.reopen();
        let (calls, kind) = (Calls::Only(Call::GetRange), ErrorKind::NotFound);
        storage.fail(Fault { calls, prefix: "packs/", after, kind, for_good: false });
        let bytes = in_time(move || read(&store, id)).unwrap();
        hits += usize::from(storage.heal());
        assert_eq!(bytes, content);
    }
    assert!(hits > 15, "only {hits} reads were hit");
}

/// A bad sector, or a cable: what cannot be read keeps nobody from the rest, and is no reason to throw anything away. Be it content or the
/// lists of chunks.
#[test]
fn a_pack_that_cannot_be_read_stays_and_harms_nobody_else() {
    for is_content in [true, false] {
        let (storage, fixture) = faulty(Crypto::Plain);
        // Enough chunks that lists of them are packs of their own.
        let (victim, other) = (noise(1, 600_000), noise(2, 60_000));
        let victim_id = write(&fixture.store, "victim", &[("a", &victim)]).id;
        let pack = pack_of(&fixture.store, victim_id, is_content);
        let other_id = write(&fixture.store, "other", &[("a", &other)]).id;
        let (calls, kind) = (Calls::Look, ErrorKind::Other);
        storage.fail(Fault { calls, prefix: pack, after: 0, kind, for_good: true });
        let store = fixture.reopen();
        let findings = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap().findings;
        let of_pack: Vec<_> = findings.iter().filter(|found| found.object == pack).collect();
        assert!(of_pack.iter().any(|found| found.kind == FindingKind::PackUnread), "{findings:?}");
        let harmed: BTreeSet<_> = findings.iter().flat_map(|found| found.snapshots.keys().copied()).collect();
        assert_eq!(harmed, BTreeSet::from([victim_id]), "{findings:?}");
        let plan = store.plan_repair(1, &Silent).unwrap();
        assert_eq!((plan.packs.len(), plan.unread.len()), (0, 1), "{plan:?}");
        let options = RepairOptions { drop_broken: true, ..RepairOptions::default() };
        let report = store.repair(&plan, &options, 1, &Silent).unwrap();
        assert_eq!(
            (report.unread.len(), report.set_aside.len(), report.dropped.len()),
            (1, 0, 0),
            "{report:?}"
        );
        let store = fixture.reopen();
        assert_eq!(read(&store, other_id).unwrap(), other);
        write(&store, "new", &[("a", &noise(3, 10_000))]);
        // What lists that cannot be read lead to is unknown: then nothing is collected.
        assert_eq!(store.gc(&gc_options(), &Silent).is_ok(), is_content);
        assert!(!store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap().findings.is_empty());
        storage.heal();
        assert_eq!(read(&fixture.reopen(), victim_id).unwrap(), victim);
    }
}

/// The name of a pack with chunks of a snapshot's content, or of one with lists of them.
fn pack_of(store: &Arc<Store>, id: SnapshotId, is_content: bool) -> &'static str {
    let manifest = find(store, id).manifest;
    let chunk = match (&manifest.content.root, is_content) {
        (TreeNode::Inner { nodes, .. }, false) => nodes[0].node.id,
        (_, true) => {
            SnapshotReader::new(Arc::clone(store), manifest.clone())
                .tree()
                .next_chunk()
                .unwrap()
                .unwrap()
                .1
                .id
        }
        (TreeNode::Leaf(_), false) => panic!("the root lists all chunks"),
    };
    let pack = store.index().read(|index| {
        let place = index.find(&chunk)?.unwrap();
        index.pack(place.pack)
    });
    Box::leak(names::pack(&pack.unwrap().unwrap().id).into_boxed_str())
}

/// A pack in which nothing is live any more, on a bad sector: it stays, and keeps no collection from its work.
#[test]
fn a_dead_pack_that_cannot_be_read_stops_no_collection() {
    let (storage, fixture) = faulty(Crypto::Plain);
    let dead = write(&fixture.store, "dead", &[("a", &noise(1, 20_000))]).id;
    let pack = pack_of(&fixture.store, dead, true);
    let other = write(&fixture.store, "other", &[("a", &noise(2, 20_000))]).id;
    let kept = write(&fixture.store, "kept", &[("a", &noise(3, 20_000))]).id;
    for id in [dead, other] {
        fixture.store.delete_snapshot(&find(&fixture.store, id)).unwrap();
    }
    storage.fail(Fault {
        calls: Calls::Look,
        prefix: pack,
        after: 0,
        kind: ErrorKind::Other,
        for_good: true,
    });
    let report = fixture.reopen().gc(&gc_options(), &Silent).unwrap();
    assert!(report.packs_deleted > 0, "{report:?}");
    storage.heal();
    assert!(fixture.storage.len(pack).is_ok());
    fixture.reopen().gc(&gc_options(), &Silent).unwrap();
    assert!(fixture.storage.len(pack).is_err());
    check_all(&fixture.reopen(), &BTreeMap::from([(kept, noise(3, 20_000))]));
}

/// A manifest, a label or a key on a bad sector: the others are listed, captured and restored, nothing is collected, and nothing is set
/// aside because of it.
#[test]
fn a_record_that_cannot_be_read_is_named_and_left_alone() {
    for prefix in ["snapshots/", "labels/", "keys/"] {
        let crypto = if prefix == "keys/" { Crypto::Encrypted } else { Crypto::Plain };
        let (storage, fixture) = faulty(crypto);
        let bytes = noise(1, 20_000);
        let victim = write(&fixture.store, "victim", &[("a", &bytes)]).id;
        fixture.store.add_label(&victim, &Label::Tag("tag".into())).unwrap();
        let record: &'static str = Box::leak(fixture.names(prefix).remove(0).into_boxed_str());
        let other = write(&fixture.store, "other", &[("a", &noise(2, 20_000))]).id;
        let store = fixture.reopen();
        let (calls, kind) = (Calls::Only(Call::Get), ErrorKind::Other);
        storage.fail(Fault { calls, prefix: record, after: 0, kind, for_good: true });
        let (snapshots, unread) = store.snapshots().unwrap();
        assert_eq!(
            (snapshots.len(), unread.len()),
            if prefix == "snapshots/" { (1, 1) } else { (2, usize::from(prefix == "labels/")) }
        );
        write(&store, "new", &[("a", &noise(3, 20_000))]);
        assert_eq!(read(&store, other).unwrap(), noise(2, 20_000));
        assert_eq!(store.gc(&gc_options(), &Silent).is_ok(), prefix != "snapshots/");
        let findings = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap().findings;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].kind, findings[0].object.as_str()), (FindingKind::RecordUnread, record));
        let plan = store.plan_repair(1, &Silent).unwrap();
        assert_eq!((plan.records.len(), plan.unread_records.len()), (0, 1), "{plan:?}");
        let report = store.repair(&plan, &RepairOptions::default(), 1, &Silent).unwrap();
        assert!(report.set_aside.is_empty(), "{report:?}");
        storage.heal();
        assert_eq!(read(&fixture.reopen(), victim).unwrap(), bytes);
        assert!(find(&fixture.store, victim).labels.tags.contains("tag"));
    }
}

/// The same, of a pack that was readable when the index learnt of it, as after a night in which a disk went bad.
#[test]
fn a_list_of_chunks_that_goes_bad_after_it_was_indexed_is_a_finding() {
    for parity in [0, 5] {
        goes_bad(parity);
    }
}

fn goes_bad(parity: u8) {
    let storage = Arc::new(FaultyStorage::new(MemoryStorage::new()));
    let options = icecore_store::InitOptions { parity, ..options(Crypto::Plain) };
    let fixture = Fixture::new(Arc::clone(&storage) as Arc<dyn Storage>, &options);
    let victim = noise(1, 600_000);
    let victim_id = write(&fixture.store, "victim", &[("a", &victim)]).id;
    for pack in fixture.names("packs/") {
        let pack: &'static str = Box::leak(pack.into_boxed_str());
        for kind in [ErrorKind::Other, ErrorKind::Denied] {
            // First the table cannot be read, then only what lies in it.
            for after in 0..6 {
                for extent in [VerifyExtent::Structure, VerifyExtent::Everything] {
                    let store = fixture.reopen();
                    storage.fail(Fault { calls: Calls::Look, prefix: pack, after, kind, for_good: true });
                    let findings = store.verify(None, extent, 1, &Silent).unwrap().findings;
                    let hit = storage.heal();
                    let found = findings.iter().find(|found| found.object == pack);
                    assert!(hit == found.is_some(), "{pack} {kind:?} {after} {extent:?}: {findings:?}");
                    let Some(found) = found else { continue };
                    assert_eq!(found.kind, FindingKind::PackUnread);
                    assert!(found.snapshots.contains_key(&victim_id), "{findings:?}");
                }
            }
        }
    }
    assert_eq!(read(&fixture.reopen(), victim_id).unwrap(), victim);
}

/// A create reads of its parent what it can, and the source for the rest.
#[test]
fn a_parent_on_a_bad_sector_keeps_no_snapshot_from_being_taken() {
    let (storage, fixture) = faulty(Crypto::Plain);
    let content = noise(1, 600_000);
    let first = write(&fixture.store, "dir", &[("a", &content)]).id;
    let known = fixture.names("packs/");
    let (mut hits, mut same, mut reused) = (0, 0, 0);
    for pack in &known {
        let pack: &'static str = Box::leak(pack.clone().into_boxed_str());
        for after in 0..6 {
            let store = fixture.reopen();
            let (snapshots, _) = store.snapshots().unwrap();
            let parent = snapshots.into_iter().find(|snapshot| snapshot.id == first).unwrap();
            let reader = SnapshotReader::new(Arc::clone(&store), parent.manifest.clone());
            let part = reader.parts().next().unwrap().unwrap();
            let (calls, kind) = (Calls::Look, ErrorKind::Other);
            storage.fail(Fault { calls, prefix: pack, after, kind, for_good: true });
            let writer = begin(&store, "dir").unwrap().commit_same(&parent, |_| ()).unwrap().err();
            same += usize::from(writer.is_none());
            if let Some(mut writer) = writer {
                writer.begin_part(&part.name, part.kind, Grain::Byte, true).unwrap();
                match writer.reuse(&mut reader.tree(), &part).unwrap() {
                    true => reused += 1,
                    false => writer.write(&content).unwrap(),
                }
                writer.end_part(None, None).unwrap();
                writer.commit(|_| ()).unwrap();
            }
            hits += usize::from(storage.heal());
        }
    }
    assert!(hits > 0 && same > 0 && same + reused < 6 * known.len(), "{hits} {same} {reused}");
    for snapshot in fixture.store.snapshots().unwrap().0 {
        assert!(read(&fixture.reopen(), snapshot.id).unwrap() == content);
    }
}

#[test]
fn a_restore_fails_wherever_the_storage_fails_and_works_again_after() {
    let (storage, fixture) = faulty(Crypto::Plain);
    let content = noise(1, 300_000);
    let id = write(&fixture.store, "shop", &[("a", &content)]).id;
    for after in 0.. {
        let store = fixture.reopen();
        storage.fail(Fault { calls: Calls::Look, prefix: "", after, kind: ErrorKind::Other, for_good: true });
        let outcome = in_time(move || {
            let (snapshots, _) = store.snapshots()?;
            let found = snapshots
                .into_iter()
                .find(|snapshot| snapshot.id == id)
                .ok_or(StoreError::NoSnapshot { id })?;
            crate::support::restore(&SnapshotReader::new(Arc::clone(&store), found.manifest))
        });
        let hit = storage.heal();
        assert!(read(&fixture.reopen(), id).unwrap() == content);
        match outcome {
            Ok(bytes) => {
                assert!(bytes == content);
                if !hit {
                    return;
                }
            }
            Err(error) => assert!(hit, "{error}"),
        }
    }
}

#[test]
fn a_collection_that_crashes_anywhere_loses_nothing_and_can_be_repeated() {
    for calls in [Calls::Change, Calls::Look] {
        for after in 0.. {
            let (storage, fixture) = faulty(Crypto::Plain);
            let mut expected = BTreeMap::new();
            let shared = noise(100, 60_000);
            let mut ids = Vec::new();
            for seed in 0..4 {
                let content = [shared.clone(), noise(seed, 100_000)].concat();
                let written = write(&fixture.store, "shop", &[("a", &content)]);
                expected.insert(written.id, content);
                ids.push(written.id);
            }
            for id in &ids[..2] {
                fixture.store.delete_snapshot(&find(&fixture.store, *id)).unwrap();
                expected.remove(id);
            }
            storage.fail(Fault { calls, prefix: "", after, kind: ErrorKind::Other, for_good: true });
            let store = Arc::clone(&fixture.store);
            let outcome = in_time(move || store.gc(&gc_options(), &Silent));
            let hit = storage.heal();
            // As another process would find it, with the index and without.
            let store = fixture.reopen();
            check_all(&store, &expected);
            if after % 2 == 0 {
                std::fs::remove_file(fixture.index_path()).unwrap();
            }
            let content = [noise(0, 100_000), noise(50, 5000)].concat();
            expected.insert(write(&store, "shop", &[("a", &content)]).id, content);
            let report = store.gc(&gc_options(), &Silent).unwrap();
            assert_eq!(report.packs_condemned, 0);
            assert_eq!(fixture.names("condemned/"), [""; 0]);
            check_all(&store, &expected);
            let again = store.plan_gc(&gc_options(), &Silent).unwrap();
            assert!(again.is_empty(), "{again:?}");
            let verified = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
            assert!(verified.findings.is_empty(), "{calls:?} {after}: {:?}", verified.findings);
            if !hit {
                outcome.unwrap();
                break;
            }
            assert!(after < 500);
        }
    }
}
