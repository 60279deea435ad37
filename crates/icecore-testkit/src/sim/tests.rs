use super::*;

const DIR: &str = "/d";
const FILE: &str = "/d/f";

/// A disk with a durable directory in which one file was written, and not synced unless `sync` says so.
fn disk(sync: impl FnOnce(&SimDisk, &SimFile)) -> SimDisk {
    let disk = SimDisk::new();
    disk.make_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_all_at(b"content", 0).unwrap();
    sync(&disk, &file);
    disk
}

fn left(disk: &SimDisk, survival: Survival) -> Option<Vec<u8>> {
    disk.reboot(survival).read(Path::new(FILE)).ok()
}

#[test]
fn a_name_is_durable_once_its_directory_was_synced_and_bytes_once_their_file_was() {
    let neither = disk(|_, _| ());
    let name = disk(|disk, _| disk.sync_dir(Path::new(DIR)).unwrap());
    let bytes = disk(|_, file| file.sync().unwrap());
    let both = disk(|disk, file| {
        file.sync().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
    });
    let whole = Some(b"content".to_vec());
    for (disk, expected) in [(neither, None), (name, Some(vec![])), (bytes, None), (both, whole.clone())] {
        assert_eq!(left(&disk, Survival::SyncedOnly), expected);
        assert_eq!(left(&disk, Survival::Everything), whole);
        assert_eq!(left(&disk, Survival::Killed), whole);
    }
}

#[test]
fn what_a_killed_process_left_can_still_be_lost() {
    let killed = disk(|_, _| ()).reboot(Survival::Killed);
    assert_eq!(killed.read(Path::new(FILE)).unwrap(), b"content");
    assert_eq!(left(&killed, Survival::SyncedOnly), None);
    assert_eq!(left(&killed.reboot(Survival::Everything), Survival::SyncedOnly), Some(b"content".to_vec()));
}

#[test]
fn names_without_bytes_are_empty_or_cut_short() {
    let found = left(&disk(|_, _| ()), Survival::NamesOnly).unwrap();
    assert!(found.len() < 7, "{found:?}");
}

#[test]
fn a_random_survival_is_repeatable_and_sometimes_tears() {
    let disk = disk(|_, _| ());
    let all: Vec<_> = (0..64).map(|seed| left(&disk, Survival::Some { seed })).collect();
    let again: Vec<_> = (0..64).map(|seed| left(&disk, Survival::Some { seed })).collect();
    assert_eq!(all, again);
    assert!(all.contains(&None) && all.contains(&Some(b"content".to_vec())));
    assert!(all.iter().flatten().any(|bytes| bytes.len() < 7));
    assert!(all.iter().flatten().any(|bytes| bytes.len() == 7 && bytes.ends_with(b"\0")));
}

#[test]
fn a_directory_that_is_not_durable_takes_everything_below_with_it() {
    let disk = SimDisk::new();
    disk.make_dir(Path::new(DIR)).unwrap();
    disk.create(Path::new(FILE)).unwrap().sync().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!(!disk.reboot(Survival::SyncedOnly).is_dir(Path::new(DIR)));
}

#[test]
fn after_a_crash_everything_fails_and_after_a_reboot_nothing_is_locked() {
    let disk = disk(|_, _| ());
    let held = disk.open(Path::new(FILE)).unwrap();
    held.lock().unwrap();
    let other = disk.open(Path::new(FILE)).unwrap();
    assert!(matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)));
    disk.crash_at(1);
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk.remove(Path::new(FILE)).unwrap_err();
    assert!(disk.has_crashed() && disk.read(Path::new(FILE)).is_err() && !disk.is_dir(Path::new(DIR)));
    assert_eq!((disk.steps(), disk.log()[1].as_str()), (1, "crash before remove /d/f"));
    let rebooted = disk.reboot(Survival::SyncedOnly);
    rebooted.open(Path::new(FILE)).unwrap().try_lock().unwrap();
}

#[test]
fn whoever_waits_for_a_lock_learns_of_the_crash() {
    let disk = disk(|_, _| ());
    let held = disk.open(Path::new(FILE)).unwrap();
    held.lock().unwrap();
    let waiting = disk.open(Path::new(FILE)).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || waiting.lock());
        disk.crash_at(0);
        disk.remove(Path::new(FILE)).unwrap_err();
        waiter.join().unwrap().unwrap_err();
    });
}
