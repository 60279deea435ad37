mod at_work;
mod broken_off;
mod full_disk;
mod killed;
mod refused;
mod thirty;
mod told;
pub(crate) mod web;

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Said, TestEnv, check_keys, noise};

fn ledger(env: &TestEnv, row: &str) {
    let connection = Connection::open(env.path("ledger.db")).unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS entries (what TEXT)").unwrap();
    connection.execute("INSERT INTO entries VALUES (?)", [row]).unwrap();
}

/// The steps, as `ledger create done`.
fn steps(said: &Said) -> Vec<String> {
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |step: &Value| {
        ["service", "step", "remote", "outcome"].map(|key| text(&step[key])).join(" ").replace(" - ", " ")
    };
    document["steps"].as_array().unwrap().iter().map(line).collect()
}

const CONFIG: &str = "
[nightly]
push = ['team']

[retention]
default = 'last 2'

[remotes.team]
url = 'team'

[services.ledger]
url = 'sqlite:ledger.db'

[services.uploads]
path = 'uploads'
";

#[test]
fn a_night_captures_reads_back_pushes_prunes_collects_and_samples() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    for day in 1..=4 {
        ledger(&env, &format!("day {day}"));
        env.write("uploads/picture", noise(day, 300_000));
        let said = env.at(&format!("2026-11-{day:02}T02:30:00Z"), &["nightly", "--json"]);
        assert_eq!(said.status, 0, "{}{}", said.text(), said.stderr);
        let all_of = |service: &str| {
            ["create done", "verify done", "push team done", "prune done"].map(|it| format!("{service} {it}"))
        };
        let store = ["- gc done", "- sample done"].map(str::to_owned);
        assert_eq!(steps(&said), [&all_of("ledger")[..], &all_of("uploads"), &store].concat());
    }
    assert_eq!(env.count(), 4);
    assert_eq!(env.json(&["list", "--remote", "team"])["snapshots"].as_array().unwrap().len(), 8);
    env.ok(&["restore", "uploads", "--to", "back"]);
    assert_eq!(env.read("back/picture"), noise(4, 300_000));
    // What was pruned was given back in the same night.
    assert_eq!(env.json(&["gc", "--dry-run"])["packs_deleted"], 0);
    // In words.
    let said = env.at("2026-11-05T02:30:00Z", &["nightly", "ledger"]).ok();
    assert!(said.starts_with("ledger\n  create  "), "{said}");
    assert!(said.contains("  push    to team: 1 snapshot, ") && said.contains("The store\n  gc  "), "{said}");
    assert!(!said.contains("uploads"), "{said}");
    assert_eq!(env.at("2026-11-06T02:30:00Z", &["nightly", "-q"]).ok(), "");
}

#[test]
fn what_fails_keeps_nothing_else_from_being_done_and_nothing_of_it_is_deleted() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    ledger(&env, "a");
    env.write("uploads/picture", "a");
    for day in 1..=2 {
        env.at(&format!("2026-11-{day:02}T02:30:00Z"), &["nightly"]).ok();
    }
    // Of what cannot be captured, an old snapshot is all there is.
    env.write("icecore.toml", CONFIG.replace("last 2", "last 1"));
    fs::remove_file(env.path("ledger.db")).unwrap();
    let said = env.at("2026-11-03T02:30:00Z", &["nightly", "--json"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    let steps_of = |said: &Said, service: &str| -> Vec<String> {
        steps(said).into_iter().filter(|step| step.starts_with(service)).collect()
    };
    assert_eq!(
        steps_of(&said, "ledger"),
        ["ledger create failed", "ledger verify skipped", "ledger push team skipped", "ledger prune skipped"]
    );
    assert_eq!(steps_of(&said, "uploads").last().unwrap(), "uploads prune done");
    assert_eq!(steps_of(&said, "-"), ["- gc done", "- sample done"]);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(document["ok"], false);
    check_keys(&document["steps"][0], &["service", "step", "remote", "outcome", "remarks", "duration_ms"]);
    let why = document["steps"][0]["remarks"][0].as_str().unwrap();
    assert!(why.contains("ledger.db"), "{why}");
    let count = |source: &str| env.json(&["list", source])["snapshots"].as_array().unwrap().len();
    assert_eq!([count("ledger"), count("uploads")], [2, 1]);
    // Nor of what did not arrive where it was to.
    ledger(&env, "b");
    env.write(
        "icecore.toml",
        CONFIG.replace("last 2", "last 1").replace("'team'\n\n[serv", "'icecore.toml'\n\n[serv"),
    );
    let said = env.at("2026-11-04T02:30:00Z", &["nightly", "--json"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert_eq!(
        steps_of(&said, "ledger"),
        ["ledger create done", "ledger verify done", "ledger push team failed", "ledger prune skipped"]
    );
    assert_eq!([count("ledger"), count("uploads")], [3, 2]);
    // The night after makes up for it.
    env.write("icecore.toml", CONFIG);
    env.at("2026-11-05T02:30:00Z", &["nightly"]).ok();
    let there = env.json(&["list", "ledger", "--remote", "team"]);
    let days: Vec<&str> = there["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["created_at"].as_str().unwrap()[8..10])
        .collect();
    assert_eq!(days, ["05", "04", "02", "01"]);
}

/// Changes a byte in the middle of the largest pack.
fn damage(env: &TestEnv) {
    let packs = env.files(".icecore/packs");
    let largest = packs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(largest, bytes).unwrap();
}

#[test]
fn damage_in_what_a_new_snapshot_needs_stops_what_deletes() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG.replace("push = ['team']", "").replace("last 2", "last 1"));
    env.write("uploads/picture", noise(1, 300_000));
    // What was never read back is read the first time that a night needs it.
    env.at("2026-11-01T02:30:00Z", &["create", "uploads"]).ok();
    damage(&env);
    env.write("uploads/other", "new");
    let said = env.at("2026-11-02T02:30:00Z", &["nightly", "uploads", "--json"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert_eq!(
        steps(&said),
        [
            "uploads create done",
            "uploads verify failed",
            "uploads prune skipped",
            "- gc skipped",
            "- sample failed"
        ]
    );
    assert_eq!(env.count(), 2);
    let said = env.at("2026-11-03T02:30:00Z", &["nightly", "uploads"]);
    assert!(said.text().contains("  verify  damage: 1 finding; "), "{}", said.text());
}

#[test]
fn damage_in_what_is_old_is_found_by_the_sample() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG.replace("push = ['team']", "verify = '50MB'"));
    env.write("uploads/picture", noise(1, 300_000));
    env.at("2026-11-01T02:30:00Z", &["nightly", "uploads"]).ok();
    damage(&env);
    let said = env.at("2026-11-02T02:30:00Z", &["nightly", "uploads", "--json"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert_eq!(steps(&said).last().unwrap(), "- sample failed");
    let said = env.at("2026-11-02T02:35:00Z", &["status", "uploads"]);
    assert_eq!(said.status, 3);
    assert!(said.stderr.contains("warning: the store: the step sample failed at "), "{}", said.stderr);
}

#[test]
fn a_service_is_captured_once_at_a_time() {
    let env = TestEnv::new();
    env.write("gate", "");
    env.write(
        "icecore.toml",
        "[services.shop]\nurl = 'redis://127.0.0.1:1'\npassword_command = ['sh', '-c', 'touch begun; while test -e gate; do sleep 0.05; done']\n",
    );
    let mut running = env.command(&["nightly", "-q"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !env.path("begun").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = env.run(&["nightly", "--json"]);
    assert_eq!(steps(&said)[0], "shop create skipped");
    assert!(said.text().contains("another run of it is still at work"), "{}", said.text());
    fs::remove_file(env.path("gate")).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(3));
    let said = env.run(&["nightly", "--json"]);
    assert_eq!(steps(&said)[0], "shop create failed");
}

#[test]
fn now_and_then_a_new_snapshot_is_restored_for_a_test() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        format!("{CONFIG}\n").replace("push = ['team']", "push = ['team']\nprove = '7d'"),
    );
    let mut proved = Vec::new();
    for day in 1..=16 {
        ledger(&env, &format!("day {day}"));
        let said = env.at(&format!("2026-11-{day:02}T02:30:00Z"), &["nightly", "ledger", "--json"]);
        assert_eq!(said.status, 0, "{}{}", said.text(), said.stderr);
        if steps(&said).contains(&"ledger prove done".to_owned()) {
            proved.push(day);
        }
    }
    assert_eq!(proved, [1, 8, 15]);
    let status: Value = env.at("2026-11-16T03:00:00Z", &["status", "ledger", "--json"]).json();
    assert_eq!(status["services"][0]["restored"]["at"], "2026-11-15T02:30:00.000000Z");
    // It went along to where the snapshot is.
    let there = env.json(&["show", "ledger~1", "--remote", "team"]);
    assert!(there.to_string().contains("2026-11-15T02:30:00"), "{there}");
    // What cannot be tried says nothing of the snapshot, and keeps nothing from being deleted.
    env.write(
        "icecore.toml",
        "[nightly]\nprove = '1d'\n[retention]\ndefault = 'last 1'\n[services.cache]\npath = 'dump.rdb'\n",
    );
    env.write("dump.rdb", [b"REDIS0011\xfe\0".as_slice(), &[0, 1, b'k', 1, b'v', 0xff], &[0; 8]].concat());
    let mut command = env.command(&["nightly", "--json"]);
    let said = Said::of(command.env("PATH", env.path("none")).env("ICECORE_NOW", "2026-11-17T02:30:00Z"));
    assert_eq!(said.status, 3, "{}", said.text());
    assert_eq!(steps(&said)[2..4], ["cache prove warned", "cache prune done"]);
}

#[test]
fn hooks_are_told_of_each_step_and_one_that_fails_before_it_stops_it() {
    let env = TestEnv::new();
    env.write("uploads/picture", "a");
    let config = |before: &str| {
        let after = "echo after $ICECORE_STEP $ICECORE_SERVICE >> told; cat >> told; echo >> told";
        format!(
            "[nightly]\nbefore = ['sh', '-c', '{before}']\nafter = ['sh', '-c', '{after}']\nhook_timeout = '2s'\n[services.uploads]\npath = 'uploads'\n"
        )
    };
    env.write("icecore.toml", config("echo before $ICECORE_STEP $ICECORE_SERVICE >> told; echo noise"));
    let said = env.run(&["nightly", "--json"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(steps(&said).len(), 5);
    assert_eq!(said.stderr.matches("noise\n").count(), 4, "{}", said.stderr);
    let told = String::from_utf8(env.read("told")).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["before create uploads", "after create uploads"]);
    let document: Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(document, serde_json::from_slice::<Value>(&said.stdout).unwrap()["steps"][0]);
    assert_eq!(lines[3], "before verify uploads");
    // One step less, and what depends on it.
    env.write("icecore.toml", config("test $ICECORE_STEP != create"));
    let said = env.run(&["nightly", "--json"]);
    assert_eq!(said.status, 3);
    assert_eq!(steps(&said)[..2], ["uploads create failed", "uploads verify skipped"]);
    assert!(said.text().contains("the hook before it, sh, failed: exit status: 1"), "{}", said.text());
    assert_eq!(env.count(), 1);
    // One that hangs is killed, with what it started.
    env.write(
        "icecore.toml",
        config("if test $ICECORE_STEP = gc; then sleep 600 & echo $! > sleeper; wait; fi"),
    );
    let said = env.run(&["nightly", "--json"]);
    assert!(said.text().contains("it took longer than 2 s, and was killed"), "{}", said.text());
    let sleeper = String::from_utf8(env.read("sleeper")).unwrap();
    crate::running::wait_until(|| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    env.write("icecore.toml", config("true").replace("cat >> told", "exit 7"));
    let said = env.run(&["nightly", "--json"]);
    assert_eq!(said.status, 3);
    assert!(
        said.stderr.contains("warning: the hook after it, sh, failed: exit status: 7"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_night_without_services_or_of_others_is_refused() {
    let env = TestEnv::new();
    let said = env.fails(10, &["nightly"]);
    assert!(said.contains("there is no icecore.toml here or above"), "{said}");
    env.write("icecore.toml", "");
    let said = env.fails(2, &["nightly"]);
    assert!(said.contains("there is no service in "), "{said}");
    env.write("icecore.toml", CONFIG);
    let said = env.fails(10, &["nightly", "ledgr"]);
    assert!(said.contains("icecore.toml has no service \"ledgr\"; did you mean \"ledger\"?"), "{said}");
    assert_eq!(env.count(), 0);
}
