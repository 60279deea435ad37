//! One file, captured and restored.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use icecore_engine::files::{FileTarget, Placement, capture_directory, capture_file};
use icecore_engine::{CaptureError, Grain, RestoreError};
use icecore_format::{Digest, Part, PartKind};

use crate::recording::{Driven, Recording, restore};
use crate::tree::{list, look, plant};

const NOW: (i64, u32) = (4_000_000_000, 0);

fn table(name: &str, bytes: &[u8]) -> (Part, Vec<u8>) {
    let part = Part {
        name: name.as_bytes().to_vec(),
        kind: PartKind::Table,
        offset: 0,
        len: bytes.len() as u64,
        hash: Digest::of(bytes),
        rows: None,
        file: None,
    };
    (part, bytes.to_vec())
}

#[test]
fn a_file_comes_back_with_attributes_and_holes() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("file");
    let file = File::create(&path).unwrap();
    file.write_all_at(&[3; 5000], 1 << 20).unwrap();
    file.set_len(4 << 20).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut sink = Recording::default();
    capture_file(&path, None, &mut sink, NOW).unwrap();
    assert_eq!(sink.names(), ["file"]);
    restore(FileTarget::new(&top.path().join("new"), Placement::CreateNew).unwrap(), &sink.parts).unwrap();
    fs::write(top.path().join("over"), vec![9; 6 << 20]).unwrap();
    restore(FileTarget::new(&top.path().join("over"), Placement::InPlace).unwrap(), &sink.parts).unwrap();
    let trees = look(top.path());
    assert_eq!(trees["new".as_ref() as &std::path::Path], trees["file".as_ref() as &std::path::Path]);
    assert_eq!(trees["over".as_ref() as &std::path::Path], trees["file".as_ref() as &std::path::Path]);
    assert!(fs::metadata(top.path().join("over")).unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn parts_are_joined_in_a_file_for_its_owner_alone() {
    let top = tempfile::tempdir().unwrap();
    let parts = [table("a", b"one"), table("b", b""), table("c", &[7; 9000])];
    let path = top.path().join("dump");
    restore(FileTarget::new(&path, Placement::CreateNew).unwrap(), &parts).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [&b"one"[..], &[7; 9000]].concat());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    restore(FileTarget::new(&path, Placement::Replace).unwrap(), &parts[..1]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(list(top.path()), ["dump"]);
}

#[test]
fn in_place_only_differing_blocks_are_written_and_the_rest_is_cut_off() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("dump");
    let mut old = vec![7; 10 * 4096];
    old[5000] = 8;
    old.extend_from_slice(b"tail");
    fs::write(&path, &old).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let parts = [table("a", &[7; 4 * 4096]), table("b", &[7; 6 * 4096])];
    let driven = restore(FileTarget::new(&path, Placement::InPlace).unwrap(), &parts).unwrap();
    assert_eq!(driven, Driven { written: 4096, kept: 9 * 4096 });
    assert_eq!(fs::read(&path).unwrap(), vec![7; 10 * 4096]);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn a_directory_is_not_restored_into_a_file() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("d/a", "x"), ("d/b", "y")]);
    let mut sink = Recording::default();
    capture_directory(&top.path().join("d"), &[], None, &mut sink, NOW).unwrap();
    for parts in [&sink.parts[..], &sink.parts[1..]] {
        let target = FileTarget::new(&top.path().join("new"), Placement::CreateNew).unwrap();
        let error = restore(target, parts).unwrap_err();
        assert!(matches!(error, RestoreError::Refused(_)), "{error:?}");
    }
    assert_eq!(list(top.path()), ["d"]);
}

#[test]
fn a_sqlite_file_is_cut_at_its_pages() {
    let top = tempfile::tempdir().unwrap();
    for (size, grain) in [([16, 0], Grain::Page(4096)), ([0, 1], Grain::Page(65536)), ([0, 3], Grain::Byte)] {
        let path = top.path().join("db");
        fs::write(&path, [b"SQLite format 3\0", &size[..], &[0; 4078]].concat()).unwrap();
        let mut sink = Recording::default();
        capture_file(&path, None, &mut sink, NOW).unwrap();
        assert_eq!(sink.grains, [grain]);
    }
}

#[test]
fn an_unchanged_file_is_reused_and_anything_else_is_an_error() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("f", "x")]);
    let path = top.path().join("f");
    let mut first = Recording::default();
    capture_file(&path, None, &mut first, NOW).unwrap();
    let mut second = Recording { known: first.parts.clone(), ..Recording::default() };
    capture_file(&path, Some(&first.catalog()), &mut second, NOW).unwrap();
    assert_eq!(second.reused, [b"f"]);
    assert_eq!(second.parts, first.parts);
    let error = capture_file(&top.path().join("none"), None, &mut second, NOW).unwrap_err();
    assert!(matches!(error, CaptureError::NotFound { .. }), "{error:?}");
    let error = capture_file(top.path(), None, &mut second, NOW).unwrap_err();
    assert!(matches!(error, CaptureError::Source(_)), "{error:?}");
}
