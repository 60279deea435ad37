//! What a capture of a directory says and does.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use icecore_engine::files::{ParentParts, attributes_of, capture_directory};
use icecore_engine::{CaptureError, Sink};
use icecore_format::PartKind;

use crate::recording::Recording;
use crate::tree::plant;

/// Late enough that every change time is trusted.
const LATER: (i64, u32) = (4_000_000_000, 0);

fn run(root: &Path, sink: &mut dyn Sink) -> Result<(), CaptureError> {
    capture_directory(root, &[], None, sink, LATER)
}

fn parent(recording: &Recording) -> Option<ParentParts<'static>> {
    Some(Box::new(recording.catalog().into_iter()))
}

#[test]
fn the_walk_is_depth_first_in_the_order_of_bytes() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("b/a", ""), ("b!", ""), ("a", "x"), ("B/", ""), ("b/\u{e9}", ""), ("b/z", "")]);
    let mut sink = Recording::default();
    run(top.path(), &mut sink).unwrap();
    assert_eq!(sink.names(), ["", "B", "a", "b", "b/a", "b/z", "b/\u{e9}", "b!"]);
    assert_eq!(sink.part("a").file.as_deref(), Some(&attributes_of(&top.path().join("a")).unwrap()));
}

#[test]
fn unchanged_files_are_reused_and_changed_ones_read() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("a/same", "1"), ("a/touched", "2"), ("b", "3"), ("b!", "4"), ("gone", "5")]);
    let mut first = Recording::default();
    run(top.path(), &mut first).unwrap();
    plant(top.path(), &[("a/touched", "0"), ("a/added", "6")]);
    fs::remove_file(top.path().join("gone")).unwrap();
    let mut second = Recording { known: first.parts.clone(), ..Recording::default() };
    capture_directory(top.path(), &[], parent(&first), &mut second, LATER).unwrap();
    assert_eq!(second.reused, [&b"a/same"[..], b"b", b"b!"]);
    assert_eq!(second.bytes("a/touched"), b"0");
    // A store that cannot reuse gets the bytes.
    let mut third = Recording::default();
    capture_directory(top.path(), &[], parent(&first), &mut third, LATER).unwrap();
    assert_eq!(third.parts, second.parts);
}

#[test]
fn a_fresh_file_is_read_again() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("f", "1")]);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = (i64::try_from(since.as_secs()).unwrap(), since.subsec_nanos());
    let mut first = Recording::default();
    capture_directory(top.path(), &[], None, &mut first, now).unwrap();
    assert_eq!(first.part("f").file.as_ref().unwrap().ctime, (0, 0));
    let mut second = Recording { known: first.parts.clone(), ..Recording::default() };
    capture_directory(top.path(), &[], parent(&first), &mut second, LATER).unwrap();
    assert_eq!(second.reused, Vec::<Vec<u8>>::new());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_reported() {
    for (size, what) in [(1000, "cut"), (9000, "grown"), (5000, "rewritten")] {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("f");
        fs::write(&path, [1; 5000]).unwrap();
        let meddle = Box::new(move || {
            // The clock of change times ticks every few milliseconds.
            std::thread::sleep(std::time::Duration::from_millis(20));
            File::options().append(true).open(&path).unwrap().write_all(b"x").unwrap();
            File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        });
        let mut sink = Recording { while_reading: Some(meddle), ..Recording::default() };
        run(top.path(), &mut sink).unwrap();
        assert_eq!(sink.findings.len(), 1, "{what}");
        assert!(sink.findings[0].ends_with("/f changed while it was read"), "{:?}", sink.findings);
        let part = sink.part("f");
        let file = part.file.as_ref().unwrap();
        assert_eq!((file.size, file.ctime), (part.len, (0, 0)), "{what}");
        assert_eq!(part.len, size.min(5000), "{what}");
    }
}

#[test]
fn a_file_that_vanishes_is_reported() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("a", "1"), ("b", "2"), ("c", "3")]);
    let path = top.path().join("b");
    let meddle = Box::new(move || fs::remove_file(&path).unwrap());
    let mut sink = Recording { while_reading: Some(meddle), ..Recording::default() };
    run(top.path(), &mut sink).unwrap();
    assert_eq!(sink.names(), ["", "a", "c"]);
    assert!(sink.findings[0].ends_with("/b: no such file or directory"), "{:?}", sink.findings);
}

#[test]
fn excluded_directories_are_left_out_with_a_notice() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("a/store/x", "1"), ("a/y", "2")]);
    let mut sink = Recording::default();
    capture_directory(top.path(), &[top.path().join("a/store")], None, &mut sink, LATER).unwrap();
    assert_eq!(sink.names(), ["", "a", "a/y"]);
    assert_eq!(sink.notices.len(), 1);
}

#[test]
fn a_missing_root_and_a_cancelled_run_are_errors() {
    let top = tempfile::tempdir().unwrap();
    let error = run(&top.path().join("none"), &mut Recording::default()).unwrap_err();
    assert!(matches!(error, CaptureError::NotFound { .. }), "{error:?}");
    let mut sink = Recording { cancelled: true, ..Recording::default() };
    let error = run(top.path(), &mut sink).unwrap_err();
    assert!(matches!(error, CaptureError::Cancelled), "{error:?}");
}

#[test]
fn sockets_are_recorded_and_links_not_followed() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("dir/f", "1")]);
    let _listener = std::os::unix::net::UnixListener::bind(top.path().join("socket")).unwrap();
    std::os::unix::fs::symlink("dir", top.path().join("link")).unwrap();
    let mut sink = Recording::default();
    run(top.path(), &mut sink).unwrap();
    assert_eq!(sink.names(), ["", "dir", "dir/f", "link", "socket"]);
    assert_eq!(sink.part("socket").kind, PartKind::Socket);
    assert_eq!(sink.part("link").file.as_ref().unwrap().target, b"dir");
}

#[test]
fn a_file_whose_old_size_and_time_were_put_back_is_read_again() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("f", "old")]);
    let mut first = Recording::default();
    run(top.path(), &mut first).unwrap();
    let file = File::options().write(true).open(top.path().join("f")).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    (&file).write_all(b"new").unwrap();
    file.set_modified(modified).unwrap();
    let mut second = Recording { known: first.parts.clone(), ..Recording::default() };
    capture_directory(top.path(), &[], parent(&first), &mut second, LATER).unwrap();
    assert_eq!(second.bytes("f"), b"new");
}
