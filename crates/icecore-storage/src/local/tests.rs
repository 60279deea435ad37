use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ErrorKind;

fn storage() -> (tempfile::TempDir, LocalStorage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = LocalStorage::new(dir.path().join("store"));
    (dir, storage)
}

#[test]
fn a_directory_keeps_the_contract() {
    let (_dir, storage) = storage();
    crate::conformance::run(&storage);
}

#[test]
fn objects_are_readable_by_their_owner_only() {
    let (_dir, storage) = storage();
    storage.put("packs/aa/x", b"secret", PutMode::CreateNew).unwrap();
    let mode = |path: &str| fs::metadata(storage.root().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("packs"), mode("packs/aa"), mode("packs/aa/x")), (0o700, 0o700, 0o600));
}

#[test]
fn a_put_leaves_no_temporary_file_whether_it_wins_or_loses() {
    let (_dir, storage) = storage();
    storage.put("a", b"1", PutMode::CreateNew).unwrap();
    storage.put("a", b"2", PutMode::CreateNew).unwrap_err();
    assert_eq!(fs::read_dir(storage.root().join(TEMP)).unwrap().count(), 0);
}

#[test]
fn leftovers_go_and_what_is_being_written_stays() {
    let (_dir, storage) = storage();
    let (leftover, file) = storage.write_temp(b"12345").unwrap();
    drop(file);
    let (busy, _file) = storage.write_temp(b"busy").unwrap();
    assert_eq!(storage.clear_unfinished().unwrap(), 5);
    assert_eq!((leftover.exists(), busy.exists()), (false, true));
}

#[test]
fn a_range_behind_the_end_is_refused_before_memory_is_taken() {
    let (_dir, storage) = storage();
    storage.put("a", b"123", PutMode::CreateNew).unwrap();
    let error = storage.get_range("a", 0..1 << 60).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutOfRange);
}

#[test]
fn clearing_leftovers_disturbs_neither_writers_nor_replacements() {
    let (_dir, storage) = storage();
    storage.put("counter", b"0", PutMode::CreateNew).unwrap();
    let raise = || loop {
        let (bytes, version) = storage.get_versioned("counter").unwrap();
        let next = String::from_utf8_lossy(&bytes).parse::<u32>().unwrap() + 1;
        match storage.put("counter", next.to_string().as_bytes(), PutMode::Replace(&version)) {
            Ok(()) => return,
            Err(error) => assert_eq!(error.kind, ErrorKind::AlreadyExists),
        }
    };
    let busy = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                storage.clear_unfinished().unwrap();
            }
        });
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..100).for_each(|_| raise()))).collect();
        for writer in writers {
            writer.join().unwrap();
        }
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    // No raise was lost: compare and replace stayed one step.
    assert_eq!(storage.get("counter").unwrap(), "400");
}
