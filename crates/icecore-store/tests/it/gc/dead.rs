//! What goes, and what stays.

use std::collections::BTreeMap;

use icecore_format::Label;
use icecore_store::{Silent, VerifyExtent};

use super::{delete, gc};
use crate::support::{BOTH, Crypto, Fixture, check_all, find, gc_options, noise, read, write};

#[test]
fn a_collection_removes_exactly_what_is_unreachable() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let store = &fixture.store;
        let mut expected = BTreeMap::new();
        let mut ids = Vec::new();
        for seed in 0..6 {
            let content = [noise(100, 100_000), noise(seed, 200_000)].concat();
            ids.push(write(store, "shop", &[("a", &content)]).id);
            expected.insert(ids[ids.len() - 1], content);
        }
        assert!(store.plan_gc(&gc_options(), &Silent).unwrap().drop.is_empty());
        for id in &ids[1..4] {
            delete(store, *id);
            expected.remove(id);
        }
        let before = fixture.stored_bytes();
        let plan = store.plan_gc(&gc_options(), &Silent).unwrap();
        assert_eq!(plan, store.plan_gc(&gc_options(), &Silent).unwrap());
        let report = gc(store);
        let after = fixture.stored_bytes();
        assert_eq!(report.packs_deleted, (plan.drop.len() + plan.rewrite.len()) as u64);
        assert_eq!(report.packs_rewritten, plan.rewrite.len() as u64);
        assert_eq!(report.bytes_freed, before - after);
        assert_eq!(report.bytes_kept, after);
        // 100 KB shared and three times 200 KB stay, and few of the dead.
        assert!(after < 900_000, "{after}");
        assert!(before - after > 500_000);
        check_all(store, &expected);
        check_all(&fixture.another_process(), &expected);

        // What is copied out of a half-dead pack is coded anew, on less than before, perhaps: then the next collection takes what that was coded on.
        let settled: Vec<u64> = (0..3).map(|_| gc(store).bytes_freed).collect();
        assert!(settled[0] < 20_000 && settled[2] == 0, "{settled:?}");
        let idle = gc(store);
        assert_eq!((idle.packs_deleted, idle.packs_rewritten, idle.bytes_freed), (0, 0, 0));
        let after = fixture.stored_bytes();
        assert_eq!(idle.bytes_kept, after);
        check_all(store, &expected);

        for id in ids.iter().filter(|id| expected.contains_key(id)) {
            delete(store, *id);
        }
        assert_eq!(gc(store).bytes_freed, after);
        for prefix in ["packs/", "condemned/", "claims/"] {
            assert_eq!(fixture.names(prefix), [""; 0]);
        }
    }
}

#[test]
fn half_dead_packs_are_rewritten() {
    for crypto in BOTH {
        let fixture = Fixture::memory(crypto);
        let store = &fixture.store;
        // Each pack gets chunks of both: the writer's queue is filled file by file.
        let files: Vec<Vec<u8>> = (0..60).map(|n| noise(n, 8_000)).collect();
        let all: Vec<(&str, &[u8])> = files.iter().map(|file| ("f", file.as_slice())).collect();
        let some: Vec<(&str, &[u8])> = all.iter().copied().step_by(3).collect();
        let first = write(store, "all", &all).id;
        let second = write(store, "some", &some);
        assert_eq!(second.info.new_chunks, 0);
        delete(store, first);
        let report = gc(store);
        assert!(report.packs_rewritten > 3, "{report:?}");
        assert!(report.bytes_freed > 250_000, "{report:?}");
        let content: Vec<u8> = some.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        check_all(store, &BTreeMap::from([(second.id, content)]));
        assert_eq!(gc(store).packs_deleted, 0);
        let verified = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    }
}

#[test]
fn many_small_packs_become_few() {
    let fixture = Fixture::memory(Crypto::Plain);
    let mut expected = BTreeMap::new();
    for seed in 0..40 {
        let content = noise(seed, 3000);
        expected.insert(write(&fixture.store, "small", &[("a", &content)]).id, content);
    }
    assert_eq!(fixture.names("packs/").len(), 40);
    gc(&fixture.store);
    assert!(fixture.names("packs/").len() <= 2);
    check_all(&fixture.reopen(), &expected);
    assert_eq!(gc(&fixture.store).packs_deleted, 0);
}

#[test]
fn labels_without_a_snapshot_are_removed() {
    let fixture = Fixture::memory(Crypto::Plain);
    let (gone, kept) =
        (write(&fixture.store, "a", &[("a", b"1")]).id, write(&fixture.store, "a", &[("a", b"2")]).id);
    for id in [gone, kept] {
        fixture.store.add_label(&id, &Label::Tag("t".into())).unwrap();
    }
    let object = find(&fixture.store, gone).object;
    fixture.storage.delete(&object).unwrap();
    gc(&fixture.store);
    assert_eq!(fixture.names("labels/").len(), 1);
    assert!(find(&fixture.store, kept).labels.tags.contains("t"));
    assert_eq!(read(&fixture.store, kept).unwrap(), b"2");
}
