//! A directory of objects on a disk that crashes anywhere: each object is what it was, what it was to become, or absent as one of the
//! two was; and what succeeded stays.
#![expect(clippy::unwrap_used, reason = "in the helpers of tests too")]

use icecore_storage::{ErrorKind, Holder, LocalStorage, PutMode, Result, Storage, conformance};
use icecore_testkit::{SimDisk, Survival};

/// Below directories that are made with it.
const ROOT: &str = "/backup/vault/store";
const NAME: &str = "packs/aa/object";
const OLD: &[u8] = b"the old content, which is longer";
const NEW: &[u8] = b"the new content";

type Local = LocalStorage<SimDisk>;

fn on(disk: &SimDisk) -> Local {
    LocalStorage::on(disk.clone(), ROOT)
}

fn survivals() -> Vec<Survival> {
    Survival::all(0..16)
}

/// A disk on which `NAME` has this content, if any, and everything is durable.
fn disk_with(content: Option<&[u8]>) -> SimDisk {
    let disk = SimDisk::new();
    if let Some(content) = content {
        on(&disk).put(NAME, content, PutMode::CreateNew).unwrap();
    }
    disk.reboot(Survival::Everything)
}

fn found(disk: &SimDisk) -> Option<Vec<u8>> {
    match on(disk).get(NAME) {
        Ok(bytes) => Some(bytes.to_vec()),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::NotFound);
            None
        }
    }
}

/// Crashes `work` before each of its steps. Afterwards the object is as before or as `after`; as `after` if it succeeded; and if a
/// killed process's work is repeated, what that answers stays true when the machine dies.
fn at_every_step(before: Option<&[u8]>, after: Option<&[u8]>, work: impl Fn(&Local) -> Result<()>) {
    let start = disk_with(before);
    for step in 0.. {
        let disk = start.reboot(Survival::Killed);
        disk.crash_at(step);
        let done = work(&on(&disk));
        for survival in survivals() {
            let rebooted = disk.reboot(survival);
            let found = found(&rebooted);
            let context = || format!("{survival:?} after {:#?}: {found:?}", disk.log());
            assert!(found.as_deref() == before || found.as_deref() == after, "{}", context());
            assert!(done.is_err() || found.as_deref() == after, "what succeeded is lost, {}", context());
            let listed = on(&rebooted).list("").unwrap();
            assert_eq!(listed.len(), usize::from(found.is_some()), "{}", context());

            repeated_work_stays(&rebooted, after, &work, &context);
            on(&rebooted).clear_unfinished().unwrap();
            assert_eq!(on(&rebooted).clear_unfinished().unwrap(), 0, "{}", context());
        }
        if !disk.has_crashed() {
            done.unwrap();
            assert!(step >= 2, "only {step} steps");
            return;
        }
    }
}

fn repeated_work_stays(
    disk: &SimDisk,
    after: Option<&[u8]>,
    work: impl Fn(&Local) -> Result<()>,
    context: &dyn Fn() -> String,
) {
    match work(&on(disk)) {
        Ok(()) => (),
        // The crash came after it had been done.
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::AlreadyExists | ErrorKind::NotFound), "{}", context());
        }
    }
    assert!(found(disk).as_deref() == after, "the repeated work did something else, {}", context());
    for survival in survivals() {
        let rebooted = disk.reboot(survival);
        assert!(found(&rebooted).as_deref() == after, "{survival:?} undid repeated work, {}", context());
    }
}

#[test]
fn a_crash_anywhere_in_a_creation_leaves_all_or_nothing() {
    at_every_step(None, Some(NEW), |storage| storage.put(NAME, NEW, PutMode::CreateNew));
}

#[test]
fn a_crash_anywhere_in_an_overwriting_leaves_the_old_or_the_new() {
    at_every_step(Some(OLD), Some(NEW), |storage| storage.put(NAME, NEW, PutMode::Overwrite));
    at_every_step(None, Some(NEW), |storage| storage.put(NAME, NEW, PutMode::Overwrite));
}

#[test]
fn a_crash_anywhere_in_a_replacement_leaves_the_old_or_the_new() {
    at_every_step(Some(OLD), Some(NEW), |storage| {
        let (_, version) = storage.get_versioned(NAME)?;
        storage.put(NAME, NEW, PutMode::Replace(&version))
    });
}

#[test]
fn a_crash_anywhere_in_a_deletion_leaves_the_object_or_nothing() {
    at_every_step(Some(OLD), None, |storage| storage.delete(NAME));
}

#[test]
fn a_crash_anywhere_in_a_hold_leaves_at_most_a_dead_one() {
    let start = disk_with(None);
    for step in 0.. {
        let disk = start.reboot(Survival::Killed);
        disk.crash_at(step);
        let work = || {
            let mut hold = on(&disk).hold(NAME, OLD)?;
            hold.update(NEW)
        };
        let done = work();
        for survival in survivals() {
            let rebooted = disk.reboot(survival);
            let storage = on(&rebooted);
            for object in storage.list("").unwrap() {
                assert_eq!(storage.holder(&object.name).unwrap(), Holder::Dead);
                storage.delete(&object.name).unwrap();
            }
            assert_eq!(found(&rebooted), None);
            drop(storage.hold(NAME, NEW).unwrap());
            assert_eq!(found(&rebooted), None);
        }
        if !disk.has_crashed() {
            return done.unwrap();
        }
    }
}

#[test]
fn what_somebody_else_put_is_durable_once_it_was_settled() {
    let start = disk_with(None);
    for step in 0.. {
        let disk = start.reboot(Survival::Killed);
        disk.crash_at(step);
        let done = on(&disk).put(NAME, NEW, PutMode::CreateNew);
        let killed = disk.reboot(Survival::Killed);
        let there = found(&killed).is_some();
        assert_eq!(on(&killed).settle(NAME).is_ok(), there);
        for survival in survivals().into_iter().filter(|_| there) {
            assert_eq!(found(&killed.reboot(survival)).as_deref(), Some(NEW), "{:#?}", disk.log());
        }
        if !disk.has_crashed() {
            return done.unwrap();
        }
    }
}

#[test]
fn directories_that_a_killed_process_made_do_not_take_later_objects_with_them() {
    let disk = SimDisk::new();
    disk.crash_at(1);
    on(&disk).put("first", OLD, PutMode::CreateNew).unwrap_err();
    assert_eq!(disk.log(), ["make_dir /backup", "crash before sync_dir /"]);
    let killed = disk.reboot(Survival::Killed);
    on(&killed).put(NAME, NEW, PutMode::CreateNew).unwrap();
    assert_eq!(found(&killed.reboot(Survival::SyncedOnly)).as_deref(), Some(NEW));
}

#[test]
fn whoever_comes_second_makes_durable_what_the_first_has_done() {
    // Link, remove of the temporary name: the name in the end is not durable.
    let disk = disk_with(Some(OLD));
    disk.crash_at(8);
    on(&disk).put("packs/aa/other", NEW, PutMode::CreateNew).unwrap_err();
    assert!(
        disk.log().last().unwrap().ends_with("sync_dir /backup/vault/store/packs/aa"),
        "{:#?}",
        disk.log()
    );
    let killed = disk.reboot(Survival::Killed);
    let second = on(&killed).put("packs/aa/other", NEW, PutMode::CreateNew);
    assert_eq!(second.unwrap_err().kind, ErrorKind::AlreadyExists);
    assert_eq!(on(&killed.reboot(Survival::SyncedOnly)).get("packs/aa/other").unwrap(), NEW);

    let disk = disk_with(Some(OLD));
    disk.crash_at(1);
    on(&disk).delete(NAME).unwrap_err();
    let killed = disk.reboot(Survival::Killed);
    assert_eq!(on(&killed).delete(NAME).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(found(&killed.reboot(Survival::SyncedOnly)), None);
}

#[test]
fn what_somebody_else_deleted_stays_away_once_its_prefix_was_settled() {
    let disk = disk_with(Some(OLD));
    disk.crash_at(1);
    on(&disk).delete(NAME).unwrap_err();
    let killed = disk.reboot(Survival::Killed);
    assert_eq!(found(&killed.reboot(Survival::SyncedOnly)).as_deref(), Some(OLD));
    on(&killed).settle("packs/aa/").unwrap();
    on(&killed).settle("never/").unwrap();
    assert_eq!(found(&killed.reboot(Survival::SyncedOnly)), None);
}

#[test]
fn the_contract_holds_on_the_simulated_disk() {
    conformance::run(&on(&SimDisk::new()));
}
