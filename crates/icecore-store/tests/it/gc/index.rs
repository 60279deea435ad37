//! An index that lies, or that is not the one it was.

use std::collections::BTreeMap;

use icecore_store::{Monitor, Silent};

use super::delete;
use crate::support::{Crypto, Fixture, check_all, gc_options, in_time, noise, write};

#[test]
fn an_index_that_lies_makes_gc_delete_nothing_that_is_live() {
    let fixture = Fixture::local(Crypto::Plain);
    let mut expected = BTreeMap::new();
    let mut ids = Vec::new();
    for seed in 0..4 {
        let content = noise(seed, 150_000);
        ids.push(write(&fixture.store, "shop", &[("a", &content)]).id);
        expected.insert(ids[ids.len() - 1], content);
    }
    let good = std::fs::read(fixture.index_path()).unwrap();
    delete(&fixture.store, ids[0]);
    expected.remove(&ids[0]);
    // One place more or less in the values and keys: no checksum is looked at when redb reads.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..40 {
        let mut bytes = good.clone();
        for _ in 0..40 {
            let at = random.usize(4096..bytes.len());
            if bytes[at] != 0 {
                bytes[at] = bytes[at].wrapping_add(1);
            }
        }
        std::fs::write(fixture.index_path(), bytes).unwrap();
        let store = fixture.another_process();
        let _ = in_time(move || store.gc(&gc_options(), &Silent));
        check_all(&fixture.another_process(), &expected);
    }
}

/// Publishes something when the collection looks at it for the `at`-th time, and takes its index away then and the next times.
struct Robbed<F> {
    at: usize,
    looks: std::sync::atomic::AtomicUsize,
    index: std::path::PathBuf,
    publish: F,
}

impl<F: Fn() + Send + Sync> Monitor for Robbed<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {}
    fn is_cancelled(&self) -> bool {
        let look = self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if look == self.at {
            (self.publish)();
        }
        if (self.at..self.at + 8).contains(&look) {
            std::fs::remove_file(&self.index).unwrap();
        }
        false
    }
}

#[test]
fn an_index_that_others_make_anew_makes_gc_delete_nothing_that_is_live() {
    for at in 0..12 {
        let fixture = Fixture::local(Crypto::Plain);
        let mut expected = BTreeMap::new();
        for seed in 0..3 {
            let content = noise(seed, 100_000);
            expected.insert(write(&fixture.store, "kept", &[("a", &content)]).id, content);
        }
        let dead = noise(9, 150_000);
        let id = write(&fixture.store, "dead", &[("a", &dead)]).id;
        delete(&fixture.store, id);
        let other = fixture.another_process();
        let published = std::sync::Mutex::new(None);
        let robbed = Robbed {
            at,
            looks: std::sync::atomic::AtomicUsize::new(0),
            index: fixture.index_path(),
            publish: || *published.lock().unwrap() = Some(write(&other, "new", &[("a", &dead)]).id),
        };
        let report = fixture.store.gc(&gc_options(), &robbed).unwrap();
        assert!(report.harmed.is_empty(), "{at}: {report:?}");
        let published = published.lock().unwrap().take();
        expected.extend(published.map(|id| (id, dead.clone())));
        check_all(&fixture.another_process(), &expected);
    }
}
