//! Ctrl-C at any moment.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::running::{Running, wait_until};
use crate::support::{Said, TestEnv, noise};

#[test]
fn an_interrupted_command_stores_nothing_and_leaves_no_child_and_no_claim() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let env = TestEnv::new();
        let script = "echo $$ > pid.new; mv pid.new pid; while true; do echo row; sleep 0.01; done";
        // Whoever runs the tests may have told all of them not to mind when the terminal goes.
        let program = ["--default-signal=HUP", env!("CARGO_BIN_EXE_icecore")];
        let arguments = [&program[..], &["create", "--", "sh", "-c", script]].concat();
        let mut command = env.command_of(Path::new("env"), &arguments);
        let child = Running::start(&mut command);
        wait_until(|| env.path("pid").exists());
        let pid =
            String::from_utf8(env.read("pid")).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
        child.send(signal);
        let started = Instant::now();
        let said = child.said();
        assert_eq!(said.stderr, "error: interrupted\n");
        said.fails(130);
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        wait_until(|| test_kill_process(pid).is_err());
        assert_eq!(env.count(), 0);
        assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new());
    }
}

#[test]
fn waiting_for_standard_input_can_be_interrupted() {
    let env = TestEnv::new();
    let mut command = env.command(&["create", "-"]);
    let mut child = Running::start(command.stdin(Stdio::piped()));
    let stdin = child.stdin();
    wait_until(|| !env.files(".icecore/claims").is_empty());
    child.send(Signal::INT);
    child.said().fails(130);
    drop(stdin);
    assert_eq!(env.count(), 0);
    assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new());
}

#[test]
fn an_interrupted_restore_leaves_the_old_or_the_new_and_nothing_else() {
    let env = TestEnv::new();
    let content = noise(1, 20_000_000);
    env.write("target/f", &content);
    env.ok(&["create", "target/f"]);
    for delay in [0, 5, 10, 20, 40] {
        env.write("target/f", "old");
        let child = env.start(&["restore", "f", "--yes"]);
        std::thread::sleep(Duration::from_millis(delay));
        child.send(Signal::INT);
        let said = child.said();
        let now = env.read("target/f");
        match said.status {
            0 => assert!(now == content),
            // Before it listens, the signal itself ends it.
            130 | -2 => assert!(now == b"old"),
            _ => panic!("{said:?}"),
        }
        assert_eq!(env.files("target"), [env.path("target/f")]);
    }
}

/// Sends the signal as soon as the program listens, before it has done much. On a busy machine it may be done all the same before the
/// signal is seen: then once more.
#[test]
fn a_signal_ends_collecting_and_verifying_cleanly() {
    for command in ["gc", "verify"] {
        let env = TestEnv::new();
        let content = noise(1, 3_000_000);
        env.write("f", &content);
        env.write("g", noise(2, 300_000));
        env.ok(&["create", "f"]);
        let mut interrupted = false;
        for _ in 0..50 {
            env.ok(&["create", "g"]);
            env.ok(&["delete", "g", "--yes"]);
            let packs = env.files(".icecore/packs");
            let said = interrupt(env.command(&[command]));
            assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new(), "{command}");
            if said.status == 130 {
                assert_eq!(said.stderr, "error: interrupted\n", "{command}");
                assert_eq!(env.files(".icecore/packs"), packs, "{command}");
                interrupted = true;
                break;
            }
            said.ok();
        }
        assert!(interrupted, "{command} was never interrupted");
        env.ok(&["verify"]);
        env.ok(&["gc"]);
        assert!(env.back("f") == content, "{command}");
    }
}

/// Runs a command and interrupts it as soon as it listens.
fn interrupt(mut command: std::process::Command) -> Said {
    let child = Running::start(&mut command);
    let listens = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (Signal::INT.as_raw() - 1)) != 0
    };
    while !listens() {
        std::thread::yield_now();
    }
    child.send(Signal::INT);
    child.said()
}

/// The command ruins the store under its own capture, then writes for ever with a child beside it.
#[test]
fn a_store_that_fails_ends_the_command_and_its_children() {
    let env = TestEnv::new();
    let script = "rm -rf .icecore/packs; touch .icecore/packs; echo $$ > parent; sleep 300 & echo $! > child; \
                  exec cat /dev/urandom";
    env.fails(1, &["create", "--name", "endless", "--", "sh", "-c", script]);
    for file in ["parent", "child"] {
        let pid = String::from_utf8(env.read(file)).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
        let lives = !status.is_empty() && !status.contains("State:\tZ");
        assert!(!lives, "{file} {pid} outlived the capture");
    }
}
