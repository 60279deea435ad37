//! S3 as a store sees it: a real server behind connections that break.
#![expect(clippy::unwrap_used, reason = "in the helpers of tests too")]

mod chain;
mod conditions;
mod errors;
mod faults;
mod headers;
mod limits;
mod listing;
mod parts;
mod probe;
mod secrets;
mod speed;
mod stopping;
mod support;
mod tls;
mod traffic;

use icecore_s3::{Conditions, S3Options};

use support::Place;

#[test]
fn it_keeps_the_contract() {
    icecore_storage::conformance::run(&Place::new().storage());
}

#[test]
fn it_keeps_the_contract_below_a_prefix() {
    icecore_storage::conformance::run(&Place::new().storage_at("s3://bucket/some/prefix"));
}

#[test]
fn it_keeps_the_contract_when_all_requests_are_answered_late_or_not_at_first() {
    use icecore_testkit::s3::{S3Call, S3Fault, Trouble};
    let place = Place::new();
    for at in 0..40 {
        let trouble = [Trouble::CutBefore, Trouble::DropAnswer, Trouble::Answer(503, "SlowDown")][at % 3];
        place.server.inject(S3Fault::new(S3Call::Any, trouble).after(1));
    }
    icecore_storage::conformance::run(&place.storage());
    assert_eq!(place.server.heal(), 0, "all of it went wrong");
}

#[test]
fn parts_keep_the_contract() {
    // Each object of the suite that has more than one byte goes in parts.
    let place = Place::new();
    let storage = place.storage_with(S3Options { part_len: 1, ..support::options() });
    icecore_storage::conformance::run(&storage);
}

#[test]
fn one_machine_alone_keeps_the_contract_without_conditions() {
    use icecore_storage::{ErrorKind, PutMode, Storage as _};
    let place = Place::new();
    place.server.behave(icecore_testkit::s3::Manners::Refuse);
    let storage = place.storage_with(S3Options { conditions: Conditions::Avoid, ..support::options() });
    storage.put("epoch", b"1", PutMode::CreateNew).unwrap();
    let again = storage.put("epoch", b"2", PutMode::CreateNew).unwrap_err();
    assert_eq!(again.kind, ErrorKind::AlreadyExists);
    let (_, version) = storage.get_versioned("epoch").unwrap();
    storage.put("epoch", b"2", PutMode::Replace(&version)).unwrap();
    let stale = storage.put("epoch", b"3", PutMode::Replace(&version)).unwrap_err();
    assert_eq!(stale.kind, ErrorKind::AlreadyExists);
    assert_eq!(storage.get("epoch").unwrap(), &b"2"[..]);
}
