//! Rewriting only what differs.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use icecore_engine::files::{DirectoryTarget, Placement, capture_directory};

use crate::recording::{Driven, Recording, restore};
use crate::tree::{list, look, plant};

fn capture(path: &Path) -> Recording {
    let mut sink = Recording::default();
    capture_directory(path, &[], None, &mut sink, (0, 0)).unwrap();
    sink
}

#[test]
fn only_the_blocks_that_differ_are_written() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("big"), vec![1; 100 * 4096]).unwrap();
    fs::write(top.path().join("same"), b"same").unwrap();
    let sink = capture(top.path());
    let inodes = |name: &str| fs::metadata(top.path().join(name)).unwrap().ino();
    let (inode, ctime) = (inodes("big"), fs::metadata(top.path().join("same")).unwrap().ctime_nsec());
    File::options().write(true).open(top.path().join("big")).unwrap().write_all_at(&[2; 3], 5000).unwrap();
    let before = look(top.path());
    let driven = restore(DirectoryTarget::new(top.path(), Placement::InPlace).unwrap(), &sink.parts).unwrap();
    assert_eq!(driven, Driven { written: 4096, kept: 99 * 4096 + 4 });
    assert_eq!(inodes("big"), inode);
    assert_eq!(fs::metadata(top.path().join("same")).unwrap().ctime_nsec(), ctime);
    assert_ne!(look(top.path()), before);
    assert_eq!(fs::read(top.path().join("big")).unwrap(), vec![1; 100 * 4096]);
}

#[test]
fn files_become_longer_shorter_and_other_things() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    plant(old.path(), &[("longer", "1"), ("shorter", "123456"), ("a/file", "x"), ("b", "x"), ("c/d/e", "x")]);
    plant(new.path(), &[("longer", "123456"), ("shorter", "1"), ("a", "x"), ("b/file", "x"), ("c/f", "x")]);
    restore(DirectoryTarget::new(old.path(), Placement::InPlace).unwrap(), &capture(new.path()).parts)
        .unwrap();
    assert_eq!(look(old.path()), look(new.path()));
}

#[test]
fn links_between_files_are_undone_before_writing() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    plant(old.path(), &[("a", "one")]);
    fs::hard_link(old.path().join("a"), old.path().join("b")).unwrap();
    plant(new.path(), &[("a", "one"), ("b", "two")]);
    restore(DirectoryTarget::new(old.path(), Placement::InPlace).unwrap(), &capture(new.path()).parts)
        .unwrap();
    assert_eq!(look(old.path()), look(new.path()));
}

#[test]
fn what_is_no_directory_snapshot_does_not_empty_a_directory() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("a", "x")]);
    let sink = capture(top.path());
    for parts in [&sink.parts[..0], &sink.parts[1..]] {
        restore(DirectoryTarget::new(top.path(), Placement::InPlace).unwrap(), parts).unwrap_err();
    }
    assert_eq!(list(top.path()), ["a"]);
}

#[test]
fn a_socket_in_use_stays_and_what_lies_in_its_place_goes() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bind = |path| std::os::unix::net::UnixListener::bind(path).unwrap();
    let _listeners = [bind(new.path().join("a")), bind(new.path().join("b")), bind(old.path().join("a"))];
    plant(old.path(), &[("b/file", "x")]);
    restore(DirectoryTarget::new(old.path(), Placement::InPlace).unwrap(), &capture(new.path()).parts)
        .unwrap();
    assert_eq!(list(old.path()), ["a"]);
}
