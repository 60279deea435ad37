//! Exit status 11: somebody else is at work, or took us for dead.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Said, TestEnv};

/// A capture that goes on until `go` is there.
fn slow_create(env: &TestEnv) -> Child {
    let script = "touch started; while ! [ -e go ]; do sleep 0.02; done; echo row";
    let mut command = env.command(&["create", "--name", "slow", "--", "sh", "-c", script]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| env.path("started").exists());
    child
}

fn wait_until(mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_fenced_writer_says_so_and_can_run_again() {
    let env = TestEnv::new();
    let create = slow_create(&env);
    let collected = env.run(&["gc", "--fence-after", "0s"]);
    assert!(collected.stderr.contains("waiting for create slow"), "{}", collected.stderr);
    collected.ok();
    env.write("go", "");
    let said = Said::new(create.wait_with_output().unwrap());
    assert!(said.stderr.contains("hint: run it again"), "{}", said.stderr);
    said.fails(11);
    assert_eq!(env.count(), 0);
    env.ok(&["create", "--name", "slow", "--", "echo", "row"]);
    assert_eq!(env.back("slow"), b"row\n");
}

#[test]
fn a_second_collection_leaves_the_first_alone() {
    let env = TestEnv::new();
    let create = slow_create(&env);
    let mut first = env.command(&["gc"]);
    let first = first.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The capture's claim, and the collector's own.
    wait_until(|| env.files(".icecore/claims").len() == 2);
    let said = env.fails(11, &["gc"]);
    assert!(said.contains("another collection is running"), "{said}");
    env.write("go", "");
    Said::new(create.wait_with_output().unwrap()).ok();
    Said::new(first.wait_with_output().unwrap()).ok();
    assert_eq!(env.count(), 1);
    assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new());
}
