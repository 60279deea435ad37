//! What is said beside the bytes.

use icecore_s3::{S3Options, S3Storage};
use icecore_storage::{PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Request};

use crate::support::{Place, noise, options};

/// The requests that bring an object of this length.
fn put(place: &Place, storage: &S3Storage, len: usize) -> Vec<S3Request> {
    place.server.take_requests();
    storage.put("packs/1", &noise(len), PutMode::Overwrite).unwrap();
    place.server.take_requests()
}

#[test]
fn only_long_objects_go_into_the_class_of_storage() {
    let place = Place::new();
    let storage_class = Some("INTELLIGENT_TIERING".parse().unwrap());
    let storage = place.storage_with(S3Options { storage_class, part_len: 1 << 20, ..options() });
    for (len, class) in [
        (1_000, None),
        (131_071, None),
        (131_072, Some("INTELLIGENT_TIERING")),
        (2 << 20, Some("INTELLIGENT_TIERING")),
    ] {
        let requests = put(&place, &storage, len);
        assert_eq!(requests[0].header("x-amz-storage-class"), class, "{len}");
    }
}

#[test]
fn the_server_is_told_how_to_encrypt_all_objects() {
    let place = Place::new();
    for (said, kind, key) in [
        ("AES256", "AES256", None),
        ("aws:kms", "aws:kms", None),
        ("aws:kms=alias/backups", "aws:kms", Some("alias/backups")),
    ] {
        let encryption = Some(said.parse().unwrap());
        let storage = place.storage_with(S3Options { encryption, part_len: 1 << 20, ..options() });
        for len in [10, 300_000, 2 << 20] {
            let first = &put(&place, &storage, len)[0];
            assert_eq!(first.header("x-amz-server-side-encryption"), Some(kind));
            assert_eq!(first.header("x-amz-server-side-encryption-aws-kms-key-id"), key);
        }
    }
}

#[test]
fn every_byte_that_is_sent_comes_with_an_md5_and_no_newer_checksum() {
    let place = Place::new();
    let storage = place.storage_with(S3Options { part_len: 5 << 20, ..options() });
    for len in [0, 10, 300_000, 11 << 20] {
        for request in put(&place, &storage, len) {
            if matches!(request.call, S3Call::Put | S3Call::PutPart) {
                assert!(request.header("content-md5").is_some(), "{request:?}");
            }
            for (name, _) in &request.headers {
                assert!(!name.starts_with("x-amz-checksum") && name != "x-amz-trailer", "{request:?}");
            }
        }
    }
}
