//! Damage is found, named, and harms nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::{Label, PackHeader, SnapshotId, names};
use icecore_store::{
    Finding, FindingKind, Grain, IndexReader, Result, Silent, Store, StoreError, VerifyExtent, VerifyReport,
};

use crate::support::{BOTH, Crypto, Fixture, begin, find, noise, options, read, reader, write};

fn verify(store: &Arc<Store>, extent: VerifyExtent) -> VerifyReport {
    store.verify(None, extent, 100, &Silent).unwrap()
}

/// Two snapshots that share a file; the packs of the first run, then those of the second, each in the order of their bytes: the
/// first of each holds content alone.
struct Shop {
    fixture: Fixture,
    first: SnapshotId,
    second: SnapshotId,
    contents: [Vec<u8>; 2],
    packs: [Vec<String>; 2],
}

fn shop(crypto: Crypto) -> Shop {
    let fixture = Fixture::local(crypto);
    let (shared, a, b) = (noise(1, 40_000), noise(2, 120_000), noise(3, 120_000));
    let first = write(&fixture.store, "one", &[("shared", &shared), ("a", &a)]).id;
    let old = fixture.names("packs/");
    let second = write(&fixture.store, "two", &[("shared", &shared), ("b", &b)]).id;
    let new = fixture.names("packs/").into_iter().filter(|name| !old.contains(name)).collect();
    let packs = [old, new].map(|mut packs: Vec<String>| {
        packs.sort_by_key(|name| {
            PackHeader::decode(&fixture.storage.get(name).unwrap()[..64]).unwrap().first_body
        });
        packs
    });
    Shop { fixture, first, second, contents: [[shared.clone(), a].concat(), [shared, b].concat()], packs }
}

fn affected(findings: &[Finding]) -> BTreeSet<SnapshotId> {
    findings.iter().flat_map(|finding| finding.snapshots.keys().copied()).collect()
}

fn parts(findings: &[Finding]) -> BTreeSet<String> {
    findings.iter().flat_map(|finding| finding.snapshots.values().flatten().cloned()).collect()
}

#[test]
fn a_sound_store_has_no_findings() {
    for crypto in BOTH {
        let shop = shop(crypto);
        for extent in [
            VerifyExtent::Structure,
            VerifyExtent::Share(0.0),
            VerifyExtent::Share(0.5),
            VerifyExtent::Budget(1),
            VerifyExtent::Everything,
        ] {
            let report = verify(&shop.fixture.store, extent);
            assert!(report.findings.is_empty(), "{:?}", report.findings);
            assert_eq!(report.snapshots, 2);
        }
        let report = verify(&shop.fixture.store, VerifyExtent::Everything);
        assert_eq!(report.bytes_read, shop.fixture.stored_bytes());
    }
}

#[test]
fn every_kind_of_damage_to_a_pack_is_found_and_named() {
    type Harm = (&'static str, fn(&mut Vec<u8>));
    let harms: [Harm; 8] = [
        ("flip in the header's version", |bytes| bytes[8] ^= 64),
        ("flip in a body", |bytes| bytes[200] ^= 4),
        ("flip in the header's salt", |bytes| bytes[20] ^= 1),
        ("flip in the table", |bytes| {
            let at = bytes.len() - 80;
            bytes[at] ^= 1;
        }),
        ("flip in the trailer", |bytes| {
            let at = bytes.len() - 60;
            bytes[at] ^= 1;
        }),
        ("cut to nothing", Vec::clear),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("garbage appended", |bytes| bytes.extend_from_slice(b"garbage")),
    ];
    for crypto in BOTH {
        for (what, harm) in harms {
            let shop = shop(crypto);
            let victim = &shop.packs[1][0];
            shop.fixture.tamper(victim, harm);
            let store = shop.fixture.another_process();
            let report = verify(&store, VerifyExtent::Everything);
            let [finding] = report.findings.as_slice() else { panic!("{what}: {:?}", report.findings) };
            assert_eq!((finding.kind, &finding.object), (FindingKind::Pack, victim), "{what}");
            // Behind the trailer nothing is read: such a pack is not what its name says, but has all its chunks.
            let harms = !what.contains("appended");
            let harmed = BTreeSet::from_iter(harms.then_some(shop.second));
            assert_eq!(affected(&report.findings), harmed, "{what}");
            assert_eq!(parts(&report.findings).contains("b"), harms, "{what}: {finding:?}");
            assert!(!parts(&report.findings).contains("shared"), "{what}: {finding:?}");
            assert!(read(&store, shop.first).unwrap() == shop.contents[0], "{what}");
            match read(&shop.fixture.another_process(), shop.second) {
                Err(StoreError::StoreTooNew { .. }) => assert!(what.contains("version")),
                Err(error) => assert!(error.is_damage(), "{what}: {error:?}"),
                Ok(bytes) => assert!(!harms && bytes == shop.contents[1], "{what}"),
            }
        }
    }
}

#[test]
fn a_missing_pack_is_named_with_what_it_harms() {
    for forgets_index in [false, true] {
        let shop = shop(Crypto::Plain);
        shop.fixture.storage.delete(&shop.packs[1][0]).unwrap();
        if forgets_index {
            std::fs::remove_file(shop.fixture.index_path()).unwrap();
        }
        let store = shop.fixture.another_process();
        let report = verify(&store, VerifyExtent::Structure);
        assert_eq!(affected(&report.findings), BTreeSet::from([shop.second]));
        assert!(parts(&report.findings).contains("b"));
        if forgets_index {
            assert!(report.findings.iter().all(|finding| finding.kind == FindingKind::ChunkMissing));
        } else {
            let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
            assert_eq!((finding.kind, &finding.object), (FindingKind::PackMissing, &shop.packs[1][0]));
        }
        // And again, now that the index has forgotten it.
        assert_eq!(
            affected(&verify(&store, VerifyExtent::Everything).findings),
            BTreeSet::from([shop.second])
        );
        let error = read(&store, shop.second).unwrap_err();
        assert!(matches!(error, StoreError::ChunkMissing { .. }), "{error:?}");
        assert!(read(&store, shop.first).unwrap() == shop.contents[0]);
        // What is written again heals it.
        let (shared, b) = shop.contents[1].split_at(40_000);
        write(&store, "two", &[("shared", shared), ("b", b)]);
        assert!(read(&store, shop.second).is_ok_and(|bytes| bytes == shop.contents[1]));
    }
}

#[test]
fn damage_to_what_two_snapshots_share_is_named_for_both() {
    let shop = shop(Crypto::Plain);
    shop.fixture.tamper(&shop.packs[0][0], |bytes| bytes[100] ^= 1);
    let report = verify(&shop.fixture.another_process(), VerifyExtent::Everything);
    assert_eq!(affected(&report.findings), BTreeSet::from([shop.first, shop.second]));
    assert_eq!(parts(&report.findings), BTreeSet::from(["shared".to_owned()]));
}

#[test]
fn a_pack_that_nothing_needs_is_no_finding_when_it_goes() {
    let shop = shop(Crypto::Plain);
    let snapshot = find(&shop.fixture.store, shop.second);
    shop.fixture.store.delete_snapshot(&snapshot).unwrap();
    for name in &shop.packs[1] {
        shop.fixture.storage.delete(name).unwrap();
    }
    let report = verify(&shop.fixture.another_process(), VerifyExtent::Everything);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn damaged_nodes_harm_every_snapshot_that_shares_them() {
    let mut options = options(Crypto::Plain);
    options.chunk_sizes.max = 1024;
    options.chunk_sizes.avg = 512;
    let storage = Arc::new(icecore_storage::MemoryStorage::new());
    let fixture = Fixture::new(storage, &options);
    let (content, tail) = (noise(1, 1_000_000), noise(2, 1000));
    let first = write(&fixture.store, "one", &[("a", &content)]).id;
    let second = write(&fixture.store, "two", &[("a", &content), ("tail", &tail)]).id;
    // The nodes of the first snapshot lie in the last body of its last pack; all packs' ends are harmed.
    for pack in fixture.names("packs/") {
        fixture.tamper(&pack, |bytes| {
            let len = bytes.len();
            let trailer = icecore_format::PackTrailer::decode(&bytes[len - 64..], len as u64).unwrap();
            let at = usize::try_from(trailer.toc_offset).unwrap() - 20;
            bytes[at] ^= 0xff;
        });
    }
    for extent in [VerifyExtent::Structure, VerifyExtent::Everything] {
        let report = verify(&fixture.reopen(), extent);
        assert_eq!(
            affected(&report.findings),
            BTreeSet::from([first, second]),
            "{extent:?}: {:?}",
            report.findings
        );
        assert!(parts(&report.findings).contains("a"));
    }
    assert!(read(&fixture.reopen(), first).unwrap_err().is_damage());
}

#[test]
fn an_error_in_the_middle_ends_the_content_where_it_lies() {
    let mut options = options(Crypto::Plain);
    options.chunk_sizes = icecore_format::ChunkSizes { min: 64, avg: 256, max: 1024 };
    let content = noise(1, 1_500_000);
    let harm = |fixture: &Fixture, at: usize| {
        let packs = fixture.names("packs/");
        fixture.tamper(&packs[at % packs.len()], |bytes| bytes[100] ^= 1);
        packs.len()
    };
    for at in 0.. {
        let fixture = Fixture::new(Arc::new(icecore_storage::MemoryStorage::new()), &options);
        let id = write(&fixture.store, "one", &[("a", &content)]).id;
        let count = harm(&fixture, at);
        if at >= count {
            break;
        }
        let store = fixture.reopen();
        let reader = reader(&store, id);
        let mut bytes = Vec::new();
        let mut failed = false;
        for chunk in reader.content() {
            match chunk {
                Ok((_, chunk)) => {
                    assert!(!failed, "bytes after an error");
                    bytes.extend_from_slice(&chunk);
                }
                Err(error) => {
                    assert!(error.is_damage(), "{error:?}");
                    assert!(!failed, "two errors");
                    failed = true;
                }
            }
        }
        assert!(failed, "pack {at} of {count}");
        assert!(content.starts_with(&bytes));
        let range: Result<Vec<_>> = reader.range(0, content.len() as u64).and_then(Iterator::collect);
        assert!(range.is_err());
    }
}

#[test]
fn a_damaged_manifest_is_found_and_hides_no_other() {
    for crypto in BOTH {
        let shop = shop(crypto);
        let victim = find(&shop.fixture.store, shop.second).object;
        let at = if crypto == Crypto::Plain { 150 } else { 8 };
        shop.fixture.tamper(&victim, |bytes| bytes[at] ^= 4);
        let report = verify(&shop.fixture.store, VerifyExtent::Structure);
        let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
        assert_eq!((finding.kind, &finding.object), (FindingKind::Manifest, &victim));
        let (snapshots, damaged) = shop.fixture.store.snapshots().unwrap();
        assert_eq!((snapshots.len(), damaged.len()), (1, 1));
        assert!(read(&shop.fixture.store, shop.first).unwrap() == shop.contents[0]);
    }
}

#[test]
fn a_damaged_label_is_found_and_hides_no_other() {
    let shop = shop(Crypto::Plain);
    for tag in ["x", "y"] {
        shop.fixture.store.add_label(&shop.first, &Label::Tag(tag.into())).unwrap();
    }
    shop.fixture.store.add_label(&shop.second, &Label::Note("why".into())).unwrap();
    let name = names::label(&shop.first, &Label::Tag("x".into()).object_name(shop.fixture.store.key()));
    shop.fixture.tamper(&name, |bytes| bytes.truncate(20));
    let report = verify(&shop.fixture.store, VerifyExtent::Structure);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.kind, &finding.object), (FindingKind::Label, &name));
    assert_eq!(find(&shop.fixture.store, shop.first).labels.tags, BTreeSet::from(["y".to_owned()]));
    assert_eq!(find(&shop.fixture.store, shop.second).labels.note.as_deref(), Some("why"));
    assert!(shop.fixture.store.remove_label(&shop.first, &Label::Tag("x".into())).unwrap());
    assert!(verify(&shop.fixture.store, VerifyExtent::Structure).findings.is_empty());
}

#[test]
fn a_budget_takes_turns_and_begins_with_what_waited_longest() {
    let shop = shop(Crypto::Plain);
    let store = &shop.fixture.store;
    let packs = shop.packs.concat().len();
    let verified = |at| {
        let known = store.index().read(IndexReader::packs).unwrap();
        known.iter().filter(|(_, pack)| pack.verified_at == at).count()
    };
    for round in 1..=packs as u64 {
        let report = store.verify(None, VerifyExtent::Budget(1), round, &Silent).unwrap();
        assert!(report.bytes_read > 0);
        assert_eq!(verified(round), 1);
        assert_eq!(verified(0), packs - usize::try_from(round).unwrap());
    }
    // All have had their turn; the first comes first again.
    store.verify(None, VerifyExtent::Budget(1), 99, &Silent).unwrap();
    assert_eq!((verified(1), verified(2), verified(99)), (0, 1, 1));
    let half = store.verify(None, VerifyExtent::Share(0.5), 100, &Silent).unwrap();
    assert!(half.bytes_read > 0 && half.bytes_read <= shop.fixture.stored_bytes() / 2 + 1);
}

/// With a clock that stands still at zero, every pack stays one that was never verified.
#[test]
fn among_packs_that_waited_equally_long_the_lot_decides() {
    let shop = shop(Crypto::Plain);
    assert!(shop.packs.concat().len() >= 3);
    shop.fixture.tamper(&shop.packs[1][0], |bytes| bytes[200] ^= 1);
    let store = shop.fixture.another_process();
    let found = |_| !store.verify(None, VerifyExtent::Budget(1), 0, &Silent).unwrap().findings.is_empty();
    let runs: BTreeSet<bool> = (0..300).map(found).collect();
    assert_eq!(runs, BTreeSet::from([false, true]), "the same pack was drawn three hundred times");
}

#[test]
fn one_snapshot_can_be_verified_alone() {
    let shop = shop(Crypto::Plain);
    shop.fixture.tamper(&shop.packs[1][0], |bytes| bytes[200] ^= 1);
    let store = shop.fixture.another_process();
    let check = |id| store.verify(Some(&[find(&store, id)]), VerifyExtent::Everything, 1, &Silent).unwrap();
    assert!(check(shop.first).findings.is_empty());
    assert_eq!(check(shop.second).findings.len(), 1);
    assert!(check(shop.first).bytes_read < shop.fixture.stored_bytes());
}

#[test]
fn a_damaged_catalog_is_found() {
    let fixture = Fixture::memory(Crypto::Plain);
    let mut writer = begin(&fixture.store, "shop").unwrap();
    for n in 0..2000 {
        writer
            .begin_part(
                format!("part {n}").as_bytes(),
                icecore_format::PartKind::Directory,
                Grain::Byte,
                false,
            )
            .unwrap();
        writer.end_part(None, None).unwrap();
    }
    let id = writer.commit(|_| ()).unwrap().id;
    let [pack] = fixture.names("packs/").try_into().unwrap();
    fixture.tamper(&pack, |bytes| bytes[200] ^= 1);
    for extent in [VerifyExtent::Structure, VerifyExtent::Everything] {
        let report = verify(&fixture.reopen(), extent);
        assert_eq!(affected(&report.findings), BTreeSet::from([id]), "{:?}", report.findings);
    }
}
