//! Snapshots that were made to do harm.

use std::fs;
use std::path::Path;

use icecore_engine::RestoreError;
use icecore_engine::files::{DirectoryTarget, Placement};
use icecore_format::{Digest, FileAttributes, Part, PartKind};

use crate::recording::restore;
use crate::tree::{list, plant};

fn part(name: &[u8], kind: PartKind, target: &[u8], bytes: &[u8]) -> (Part, Vec<u8>) {
    let file = FileAttributes {
        mode: 0o700,
        target: target.to_vec(),
        size: bytes.len() as u64,
        ..Default::default()
    };
    let part = Part {
        name: name.to_vec(),
        kind,
        offset: 0,
        len: bytes.len() as u64,
        hash: Digest::of(bytes),
        rows: None,
        file: Some(Box::new(file)),
    };
    (part, bytes.to_vec())
}

fn root() -> (Part, Vec<u8>) {
    part(b"", PartKind::Directory, b"", b"")
}

fn refused(at: &Path, placement: Placement, parts: &[(Part, Vec<u8>)]) -> RestoreError {
    restore(DirectoryTarget::new(at, placement).unwrap(), parts).unwrap_err()
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("victim", "untouched"), ("there/", "")]);
    let names: [&[u8]; 10] = [
        b"/etc/x",
        b"../victim",
        b"a/../../victim",
        b".",
        b"..",
        b"a//b",
        b"a/",
        b"./a",
        b"nul\0",
        b"no/parent",
    ];
    for name in names {
        for (at, placement) in [("new", Placement::CreateNew), ("there", Placement::InPlace)] {
            for kind in [PartKind::File, PartKind::Directory, PartKind::Symlink, PartKind::Fifo] {
                let error = refused(&top.path().join(at), placement, &[root(), part(name, kind, b"x", b"")]);
                assert!(matches!(error, RestoreError::UnsafeName { .. }), "{error:?}");
            }
        }
    }
    assert_eq!(list(top.path()), ["there", "victim"]);
    assert_eq!(fs::read(top.path().join("victim")).unwrap(), b"untouched");
}

#[test]
fn nothing_is_written_through_a_link_of_the_snapshot() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("outside/file", "untouched"), ("there/", "")]);
    let outside = top.path().join("outside").into_os_string().into_encoded_bytes();
    let link = || part(b"link", PartKind::Symlink, &outside, b"");
    let through = part(b"link/file", PartKind::File, b"", b"evil");
    let again = part(b"link", PartKind::File, b"", b"evil");
    let hard = part(b"z", PartKind::Hardlink, b"link/file", b"");
    for (at, placement) in [("new", Placement::CreateNew), ("there", Placement::InPlace)] {
        for bad in [&through, &again, &hard] {
            refused(&top.path().join(at), placement, &[root(), link(), bad.clone()]);
        }
    }
    assert_eq!(fs::read(top.path().join("outside/file")).unwrap(), b"untouched");
    assert_eq!(list(&top.path().join("outside")), ["file"]);
}

#[test]
fn links_that_lie_in_place_are_replaced_not_followed() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("outside/file", "untouched"), ("there/", "")]);
    let there = top.path().join("there");
    std::os::unix::fs::symlink(top.path().join("outside"), there.join("dir")).unwrap();
    std::os::unix::fs::symlink(top.path().join("outside/file"), there.join("file")).unwrap();
    std::os::unix::fs::symlink(top.path().join("outside"), there.join("gone")).unwrap();
    fs::hard_link(top.path().join("outside/file"), there.join("hard")).unwrap();
    let parts = [
        root(),
        part(b"dir", PartKind::Directory, b"", b""),
        part(b"dir/file", PartKind::File, b"", b"new"),
        part(b"file", PartKind::File, b"", b"new"),
        part(b"hard", PartKind::File, b"", b"new"),
    ];
    restore(DirectoryTarget::new(&there, Placement::InPlace).unwrap(), &parts).unwrap();
    assert_eq!(list(&there), ["dir", "file", "hard"]);
    assert!(there.join("dir").symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read(there.join("dir/file")).unwrap(), b"new");
    assert_eq!(list(&top.path().join("outside")), ["file"]);
    assert_eq!(fs::read(top.path().join("outside/file")).unwrap(), b"untouched");
}

#[test]
fn a_hard_link_to_what_is_not_restored_is_refused() {
    let top = tempfile::tempdir().unwrap();
    plant(
        top.path(),
        &[("there/extra", "x"), ("there/zzz", "x"), ("there/old/extra", "x"), ("there/cc/dd", "")],
    );
    for target in
        [&b"extra"[..], b"zzz", b"old/extra", b"cc/dd", b"../there", b"/etc/passwd", b"", b"m", b"cc"]
    {
        let parts =
            [root(), part(b"cc", PartKind::Directory, b"", b""), part(b"m", PartKind::Hardlink, target, b"")];
        let error = refused(&top.path().join("there"), Placement::InPlace, &parts);
        assert!(matches!(error, RestoreError::UnsafeName { .. }), "{error:?}");
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    let top = tempfile::tempdir().unwrap();
    for (announced, bytes) in [(5, &b"four"[..]), (3, b"four")] {
        let (mut lying, _) = part(b"f", PartKind::File, b"", b"");
        lying.len = announced;
        refused(&top.path().join("new"), Placement::CreateNew, &[root(), (lying, bytes.to_vec())]);
    }
    assert_eq!(list(top.path()), Vec::<String>::new());
}
