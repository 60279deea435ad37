//! Everything at the same time: nobody fails, and what is listed restores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use icecore_format::Label;
use icecore_store::{Silent, SnapshotReader, Store, StoreError, VerifyExtent};

use crate::support::{Crypto, Fixture, gc_options, in_time, noise, restore, write};

/// A content that says of itself what it must be.
fn content(seed: u64) -> Vec<u8> {
    [seed.to_le_bytes().to_vec(), noise(seed % 5, 40_000), noise(1000 + seed, 30_000)].concat()
}

fn seed_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn write_some(store: &Arc<Store>, thread: u64, until: Instant, written: &AtomicUsize) {
    let mut seed = thread * 1_000_000;
    while Instant::now() < until {
        seed += 1;
        let snapshot = write(store, &format!("s{thread}"), &[("a", &content(seed))]);
        store.add_label(&snapshot.id, &Label::Tag(format!("seed{seed}"))).unwrap();
        written.fetch_add(1, Ordering::Relaxed);
    }
}

/// Restores all that is listed. Whoever finds something missing must find the snapshot deleted.
fn restore_all(store: &Arc<Store>) -> usize {
    let (snapshots, damaged) = store.snapshots().unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    let mut restored = 0;
    for snapshot in snapshots {
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
        match restore(&reader) {
            Ok(bytes) => {
                assert!(bytes == content(seed_of(&bytes)));
                restored += 1;
            }
            Err(error) => {
                let (now, _) = store.snapshots().unwrap();
                assert!(now.iter().all(|other| other.object != snapshot.object), "{} {error:?}", snapshot.id);
            }
        }
    }
    restored
}

#[test]
fn everything_at_once_on_one_directory() {
    for crypto in [Crypto::Plain, Crypto::Encrypted] {
        let fixture = Fixture::local(crypto);
        let stores: Vec<_> = (0..6)
            .map(|n| if n == 0 { Arc::clone(&fixture.store) } else { fixture.another_process() })
            .collect();
        let until = Instant::now() + Duration::from_secs(4);
        let (written, deleted, collected) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let counts = Arc::new((written, deleted, collected));
        let shared = Arc::clone(&counts);
        in_time(move || {
            let (written, deleted, collected) = &*shared;
            let stop = &AtomicBool::new(false);
            std::thread::scope(|scope| {
                let mut threads = Vec::new();
                for (n, store) in (0u64..).zip(&stores[..2]) {
                    threads.push(scope.spawn(move || write_some(store, n + 1, until, written)));
                }
                let store = &stores[2];
                threads.push(scope.spawn(move || {
                    while Instant::now() < until {
                        restore_all(store);
                    }
                }));
                let store = &stores[3];
                threads.push(scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(1);
                    while Instant::now() < until {
                        let (snapshots, _) = store.snapshots().unwrap();
                        for snapshot in snapshots.iter().skip(2).filter(|_| random.u8(..) < 100) {
                            store.delete_snapshot(snapshot).unwrap();
                            deleted.fetch_add(1, Ordering::Relaxed);
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }));
                for store in &stores[4..] {
                    threads.push(scope.spawn(move || {
                        while !stop.load(Ordering::Relaxed) {
                            match store.gc(&gc_options(), &Silent) {
                                Ok(report) if report.packs_deleted > 0 => {
                                    collected.fetch_add(1, Ordering::Relaxed);
                                }
                                Ok(_) | Err(StoreError::Busy { .. }) => (),
                                Err(error) => panic!("gc: {error:?}"),
                            }
                            let report = store.verify(None, VerifyExtent::Everything, 1, &Silent).unwrap();
                            assert!(report.findings.is_empty(), "{:?}", report.findings);
                        }
                    }));
                }
                for thread in threads.drain(..4) {
                    thread.join().unwrap();
                }
                stop.store(true, Ordering::Relaxed);
            });
        });
        let [written, deleted, collected] =
            [&counts.0, &counts.1, &counts.2].map(|count| count.load(Ordering::Relaxed));
        assert!(written > 5 && deleted > 0 && collected > 0, "{written} {deleted} {collected}");
        for store in [fixture.another_process(), Arc::clone(&fixture.store)] {
            assert_eq!(restore_all(&store), written - deleted);
            store.gc(&gc_options(), &Silent).unwrap();
            assert_eq!(restore_all(&store), written - deleted);
        }
        assert_eq!(fixture.names("claims/"), [""; 0]);
        assert_eq!(fixture.names("labels/").len(), written - deleted);
    }
}
