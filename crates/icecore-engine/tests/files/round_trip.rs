//! Whatever tree is captured, the same one comes back.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use icecore_engine::files::{DirectoryTarget, Placement, capture_directory};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT};

use crate::recording::{Recording, restore};
use crate::tree::look;

const NOW: (i64, u32) = (4_000_000_000, 0);

#[derive(Debug, Clone)]
enum Thing {
    File(Vec<u8>),
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Symlink(Vec<u8>),
    Link(usize),
    Fifo,
    Device,
    Directory(Vec<Node>),
}

#[derive(Debug, Clone)]
struct Node {
    name: OsString,
    thing: Thing,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
    xattrs: Vec<(String, Vec<u8>)>,
}

fn name() -> impl Strategy<Value = OsString> {
    let bytes = prop_oneof![
        4 => vec(prop::sample::select(b"ab.-!\n \xff\xc3\\".to_vec()), 1..5),
        1 => vec(1_u8..=255, 1..40),
    ];
    bytes.prop_map(|bytes| {
        let bytes: Vec<u8> = bytes.into_iter().map(|byte| if byte == b'/' { b'_' } else { byte }).collect();
        let dots = bytes == b"." || bytes == b"..";
        OsString::from_vec(if dots { b"dots".to_vec() } else { bytes })
    })
}

fn leaf() -> impl Strategy<Value = Thing> {
    let target = prop_oneof![Just(b"/etc/passwd".to_vec()), Just(b"../..".to_vec()), vec(1_u8..=255, 1..50)];
    prop_oneof![
        4 => vec(any::<u8>(), 0..9000).prop_map(Thing::File),
        1 => Just(Thing::File(Vec::new())),
        2 => (0_u64..2_000_000, vec((0_u64..1_900_000, vec(any::<u8>(), 1..5000)), 0..4))
            .prop_map(|(size, runs)| Thing::Sparse(size, runs)),
        2 => target.prop_map(Thing::Symlink),
        2 => any::<usize>().prop_map(Thing::Link),
        1 => Just(Thing::Fifo),
        1 => Just(Thing::Device),
    ]
}

fn node(thing: impl Strategy<Value = Thing>) -> impl Strategy<Value = Node> {
    let mode = prop_oneof![Just(0o644), Just(0), Just(0o4755), Just(0o1777), 0_u32..0o10000];
    let mtime = (-3_000_000_000_i64..4_000_000_000, 0_u32..1_000_000_000);
    let xattrs = vec(("user\\.[a-z]{1,8}", vec(any::<u8>(), 0..200)), 0..3);
    let owner = (0_u32..70_000, 0_u32..70_000);
    (name(), thing, mode, owner, mtime, xattrs).prop_map(|(name, thing, mode, owner, mtime, xattrs)| Node {
        name,
        thing,
        mode,
        owner,
        mtime,
        xattrs,
    })
}

fn tree() -> impl Strategy<Value = Node> {
    let leaf = node(leaf()).boxed();
    let nodes = leaf.prop_recursive(4, 40, 6, |inner| node(vec(inner, 0..6).prop_map(Thing::Directory)));
    node(vec(nodes, 0..8).prop_map(Thing::Directory))
}

/// Makes a node at `path`; `files` are what can be linked to.
fn make(node: &Node, path: &Path, files: &mut Vec<PathBuf>) {
    match &node.thing {
        Thing::File(bytes) => fs::write(path, bytes).unwrap(),
        Thing::Sparse(size, runs) => {
            let file = File::create(path).unwrap();
            for (offset, bytes) in runs {
                file.write_all_at(bytes, *offset).unwrap();
            }
            file.set_len(*size).unwrap();
        }
        Thing::Symlink(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        Thing::Link(pick) => match files.len() {
            0 => fs::write(path, b"first").unwrap(),
            count => {
                // Nothing else: a link has the attributes of its first name.
                fs::hard_link(&files[pick % count], path).unwrap();
                return;
            }
        },
        Thing::Fifo => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
        Thing::Device => {
            let null = rustix::fs::makedev(1, 3);
            if rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, null).is_err() {
                return;
            }
        }
        Thing::Directory(nodes) => {
            fs::create_dir(path).unwrap();
            for node in nodes {
                let path = path.join(&node.name);
                if path.symlink_metadata().is_err() {
                    make(node, &path, files);
                }
            }
        }
    }
    std::os::unix::fs::lchown(path, Some(node.owner.0), Some(node.owner.1)).unwrap();
    let is_plain = matches!(node.thing, Thing::File(_) | Thing::Sparse(..) | Thing::Directory(_));
    if is_plain {
        for (name, value) in &node.xattrs {
            xattr::set(path, name, value).unwrap();
        }
    }
    if !matches!(node.thing, Thing::Symlink(_)) {
        rustix::fs::chmod(path, Mode::from_raw_mode(node.mode)).unwrap();
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: node.mtime.0, tv_nsec: node.mtime.1.into() },
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    if !matches!(node.thing, Thing::Directory(_)) {
        files.push(path.to_owned());
    }
}

fn capture(path: &Path) -> Recording {
    let mut sink = Recording::default();
    capture_directory(path, &[], None, &mut sink, NOW).unwrap();
    assert_eq!(sink.findings, Vec::<String>::new());
    sink
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_comes_back_as_it_was(tree in tree()) {
        prop_assume!(is_root());
        let top = tempfile::tempdir().unwrap();
        let (source, target) = (top.path().join("source"), top.path().join("target"));
        make(&tree, &source, &mut Vec::new());
        let sink = capture(&source);
        let to = DirectoryTarget::new(&target, Placement::CreateNew).unwrap();
        let warnings = to.warnings();
        restore(to, &sink.parts).unwrap();
        prop_assert_eq!(warnings.take(), Vec::<String>::new());
        prop_assert_eq!(look(&target), look(&source));
    }

    #[test]
    fn any_tree_turns_into_any_other_in_place(old in tree(), new in tree()) {
        prop_assume!(is_root());
        let top = tempfile::tempdir().unwrap();
        let (source, target) = (top.path().join("source"), top.path().join("target"));
        make(&new, &source, &mut Vec::new());
        make(&old, &target, &mut Vec::new());
        let sink = capture(&source);
        let to = DirectoryTarget::new(&target, Placement::InPlace).unwrap();
        restore(to, &sink.parts).unwrap();
        prop_assert_eq!(look(&target), look(&source));
        // And once more, with nothing left to do.
        let before = look(&target);
        let driven = restore(DirectoryTarget::new(&target, Placement::InPlace).unwrap(), &sink.parts).unwrap();
        prop_assert_eq!(look(&target), before);
        let links = sink.parts.iter().any(|(part, _)| part.kind == icecore_format::PartKind::Hardlink);
        prop_assert!(links || driven.written == 0, "{driven:?}");
    }

    #[test]
    fn any_tree_replaces_any_other(old in tree(), new in tree()) {
        prop_assume!(is_root());
        let top = tempfile::tempdir().unwrap();
        let (source, target) = (top.path().join("source"), top.path().join("target"));
        make(&new, &source, &mut Vec::new());
        make(&old, &target, &mut Vec::new());
        restore(DirectoryTarget::new(&target, Placement::Replace).unwrap(), &capture(&source).parts).unwrap();
        prop_assert_eq!(look(&target), look(&source));
        prop_assert_eq!(crate::tree::list(top.path()), ["source", "target"]);
    }
}

#[test]
fn a_tree_deeper_than_what_is_held_open_comes_back() {
    let top = tempfile::tempdir().unwrap();
    let (source, target) = (top.path().join("s"), top.path().join("t"));
    let deep: PathBuf = std::iter::repeat_n("d", 700).collect();
    fs::create_dir_all(source.join(&deep)).unwrap();
    fs::write(source.join(&deep).join("file"), b"bottom").unwrap();
    fs::write(source.join("d/d/z"), b"on the way back").unwrap();
    restore(DirectoryTarget::new(&target, Placement::CreateNew).unwrap(), &capture(&source).parts).unwrap();
    assert_eq!(look(&target), look(&source));
}

#[test]
fn holes_are_not_stored_and_come_back_as_holes() {
    use std::os::unix::fs::MetadataExt;
    let top = tempfile::tempdir().unwrap();
    let (source, target) = (top.path().join("s"), top.path().join("t"));
    fs::create_dir(&source).unwrap();
    let file = File::create(source.join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(&[7; 8192], 32 << 20).unwrap();
    File::create(source.join("void")).unwrap().set_len(1 << 30).unwrap();
    let sink = capture(&source);
    assert!(sink.part("sparse").len < 1 << 20);
    assert_eq!(sink.part("void").len, 0);
    // Old bytes must not show through the holes.
    fs::create_dir(&target).unwrap();
    fs::write(target.join("void"), [1; 100_000]).unwrap();
    fs::write(target.join("sparse"), vec![1; 40 << 20]).unwrap();
    restore(DirectoryTarget::new(&target, Placement::InPlace).unwrap(), &sink.parts).unwrap();
    assert!(fs::read(target.join("sparse")).unwrap() == fs::read(source.join("sparse")).unwrap());
    assert!(fs::metadata(target.join("sparse")).unwrap().blocks() * 512 < 2 << 20);
    let void = fs::metadata(target.join("void")).unwrap();
    assert_eq!((void.len(), void.blocks()), (1 << 30, 0));
    drop(OpenOptions::new().read(true).open(target.join("void")).unwrap());
}
