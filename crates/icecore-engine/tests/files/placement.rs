//! What was there before is there until the end.

use std::fs;
use std::os::unix::fs::MetadataExt;

use icecore_engine::files::{DirectoryTarget, FileTarget, Placement, capture_directory};

use crate::recording::{Recording, fill, restore};
use crate::tree::{list, look, plant};

fn captured(files: &[(&str, &str)]) -> Recording {
    let source = tempfile::tempdir().unwrap();
    plant(source.path(), files);
    let mut sink = Recording::default();
    capture_directory(source.path(), &[], None, &mut sink, (0, 0)).unwrap();
    sink
}

#[test]
fn an_existing_target_is_refused() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("file", "old"), ("dir/", "")]);
    std::os::unix::fs::symlink("nowhere", top.path().join("dangling")).unwrap();
    for name in ["file", "dir", "dir/", "dangling"] {
        let path = top.path().join(name);
        assert!(DirectoryTarget::new(&path, Placement::CreateNew).is_err());
        assert!(FileTarget::new(&path, Placement::CreateNew).is_err());
    }
    for placement in [Placement::Replace, Placement::InPlace] {
        assert!(DirectoryTarget::new(&top.path().join("file"), placement).is_err());
        assert!(FileTarget::new(&top.path().join("dir"), placement).is_err());
        assert!(FileTarget::new("/dev/null".as_ref(), placement).is_err());
    }
    assert_eq!(list(top.path()), ["dangling", "dir", "file"]);
}

#[test]
fn an_unfinished_restore_leaves_everything_as_it_was() {
    let sink = captured(&[("a", "new"), ("b/c", "new")]);
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("there/a", "old"), ("there/x", "old"), ("file", "old")]);
    let before = look(&top.path().join("there"));
    for (name, placement) in [("new", Placement::CreateNew), ("there", Placement::Replace)] {
        let mut target = DirectoryTarget::new(&top.path().join(name), placement).unwrap();
        fill(&mut target, &sink.parts).unwrap();
        drop(target);
    }
    for (name, placement) in [("new", Placement::CreateNew), ("file", Placement::Replace)] {
        let mut target = FileTarget::new(&top.path().join(name), placement).unwrap();
        fill(&mut target, &sink.parts[1..2]).unwrap();
        drop(target);
    }
    assert_eq!(list(top.path()), ["file", "there"]);
    assert_eq!(look(&top.path().join("there")), before);
    assert_eq!(fs::read(top.path().join("file")).unwrap(), b"old");
}

#[test]
fn a_target_that_appears_meanwhile_is_not_overwritten() {
    let sink = captured(&[("a", "new")]);
    let top = tempfile::tempdir().unwrap();
    let mut directory = Box::new(DirectoryTarget::new(&top.path().join("d"), Placement::CreateNew).unwrap());
    let mut file = Box::new(FileTarget::new(&top.path().join("f"), Placement::CreateNew).unwrap());
    fill(directory.as_mut(), &sink.parts).unwrap();
    fill(file.as_mut(), &sink.parts[1..]).unwrap();
    plant(top.path(), &[("d/", ""), ("f", "mine")]);
    use icecore_engine::Target;
    assert!(directory.finish().is_err());
    assert!(file.finish().is_err());
    assert_eq!(list(top.path()), ["d", "f"]);
    assert_eq!(fs::read(top.path().join("f")).unwrap(), b"mine");
}

#[test]
fn a_replaced_link_stays_a_link() {
    let sink = captured(&[("a", "new")]);
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("real/old", "old")]);
    std::os::unix::fs::symlink("real", top.path().join("link")).unwrap();
    restore(DirectoryTarget::new(&top.path().join("link"), Placement::Replace).unwrap(), &sink.parts)
        .unwrap();
    assert!(top.path().join("link").is_symlink());
    assert_eq!(list(&top.path().join("real")), ["a"]);
}

#[test]
fn a_directory_that_holds_what_is_protected_is_not_replaced() {
    let sink = captured(&[("a", "new")]);
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("there/x/store/config", "old"), ("there/b", "old")]);
    let store = [top.path().join("there/x/store")];
    let there = top.path().join("there");
    let replace = DirectoryTarget::new(&there, Placement::Replace).unwrap().protect(&store);
    assert!(replace.is_err());
    let inode = fs::metadata(there.join("x/store/config")).unwrap().ino();
    let target = DirectoryTarget::new(&there, Placement::InPlace).unwrap().protect(&store).unwrap();
    restore(target, &sink.parts).unwrap();
    assert_eq!(list(&there), ["a", "x"]);
    assert_eq!(fs::metadata(there.join("x/store/config")).unwrap().ino(), inode);
}
