//! The states between the steps of a swap, as a crash leaves them.

use super::super::pending::{self, Pending, Swap};
use super::*;

/// A database of which a swap was killed after so many of its steps.
struct Crashed {
    folder: TempDir,
    path: PathBuf,
    /// What was restored, or is to be.
    recorded: Recorded,
}

const SECOND_NAME: usize = 1;
const RECORDED: usize = 2;
const SWAPPED: usize = 3;
const STEPS: usize = 3;
/// What `account` sums up to in what a restore replaces.
const LIVE: i64 = ACCOUNTS;

impl Crashed {
    /// A restore that keeps what was there as `kept`.
    fn restore(steps: usize, kept: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = bank(&folder, "delete");
        let (_, recorded) = take(&path);
        change(&path, 1);
        let crashed = Self { folder, path, recorded };
        let comes = crashed.folder.path().join("comes");
        fs::write(&comes, &crashed.recorded.bytes).unwrap();
        crashed.swap(Swap::Restore, steps, &comes, kept);
        let _ = fs::remove_file(comes);
        crashed
    }

    fn rollback(steps: usize) -> Self {
        let crashed = Self::restore(0, None);
        swap(&crashed.recorded, &crashed.path).unwrap();
        crashed.swap(Swap::Rollback, steps, &crashed.old(), None);
        crashed
    }

    fn swap(&self, swap: Swap, steps: usize, comes: &Path, kept: Option<&str>) {
        let kept = kept.map(|name| self.folder.path().join(name));
        if steps >= SECOND_NAME {
            fs::hard_link(&self.path, pending::going(&self.path)).unwrap();
        }
        if steps >= RECORDED {
            Pending::new(swap, comes, kept.as_deref()).unwrap().record(&self.path).unwrap();
        }
        if steps >= SWAPPED {
            fs::rename(comes, &self.path).unwrap();
        }
    }

    fn old(&self) -> PathBuf {
        companion(&self.path, "__ice_old")
    }

    #[track_caller]
    fn assert_is(&self, there: i64, kept: Option<i64>) {
        assert_eq!(sum(&self.path), there);
        assert_eq!(kept.map(|_| sum(&self.old())), kept);
        let expected = if kept.is_some() { &["bank.db", "bank.db__ice_old"][..] } else { &["bank.db"] };
        assert_eq!(names(&self.folder), expected);
    }
}

#[test]
fn a_restore_that_was_killed_and_is_run_again_keeps_what_was_there() {
    for steps in 1..=STEPS {
        let crashed = Crashed::restore(steps, None);
        let again = swap(&crashed.recorded, &crashed.path);
        if steps == SWAPPED {
            let error = again.unwrap_err().to_string();
            assert!(error.contains("was interrupted, and is complete now: what was there is"), "{error}");
            assert!(error.contains("bank.db__ice_old"), "{error}");
        } else {
            again.unwrap();
        }
        crashed.assert_is(SUM, Some(LIVE));
        rollback(&crashed.path).unwrap();
        crashed.assert_is(LIVE, Some(SUM));
    }
}

#[test]
fn what_a_restore_was_to_keep_for_good_keeps_its_name_though_it_was_killed() {
    for linked in [false, true] {
        let crashed = Crashed::restore(STEPS, Some("kept.db"));
        let kept = crashed.folder.path().join("kept.db");
        if linked {
            fs::hard_link(pending::going(&crashed.path), &kept).unwrap();
        }
        let error = swap(&crashed.recorded, &crashed.path).unwrap_err().to_string();
        assert!(error.contains("kept.db; nothing else was done"), "{error}");
        assert_eq!((sum(&crashed.path), sum(&kept)), (SUM, LIVE));
        assert_eq!(names(&crashed.folder), ["bank.db", "kept.db"]);
    }
    // Somebody else's file is not replaced.
    let crashed = Crashed::restore(STEPS, Some("kept.db"));
    fs::write(crashed.folder.path().join("kept.db"), "mine").unwrap();
    assert!(swap(&crashed.recorded, &crashed.path).is_err());
    assert_eq!(fs::read(crashed.folder.path().join("kept.db")).unwrap(), b"mine");
    assert_eq!(sum(&pending::going(&crashed.path)), LIVE);
}

#[test]
fn a_rollback_that_was_killed_and_is_run_again_is_not_undone() {
    for steps in 1..=STEPS {
        let crashed = Crashed::rollback(steps);
        let undone = rollback(&crashed.path).unwrap().unwrap();
        assert_eq!(undone.kept.unwrap().path, crashed.old());
        crashed.assert_is(LIVE, Some(SUM));
        rollback(&crashed.path).unwrap();
        crashed.assert_is(SUM, Some(LIVE));
    }
    let crashed = Crashed::rollback(STEPS);
    let error = swap(&crashed.recorded, &crashed.path).unwrap_err().to_string();
    assert!(error.starts_with("a rollback of"), "{error}");
    crashed.assert_is(LIVE, Some(SUM));
}

#[test]
fn what_was_kept_for_good_comes_back_whatever_was_killed() {
    for steps in 0..=STEPS {
        let crashed = Crashed::restore(0, None);
        let kept = crashed.folder.path().join("kept.db");
        fs::copy(&crashed.path, &kept).unwrap();
        change(&kept, 2);
        crashed.swap(Swap::Rollback, steps, &kept, None);
        // Whoever rolls back tries that first.
        let undone = match rollback(&crashed.path).unwrap() {
            None => bring_back(&crashed.path, "kept.db".as_ref()).unwrap(),
            undone => undone,
        };
        assert_eq!(undone.unwrap().kept.unwrap().path, crashed.old(), "{steps}");
        crashed.assert_is(2 * ACCOUNTS, Some(LIVE));
    }
    let crashed = Crashed::restore(0, None);
    swap(&crashed.recorded, &crashed.path).unwrap();
    fs::copy(&crashed.path, crashed.folder.path().join("kept.db")).unwrap();
    let refused = bring_back(&crashed.path, "kept.db".as_ref()).unwrap_err().to_string();
    assert!(refused.contains("bank.db__ice_old is put aside"), "{refused}");
    assert_eq!((sum(&crashed.path), sum(&crashed.old())), (SUM, LIVE));
}

#[test]
fn a_restore_that_was_killed_is_rolled_back() {
    let crashed = Crashed::restore(SECOND_NAME, None);
    assert_eq!(rollback(&crashed.path).unwrap(), None);
    crashed.assert_is(LIVE, None);
    let crashed = Crashed::restore(SWAPPED, None);
    rollback(&crashed.path).unwrap().unwrap();
    crashed.assert_is(LIVE, Some(SUM));
}

#[test]
fn what_was_interrupted_is_in_the_plan() {
    let crashed = Crashed::restore(SWAPPED, None);
    let before = names(&crashed.folder);
    let plan = plan(&crashed.path, Keep::ForRollback).unwrap();
    assert!(plan.notices.iter().any(|notice| notice.contains("was interrupted")), "{:?}", plan.notices);
    assert_eq!(names(&crashed.folder), before);
}

#[test]
fn a_file_that_takes_the_name_after_a_crash_is_not_taken_for_what_was_restored() {
    for steps in 1..=STEPS {
        let crashed = Crashed::restore(steps, None);
        fs::write(crashed.old(), "of an earlier restore").unwrap();
        let other = crashed.folder.path().join("other");
        fs::write(&other, "of somebody else").unwrap();
        fs::rename(other, &crashed.path).unwrap();
        let planned = plan(&crashed.path, Keep::ForRollback).unwrap();
        assert!(planned.blockers.iter().any(|why| why.contains("bank.db__ice_gone")), "{planned:?}");
        let error = rollback(&crashed.path).unwrap_err().to_string();
        assert!(error.contains("must be moved to where it belongs first"), "{error}");
        assert_eq!(fs::read(&crashed.path).unwrap(), b"of somebody else");
        assert_eq!(fs::read(crashed.old()).unwrap(), b"of an earlier restore");
        // Moved, it is in nobody's way.
        fs::rename(pending::going(&crashed.path), &crashed.path).unwrap();
        fs::remove_file(crashed.old()).unwrap();
        swap(&crashed.recorded, &crashed.path).unwrap();
        crashed.assert_is(SUM, Some(LIVE));
    }
}

#[test]
fn a_record_of_a_stranger_leads_nowhere_else() {
    let crashed = Crashed::restore(SECOND_NAME, None);
    let record = companion(&crashed.path, "__ice_swap");
    for name in ["../kept.db", "/tmp/kept.db", "..", "a/b", ""] {
        Pending::new(Swap::Restore, &crashed.path, None).unwrap().record(&crashed.path).unwrap();
        let text = fs::read_to_string(&record).unwrap();
        let bytes = serde_json::to_string(name.as_bytes()).unwrap();
        fs::write(&record, text.replace("\"kept_name\":null", &format!("\"kept_name\":{bytes}"))).unwrap();
        assert!(rollback(&crashed.path).unwrap_err().to_string().starts_with("cannot read"), "{name}");
    }
    for text in ["", "{", "[]", "{}"] {
        fs::write(&record, text).unwrap();
        assert!(rollback(&crashed.path).unwrap_err().to_string().starts_with("cannot read"), "{text}");
    }
    assert_eq!(sum(&pending::going(&crashed.path)), LIVE);
}
