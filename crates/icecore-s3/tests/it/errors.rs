//! What people are told.

use icecore_s3::{Cause, Credentials, S3Options};
use icecore_storage::{Error, ErrorKind, PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, options, sentence};

#[track_caller]
fn check(error: &Error, kind: ErrorKind, says: &str, hints: &str) {
    let text = sentence(error);
    let hint = Cause::of(error).and_then(Cause::hint).unwrap_or_default();
    assert_eq!(error.kind, kind, "{text}");
    assert!(text.contains(says), "{text}");
    assert!(hint.contains(hints), "{text}\n{hint}");
}

#[test]
fn a_missing_bucket_is_never_a_missing_object() {
    let place = Place::new();
    let storage = place.storage_at("s3://backups/db");
    let hints = "look at the bucket's name";
    let says = "there is no such bucket";
    check(&storage.get("config").unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.get_range("config", 0..1).unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.len("config").unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.delete("config").unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.list("").unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.put("config", b"", PutMode::CreateNew).unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.delete_all(&["config".to_owned()]).unwrap_err(), ErrorKind::Unreachable, says, hints);
    check(&storage.holder("claims/1").unwrap_err(), ErrorKind::Unreachable, says, hints);
    let text = sentence(&storage.get("config").unwrap_err());
    assert_eq!(text, "cannot read s3://backups/db/config: there is no such bucket");
}

fn with_keys(place: &Place, access_key: &str, secret_key: &str) -> icecore_s3::S3Storage {
    let credentials = Credentials {
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
        session_token: Some("a token of a session".to_owned()),
    };
    place.storage_with(S3Options { credentials: Some(credentials), ..options() })
}

#[test]
fn wrong_keys_are_told_from_each_other_and_from_missing_rights() {
    let place = Place::new();
    let storage = with_keys(&place, place.server.access_key(), "another secret");
    let hints = "AWS_SECRET_ACCESS_KEY";
    check(&storage.get("config").unwrap_err(), ErrorKind::Unreachable, "the secret key does not fit", hints);
    let storage = place.storage();
    for (status, code, says, hints) in [
        (403, "InvalidAccessKeyId", "does not know the access key", "AWS_ACCESS_KEY_ID"),
        (403, "AccessDenied", "access is denied (403 AccessDenied: injected)", "docs/s3.md"),
        (400, "ExpiredToken", "the credentials have expired", "get new ones"),
        (403, "RequestTimeTooSkewed", "the clock of this host", "set this host's clock"),
    ] {
        place.server.inject(S3Fault::new(S3Call::Put, Trouble::Answer(status, code)));
        let error = storage.put("config", b"", PutMode::Overwrite).unwrap_err();
        // What is denied may be one object.
        let kind = if code == "AccessDenied" { ErrorKind::Denied } else { ErrorKind::Unreachable };
        check(&error, kind, says, hints);
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let place = Place::new();
    let storage = with_keys(&place, "AKIDNOBODY", "whatever");
    let error = storage.list("").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{}", sentence(&error));
}

#[test]
fn requests_without_an_answer_body_are_explained_all_the_same() {
    let place = Place::new();
    let keyless = with_keys(&place, place.server.access_key(), "another secret");
    check(&keyless.len("config").unwrap_err(), ErrorKind::Unreachable, "the secret key does not fit", "");
    let storage = place.storage();
    place.server.inject(S3Fault::new(S3Call::Any, Trouble::OtherRegion("eu-west-1")).for_good());
    let says = "the bucket is in eu-west-1";
    check(&storage.len("config").unwrap_err(), ErrorKind::Unreachable, says, "--region eu-west-1");
    check(&storage.get("config").unwrap_err(), ErrorKind::Unreachable, says, "--region eu-west-1");
}

#[test]
fn no_room_is_no_room() {
    let place = Place::new();
    let storage = place.storage();
    for (status, code) in [(507, "InsufficientStorage"), (403, "QuotaExceeded"), (500, "XMinioStorageFull")] {
        place.server.inject(S3Fault::new(S3Call::Put, Trouble::Answer(status, code)));
        let error = storage.put("packs/1", b"", PutMode::Overwrite).unwrap_err();
        check(&error, ErrorKind::Full, "there is no room", "");
    }
}

#[test]
fn what_is_archived_is_not_damaged() {
    let place = Place::new();
    let storage = place.storage();
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Answer(403, "InvalidObjectState")));
    check(&storage.get("packs/1").unwrap_err(), ErrorKind::Other, "is archived", "fetch it from the archive");
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let place = Place::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Some(format!("http://{closed}").parse().unwrap());
    let storage = place.storage_with(S3Options { endpoint, ..options() });
    let error = storage.get("config").unwrap_err();
    check(&error, ErrorKind::Unreachable, "cannot connect to ", "look at the endpoint");
    assert!(sentence(&error).contains("refused"), "{}", sentence(&error));
    let endpoint = Some("http://nowhere.invalid".parse().unwrap());
    let storage = place.storage_with(S3Options { endpoint, ..options() });
    check(
        &storage.get("config").unwrap_err(),
        ErrorKind::Unreachable,
        "cannot connect to ",
        "look at the endpoint",
    );
}

#[test]
fn something_that_does_not_speak_s3_is_no_empty_store() {
    let place = Place::new();
    let storage = place.storage();
    // A page of some proxy.
    place.server.inject(S3Fault::new(S3Call::Get, Trouble::Answer(404, "PageNotFound")));
    let error = storage.get("config").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Other, "{}", sentence(&error));
}

#[test]
fn bytes_that_are_damaged_on_their_way_are_not_stored() {
    let place = Place::new();
    let storage = place.storage();
    place.server.inject(S3Fault::new(S3Call::Put, Trouble::Answer(400, "BadDigest")));
    storage.put("packs/1", b"once more", PutMode::CreateNew).unwrap();
    assert_eq!(storage.get("packs/1").unwrap(), &b"once more"[..]);
}
