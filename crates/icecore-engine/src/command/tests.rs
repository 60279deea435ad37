use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use rustix::process::kill_process;

use super::*;
use crate::recording::RecordingSink;
use crate::{StreamOptions, capture_stream};

fn spawn(argv: &[&str]) -> Result<CommandSource, CaptureError> {
    CommandSource::spawn(&argv.iter().map(OsString::from).collect::<Vec<_>>())
}

fn shell(script: &str) -> CommandSource {
    spawn(&["sh", "-c", script]).unwrap()
}

fn read_all(source: &mut CommandSource) -> String {
    let mut output = String::new();
    source.reader(&|| false).read_to_string(&mut output).unwrap();
    output
}

/// Reads the pids that a script prints, one a line.
fn read_pids(source: &mut CommandSource, count: usize) -> Vec<String> {
    let mut text = Vec::new();
    let mut reader = source.reader(&|| false);
    while text.iter().filter(|byte| **byte == b'\n').count() < count {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Nobody may have reaped it yet.
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

#[track_caller]
fn assert_ends(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_running(pid) {
        assert!(Instant::now() < deadline, "{pid} is still running");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn output_and_success_are_reported() {
    let mut source = shell("echo one; echo two");
    assert_eq!(read_all(&mut source), "one\ntwo\n");
    source.finish(&|| false).unwrap();
}

#[test]
fn a_command_has_no_input() {
    let mut source = spawn(&["cat"]).unwrap();
    assert_eq!(read_all(&mut source), "");
    source.finish(&|| false).unwrap();
}

#[test]
fn output_before_a_failure_does_not_hide_it() {
    let mut source = shell("echo one; exit 3");
    assert_eq!(read_all(&mut source), "one\n");
    let error = source.finish(&|| false).unwrap_err();
    assert_eq!(error.to_string(), "sh failed with exit status 3");
}

#[test]
fn death_by_a_signal_is_a_failure() {
    let mut source = shell("kill -SEGV $$");
    assert_eq!(read_all(&mut source), "");
    let error = source.finish(&|| false).unwrap_err();
    assert_eq!(error.to_string(), "sh was killed by signal 11");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let check =
        |program: &str, message: &str| assert_eq!(spawn(&[program]).unwrap_err().to_string(), message);
    check("pg_dumpp", "cannot run pg_dumpp: there is no such program");
    check("/nowhere/pg_dump", "cannot run /nowhere/pg_dump: there is no such file");
    check("/etc", "cannot run /etc: it is a directory");
    check("/etc/passwd", "cannot run /etc/passwd: it may not be executed");
    check("", "cannot run : its name is empty");
    assert!(spawn(&[]).is_err());
}

#[test]
fn a_dropped_command_takes_its_group_along() {
    let mut source = shell("sleep 300 & echo $!; echo $$; wait");
    let pids = read_pids(&mut source, 2);
    let begun = Instant::now();
    drop(source);
    pids.iter().for_each(|pid| assert_ends(pid));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_command_that_ignores_requests_is_killed() {
    let mut source =
        shell("trap '' TERM; (trap '' TERM; sleep 300) & echo $!; echo $$; while :; do sleep 1; done");
    let pids = read_pids(&mut source, 2);
    let begun = Instant::now();
    drop(source);
    pids.iter().for_each(|pid| assert_ends(pid));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_grandchild_that_holds_the_pipe_cannot_hang_us() {
    let mut source = shell("sleep 300 & echo $!; exit 0");
    let pids = read_pids(&mut source, 1);
    let until = Instant::now() + Duration::from_millis(300);
    let is_cancelled = move || Instant::now() > until;
    let mut rest = Vec::new();
    let error = source.reader(&is_cancelled).read_to_end(&mut rest).unwrap_err();
    assert!(crate::poll::is_interruption(&error));
    drop(source);
    assert_ends(&pids[0]);
}

#[test]
fn what_a_finished_command_left_running_is_ended() {
    let mut source = shell("sleep 300 >/dev/null & echo $!");
    let pids = read_pids(&mut source, 1);
    read_all(&mut source);
    source.finish(&|| false).unwrap();
    assert_ends(&pids[0]);
}

#[test]
fn a_silent_command_can_be_cancelled() {
    let mut source = spawn(&["sleep", "300"]).unwrap();
    let begun = Instant::now();
    let is_cancelled = move || begun.elapsed() > Duration::from_millis(200);
    let options = StreamOptions { what: "sleep".to_owned(), ..StreamOptions::default() };
    let result = capture_stream(&mut source.reader(&is_cancelled), &options, &mut RecordingSink::default());
    assert!(matches!(result, Err(CaptureError::Cancelled)), "{result:?}");
    drop(source);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn waiting_for_a_command_that_closed_its_output_can_be_cancelled() {
    let mut source = shell("exec >&-; exec sleep 300");
    read_all(&mut source);
    let begun = Instant::now();
    let result = source.finish(&move || begun.elapsed() > Duration::from_millis(200));
    assert!(matches!(result, Err(CaptureError::Cancelled)), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_command_whose_output_nobody_wants_ends() {
    let source = spawn(&["yes"]).unwrap();
    let error = source.finish(&|| false).unwrap_err();
    assert_eq!(error.to_string(), "yes was killed by signal 13");
}

const PID_FILE: &str = "ICECORE_TEST_PID_FILE";

/// Not a test by itself: the parent that the next test kills.
#[test]
fn role_of_a_parent_to_be_killed() {
    let Some(path) = std::env::var_os(PID_FILE) else { return };
    let source = spawn(&[
        "sh",
        "-c",
        "echo $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 300",
        path.to_str().unwrap(),
    ]);
    let _source = source.unwrap();
    sleep(Duration::from_secs(60));
}

#[test]
fn a_command_dies_with_a_parent_that_is_killed() {
    if !Path::new("/usr/bin/setpriv").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let mut parent = Command::new(std::env::current_exe().unwrap());
    parent.args(["--exact", "command::tests::role_of_a_parent_to_be_killed"]).env(PID_FILE, &path);
    let mut parent = parent.stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(10));
    }
    let pid = fs::read_to_string(&path).unwrap().trim().to_owned();
    assert!(is_running(&pid));
    kill_process(Pid::from_child(&parent), Signal::KILL).unwrap();
    parent.wait().unwrap();
    assert_ends(&pid);
}
