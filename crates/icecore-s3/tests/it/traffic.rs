//! What somebody sees who watches.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use icecore_s3::S3Options;
use icecore_storage::{ErrorKind, Limits, PutMode, RateLimit, Storage as _, Traffic};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, noise, options};

const LEN: usize = 1 << 20;

/// As fast as `LEN` in a second.
fn limit() -> Option<Arc<RateLimit>> {
    NonZeroU64::new(LEN as u64).map(|rate| Arc::new(RateLimit::of(rate)))
}

/// Looks at the traffic while something goes on; returns the different numbers of bytes that were under way.
fn seen(traffic: &Traffic, work: impl FnOnce() + Send) -> Vec<u64> {
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            work();
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = Vec::new();
        while !done.load(Ordering::Relaxed) {
            seen.push(traffic.under_way());
            thread::sleep(Duration::from_millis(1));
        }
        seen.sort_unstable();
        seen.dedup();
        seen
    });
    assert_eq!(traffic.under_way(), 0, "something stays under way");
    seen
}

#[test]
fn bytes_are_seen_on_their_way() {
    let place = Place::new();
    let with = |limits| {
        let options = S3Options { limits, ..options() };
        (Arc::clone(&options.traffic), place.storage_with(options))
    };
    let bytes = noise(LEN);
    let (traffic, storage) = with(Limits { upload: limit(), ..Limits::default() });
    let up = seen(&traffic, || storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap());
    let (traffic, storage) = with(Limits { download: limit(), ..Limits::default() });
    let down = seen(&traffic, || drop(storage.get("packs/1").unwrap()));
    for seen in [up, down] {
        assert!(seen.len() > 4, "{seen:?}");
        assert!(seen.iter().all(|bytes| *bytes <= LEN as u64), "{seen:?}");
    }
}

#[test]
fn what_is_tried_again_is_not_there_twice() {
    let place = Place::new();
    let options = options();
    let traffic = Arc::clone(&options.traffic);
    let storage = place.storage_with(options);
    let bytes = noise(LEN);
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::CutRequest(LEN / 2)).times(3));
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::CutAnswer(LEN / 2)).times(3));
    let seen = seen(&traffic, || {
        storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
        assert!(storage.get("packs/1").unwrap() == bytes);
    });
    assert!(seen.iter().all(|bytes| *bytes <= LEN as u64), "{seen:?}");
}

fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(40), "it does not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_place_is_silent_as_long_as_no_try_succeeds() {
    let place = Place::new();
    let options = S3Options {
        backoff: Duration::from_millis(200),
        backoff_max: Duration::from_millis(200),
        ..options()
    };
    let traffic = Arc::clone(&options.traffic);
    let storage = place.storage_with(options);
    let silent = || traffic.silent_for(Duration::from_millis(100));
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::Answer(503, "SlowDown")).times(4));
    thread::scope(|scope| {
        let put = scope.spawn(|| storage.put("config", b"x", PutMode::Overwrite).unwrap());
        wait_until(|| silent().as_deref() == Some("s3://bucket"));
        put.join().unwrap();
    });
    assert_eq!(silent(), None);
}

#[test]
fn a_place_is_silent_that_takes_a_request_and_says_nothing() {
    let place = Place::new();
    let options = options();
    let (traffic, interrupt) = (Arc::clone(&options.traffic), Arc::clone(&options.interrupt));
    let storage = place.storage_with(options);
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Stall).for_good());
    thread::scope(|scope| {
        let get = scope.spawn(|| storage.get("config").unwrap_err());
        wait_until(|| traffic.silent_for(Duration::ZERO).is_some());
        assert_eq!(place.server.take_requests().len(), 1, "the first try is not over");
        interrupt.store(true, Ordering::SeqCst);
        assert_eq!(get.join().unwrap().kind, ErrorKind::Interrupted);
    });
}
