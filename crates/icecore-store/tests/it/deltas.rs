//! Runs that are coded on others, and what becomes of them when these go, rot, or never were.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::{
    Body, ChunkId, ChunkSizes, Codec, Copy, Difference, Digest, PackHeader, PackId, PackToc, Residue, Run,
    SnapshotId, StoreKey, TocChunk, names,
};
use icecore_storage::{LocalStorage, MemoryStorage, PutMode};
use icecore_store::{
    GcOptions, InitOptions, Silent, SnapshotReader, Store, StoreError, Transfer, TransferOptions,
    VerifyExtent, VerifyReport,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{
    BOTH, Crypto, Fixture, begin_with, check_all, find, gc_options, in_time, noise, open, options, read,
    write,
};

/// A night's changes: every 4,000 bytes, 30 of them.
fn night(content: &[u8], seed: u64) -> Vec<u8> {
    let mut changed = content.to_vec();
    let at = |n: usize| n * 4000 + usize::try_from(seed).unwrap() * 97 % 3900;
    for (n, bytes) in noise(seed + 1000, content.len() / 4000 * 30).chunks(30).enumerate() {
        if let Some(range) = changed.get_mut(at(n)..at(n) + bytes.len()) {
            range.copy_from_slice(bytes);
        }
    }
    changed
}

fn nights(seed: u64, len: usize, count: u64) -> Vec<Vec<u8>> {
    let mut all = vec![noise(seed, len)];
    for n in 1..=count {
        all.push(night(all.last().unwrap(), seed * 100 + n));
    }
    all
}

fn gc(store: &Arc<Store>) {
    store.gc(&gc_options(), &Silent).unwrap();
}

fn verify(store: &Arc<Store>) -> VerifyReport {
    store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap()
}

fn put(store: &Arc<Store>, content: &[u8]) -> SnapshotId {
    write(store, "shop", &[("a", content)]).id
}

fn delete(store: &Store, id: SnapshotId) {
    store.delete_snapshot(&find(store, id)).unwrap();
}

/// The packs that hold deltas, and those that do not.
fn packs(fixture: &Fixture, key: &StoreKey) -> (Vec<String>, Vec<String>) {
    let has_deltas = |name: &String| {
        let bytes = fixture.storage.get(name).unwrap();
        tables(&bytes, key).runs().any(|run| !run.bases.is_empty())
    };
    fixture.names("packs/").into_iter().partition(has_deltas)
}

fn tables(pack: &[u8], key: &StoreKey) -> PackToc {
    let header = PackHeader::decode(&pack[..64]).unwrap();
    let trailer = icecore_format::PackTrailer::decode(&pack[pack.len() - 64..], pack.len() as u64).unwrap();
    let at = usize::try_from(trailer.toc_offset).unwrap();
    PackToc::decode(&header, &trailer, pack[at..pack.len() - 64].to_vec(), key).unwrap()
}

#[test]
fn a_night_of_scattered_changes_costs_what_changed() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let contents = nights(1, 400_000, 3);
        let mut expected = BTreeMap::new();
        for (n, content) in contents.iter().enumerate() {
            let before = fixture.stored_bytes();
            let written = write(&fixture.store, "shop", &[("a", content)]);
            let added = fixture.stored_bytes() - before;
            expected.insert(written.id, content.clone());
            if n > 0 {
                // A hundred changes of thirty bytes: 3 KB; the rest is ids.
                assert!(written.info.delta_chunks * 10 >= written.info.new_chunks * 9, "{:?}", written.info);
                assert!(added < 40_000, "night {n} added {added}");
            }
        }
        check_all(&fixture.store, &expected);
        check_all(&fixture.another_process(), &expected);
        assert_eq!(verify(&fixture.store).findings, []);
    }
}

#[test]
fn what_moved_and_what_another_source_has_is_found_too() {
    let fixture = Fixture::local(Crypto::Plain);
    let content = noise(5, 300_000);
    put(&fixture.store, &content);
    let moved =
        [&night(&content[200_000..], 1)[..], &noise(6, 20_000), &night(&content[..200_000], 2)].concat();
    let before = fixture.stored_bytes();
    let id = write(&fixture.store, "another", &[("b", &moved)]).id;
    let added = fixture.stored_bytes() - before;
    assert!(added < 60_000, "{added}");
    assert_eq!(read(&fixture.another_process(), id).unwrap(), moved);
}

#[test]
fn a_newer_snapshot_outlives_what_it_was_coded_on() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let contents = nights(2, 300_000, 6);
        let ids: Vec<_> = contents.iter().map(|content| put(&fixture.store, content)).collect();
        for (n, id) in ids[..6].iter().enumerate() {
            delete(&fixture.store, *id);
            gc(&fixture.store);
            gc(&fixture.store);
            let left = ids[n + 1..].iter().copied().zip(contents[n + 1..].iter().cloned()).collect();
            check_all(&fixture.store, &left);
            check_all(&fixture.another_process(), &left);
            assert_eq!(verify(&fixture.store).findings, []);
        }
        // Nothing but the last one is left, and what it is coded on.
        assert!(fixture.stored_bytes() < 450_000, "{}", fixture.stored_bytes());
        delete(&fixture.store, ids[6]);
        gc(&fixture.store);
        gc(&fixture.store);
        assert_eq!(fixture.stored_bytes(), 0);
    }
}

/// A chunk that nobody needs any more may be found by the next writer, as long as its pack is there.
#[test]
fn a_dead_delta_that_comes_back_to_life_can_be_read() {
    let fixture = Fixture::local(Crypto::Plain);
    let store = &fixture.store;
    let (old, other) = (noise(3, 60_000), noise(4, 60_000));
    let first = put(store, &old);
    let changed = night(&old, 7);
    // One pack holds deltas on `old` and what stays needed: a little of it may die without its being rewritten.
    let second = write(store, "both", &[("a", &changed), ("b", &other)]).id;
    let kept = write(store, "other", &[("b", &other)]).id;
    delete(store, first);
    delete(store, second);
    for _ in 0..3 {
        gc(store);
        let again = put(store, &changed);
        let expected = [(kept, other.clone()), (again, changed.clone())].into_iter().collect();
        check_all(store, &expected);
        assert_eq!(verify(store).findings, []);
        delete(store, again);
    }
}

/// What a crashed writer left refers to what a collection would take: a later writer finds it in the index.
#[test]
fn what_a_dead_writer_coded_can_be_read_by_whoever_finds_it() {
    let fixture = Fixture::local(Crypto::Plain);
    let old = noise(8, 120_000);
    let first = put(&fixture.store, &old);
    let changed = night(&old, 9);
    for early in [true, false] {
        // Published by nobody, in a store that still has what it is coded on.
        let other = fixture.another_process();
        let writer = begin_with(&other, "dead", &changed);
        if early {
            delete(&fixture.store, first);
        }
        writer.commit(|_| ()).map(|written| delete(&other, written.id)).unwrap();
        gc(&fixture.store);
        let again = put(&fixture.store, &changed);
        check_all(
            &fixture.store,
            &BTreeMap::from([(again, changed.clone())])
                .into_iter()
                .chain((!early).then_some(()).into_iter().flat_map(|()| None::<(SnapshotId, Vec<u8>)>))
                .collect(),
        );
        delete(&fixture.store, again);
        gc(&fixture.store);
    }
}

#[test]
fn a_collection_that_runs_while_bases_are_picked_takes_none_of_them() {
    let fixture = Fixture::local(Crypto::Plain);
    let old = noise(10, 200_000);
    let first = put(&fixture.store, &old);
    let changed = night(&old, 11);
    // The writer has looked at everything and stored its packs; then what it is coded on is deleted and collected.
    let store = fixture.another_process();
    let writer = begin_with(&store, "shop", &changed);
    delete(&fixture.store, first);
    let collector = fixture.another_process();
    let collecting = std::thread::spawn(move || gc(&collector));
    // It waits for the writer, or leaves alone what it may need.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let written = writer.commit(|_| ()).unwrap();
    collecting.join().unwrap();
    assert!(written.info.delta_chunks > 0);
    gc(&fixture.store);
    let expected = BTreeMap::from([(written.id, changed)]);
    check_all(&fixture.store, &expected);
    check_all(&fixture.another_process(), &expected);
}

#[test]
fn damage_in_a_base_names_every_snapshot_that_depends_on_it() {
    for gone in [true, false] {
        let fixture = Fixture::local(Crypto::Plain);
        let contents = nights(12, 150_000, 3);
        let ids: Vec<_> = contents.iter().map(|content| put(&fixture.store, content)).collect();
        let bystander = put(&fixture.store, &noise(13, 20_000));
        let (coded, plain) = packs(&fixture, &StoreKey::Plain);
        assert!(coded.len() >= 3);
        // The first snapshot's packs come before the bystander's, whose content nobody is coded on.
        let hit = plain.iter().find(|name| {
            let toc = tables(&fixture.storage.get(name).unwrap(), &StoreKey::Plain);
            toc.chunk_count() > 20
        });
        let hit = hit.unwrap();
        if gone {
            fixture.storage.delete(hit).unwrap();
        } else {
            fixture.tamper(hit, |bytes| (64..bytes.len() / 2).step_by(500).for_each(|at| bytes[at] ^= 1));
        }
        let store = fixture.another_process();
        let report = verify(&store);
        let finding = report.findings.iter().find(|finding| &finding.object == hit).unwrap();
        for id in &ids {
            assert!(finding.snapshots.contains_key(id), "gone {gone}: {:?}", report.findings);
        }
        assert!(report.findings.iter().all(|finding| !finding.snapshots.contains_key(&bystander)));
        // What depends on it is not called damaged itself.
        assert!(
            report.findings.iter().all(|finding| !coded.contains(&finding.object)),
            "{:?}",
            report.findings
        );
        for (id, content) in ids.iter().zip(&contents) {
            match read(&store, *id) {
                Err(StoreError::ChunkDamaged { .. } | StoreError::ChunkMissing { .. }) => (),
                other => panic!("{:?}", other.map(|bytes| bytes == *content)),
            }
        }
        assert!(read(&store, bystander).is_ok());
        // Structure alone tells of what is gone.
        let structure = store.verify(None, VerifyExtent::Structure, 1, &Silent).unwrap();
        assert_eq!(structure.findings.iter().any(|finding| finding.snapshots.len() >= 4), gone);
        // A repair sets it aside; the first content again heals them all.
        let plan = store.plan_repair(1, &Silent).unwrap();
        let repair = icecore_store::RepairOptions { fence: gc_options().fence, ..Default::default() };
        store.repair(&plan, &repair, 1, &Silent).unwrap();
        let healer = put(&store, &contents[0]);
        let mut expected: BTreeMap<_, _> = ids.iter().copied().zip(contents.iter().cloned()).collect();
        expected.insert(bystander, noise(13, 20_000));
        expected.insert(healer, contents[0].clone());
        check_all(&store, &expected);
        assert_eq!(verify(&store).findings, []);
    }
}

#[test]
fn a_lost_index_costs_nothing_that_is_stored_and_little_of_the_next_night() {
    let fixture = Fixture::local(Crypto::Plain);
    let contents = nights(14, 300_000, 4);
    let mut expected = BTreeMap::new();
    for (n, content) in contents.iter().enumerate() {
        if n == 3 {
            std::fs::remove_file(fixture.index_path()).unwrap();
        }
        let before = fixture.stored_bytes();
        expected.insert(put(&fixture.another_process(), content), content.clone());
        let added = fixture.stored_bytes() - before;
        assert!(n == 0 || added < 50_000, "night {n} added {added}");
    }
    check_all(&fixture.another_process(), &expected);
}

#[test]
fn a_pack_of_which_half_has_died_keeps_the_deltas_that_live() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let (one, two) = (noise(15, 150_000), noise(16, 150_000));
        write(&fixture.store, "base", &[("a", &one), ("b", &two)]);
        let (one, two) = (night(&one, 17), night(&two, 18));
        let both = write(&fixture.store, "both", &[("a", &one), ("b", &two)]).id;
        let half = write(&fixture.store, "half", &[("b", &two)]).id;
        delete(&fixture.store, both);
        let before = fixture.names("packs/");
        gc(&fixture.store);
        gc(&fixture.store);
        assert_ne!(fixture.names("packs/"), before, "the pack of deltas was rewritten");
        assert_eq!(read(&fixture.another_process(), half).unwrap(), two);
        assert_eq!(verify(&fixture.store).findings, []);
    }
}

/// The snapshot that had it is gone, so that no snapshot needs the chunk by itself.
#[test]
fn a_collection_says_that_a_base_is_lost() {
    let fixture = Fixture::local(Crypto::Plain);
    let first = noise(41, 300_000);
    let gone = put(&fixture.store, &first);
    let plain = fixture.names("packs/");
    let id = put(&fixture.store, &night(&first, 42));
    delete(&fixture.store, gone);
    assert_eq!(fixture.store.gc(&gc_options(), &Silent).unwrap().bases_lost, 0);
    let mut said = 0;
    for name in plain.iter().filter(|name| fixture.names("packs/").contains(name)) {
        let bytes = fixture.storage.get(name).unwrap();
        fixture.storage.delete(name).unwrap();
        match fixture.another_process().gc(&gc_options(), &Silent) {
            Ok(report) => {
                assert!(report.bases_lost > 0, "{report:?}");
                said += 1;
            }
            // Of lists of chunks it says so by doing nothing.
            Err(error) => assert!(matches!(error, StoreError::Unresolved { .. }), "{error}"),
        }
        assert!(read(&fixture.another_process(), id).is_err());
        fixture.storage.put(name, &bytes, PutMode::CreateNew).unwrap();
        assert_eq!(verify(&fixture.another_process()).findings, []);
    }
    assert!(said > 1);
}

#[test]
fn nobody_refers_to_a_delta_whose_base_is_lost() {
    for repaired in [false, true] {
        let fixture = Fixture::local(Crypto::Plain);
        let one = noise(26, 60_000);
        put(&fixture.store, &one);
        let lost = fixture.names("packs/");
        let mut last = one;
        for seed in 27..30 {
            last = night(&last, seed);
            put(&fixture.store, &last);
        }
        if repaired {
            lost.iter().for_each(|name| {
                fixture.tamper(name, |bytes| (64..900).step_by(30).for_each(|at| bytes[at] ^= 1));
            });
            let store = fixture.another_process();
            let repair = icecore_store::RepairOptions { fence: gc_options().fence, ..Default::default() };
            store.repair(&store.plan_repair(1, &Silent).unwrap(), &repair, 1, &Silent).unwrap();
        } else {
            lost.iter().for_each(|name| fixture.storage.delete(name).unwrap());
        }
        // Most of it is known; but whoever knows it cannot read it.
        let next = night(&last, 31);
        let expected = [last, next].map(|content| (put(&fixture.another_process(), &content), content));
        for (id, content) in expected {
            assert!(read(&fixture.another_process(), id).unwrap() == content);
        }
    }
}

/// As a writer leaves it that was fenced and went on for a while: what it stored again is coded on what a collection took.
#[test]
fn what_cannot_be_read_in_one_pack_is_read_from_another() {
    let fixture = Fixture::local(Crypto::Plain);
    let one = noise(26, 60_000);
    let changed = night(&one, 27);
    let base = put(&fixture.store, &one);
    let lost = fixture.names("packs/");
    let first = put(&fixture.store, &changed);
    let stranded: Vec<_> = fixture.names("packs/").into_iter().filter(|name| !lost.contains(name)).collect();
    lost.iter().for_each(|name| fixture.storage.delete(name).unwrap());
    let again = put(&fixture.another_process(), &changed);
    // The first ones are not there any more, but for a pack; and whoever has listed the others comes to it last.
    [base, first].into_iter().for_each(|id| delete(&fixture.store, id));
    let hidden: Vec<_> = stranded.iter().map(|name| (name, fixture.storage.get(name).unwrap())).collect();
    let index = |n: &str| open(Arc::clone(&fixture.storage), fixture.dir.path().join(n));
    let processes = ["reader", "verifier", "collector", "pusher"].map(|name| {
        stranded.iter().for_each(|name| drop(fixture.storage.delete(name)));
        let store = index(name);
        assert!(read(&store, again).unwrap() == changed);
        hidden.iter().for_each(|(name, bytes)| {
            fixture.storage.put(name, bytes, PutMode::CreateNew).unwrap();
        });
        store.stats().unwrap();
        store
    });
    let [reader, verifier, collector, pusher] = processes;
    assert!(read(&reader, again).unwrap() == changed);
    assert_eq!(verify(&verifier).findings, []);
    let there = pusher.clone_to(Arc::new(MemoryStorage::new()), "there", fixture.dir.path().join("there"));
    let there = Arc::new(there.unwrap());
    let push = Transfer::push(pusher, Arc::clone(&there), TransferOptions::default()).unwrap();
    let sent = push.carry_out(push.plan(&[again], &Silent).unwrap(), &Silent).unwrap();
    assert_eq!(sent.published, [again], "{sent:?}");
    assert!(read(&there, again).unwrap() == changed);
    let report = collector.gc(&gc_options(), &Silent).unwrap();
    assert!(report.harmed.is_empty() && report.packs_damaged.is_empty(), "{report:?}");
    assert!(read(&collector, again).unwrap() == changed);
    assert!(stranded.iter().all(|name| !fixture.names("packs/").contains(name)));
}

/// A base helps only if it lies less deep than what is coded on it.
#[test]
fn a_lost_base_that_comes_again_heals_what_is_coded_on_it() {
    let fixture = Fixture::local(Crypto::Plain);
    let first = noise(33, 60_000);
    let [second, third] = [night(&first, 34), night(&night(&first, 34), 35)];
    put(&fixture.store, &first);
    let lost = fixture.names("packs/");
    let ids = [put(&fixture.store, &second), put(&fixture.store, &third)];
    lost.iter().for_each(|name| fixture.storage.delete(name).unwrap());
    assert!(read(&fixture.another_process(), ids[0]).is_err());
    // Something that it could be coded on when it comes again.
    put(&fixture.another_process(), &night(&first, 36));
    let again = put(&fixture.another_process(), &first);
    for (id, content) in ids.into_iter().zip([second, third]).chain([(again, first)]) {
        assert!(read(&fixture.another_process(), id).unwrap() == content);
    }
    assert_eq!(verify(&fixture.another_process()).findings, []);
    // From then on it is what it was.
    gc(&fixture.another_process());
    assert_eq!(verify(&fixture.another_process()).findings, []);
}

/// What is coded on it was away while it came again, so that nobody knew that it was wanted.
#[test]
fn a_base_that_came_again_too_deep_is_stored_plain_when_it_comes_once_more() {
    let fixture = Fixture::local(Crypto::Plain);
    let first = noise(37, 60_000);
    let second = night(&first, 38);
    put(&fixture.store, &first);
    let lost = fixture.names("packs/");
    let id = put(&fixture.store, &second);
    let away: Vec<_> = fixture
        .names("packs/")
        .into_iter()
        .filter(|name| !lost.contains(name))
        .map(|name| (name.clone(), fixture.storage.get(&name).unwrap()))
        .collect();
    fixture.names("packs/").iter().for_each(|name| fixture.storage.delete(name).unwrap());
    put(&fixture.another_process(), &night(&first, 39));
    put(&fixture.another_process(), &first);
    for (name, bytes) in &away {
        fixture.storage.put(name, bytes, PutMode::CreateNew).unwrap();
    }
    assert!(read(&fixture.another_process(), id).is_err());
    put(&fixture.another_process(), &first);
    assert!(read(&fixture.another_process(), id).unwrap() == second);
    assert_eq!(verify(&fixture.another_process()).findings, []);
}

/// As a collection leaves it that crashed when one of the packs it had condemned was gone, and the other one was not.
#[test]
fn nobody_refers_to_a_dead_delta_whose_base_is_gone() {
    let large = InitOptions { pack_len: 4 << 20, ..options(Crypto::Plain) };
    let fixture = Fixture::new(Arc::new(MemoryStorage::new()), &large);
    let (one, other) = (noise(23, 60_000), noise(24, 400_000));
    let base = put(&fixture.store, &one);
    let [base_pack] = fixture.names("packs/").try_into().unwrap();
    let changed = night(&one, 25);
    let both = write(&fixture.store, "both", &[("a", &changed), ("b", &other)]).id;
    let half = write(&fixture.store, "half", &[("b", &other)]).id;
    for id in [base, both] {
        delete(&fixture.store, id);
    }
    fixture.storage.delete(&base_pack).unwrap();
    let stranded = fixture.names("packs/");
    gc(&fixture.reopen());
    assert_ne!(fixture.names("packs/"), stranded, "what lives in it is copied");
    let store = fixture.reopen();
    let again = put(&store, &changed);
    let expected = BTreeMap::from([(again, changed), (half, other)]);
    check_all(&store, &expected);
    assert_eq!(verify(&store).findings, []);
}

fn depth(store: &Arc<Store>, id: SnapshotId) -> u8 {
    SnapshotReader::new(Arc::clone(store), find(store, id).manifest).depths().unwrap().max
}

#[test]
fn what_is_flattened_lies_no_deeper_and_is_what_it_was() {
    for crypto in BOTH {
        let fixture = Fixture::local(crypto);
        let contents = nights(19, 120_000, 9);
        let ids: Vec<_> = contents.iter().map(|content| put(&fixture.store, content)).collect();
        assert_eq!(depth(&fixture.store, ids[9]), 9);
        let before = fixture.stored_bytes();
        let options = GcOptions { depth_max: 3, ..gc_options() };
        let plan = fixture.store.plan_gc(&options, &Silent).unwrap();
        assert!(!plan.rewrite.is_empty(), "{plan:?}");
        fixture.store.gc(&options, &Silent).unwrap();
        let depths: Vec<u8> = ids.iter().map(|id| depth(&fixture.store, *id)).collect();
        assert_eq!(depths[..4], [0, 1, 2, 3]);
        assert!(depths.iter().all(|depth| *depth <= 3), "{depths:?}");
        assert!(fixture.stored_bytes() < before + 60_000, "it is still coded on the first night");
        let expected: BTreeMap<_, _> = ids.iter().copied().zip(contents.iter().cloned()).collect();
        check_all(&fixture.another_process(), &expected);
        assert_eq!(verify(&fixture.store).findings, []);
        // Nothing is left over, and the next night goes on from here.
        let plan = fixture.store.plan_gc(&options, &Silent).unwrap();
        assert!(plan.drop.is_empty(), "{plan:?}");
        let next = night(&contents[9], 5);
        let id = put(&fixture.store, &next);
        gc(&fixture.store);
        assert_eq!(read(&fixture.another_process(), id).unwrap(), next);
    }
}

/// A pack of one delta body with these runs, whatever they say.
fn put_deltas(fixture: &Fixture, runs: Vec<Run>, differences: &[Difference]) {
    let header = PackHeader::new(false, [3; 32], 0);
    let residue = Residue::encode(differences);
    let coded = zstd::bulk::compress(&residue, 3).unwrap();
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let body = Body { stored_len: len(&coded), plain_len: len(&residue), codec: Codec::Delta, runs };
    let mut pack = [header.encode(), coded].concat();
    let table = PackToc { bodies: vec![body] }.encode(&header, pack.len() as u64, &StoreKey::Plain);
    pack.extend_from_slice(&table);
    let name = names::pack(&PackId(Digest::of(&pack)));
    fixture.storage.put(&name, &pack, PutMode::CreateNew).unwrap();
}

fn id_of(bytes: &[u8]) -> ChunkId {
    ChunkId(Digest::of(bytes))
}

fn copy_all(len: usize) -> Difference {
    let len = u32::try_from(len).unwrap();
    Difference { copies: vec![Copy { literals: 0, len, from: 0 }], literals: Vec::new() }
}

fn run_on(depth: u8, bases: Vec<ChunkId>, chunk: &[u8]) -> Run {
    let len = u32::try_from(chunk.len()).unwrap();
    let bases = bases.into_iter().map(|id| TocChunk { id, len }.base()).collect();
    let chunk = TocChunk { id: id_of(chunk), len: u32::try_from(chunk.len()).unwrap() };
    Run { depth, bases, chunks: vec![chunk], ..Run::default() }
}

#[test]
fn deltas_that_go_in_circles_or_nowhere_are_refused_in_time() {
    in_time(|| {
        let (a, b) = (noise(20, 5000), noise(21, 5000));
        let circle = |depths: [u8; 2]| {
            let runs = vec![run_on(depths[0], vec![id_of(&b)], &a), run_on(depths[1], vec![id_of(&a)], &b)];
            (runs, vec![copy_all(5000), copy_all(5000)])
        };
        let itself = (vec![run_on(1, vec![id_of(&a)], &a)], vec![copy_all(5000)]);
        let nowhere = (vec![run_on(1, vec![ChunkId::from_bytes([1; 32])], &a)], vec![copy_all(5000)]);
        let wide = (vec![run_on(31, vec![id_of(&b); 12_000], &a)], vec![copy_all(5000)]);
        let empty = Difference { copies: vec![Copy { literals: 0, len: 0, from: 0 }], literals: a.clone() };
        let malformed = (vec![run_on(1, vec![id_of(&b)], &a)], vec![empty]);
        let circles = [circle([1, 1]), circle([1, 2]), circle([31, 30]), itself, nowhere, wide, malformed];
        for (runs, differences) in circles {
            let fixture = Fixture::new(Arc::new(MemoryStorage::new()), &whole_chunks());
            let sound = put(&fixture.store, &noise(22, 3000));
            let before = fixture.names("packs/");
            let id = write(&fixture.store, "hostile", &[("a", &a)]).id;
            let own = fixture.names("packs/");
            put_deltas(&fixture, runs, &differences);
            let store = fixture.reopen();
            verify(&store);
            let is_refused = |outcome: &Result<Vec<u8>, StoreError>| match outcome {
                Ok(bytes) => *bytes == a,
                Err(error) => {
                    matches!(error, StoreError::ChunkDamaged { .. } | StoreError::ChunkMissing { .. })
                }
            };
            assert!(is_refused(&read(&store, id)));
            // Then there is nothing else.
            own.iter()
                .filter(|name| !before.contains(name))
                .for_each(|name| fixture.storage.delete(name).unwrap());
            let store = fixture.reopen();
            assert!(is_refused(&read(&store, id)));
            let report = verify(&store);
            assert!(report.findings.iter().any(|finding| finding.snapshots.contains_key(&id)), "{report:?}");
            let _ = store.gc(&gc_options(), &Silent);
            assert!(is_refused(&read(&store, id)));
            assert_eq!(read(&store, sound).unwrap(), noise(22, 3000));
        }
    });
}

/// Up to 256 KiB are one chunk.
fn whole_chunks() -> InitOptions {
    InitOptions {
        chunk_sizes: ChunkSizes { min: 256 << 10, avg: 512 << 10, max: 1 << 20 },
        ..options(Crypto::Plain)
    }
}

/// Layers of runs, each of which needs all of those below: without a bound on the work, reading the topmost would take for ever.
#[test]
fn deltas_that_multiply_are_refused_in_time() {
    in_time(|| {
        let fixture = Fixture::new(Arc::new(MemoryStorage::new()), &whole_chunks());
        let len = 200_000u32 as usize;
        let base = vec![7; len];
        let mut runs = Vec::new();
        let mut differences = Vec::new();
        let mut below: Vec<ChunkId> = vec![id_of(&base)];
        put(&fixture.store, &base);
        let mut top = Vec::new();
        for depth in 1..=31u8 {
            let mut layer = Vec::new();
            for n in 0..100u8 {
                let mut chunk = base.clone();
                chunk[0] = depth;
                chunk[1] = n;
                // A little of each one below.
                let piece = u32::try_from(len - 2).unwrap() / u32::try_from(below.len()).unwrap();
                let copies = (0..u32::try_from(below.len()).unwrap()).map(|n| Copy {
                    literals: if n == 0 { 2 } else { 0 },
                    len: piece,
                    from: n * u32::try_from(len).unwrap() + 2,
                });
                let rest = len - 2 - piece as usize * below.len();
                let difference = Difference {
                    copies: copies.collect(),
                    literals: [vec![depth, n], vec![7; rest]].concat(),
                };
                layer.push(id_of(&chunk));
                runs.push(run_on(depth, below.clone(), &chunk));
                differences.push(difference);
                top = chunk;
            }
            below = layer;
        }
        put_deltas(&fixture, runs, &differences);
        let store = fixture.reopen();
        let before = fixture.names("packs/").len();
        let id = put(&store, &top);
        assert_eq!(fixture.names("packs/").len(), before, "it is found in the hostile pack");
        match read(&store, id) {
            Ok(bytes) => assert_eq!(bytes, top),
            Err(error) => assert!(matches!(error, StoreError::ChunkDamaged { .. }), "{error:?}"),
        }
    });
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
    vec((any::<prop::sample::Index>(), 0..3000usize, vec(any::<u8>(), 0..3000)), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_edited_comes_back(
        seed in 0..1000u64,
        nights in vec(edits(), 1..5),
        goes in vec(any::<bool>(), 6),
    ) {
        let storage = Arc::new(MemoryStorage::new());
        let fixture = Fixture::new(storage, &options(Crypto::Plain));
        let mut content = noise(seed, 120_000);
        let mut expected = BTreeMap::from([(put(&fixture.store, &content), content.clone())]);
        for (edits, goes) in nights.iter().zip(goes) {
            for (at, gone, come) in edits {
                let at = at.index(content.len() + 1);
                let end = (at + gone).min(content.len());
                content.splice(at..end, come.iter().copied());
            }
            let id = put(&fixture.store, &content);
            if goes {
                let old = *expected.keys().next().unwrap();
                if old != id {
                    expected.remove(&old);
                    delete(&fixture.store, old);
                    gc(&fixture.store);
                }
            }
            expected.insert(id, content.clone());
            check_all(&fixture.reopen(), &expected);
        }
        prop_assert_eq!(verify(&fixture.store).findings, []);
    }
}

#[test]
fn a_store_of_a_local_disk_and_one_in_memory_store_the_same() {
    let contents = nights(30, 200_000, 2);
    let local = Fixture::local(Crypto::Plain);
    let folder = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let other = Fixture::new(Arc::new(LocalStorage::new(folder.path().to_owned())), &options(Crypto::Plain));
    for content in &contents {
        put(&local.store, content);
        put(&other.store, content);
    }
    assert_eq!(local.stored_bytes(), other.stored_bytes(), "what is coded on what does not depend on time");
}
