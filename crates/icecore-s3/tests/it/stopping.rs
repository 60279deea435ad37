//! The user wants to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use icecore_s3::{S3Options, S3Storage};
use icecore_storage::{ErrorKind, PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, noise, options, sentence};

fn stoppable(place: &Place) -> (S3Storage, Arc<AtomicBool>) {
    let interrupt = Arc::new(AtomicBool::new(false));
    let options =
        S3Options { interrupt: Arc::clone(&interrupt), backoff: Duration::from_secs(30), ..options() };
    let options = S3Options { backoff_max: Duration::from_secs(30), ..options };
    (place.storage_with(options), interrupt)
}

#[test]
fn a_request_that_hangs_ends_when_the_user_wants_it() {
    let place = Place::new();
    for trouble in [Trouble::Stall, Trouble::StallAnswer, Trouble::CutBefore] {
        let (storage, interrupt) = stoppable(&place);
        place.server.inject(S3Fault::new(S3Call::Any, trouble).for_good());
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(300));
                interrupt.store(true, Ordering::SeqCst);
            });
            let error = storage.put("packs/1", &noise(2_000_000), PutMode::CreateNew).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Interrupted, "{}", sentence(&error));
        });
        assert!(begun.elapsed() < Duration::from_secs(3), "{trouble:?}: {:?}", begun.elapsed());
        place.server.heal();
        // What comes after is not even begun.
        assert_eq!(storage.list("").unwrap_err().kind, ErrorKind::Interrupted);
        drop(storage);
        assert!(begun.elapsed() < Duration::from_secs(3), "{trouble:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_claim_is_withdrawn_by_who_is_stopped() {
    let place = Place::new();
    let (storage, interrupt) = stoppable(&place);
    let hold = storage.hold("claims/1", b"1").unwrap();
    interrupt.store(true, Ordering::SeqCst);
    drop(hold);
    assert_eq!(place.storage().list("").unwrap(), []);
}

#[test]
fn an_upload_in_parts_is_given_up_by_who_is_stopped() {
    let place = Place::new();
    let interrupt = Arc::new(AtomicBool::new(false));
    let options = S3Options { interrupt: Arc::clone(&interrupt), part_len: 5 << 20, ..options() };
    let storage = place.storage_with(options);
    place.server.inject(S3Fault::new(S3Call::PutPart, Trouble::Stall).after(1).for_good());
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            interrupt.store(true, Ordering::SeqCst);
        });
        let error = storage.put("packs/1", &noise(15 << 20), PutMode::CreateNew).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Interrupted);
    });
    assert_eq!(place.server.unfinished_uploads(), 0);
}

#[test]
fn whoever_is_stopped_does_not_wait_for_a_server_that_is_gone() {
    let place = Place::new();
    let (storage, interrupt) = stoppable(&place);
    let hold = storage.hold("claims/1", b"1").unwrap();
    place.server.inject(S3Fault::new(S3Call::Any, Trouble::Stall).for_good());
    interrupt.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    drop(hold);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
