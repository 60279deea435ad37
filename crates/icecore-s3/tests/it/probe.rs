//! What a probe finds.

use icecore_s3::{Condition, S3Options};
use icecore_storage::{ErrorKind, PutMode, Storage as _};
use icecore_testkit::s3::{Manners, S3Call, S3Fault, Trouble};

use crate::support::{Place, options, sentence};

/// Nothing of the probe is left, listed or not.
fn assert_clean(place: &Place) {
    let left = std::fs::read_dir(place.server.folder("bucket").join("tmp"));
    let left: Vec<_> = left.into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(place.server.unfinished_uploads(), 0);
}

#[test]
fn a_good_bucket_can_everything() {
    let place = Place::new();
    let probe = place.storage().probe();
    assert_eq!(probe.failures().count(), 0, "{probe:?}");
    assert!(probe.keeps_conditions(), "{probe:?}");
    assert_clean(&place);
    let requests = place.server.take_requests().len();
    assert!(requests < 40, "{requests}");
}

#[test]
fn servers_that_do_not_keep_conditions_are_found() {
    let place = Place::new();
    for (manners, create, replace) in [
        (Manners::Ignore, Condition::Ignored, Condition::Ignored),
        (Manners::Race, Condition::Ignored, Condition::Kept),
        (Manners::Refuse, Condition::Refused, Condition::Refused),
    ] {
        place.server.behave(manners);
        let probe = place.storage().probe();
        assert_eq!(probe.failures().count(), 0, "{probe:?}");
        assert_eq!(probe.create.as_ref().ok(), Some(&create), "{manners:?}: {probe:?}");
        assert_eq!(probe.replace.as_ref().ok(), Some(&replace), "{manners:?}: {probe:?}");
        assert!(!probe.keeps_conditions());
        assert_clean(&place);
    }
}

#[test]
fn lost_answers_do_not_make_a_server_look_careless() {
    let place = Place::new();
    for after in 0..12 {
        place.server.inject(S3Fault::new(S3Call::Put, Trouble::DropAnswer).after(after));
        let probe = place.storage().probe();
        place.server.heal();
        assert!(probe.keeps_conditions(), "{probe:?}");
    }
}

#[test]
fn each_missing_permission_is_found_and_named() {
    let place = Place::new();
    for (call, what) in [
        (S3Call::List, "list"),
        (S3Call::Get, "get"),
        (S3Call::BeginUpload, "put in parts"),
        (S3Call::Delete, "delete"),
    ] {
        place.server.inject(S3Fault::new(call, Trouble::Answer(403, "AccessDenied")).for_good());
        let probe = place.storage().probe();
        place.server.heal();
        let failures: Vec<_> = probe.failures().collect();
        assert_eq!(failures.len(), 1, "{probe:?}");
        assert_eq!(failures[0].0, what);
        assert_eq!(failures[0].1.kind, ErrorKind::Denied);
        assert!(sentence(failures[0].1).contains("s3://bucket"), "{probe:?}");
        assert_eq!(probe.left_behind.is_empty(), what != "delete", "{probe:?}");
    }
}

#[test]
fn who_may_only_read_is_told_so_and_nothing_else() {
    let place = Place::new();
    for call in [S3Call::Put, S3Call::BeginUpload, S3Call::Delete] {
        place.server.inject(S3Fault::new(call, Trouble::Answer(403, "AccessDenied")).for_good());
    }
    let probe = place.storage().probe();
    let failed: Vec<_> = probe.failures().map(|(what, _)| what).collect();
    assert_eq!(failed, ["put", "put in parts", "create", "replace", "delete"], "{probe:?}");
    assert!(probe.list.is_ok() && probe.get.is_ok());
}

#[test]
fn a_class_of_storage_is_tried_as_a_pack_would_be() {
    let place = Place::new();
    let with =
        |class: Option<&str>| S3Options { storage_class: class.map(|it| it.parse().unwrap()), ..options() };
    let put_in = |class: Option<&str>| {
        place.server.take_requests();
        let probe = place.storage_with(with(class)).probe();
        assert_eq!(probe.failures().count(), 0, "{probe:?}");
        assert_clean(&place);
        let requests = place.server.take_requests().into_iter().filter(|it| it.call == S3Call::Put);
        requests.filter_map(|it| it.header("x-amz-storage-class").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(put_in(Some("REDUNDANT")), ["REDUNDANT"]);
    assert!(put_in(None).is_empty());
    let refuse = S3Fault::new(S3Call::Put, Trouble::Answer(400, "InvalidStorageClass")).key("-class");
    place.server.inject(refuse.for_good());
    let probe = place.storage_with(with(Some("REDUNDANT"))).probe();
    let failed: Vec<_> = probe.failures().map(|(what, error)| (what, sentence(error))).collect();
    let [(what, said)] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!(*what, "put in the class of storage");
    assert!(said.contains("does not know the class of storage"), "{said}");
}

#[test]
fn a_probe_is_no_object_of_the_store() {
    let place = Place::new();
    let storage = place.storage();
    storage.put("config", b"1", PutMode::CreateNew).unwrap();
    place.server.inject(S3Fault::new(S3Call::Delete, Trouble::Answer(403, "AccessDenied")).for_good());
    assert!(!storage.probe().left_behind.is_empty());
    assert_eq!(storage.list("").unwrap().len(), 1);
}
