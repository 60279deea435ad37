//! Ctrl-C, and what outlives a command.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{add, shop, sum};
use crate::running::{Running, wait_until};
use crate::support::{TestEnv, noise};

#[test]
fn a_signal_goes_to_the_command_and_is_waited_for() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        let env = shop();
        let script = add(2, "touch begun; while true; do sleep 0.05; done");
        let program = ["--default-signal=HUP,INT", env!("CARGO_BIN_EXE_icecore")];
        let arguments = ["run", "--rollback", "shop", "--", "sh", "-c", &script];
        let mut command = env.command_of(Path::new("env"), &[&program[..], &arguments].concat());
        let child = Running::start(&mut command);
        wait_until(|| env.path("begun").exists());
        child.send(signal);
        let said = child.said();
        assert_eq!((said.status, sum(&env)), (128 + number, 1), "{}", said.stderr);
        let name = ["", "SIGHUP", "SIGINT"].get(number as usize).unwrap_or(&"SIGTERM");
        assert!(said.stderr.contains(&format!("the command was ended by {name} after ")), "{}", said.stderr);
    }
}

#[test]
fn a_command_that_takes_its_time_to_stop_gets_it() {
    let env = shop();
    let script = "trap 'sleep 7; touch stopped; exit 0' TERM; touch begun; while true; do sleep 0.05; done";
    let child = env.start(&["run", "shop", "--", "sh", "-c", script]);
    wait_until(|| env.path("begun").exists());
    child.send(Signal::TERM);
    std::thread::sleep(Duration::from_millis(500));
    child.send(Signal::TERM);
    // Longer than icecore itself would be waited for; and it has succeeded.
    child.said().ok();
    assert!(env.path("stopped").exists());
}

#[test]
fn what_a_command_leaves_behind_is_not_waited_for() {
    let env = shop();
    let started = Instant::now();
    let mut command =
        env.command(&["run", "--rollback", "shop", "--", "sh", "-c", "sleep 300 & echo $! > pid; exit 2"]);
    // Pipes that somebody reads would be open as long as the one that is left is.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(2));
    assert!(started.elapsed() < Duration::from_secs(60));
    let pid =
        String::from_utf8(env.read("pid")).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
    test_kill_process(pid).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(sum(&env), 1);
}

#[test]
fn an_interrupt_during_the_snapshot_before_starts_nothing() {
    let env = TestEnv::new();
    env.write("large", noise(1, 300_000_000));
    let child = env.start(&["run", "./large", "--", "touch", "ran"]);
    wait_until(|| !env.files(".icecore/claims").is_empty());
    child.send(Signal::INT);
    child.said().fails(130);
    assert_eq!((env.path("ran").exists(), env.count()), (false, 0));
}
