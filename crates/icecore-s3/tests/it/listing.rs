//! Listings of more than a page, and of buckets in which others put things.

use std::fs;

use icecore_storage::{PutMode, Storage as _};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{Place, sentence};

#[test]
fn a_listing_has_all_pages() {
    let place = Place::new();
    let folder = place.server.folder("bucket").join("db/packs");
    fs::create_dir_all(&folder).unwrap();
    for at in 0..2_345 {
        fs::write(folder.join(format!("{at:05}")), b"123").unwrap();
    }
    let storage = place.storage_at("s3://bucket/db");
    // The second page fails at first.
    place.server.inject(S3Fault::new(S3Call::List, Trouble::CutBefore).after(1));
    let found = storage.list("packs/").unwrap();
    assert_eq!(found.len(), 2_345);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(at, object)| object.name == format!("packs/{at:05}") && object.len == 3)
    );
    let calls = place.server.take_requests();
    assert_eq!(calls.len(), 4, "three pages, one of them twice: {calls:?}");
}

#[test]
fn what_others_put_beside_the_store_is_not_listed() {
    let place = Place::new();
    let storage = place.storage_at("s3://bucket/db");
    storage.put("config", b"1", PutMode::CreateNew).unwrap();
    let folder = place.server.folder("bucket");
    for key in ["db2/config", "config", "db/.DS_Store", "db/tmp/probe-1", "db/packs/.hidden/1"] {
        fs::create_dir_all(folder.join(key).parent().unwrap()).unwrap();
        fs::write(folder.join(key), b"").unwrap();
    }
    let names: Vec<_> = storage.list("").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["config"]);
}

#[test]
fn a_bucket_without_a_prefix_is_listed_whole() {
    let place = Place::new();
    let storage = place.storage();
    for name in ["config", "packs/00/1"] {
        storage.put(name, b"1", PutMode::CreateNew).unwrap();
    }
    let names: Vec<_> = storage.list("").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["config", "packs/00/1"]);
}

#[test]
fn a_list_that_is_cut_off_is_no_list() {
    // To take it for all there is would let a collection delete what the rest of it needs.
    let place = Place::new();
    let storage = place.storage();
    storage.put("packs/1", b"1", PutMode::CreateNew).unwrap();
    for (page, says) in [
        ("<IsTruncated>true</IsTruncated>", "lists a part of the objects"),
        (
            "<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>",
            "without their keys or lengths",
        ),
        (
            "<IsTruncated>false</IsTruncated><Contents><Key>packs/1</Key></Contents>",
            "without their keys or lengths",
        ),
        (
            "<IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken>",
            "again and again",
        ),
    ] {
        let text: &'static str =
            format!(r#"<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>{page}</ListBucketResult>"#)
                .leak();
        place.server.inject(S3Fault::new(S3Call::List, Trouble::Page(200, text)).for_good());
        let error = storage.list("packs/").unwrap_err();
        place.server.heal();
        assert!(sentence(&error).contains(says), "{}", sentence(&error));
    }
    assert_eq!(storage.list("packs/").unwrap().len(), 1);
}
