//! Bytes that take their time.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use icecore_s3::S3Options;
use icecore_storage::{ErrorKind, Limits, PutMode, RateLimit, Storage as _};

use crate::support::{Place, noise, options};

fn limit(bytes_a_second: u64) -> Option<Arc<RateLimit>> {
    Some(Arc::new(RateLimit::of(NonZeroU64::new(bytes_a_second).unwrap())))
}

#[test]
fn one_object_takes_its_time_in_either_direction() {
    let place = Place::new();
    let limits = Limits { upload: limit(1_000_000), download: limit(2_000_000) };
    let storage = place.storage_with(S3Options { limits, ..options() });
    for len in [50_000, 500_000] {
        let bytes = noise(len);
        let begun = Instant::now();
        storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
        assert!(begun.elapsed() >= Duration::from_micros(len as u64), "{len}: {:?}", begun.elapsed());
        let begun = Instant::now();
        assert!(storage.get("packs/1").unwrap() == bytes);
        assert!(begun.elapsed() >= Duration::from_micros(len as u64 / 2), "{len}: {:?}", begun.elapsed());
    }
}

#[test]
fn whoever_waits_for_his_turn_can_be_stopped() {
    let place = Place::new();
    let limits = Limits { upload: limit(1), ..Limits::default() };
    let options = S3Options { limits, ..options() };
    let interrupt = Arc::clone(&options.interrupt);
    let storage = place.storage_with(options);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            interrupt.store(true, Ordering::SeqCst);
        });
        let error = storage.put("packs/1", &noise(300_000), PutMode::Overwrite).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Interrupted);
    });
}
