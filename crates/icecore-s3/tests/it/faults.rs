//! Everything that can go wrong on the way, once and for good.

use std::time::Duration;

use icecore_s3::{Cause, S3Options};
use icecore_storage::{ErrorKind, PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, noise, options, sentence};

/// Troubles after which the same request succeeds.
const PASSING: [Trouble; 7] = [
    Trouble::CutBefore,
    Trouble::DropAnswer,
    Trouble::Answer(500, "InternalError"),
    Trouble::Answer(503, "SlowDown"),
    Trouble::Answer(429, "TooManyRequests"),
    Trouble::AnswerAfter(500, "InternalError"),
    Trouble::Delay(Duration::from_millis(30)),
];

#[test]
fn each_request_is_made_again_after_each_trouble_that_passes() {
    let place = Place::new();
    let storage = place.storage();
    let bytes = noise(300_000);
    for (at, trouble) in PASSING.into_iter().enumerate() {
        let name = format!("packs/{at}");
        let calls =
            [S3Call::Put, S3Call::Get, S3Call::Head, S3Call::List, S3Call::Delete, S3Call::DeleteMany];
        for call in calls {
            place.server.inject(S3Fault::new(call, trouble));
        }
        storage.put(&name, &bytes, PutMode::Overwrite).unwrap();
        assert!(storage.get(&name).unwrap() == bytes, "{trouble:?}");
        assert_eq!(storage.len(&name).unwrap(), 300_000);
        assert_eq!(storage.list("packs/").unwrap().len(), 1);
        storage.delete(&name).unwrap();
        storage.delete_all(&[name]).unwrap();
        assert_eq!(place.server.heal(), 0, "{trouble:?}: each request met it");
    }
}

#[test]
fn trouble_that_does_not_pass_is_told_after_some_tries() {
    let place = Place::new();
    let storage = place.storage();
    for (trouble, says) in [
        (Trouble::CutBefore, "the connection broke"),
        (Trouble::Answer(503, "SlowDown"), "the server is busy or failed (503 SlowDown: injected)"),
        (Trouble::Answer(500, "InternalError"), "500 InternalError"),
        (Trouble::Answer(409, "ConditionalRequestConflict"), "somebody else writes it at this moment"),
    ] {
        place.server.inject(S3Fault::new(S3Call::Put, trouble).for_good());
        place.server.take_requests();
        let error = storage.put("packs/1", b"1", PutMode::Overwrite).unwrap_err();
        place.server.heal();
        assert_eq!(error.kind, ErrorKind::Unreachable);
        let text = sentence(&error);
        assert!(text.starts_with("cannot write s3://bucket/packs/1: ") && text.contains(says), "{text}");
        assert_eq!(place.server.take_requests().len(), 5, "{trouble:?}");
    }
}

#[test]
fn what_cannot_get_better_is_asked_once() {
    let place = Place::new();
    let storage = place.storage();
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::Answer(403, "AccessDenied")).for_good());
    storage.put("packs/1", b"1", PutMode::Overwrite).unwrap_err();
    assert_eq!(place.server.take_requests().len(), 1);
}

#[test]
fn an_upload_that_is_cut_in_its_middle_is_sent_again() {
    let place = Place::new();
    let storage = place.storage();
    let bytes = noise(5_000_000);
    for cut in [1, 100_000, 4_000_000] {
        place.server.inject(S3Fault::new(S3Call::Put, Trouble::CutRequest(cut)));
        storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
        assert_eq!(place.server.heal(), 0);
        assert!(storage.get("packs/1").unwrap() == bytes);
    }
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_was_cut() {
    let place = Place::new();
    let storage = place.storage();
    let bytes = noise(5_000_000);
    storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
    // More often than one request is tried: each one brings something.
    for _ in 0..12 {
        place.server.inject(S3Fault::new(S3Call::Get, Trouble::CutAnswer(300_000)));
    }
    assert!(storage.get("packs/1").unwrap() == bytes);
    assert_eq!(place.server.heal(), 0);
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::CutAnswer(1_000)));
    assert!(storage.get_range("packs/1", 1_000_000..1_200_000).unwrap() == bytes[1_000_000..1_200_000]);
}

#[test]
fn a_download_does_not_go_on_with_another_object() {
    let place = Place::new();
    let storage = place.storage();
    let (old, new) = (vec![1u8; 1_000_000], vec![2u8; 1_000_000]);
    storage.put("notes/1", &old, PutMode::Overwrite).unwrap();
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::CutAnswer(1_000)));
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Delay(Duration::from_millis(500))));
    std::thread::scope(|scope| {
        let read = scope.spawn(|| storage.get("notes/1").unwrap());
        std::thread::sleep(Duration::from_millis(200));
        storage.put("notes/1", &new, PutMode::Overwrite).unwrap();
        let read = read.join().unwrap();
        assert!(read == old || read == new, "never half of each");
    });
}

#[test]
fn a_range_that_comes_short_is_asked_for_again() {
    let place = Place::new();
    let storage = place.storage();
    let bytes = noise(100_000);
    storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Truncate(10)));
    assert!(storage.get_range("packs/1", 500..1_500).unwrap() == bytes[500..1_500]);
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Truncate(0)).for_good());
    let error = storage.get_range("packs/1", 500..1_500).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "that it is short is not the object's fault");
    assert!(sentence(&error).contains("0 of 1000 bytes came"), "{}", sentence(&error));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let place = Place::new();
    let silence_max = Duration::from_millis(300);
    let attempts = std::num::NonZeroU32::new(2).unwrap();
    let storage = place.storage_with(S3Options { silence_max, attempts, ..options() });
    for trouble in [Trouble::Stall, Trouble::StallAnswer] {
        place.server.inject(S3Fault::new(S3Call::Put, trouble));
        storage.put("packs/1", &noise(300_000), PutMode::Overwrite).unwrap();
        assert_eq!(place.server.heal(), 0);
    }
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Stall).for_good());
    let error = storage.get("packs/1").unwrap_err();
    assert!(matches!(Cause::of(&error), Some(Cause::Silent(_))), "{error:?}");
}

#[test]
fn a_slow_answer_is_no_silence_while_something_moves() {
    let place = Place::new();
    let storage = place.storage_with(S3Options { silence_max: Duration::from_secs(1), ..options() });
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::Delay(Duration::from_millis(500))).for_good());
    let begun = std::time::Instant::now();
    for at in 0..3 {
        storage.put(&format!("packs/{at}"), &noise(200_000), PutMode::CreateNew).unwrap();
    }
    assert!(begun.elapsed() > Duration::from_secs(1));
}

#[test]
fn many_deletes_are_few_requests_and_what_stays_is_named() {
    let place = Place::new();
    let storage = place.storage();
    let names: Vec<_> = (0..1_200).map(|at| format!("packs/{at:04}")).collect();
    for name in &names {
        std::fs::create_dir_all(place.server.folder("bucket").join("packs")).unwrap();
        std::fs::write(place.server.folder("bucket").join(name), b"1").unwrap();
    }
    storage.delete_all(&names).unwrap();
    assert_eq!(place.server.take_requests().len(), 2);
    assert_eq!(storage.list("").unwrap(), []);
    place.server.inject(S3Fault::new(S3Call::DeleteMany, Trouble::Answer(403, "AccessDenied")).for_good());
    let error = storage.delete_all(&names[..2]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(sentence(&error).starts_with("cannot delete s3://bucket/packs/0000: access is denied"));
}

#[test]
fn a_server_that_cannot_delete_many_deletes_one_by_one() {
    let place = Place::new();
    let storage = place.storage();
    for name in ["a/1", "a/2"] {
        storage.put(name, b"", PutMode::CreateNew).unwrap();
    }
    place.server.inject(S3Fault::new(S3Call::DeleteMany, Trouble::Answer(501, "NotImplemented")).for_good());
    storage.delete_all(&["a/1", "a/2", "a/3"].map(str::to_owned)).unwrap();
    assert_eq!(storage.list("").unwrap(), []);
}

#[test]
fn a_page_that_says_404_is_no_missing_object() {
    // What stands before a server that starts anew says that nothing is there.
    let place = Place::new();
    let storage = place.storage();
    storage.put("packs/1", b"1", PutMode::CreateNew).unwrap();
    for text in ["404 page not found\n", ""] {
        for call in [S3Call::Get, S3Call::Head, S3Call::List, S3Call::Put] {
            place.server.inject(S3Fault::new(call, Trouble::Page(404, text)).times(2));
        }
        assert_eq!(storage.get("packs/1").unwrap(), &b"1"[..]);
        assert_eq!(storage.len("packs/1").unwrap(), 1);
        assert_eq!(storage.list("packs/").unwrap().len(), 1);
        storage.put("packs/1", b"1", PutMode::Overwrite).unwrap();
        assert_eq!(place.server.heal(), 0, "{text:?}: each request met it");

        place.server.inject(S3Fault::new(S3Call::Any, Trouble::Page(404, text)).for_good());
        for error in [storage.get("packs/1").unwrap_err(), storage.len("packs/1").unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::Unreachable);
            assert!(sentence(&error).contains("something else than S3 answers (404"), "{}", sentence(&error));
        }
        place.server.heal();
    }
}

#[test]
fn servers_that_leave_no_trace_in_answers_are_asked_twice_for_what_is_missing() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("packs/1", b"1", PutMode::CreateNew).unwrap();
    place.server.take_requests();
    place.server.inject(S3Fault::new(S3Call::Head, Trouble::Page(404, "")));
    assert_eq!(storage.len("packs/2").unwrap_err().kind, ErrorKind::NotFound);
    let calls: Vec<_> = place.server.take_requests().into_iter().map(|request| request.call).collect();
    assert_eq!(calls, [S3Call::Head, S3Call::Get]);
}

#[test]
fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("packs/1", b"0123456789", PutMode::CreateNew).unwrap();
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Endless));
    let error = storage.get("packs/1").unwrap_err();
    assert!(sentence(&error).contains("does not say how long"), "{}", sentence(&error));
}
