//! Every input of the corpus, and thousands that differ from them a little, go through their targets.
#![expect(clippy::unwrap_used, reason = "in the helpers of tests too")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use icecore_fuzz::{TARGETS, Target, mutate, seeds};

/// No input may keep a target busy for longer; thousands of times what any takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long each target is given for changed inputs. The seeds of chance are fixed, but a slow machine tries fewer.
const TIME_PER_TARGET: Duration = Duration::from_millis(400);
/// Changed inputs for each target, at most.
const MUTATIONS_MAX: u64 = 20_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn folders() -> BTreeSet<String> {
    let entries = fs::read_dir(corpus()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The inputs of a target, in the order of their names.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(corpus().join(target.name)).unwrap();
    let paths: BTreeSet<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// What is being run, and since when.
type Running = Arc<Mutex<Option<(String, Vec<u8>, Instant)>>>;

/// Ends the whole test when one input takes too long, for a loop cannot be interrupted.
#[expect(clippy::print_stderr, reason = "nobody else can tell")]
fn watch(running: &Running) {
    let running = Arc::clone(running);
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(200));
            if let Some((what, input, since)) = &*running.lock().unwrap()
                && since.elapsed() > PATIENCE
            {
                eprintln!("{what} takes too long; the input is {}", keep(input).display());
                std::process::abort();
            }
        }
    });
}

/// Puts an input where it can be looked at.
fn keep(input: &[u8]) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{}", blake3::hash(input).to_hex()));
    fs::write(&path, input).unwrap();
    path
}

fn run(target: &Target, what: &str, input: &[u8], running: &Running) {
    *running.lock().unwrap() = Some((what.to_owned(), input.to_vec(), Instant::now()));
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    *running.lock().unwrap() = None;
    if outcome.is_err() {
        panic!("{what} fails; the input is {}", keep(input).display());
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "two targets have the same name");
    assert_eq!(folders(), names);
    for target in TARGETS {
        assert!(!inputs(target).is_empty(), "{} has no input", target.name);
        assert!(seeds().iter().any(|seed| seed.target == target.name), "{} has no seed", target.name);
    }
    let total: usize = TARGETS.iter().flat_map(inputs).map(|(_, input)| input.len()).sum();
    assert!(total < 1 << 20, "the corpus has grown to {total} bytes");
}

#[test]
fn no_input_of_the_corpus_and_none_near_them_breaks_a_target() {
    let running = Running::default();
    watch(&running);
    for target in TARGETS {
        let inputs = inputs(target);
        for (name, input) in &inputs {
            run(target, &format!("{}/{name}", target.name), input, &running);
        }
        let mut rng = Rng::with_seed(u64::from_le_bytes(*b"icecore!"));
        let began = Instant::now();
        for number in 0..MUTATIONS_MAX {
            if began.elapsed() > TIME_PER_TARGET {
                break;
            }
            let (name, input) = rng.choice(&inputs).unwrap();
            let (_, other) = rng.choice(&inputs).unwrap();
            let changed = mutate(input, other, &mut rng);
            run(
                target,
                &format!("{}/{name}, changed for the {number}th time,", target.name),
                &changed,
                &running,
            );
        }
    }
}
