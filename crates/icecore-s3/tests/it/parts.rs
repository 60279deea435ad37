//! Objects that go in parts.

use std::time::Duration;

use icecore_s3::{S3Options, S3Storage};
use icecore_storage::{ErrorKind, PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, noise, options};

const PART: usize = 5 << 20;

fn in_parts(place: &Place) -> S3Storage {
    place.storage_with(S3Options { part_len: PART, ..options() })
}

#[test]
fn a_long_object_goes_in_parts_and_comes_back_whole() {
    let place = Place::new();
    let storage = in_parts(&place);
    let bytes = noise(3 * PART + 12_345);
    storage.put("packs/1", &bytes, PutMode::CreateNew).unwrap();
    let sent = place.server.take_requests();
    assert_eq!(sent.iter().filter(|request| request.call == S3Call::PutPart).count(), 4);
    assert_eq!(sent.len(), 6);
    assert!(storage.get("packs/1").unwrap() == bytes);
    assert!(storage.get_range("packs/1", 5_000_000..6_000_000).unwrap() == bytes[5_000_000..6_000_000]);
    assert_eq!(storage.len("packs/1").unwrap(), bytes.len() as u64);
    let error = storage.put("packs/1", &bytes, PutMode::CreateNew).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
    assert_eq!(place.server.unfinished_uploads(), 0);
}

#[test]
fn an_object_as_long_as_a_part_goes_whole() {
    let place = Place::new();
    let storage = in_parts(&place);
    storage.put("packs/1", &noise(PART), PutMode::CreateNew).unwrap();
    assert_eq!(place.server.take_requests().len(), 1);
}

#[test]
fn one_part_is_enough() {
    let place = Place::new();
    let storage = place.storage_with(S3Options { part_len: 1, ..options() });
    for len in [0, 1, 2, 100_000, 200_000] {
        let (name, bytes) = (format!("packs/{len}"), noise(len));
        storage.put(&name, &bytes, PutMode::CreateNew).unwrap();
        assert!(storage.get(&name).unwrap() == bytes);
    }
}

#[test]
fn lost_parts_are_sent_again() {
    let place = Place::new();
    let storage = in_parts(&place);
    let bytes = noise(3 * PART);
    for trouble in [
        Trouble::CutBefore,
        Trouble::CutRequest(1_000_000),
        Trouble::DropAnswer,
        Trouble::Answer(503, "SlowDown"),
        Trouble::Answer(500, "InternalError"),
    ] {
        for call in [S3Call::BeginUpload, S3Call::PutPart, S3Call::CompleteUpload] {
            if call == S3Call::CompleteUpload && matches!(trouble, Trouble::CutRequest(_)) {
                continue;
            }
            place.server.inject(S3Fault::new(call, trouble));
        }
        place.server.inject(S3Fault::new(S3Call::PutPart, trouble).after(1));
        storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
        assert_eq!(place.server.heal(), 0, "{trouble:?}");
        assert!(storage.get("packs/1").unwrap() == bytes);
        storage.delete("packs/1").unwrap();
    }
}

#[test]
fn who_completed_and_did_not_hear_of_it_has_won() {
    let place = Place::new();
    let storage = in_parts(&place);
    let bytes = noise(2 * PART);
    for (at, mode) in [PutMode::CreateNew, PutMode::Overwrite].into_iter().enumerate() {
        place.server.inject(S3Fault::new(S3Call::CompleteUpload, Trouble::DropAnswer));
        storage.put(&format!("packs/{at}"), &bytes, mode).unwrap();
        assert_eq!(place.server.heal(), 0);
    }
    place.server.inject(S3Fault::new(S3Call::CompleteUpload, Trouble::DropAnswer));
    let error = storage.put("packs/0", &bytes, PutMode::CreateNew).unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
}

#[test]
fn an_upload_that_fails_leaves_no_parts() {
    let place = Place::new();
    let storage = in_parts(&place);
    for call in [S3Call::PutPart, S3Call::CompleteUpload] {
        place.server.inject(S3Fault::new(call, Trouble::Answer(403, "AccessDenied")).for_good());
        let error = storage.put("packs/1", &noise(3 * PART), PutMode::CreateNew).unwrap_err();
        place.server.heal();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert_eq!(place.server.unfinished_uploads(), 0, "{call:?}");
        assert_eq!(storage.list("").unwrap(), []);
    }
}

#[test]
fn an_upload_that_somebody_else_gave_up_is_begun_anew() {
    let place = Place::new();
    let storage = in_parts(&place);
    let bytes = noise(2 * PART);
    for call in [S3Call::PutPart, S3Call::CompleteUpload] {
        place.server.inject(S3Fault::new(call, Trouble::Answer(404, "NoSuchUpload")));
        storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap();
        assert!(storage.get("packs/1").unwrap() == bytes);
    }
    place
        .server
        .inject(S3Fault::new(S3Call::CompleteUpload, Trouble::Answer(404, "NoSuchUpload")).for_good());
    let error = storage.put("packs/1", &bytes, PutMode::Overwrite).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Other, "not for ever");
}

#[test]
fn only_uploads_that_were_left_behind_are_cleared() {
    let place = Place::new();
    let storage = in_parts(&place);
    let elsewhere = place.storage_at("s3://bucket/elsewhere");
    // The process dies in the middle: nothing can be given up any more.
    let die = |storage: &S3Storage| {
        let cut = S3Fault::new(S3Call::CompleteUpload, Trouble::Answer(400, "Died"));
        place.server.inject(cut);
        place.server.inject(S3Fault::new(S3Call::AbortUpload, Trouble::CutBefore));
        storage.put("packs/1", &noise(2 * PART), PutMode::CreateNew).unwrap_err();
        place.server.heal();
    };
    die(&storage);
    assert_eq!(place.server.unfinished_uploads(), 1);
    assert_eq!(storage.clear_unfinished().unwrap(), 0, "somebody may still be at it");
    place.server.age_uploads(Duration::from_secs(25 * 60 * 60));
    die(&storage);
    assert_eq!(elsewhere.clear_unfinished().unwrap(), 0, "it is none of theirs");
    assert_eq!(storage.clear_unfinished().unwrap(), 2 * PART as u64);
    assert_eq!(place.server.unfinished_uploads(), 1, "the younger one stays");
}

#[test]
fn where_uploads_cannot_be_listed_nothing_is_cleared() {
    let place = Place::new();
    let storage = place.storage();
    for (status, code) in [(403, "AccessDenied"), (501, "NotImplemented")] {
        place.server.inject(S3Fault::new(S3Call::ListUploads, Trouble::Answer(status, code)));
        assert_eq!(storage.clear_unfinished().unwrap(), 0);
    }
}
