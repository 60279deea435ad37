//! Many processes on one store, and one that kills them.
//!
//! `ICECORE_THRASH_SECONDS` says for how long, `ICECORE_THRASH_SEED` what each of them does; when it happens is up to the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::thrash::{Arena, content_of, work};

const WORKERS: usize = 6;
const SECONDS: u64 = 60;
const SEED: u64 = 20_261_120;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// The files below `dir`, relative to it and sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let is_dir = |path: &PathBuf| !dir.join(path).is_dir();
    content_of(dir).into_keys().filter(|path| !path.as_os_str().is_empty()).filter(is_dir).collect()
}

#[test]
fn nobody_fails_because_somebody_else_runs_or_is_killed_and_nothing_is_lost() {
    let seconds = number("ICECORE_THRASH_SECONDS");
    let seed = number("ICECORE_THRASH_SEED").unwrap_or(SEED);
    let folder = tempfile::tempdir().unwrap();
    let arena = Arena::new(folder.path(), seed, WORKERS, seconds.is_none());
    let deadline = Instant::now() + Duration::from_secs(seconds.unwrap_or(SECONDS));
    let run = |number| {
        let outcome = work(&arena, number, deadline);
        // Nobody goes on in a store that one has found to be wrong.
        outcome.inspect_err(|_| arena.stop())
    };
    let run = &run;
    let outcome = std::thread::scope(|scope| {
        let killer = scope.spawn(|| arena.kill());
        let workers: Vec<_> = (0..WORKERS).map(|number| scope.spawn(move || run(number))).collect();
        let outcomes: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        arena.stop();
        killer.join().unwrap();
        outcomes
            .into_iter()
            .try_for_each(|outcome| outcome.unwrap_or_else(|_| Err("a worker panicked".to_owned())))
    });
    println!("seed {seed}: {:?}", arena.counts());
    let left = std::panic::AssertUnwindSafe(|| {
        outcome.unwrap_or_else(|error| panic!("{error}"));
        println!("{}", arena.calm(&["stats"]));
        check_the_end(&arena);
    });
    if let Err(panic) = std::panic::catch_unwind(left) {
        println!("ICECORE_THRASH_SEED={seed}; the store is left in {}", folder.keep().display());
        std::panic::resume_unwind(panic);
    }
}

/// Nothing runs, nothing is lost, nothing is left over.
fn check_the_end(arena: &Arena) {
    let started = Instant::now();
    while !arena.processes().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "still running: {:?}", arena.processes());
        std::thread::sleep(Duration::from_millis(20));
    }
    let snapshots = arena.settle();
    arena.calm(&["verify"]);
    check_snapshots(arena, &snapshots);
    arena.calm(&["gc"]);
    arena.calm(&["gc"]);
    check_leftovers(arena);
    arena.calm(&["verify"]);
    assert_eq!(arena.settle(), snapshots);
    check_snapshots(arena, &snapshots);
    for (id, _) in &snapshots {
        arena.calm(&["delete", id, "--yes"]);
    }
    arena.calm(&["gc"]);
    check_leftovers(arena);
    for dir in ["packs", "snapshots", "labels"] {
        assert_eq!(files(&arena.store.join(dir)), Vec::<PathBuf>::new(), "{dir}");
    }
}

fn check_snapshots(arena: &Arena, snapshots: &[(String, crate::thrash::Content)]) {
    let place = arena.folder.join("at the end");
    for (id, content) in snapshots {
        arena.calm(&["restore", id, "--to", place.to_str().unwrap()]);
        assert!(content_of(&place) == *content, "{id} should hold {content:?}");
        let _ = fs::remove_file(&place).or_else(|_| fs::remove_dir_all(&place));
    }
}

fn check_leftovers(arena: &Arena) {
    for dir in ["claims", "condemned", "damaged"] {
        assert_eq!(files(&arena.store.join(dir)), Vec::<PathBuf>::new(), "{dir}");
    }
    let mut temporary = files(&arena.store.join("tmp"));
    temporary.retain(|path| !path.ends_with("replace.lock") && !path.ends_with("reserve"));
    assert_eq!(temporary, Vec::<PathBuf>::new());
    let plan = arena.calm(&["gc", "--dry-run"]);
    assert_eq!(plan["packs_deleted"], 0, "{plan}");
}
