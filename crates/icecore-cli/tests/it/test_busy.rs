//! Exit status 11: somebody else is at work, or took us for dead.

use std::path::PathBuf;

use crate::running::{Running, wait_until};
use crate::support::TestEnv;

/// A capture that goes on until `go` is there.
fn slow_create(env: &TestEnv) -> Running {
    let script = "touch started; while ! [ -e go ]; do sleep 0.02; done; echo row";
    let running = env.start(&["create", "--name", "slow", "--", "sh", "-c", script]);
    wait_until(|| env.path("started").exists());
    running
}

#[test]
fn a_fenced_writer_says_so_and_can_run_again() {
    let env = TestEnv::new();
    let create = slow_create(&env);
    let collected = env.run(&["gc", "--fence-after", "0s"]);
    assert!(collected.stderr.contains("waiting for create slow"), "{}", collected.stderr);
    collected.ok();
    env.write("go", "");
    let said = create.said();
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
    let first = env.start(&["gc"]);
    // The capture's claim, and the collector's own.
    wait_until(|| env.files(".icecore/claims").len() == 2);
    let said = env.fails(11, &["gc"]);
    assert!(said.contains("another collection is running"), "{said}");
    env.write("go", "");
    create.said().ok();
    first.said().ok();
    assert_eq!(env.count(), 1);
    assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new());
}
