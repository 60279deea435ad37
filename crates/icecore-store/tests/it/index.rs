//! The index is a cache: whatever happens to it, nothing is lost.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use bytes::Bytes;
use icecore_format::SnapshotId;
use icecore_storage::PutMode;
use icecore_store::{Silent, VerifyExtent};

use crate::support::{BOTH, Crypto, Fixture, check_all, gc_options, in_time, noise, read, write};

fn filled(crypto: Crypto) -> (Fixture, BTreeMap<SnapshotId, Vec<u8>>) {
    let fixture = Fixture::local(crypto);
    let mut expected = BTreeMap::new();
    for seed in 0..3 {
        let content = [noise(100, 50_000), noise(seed, 150_000)].concat();
        expected.insert(write(&fixture.store, "shop", &[("a", &content)]).id, content);
    }
    (fixture, expected)
}

/// Everything works on the store, whatever state its index is in.
fn check_usable(fixture: &Fixture, expected: &BTreeMap<SnapshotId, Vec<u8>>) {
    let store = fixture.another_process();
    check_all(&store, expected);
    let report = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let report = store.gc(&gc_options(), &Silent).unwrap();
    assert_eq!(report.packs_deleted, report.packs_rewritten);
    check_all(&store, expected);
}

#[test]
fn a_lost_index_is_rebuilt() {
    for crypto in BOTH {
        let (fixture, expected) = filled(crypto);
        let lose = || fs::remove_file(fixture.index_path()).unwrap();
        lose();
        assert_eq!(fixture.another_process().stats().unwrap().snapshots, 3);
        lose();
        check_all(&fixture.another_process(), &expected);
        lose();
        let content = [noise(100, 50_000), noise(2, 150_000)].concat();
        assert_eq!(write(&fixture.another_process(), "shop", &[("a", &content)]).info.new_chunks, 0);
        lose();
        // A store that was open meanwhile.
        assert_eq!(write(&fixture.store, "shop", &[("a", &content)]).info.new_chunks, 0);
    }
}

#[test]
fn a_file_that_is_no_index_is_set_aside() {
    let (fixture, expected) = filled(Crypto::Plain);
    let good = fs::read(fixture.index_path()).unwrap();
    let garbage: [&[u8]; 6] = [b"", b"x", b"redb", &noise(1, 100), &noise(1, 1 << 20), &[0; 8192]];
    for bytes in garbage {
        fs::write(fixture.index_path(), bytes).unwrap();
        check_usable(&fixture, &expected);
    }
    for len in [9, 10, 100, 320, 4095, 4096, 4097, 20_000, good.len() / 2, good.len() - 4096, good.len() - 1]
    {
        fs::write(fixture.index_path(), &good[..len]).unwrap();
        check_usable(&fixture, &expected);
    }
}

#[test]
fn an_index_with_flipped_bits_costs_nothing_but_time() {
    let (fixture, expected) = filled(Crypto::Plain);
    let good = fs::read(fixture.index_path()).unwrap();
    // Where something is: the header, and pages that are not all zeros.
    let written: Vec<usize> = (0..good.len()).filter(|at| *at < 512 || good[*at] != 0).collect();
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..60 {
        fs::write(fixture.index_path(), &good).unwrap();
        let file = OpenOptions::new().write(true).open(fixture.index_path()).unwrap();
        for _ in 0..1 + round % 20 {
            let at =
                if round % 3 == 0 { random.usize(..512) } else { written[random.usize(..written.len())] };
            file.write_all_at(&[random.u8(..)], at as u64).unwrap();
        }
        drop(file);
        let (store, expected) = (fixture.another_process(), expected.clone());
        // The run that finds the damage may fail; the next one must not.
        in_time(move || {
            for id in expected.keys() {
                let _ = read(&store, *id);
            }
            check_all(&store, &expected);
        });
    }
}

#[test]
fn an_index_of_another_store_is_put_right() {
    let (fixture, expected) = filled(Crypto::Plain);
    let other = Fixture::local(Crypto::Plain);
    write(&other.store, "shop", &[("a", &[noise(100, 50_000), noise(0, 150_000)].concat())]);
    fs::copy(other.index_path(), fixture.index_path()).unwrap();
    check_usable(&fixture, &expected);
}

#[test]
fn a_chunk_that_lies_twice_survives_the_loss_of_either_pack() {
    let fixture = Fixture::local(Crypto::Plain);
    let content = noise(1, 150_000);
    let mut expected = BTreeMap::new();
    expected.insert(write(&fixture.store, "a", &[("a", &content)]).id, content.clone());
    let keep = |names: Vec<String>| -> Vec<(String, Bytes)> {
        names.into_iter().map(|name| (name.clone(), fixture.storage.get(&name).unwrap())).collect()
    };
    let put = |packs: &[(String, Bytes)]| {
        for (name, bytes) in packs {
            fixture.storage.put(name, bytes, PutMode::Overwrite).unwrap();
        }
    };
    let remove =
        |packs: &[(String, Bytes)]| packs.iter().for_each(|(name, _)| fixture.storage.delete(name).unwrap());
    // As two machines would, that do not know of each other.
    let ours = keep(fixture.names("packs/"));
    remove(&ours);
    expected.insert(write(&fixture.another_process(), "b", &[("a", &content)]).id, content);
    let theirs = keep(fixture.names("packs/"));
    put(&ours);
    let store = fixture.another_process();
    for gone in [&ours, &theirs, &ours] {
        assert_eq!(store.stats().unwrap().packs, (ours.len() + theirs.len()) as u64);
        remove(gone);
        let report = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        check_all(&store, &expected);
        put(gone);
    }
    // One copy is enough: a collection takes the other, whole packs of it at least.
    store.stats().unwrap();
    let report = store.gc(&gc_options(), &Silent).unwrap();
    assert_eq!(report.packs_deleted, ours.len() as u64);
    check_all(&fixture.another_process(), &expected);
}

/// Of a process that was killed, `redb`'s own lock on the file may go after ours.
#[test]
fn an_index_that_a_dying_process_still_has_open_is_waited_for() {
    let (fixture, expected) = filled(Crypto::Plain);
    let hold = || {
        let dying = fs::File::open(fixture.index_path()).unwrap();
        dying.lock().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(dying);
        })
    };
    let dead = hold();
    check_all(&fixture.another_process(), &expected);
    dead.join().unwrap();
    let dead = hold();
    write(&fixture.another_process(), "more", &[("a", &noise(77, 50_000))]);
    dead.join().unwrap();
}
