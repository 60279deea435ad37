//! What nobody may read anywhere.

use icecore_s3::{Cause, Credentials, S3Options, S3Storage};
use icecore_storage::{PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, options, sentence};

const SECRETS: [&str; 2] = ["hunter2", "token3"];

#[track_caller]
fn check(text: &str) {
    assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
}

#[test]
fn secrets_are_in_no_error_and_no_debug_output() {
    let place = Place::new();
    let credentials = Credentials {
        access_key: place.server.access_key().to_owned(),
        secret_key: "hunter2".to_owned(),
        session_token: Some("token3".to_owned()),
    };
    let options = S3Options { credentials: Some(credentials), ..options() };
    check(&format!("{options:?} {options:#?}"));
    let storage: S3Storage = place.storage_with(options);
    check(&format!("{storage:?} {storage:#?}"));
    let mut errors = vec![storage.get("config").unwrap_err(), storage.len("config").unwrap_err()];
    for trouble in [Trouble::CutBefore, Trouble::Truncate(3), Trouble::Answer(418, "Teapot")] {
        place.server.inject(S3Fault::new(S3Call::Any, trouble).for_good());
        errors.push(storage.put("config", b"", PutMode::CreateNew).unwrap_err());
        errors.push(storage.list("").unwrap_err());
        place.server.heal();
    }
    for error in errors {
        check(&format!("{error:?} {} {:?}", sentence(&error), Cause::of(&error).and_then(Cause::hint)));
    }
    check(&format!("{:?}", storage.probe()));
}
