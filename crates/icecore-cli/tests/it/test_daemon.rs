use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::running::{Running, wait_until};
use crate::support::{Said, TestEnv};

fn at(env: &TestEnv, time: &str, arguments: &[&str]) -> Said {
    Said::of(env.command(arguments).env("ICECORE_NOW", time))
}

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

#[test]
fn what_was_missed_is_caught_up_with_once() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    env.write("notes", "notes");
    at(&env, "2026-11-01T02:30:00Z", &["nightly", "shop"]).ok();
    let running = daemon(&env, "2026-11-05T10:00:00Z", &[]);
    let journal = || {
        let document = at(&env, "2026-11-05T10:00:00Z", &["status", "--json"]).stdout;
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        document["services"][1]["last_run"]["begun"].as_str().map(str::to_owned)
    };
    wait_until(|| journal().unwrap().starts_with("2026-11-05T10:00"));
    // It would begin the others at once, if there were any.
    std::thread::sleep(Duration::from_secs(1));
    running.send(Signal::TERM);
    let said = running.said();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches("Running: shop\n").count(), 1, "{}", said.stderr);
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
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    at(&env, "2026-11-01T02:30:00Z", &["nightly", "shop"]).ok();
    fs::remove_file(env.path("shop")).unwrap();
    let mut running = daemon(&env, "2026-11-02T02:30:00Z", &[]);
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.is_running());
    running.send(Signal::INT);
    let said = running.said();
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("warning: shop: ended with status 3\n"), "{}", said.stderr);
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
    at(&env, "2026-11-01T02:30:00Z", &["create", "old", "--name", "shop"]).ok();
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
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    at(&env, "2026-11-01T02:30:00Z", &["nightly", "shop"]).ok();
    let arguments = ["daemon", "--listen", "127.0.0.1:0", "--metrics-file", "icecore.prom"];
    let mut command = env.command(&arguments);
    command.env("ICECORE_NOW", "2026-11-01T03:00:00Z").stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
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
