//! Connections that nobody else reads.

use std::fs;

use icecore_s3::{Cause, S3Options};
use icecore_storage::{PutMode, Storage as _};
use icecore_testkit::certificates::Authority;
use icecore_testkit::s3::S3Server;

use crate::support::{Place, noise, options, sentence};

#[test]
fn the_servers_certificate_is_checked_against_the_given_authority() {
    let authority = Authority::new();
    let place = Place::on(S3Server::start_with_tls(&authority.server("IP:127.0.0.1")));
    let ca_file = Some(authority.cert());
    let storage = place.storage_with(S3Options { ca_file, ..options() });
    let bytes = noise(3_000_000);
    storage.put("packs/1", &bytes, PutMode::CreateNew).unwrap();
    assert!(storage.get("packs/1").unwrap() == bytes);

    let strangers = Some(Authority::new().cert());
    for ca_file in [None, strangers.clone()] {
        if ca_file.as_ref().is_some_and(|path| !path.exists()) {
            continue;
        }
        let storage = place.storage_with(S3Options { ca_file, ..options() });
        let error = storage.get("packs/1").unwrap_err();
        assert!(matches!(Cause::of(&error), Some(Cause::Untrusted(_))), "{}", sentence(&error));
        assert!(Cause::of(&error).and_then(Cause::hint).unwrap().contains("--ca-file"));
    }
}

#[test]
fn a_certificate_for_another_server_is_refused() {
    let authority = Authority::new();
    let place = Place::on(S3Server::start_with_tls(&authority.server("DNS:s3.example.org")));
    let storage = place.storage_with(S3Options { ca_file: Some(authority.cert()), ..options() });
    let error = storage.get("packs/1").unwrap_err();
    assert!(matches!(Cause::of(&error), Some(Cause::Untrusted(_))), "{}", sentence(&error));
}

#[test]
fn a_file_that_holds_no_certificates_is_refused_at_once() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, text, says) in [
        ("missing", None, "cannot read"),
        ("empty", Some(""), "has no certificate in it"),
        ("text", Some("hello"), "has no certificate in it"),
        ("broken", Some(broken), "has a certificate that cannot be read"),
    ] {
        let path = folder.path().join(name);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let ca_file = Some(path.clone());
        let error = place.try_open("s3://bucket", S3Options { ca_file, ..options() }).unwrap_err();
        let text = sentence(&error);
        assert!(text.contains(says) && text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.starts_with("cannot open s3://bucket: "), "{text}");
    }
}
