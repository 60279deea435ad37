use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::running::{Running, wait_until};
use crate::support::TestEnv;

fn daemon(env: &TestEnv, time: &str, arguments: &[&str]) -> Running {
    let arguments = [&["daemon"], arguments].concat();
    Running::start(env.command(&arguments).env("ICECORE_NOW", time))
}

const CONFIG: &str = "
[services.shop]
path = 'shop'
schedule = '30 2 * * *'

[services.notes]
path = 'notes'
";

/// What [`CONFIG`] names, and a first state of the one that has a schedule.
fn scheduled() -> TestEnv {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    env
}

#[test]
fn what_was_missed_is_caught_up_with_once() {
    let env = scheduled();
    env.write("notes", "notes");
    env.at("2026-11-01T02:30:00Z", &["nightly", "shop"]).ok();
    let running = daemon(&env, "2026-11-05T10:00:00Z", &[]);
    let journal = || {
        let document = env.at("2026-11-05T10:00:00Z", &["status", "--json"]).stdout;
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        document["services"][1]["last_run"]["begun"].as_str().map(str::to_owned)
    };
    wait_until(|| journal().unwrap().starts_with("2026-11-05T10:00"));
    // It would begin the others at once, if there were any.
    std::thread::sleep(Duration::from_secs(1));
    running.send(Signal::TERM);
    let said = running.said();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches("2026-11-05 10:00:00 Running: shop\n").count(), 1, "{}", said.stderr);
    assert!(said.stderr.contains("Next: shop at 2026-11-06 02:30\n"), "{}", said.stderr);
    assert!(said.stderr.ends_with("Stopped.\n"), "{}", said.stderr);
    assert!(said.text().contains("shop\n  create  4 B, "), "{}", said.text());
    assert_eq!(env.json(&["list", "shop"])["snapshots"].as_array().unwrap().len(), 2);
    // One that is started again has nothing to catch up with.
    let running = daemon(&env, "2026-11-05T10:05:00Z", &[]);
    std::thread::sleep(Duration::from_secs(1));
    running.send(Signal::TERM);
    let said = running.said();
    assert!(!said.stderr.contains("Running"), "{}", said.stderr);
}

#[test]
fn a_run_that_fails_is_told_and_the_daemon_goes_on() {
    let env = scheduled();
    env.at("2026-11-01T02:30:00Z", &["nightly", "shop"]).ok();
    fs::remove_file(env.path("shop")).unwrap();
    let mut running = daemon(&env, "2026-11-02T02:30:00Z", &[]);
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.is_running());
    running.send(Signal::INT);
    let said = running.said();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("2026-11-02 02:30:00 warning: shop: ended with status 3\n"),
        "{}",
        said.stderr
    );
    assert!(said.text().contains("  create  failed: "), "{}", said.text());
}

#[test]
fn a_run_that_is_under_way_ends_before_the_daemon_does() {
    let env = TestEnv::new();
    env.write("gate", "");
    let wait = "touch begun; while test -e gate; do sleep 0.05; done; touch ended";
    let config = format!(
        "[services.shop]\nurl = 'redis://127.0.0.1:1'\nschedule = '@daily'\npassword_command = ['sh', '-c', '{wait}']\n"
    );
    env.write("icecore.toml", config);
    // The first night is the next one: that of the next day.
    let running = daemon(&env, "2026-11-02T02:30:00Z", &[]);
    std::thread::sleep(Duration::from_secs(1));
    running.send(Signal::TERM);
    let said = running.said();
    assert!(said.stderr.contains("Next: shop at 2026-11-03 00:00\n"), "{}", said.stderr);
    assert!(!env.path("begun").exists());
    // A snapshot of its name tells when it was captured.
    env.write("old", "old");
    env.at("2026-11-01T02:30:00Z", &["create", "old", "--name", "shop"]).ok();
    let running = daemon(&env, "2026-11-02T02:30:00Z", &[]);
    wait_until(|| env.path("begun").exists());
    running.send(Signal::TERM);
    std::thread::sleep(Duration::from_millis(500));
    fs::remove_file(env.path("gate")).unwrap();
    let said = running.said();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(env.path("ended").exists());
    assert!(said.stderr.ends_with("Stopped.\n"), "{}", said.stderr);
}

/// A clock that the test moves.
fn set_clock(env: &TestEnv, time: &str) {
    env.write("clock.new", time);
    fs::rename(env.path("clock.new"), env.path("clock")).unwrap();
}

#[test]
fn what_comes_next_is_said_once_whatever_the_file_says() {
    let env = TestEnv::new();
    env.write("shop", "shop");
    env.write("icecore.toml", CONFIG);
    set_clock(&env, "2026-11-01T03:00:00Z");
    let log = fs::File::create(env.path("log")).unwrap();
    let mut command = env.command(&["daemon"]);
    let mut child = command.env("ICECORE_NOW", "@clock").stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let log = || String::from_utf8(env.read("log")).unwrap();
    wait_until(|| log().contains("Next: shop at 2026-11-02 02:30\n"));
    // Another file, but nothing else to do.
    env.write("icecore.toml", format!("[retention]\ndefault = '7d all'\n{CONFIG}"));
    set_clock(&env, "2026-11-01T03:02:00Z");
    wait_until(|| log().contains("icecore.toml has changed\n"));
    env.write("icecore.toml", CONFIG.replace("30 2", "45 2"));
    set_clock(&env, "2026-11-01T03:04:30Z");
    wait_until(|| log().contains("Next: shop at 2026-11-02 02:45\n"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let file = env.path("icecore.toml").display().to_string();
    let expected = [
        "2026-11-01 03:00:00 Next: shop at 2026-11-02 02:30",
        &format!("2026-11-01 03:02:00 {file} has changed"),
        &format!("2026-11-01 03:04:30 {file} has changed"),
        "2026-11-01 03:04:30 Next: shop at 2026-11-02 02:45",
        "2026-11-01 03:04:30 Stopped.",
    ];
    assert_eq!(log().lines().collect::<Vec<_>>(), expected);
}

/// Runs a daemon by a clock that is set to each of these times, and waits until it says what belongs there. Returns all that it said.
fn by_clock(env: &TestEnv, steps: &[(&str, &str)]) -> Vec<String> {
    let log = fs::File::create(env.path("log")).unwrap();
    set_clock(env, steps[0].0);
    let mut command = env.command(&["daemon"]);
    let mut child = command.env("ICECORE_NOW", "@clock").stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let log = || String::from_utf8(env.read("log")).unwrap();
    for (time, said) in steps {
        set_clock(env, time);
        wait_until(|| log().ends_with(&format!("{said}\n")));
        // It would go on at once, if there were anything to do.
        std::thread::sleep(Duration::from_millis(600));
        assert!(log().ends_with(&format!("{said}\n")), "{time}: {}", log());
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    log().lines().map(str::to_owned).collect()
}

#[test]
fn a_machine_that_sleeps_over_several_nights_runs_once_when_it_wakes() {
    let env = scheduled();
    let said = by_clock(
        &env,
        &[
            ("2026-11-01T03:00:00Z", "Next: shop at 2026-11-02 02:30"),
            ("2026-11-05T10:00:00Z", "Next: shop at 2026-11-06 02:30"),
            ("2026-11-06T02:29:59Z", "Next: shop at 2026-11-06 02:30"),
            ("2026-11-06T02:30:00Z", "Next: shop at 2026-11-07 02:30"),
        ],
    );
    let runs: Vec<&String> = said.iter().filter(|line| line.contains("Running")).collect();
    assert_eq!(runs, ["2026-11-05 10:00:00 Running: shop", "2026-11-06 02:30:00 Running: shop"]);
    assert_eq!(env.count(), 2);
}

#[test]
fn a_clock_that_is_set_back_makes_no_second_run_unless_it_was_far_ahead() {
    let env = scheduled();
    let said = by_clock(
        &env,
        &[
            ("2026-11-01T03:00:00Z", "Next: shop at 2026-11-02 02:30"),
            ("2026-11-02T02:30:00Z", "Next: shop at 2026-11-03 02:30"),
            // By less than three hours: the night of the second is over.
            ("2026-11-02T02:10:00Z", "Next: shop at 2026-11-03 02:30"),
            ("2026-11-02T02:31:00Z", "Next: shop at 2026-11-03 02:30"),
            // A clock that was years ahead.
            ("2031-01-01T00:00:00Z", "Next: shop at 2031-01-01 02:30"),
        ],
    );
    let runs = |said: &[String]| -> Vec<String> {
        said.iter().filter(|line| line.contains("Running")).cloned().collect()
    };
    let ahead = "2031-01-01 00:00:00 Running: shop";
    assert_eq!(runs(&said), ["2026-11-02 02:30:00 Running: shop", ahead]);
    let again = by_clock(
        &env,
        &[
            ("2031-01-01T00:10:00Z", "Next: shop at 2031-01-01 02:30"),
            ("2026-11-03T02:29:00Z", "Next: shop at 2026-11-03 02:30"),
            ("2026-11-03T02:30:00Z", "Next: shop at 2026-11-04 02:30"),
        ],
    );
    assert_eq!(runs(&again), ["2026-11-03 02:30:00 Running: shop"]);
}

#[test]
fn lines_for_the_journal_have_no_time_of_their_own() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    let said = |journal: &dyn Fn(&rustix::fs::Stat) -> String| {
        let log = fs::File::create(env.path("log")).unwrap();
        let journal = journal(&rustix::fs::fstat(&log).unwrap());
        let mut command = env.command(&["daemon"]);
        command.env("ICECORE_NOW", "2026-11-01T03:00:00Z").env("JOURNAL_STREAM", journal);
        let mut child = command.stderr(log).spawn().unwrap();
        let log = || String::from_utf8(env.read("log")).unwrap();
        wait_until(|| log().contains("Next: "));
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        log()
    };
    let text = said(&|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    assert!(text.starts_with("Next: shop at 2026-11-02 02:30\n"), "{text}");
    // Begun by systemd, but written elsewhere.
    let text = said(&|stat| format!("{}:{}", stat.st_dev, stat.st_ino + 1));
    assert!(text.starts_with("2026-11-01 03:00:00 Next: shop"), "{text}");
}

#[test]
fn a_run_that_holds_others_up_is_told_once() {
    let env = TestEnv::new();
    env.write("gate", "");
    env.write("notes", "notes");
    let wait = "touch begun; while test -e gate; do sleep 0.05; done";
    let services = "[services.notes]\npath = 'notes'\nschedule = '0 4 * * *'\n";
    let config = format!(
        "{services}[services.shop]\nurl = 'redis://127.0.0.1:1'\nschedule = '30 2 * * *'\npassword_command = ['sh', '-c', '{wait}']\n"
    );
    env.write("icecore.toml", config);
    env.at("2026-11-01T04:00:00Z", &["nightly", "notes"]).ok();
    set_clock(&env, "2026-11-02T02:29:59Z");
    let log = fs::File::create(env.path("log")).unwrap();
    let mut command = env.command(&["daemon"]);
    let mut child = command.env("ICECORE_NOW", "@clock").stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let log = || String::from_utf8(env.read("log")).unwrap();
    wait_until(|| log().contains("Next: shop"));
    set_clock(&env, "2026-11-02T02:30:00Z");
    wait_until(|| env.path("begun").exists());
    let status =
        |time: &str| env.at(time, &["status", "notes"]).stderr + &env.at(time, &["status", "shop"]).stderr;
    // Nobody waits for it, or not for long.
    set_clock(&env, "2026-11-02T03:59:00Z");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!log().contains("warning"), "{}", log());
    assert!(!status("2026-11-02T03:59:00Z").contains("its run has gone on"));
    set_clock(&env, "2026-11-02T04:00:00Z");
    let told = "2026-11-02 04:00:00 warning: shop: its run takes longer than an hour, and notes, which was due at 2026-11-02 04:00, waits for its end\n";
    wait_until(|| log().contains(told));
    let told_by_status =
        "warning: shop: its run has gone on since 2026-11-02 02:30, and notes should have begun by now\n";
    assert!(status("2026-11-02T04:10:00Z").contains(told_by_status), "{}", status("2026-11-02T04:10:00Z"));
    set_clock(&env, "2026-11-02T05:30:00Z");
    std::thread::sleep(Duration::from_millis(500));
    fs::remove_file(env.path("gate")).unwrap();
    wait_until(|| log().contains("Running: notes\n") && log().ends_with(" 02:30\n"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(log().matches("takes longer than an hour").count(), 1, "{}", log());
    assert!(!status("2026-11-02T05:40:00Z").contains("its run has gone on"));
}

/// What an HTTP server answers.
fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn metrics_are_served_to_whoever_asks_for_them_and_nobody_blocks_them() {
    let env = scheduled();
    env.at("2026-11-01T02:30:00Z", &["nightly", "shop"]).ok();
    let arguments = ["daemon", "--listen", "127.0.0.1:0", "--metrics-file", "icecore.prom"];
    let mut command = env.command(&arguments);
    command.env("ICECORE_NOW", "2026-11-01T03:00:00Z").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let line = line.strip_prefix("2026-11-01 03:00:00 ").unwrap();
    let address = line.strip_prefix("Metrics: http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
    // One who says nothing is waited for, but not for long.
    let silent = TcpStream::connect(&address).unwrap();
    let started = Instant::now();
    let (status, body) = ask(&address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(silent);
    assert_eq!(status, "HTTP/1.1 200 OK");
    let scrape = prometheus_parse::Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap();
    assert!(scrape.samples.iter().any(|sample| sample.metric == "icecore_service_good"), "{body}");
    assert_eq!(String::from_utf8(env.read("icecore.prom")).unwrap(), body);
    let (status, nothing) = ask(&address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((status.as_str(), nothing.as_str()), ("HTTP/1.1 200 OK", ""));
    assert_eq!(ask(&address, "GET / HTTP/1.1\r\n\r\n").0, "HTTP/1.1 404 Not Found");
    assert_eq!(ask(&address, "POST /metrics HTTP/1.1\r\n\r\n").0, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(ask(&address, "\0\0\r\n\r\n").0, "HTTP/1.1 400 Bad Request");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_daemon_without_anything_to_do_is_refused() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\n");
    let said = env.fails(2, &["daemon"]);
    assert!(said.contains("no service in ") && said.contains("hint: schedule = \"30 2 * * *\""), "{said}");
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\nschedule = 'at night'\n");
    let said = env.fails(1, &["daemon"]);
    assert!(said.contains("line 3: \"at night\" is no schedule: it has 2 fields, and not five"), "{said}");
    env.write("icecore.toml", CONFIG);
    env.fails(10, &["daemon", "--store", "nowhere"]);
}
