//! What a night does not do, and what `status` does not keep quiet about.

use std::fs;

use serde_json::Value;

use super::{CONFIG, damage, ledger, steps};
use crate::support::{Said, TestEnv, noise};

fn night(env: &TestEnv, day: u32, arguments: &[&str]) -> Said {
    env.at(&format!("2026-11-{day:02}T02:30:00Z"), &[&["nightly", "--json"], arguments].concat())
}

fn days(env: &TestEnv, arguments: &[&str]) -> Vec<String> {
    let listed: Value = env.json(&[&["list"], arguments].concat());
    let day = |it: &Value| it["created_at"].as_str().unwrap()[8..10].to_owned();
    listed["snapshots"].as_array().unwrap().iter().map(day).collect()
}

const PRUNING: &str = "
[nightly]
push = ['team']
prune_remotes = ['team']
[retention]
default = 'last 2'
[remotes.team]
url = 'file:///TEAM'
[services.uploads]
path = 'uploads'
";

#[test]
fn what_another_machine_has_under_the_same_name_is_not_pruned() {
    let env = TestEnv::new();
    env.write("icecore.toml", PRUNING.replace("/TEAM", &env.path("team").display().to_string()));
    env.write("uploads/f", "1");
    night(&env, 1, &[]).ok();
    // Another machine's, by its name.
    let other = |arguments: &[&str]| {
        let arguments = [
            &["--uts", "sh", "-c", "hostname other && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_icecore")],
            arguments,
        ]
        .concat();
        Said::of(env.command_of("unshare".as_ref(), &arguments).env("ICECORE_NOW", "2026-11-01T03:00:00Z"))
            .ok();
    };
    other(&["create", "uploads", "--store", "team"]);
    for day in 2..=4 {
        env.write("uploads/f", day.to_string());
        let said = night(&env, day, &[]);
        assert_eq!(said.status, 3, "{}", said.text());
        assert!(steps(&said).contains(&"uploads prune team failed".to_owned()), "{}", said.text());
        assert!(said.text().contains("that other took lie there, too"), "{}", said.text());
    }
    assert_eq!(days(&env, &["--remote", "team"]), ["04", "03", "02", "01", "01"]);
    assert_eq!(days(&env, &[]), ["04", "03"]);
}

#[test]
fn a_snapshot_that_is_named_after_it_was_pushed_stays_there_too() {
    let env = TestEnv::new();
    env.write("icecore.toml", PRUNING.replace("/TEAM", &env.path("team").display().to_string()));
    for day in 1..=6 {
        env.write("uploads/f", day.to_string());
        night(&env, day, &[]).ok();
        if day == 2 {
            env.ok(&["tag", "add", "uploads", "release"]);
        }
    }
    assert_eq!(days(&env, &[]), ["06", "05", "02"]);
    assert_eq!(days(&env, &["--remote", "team"]), ["06", "05", "02"]);
}

#[test]
fn what_failed_to_arrive_one_night_arrives_another_one() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG.replace("last 2", "last 9"));
    env.write("uploads/f", "1");
    night(&env, 1, &["uploads"]).ok();
    env.write("uploads/f", noise(2, 200_000));
    env.at("2026-11-02T02:30:00Z", &["create", "uploads"]).ok();
    let packs = env.files(".icecore/packs");
    let largest = packs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let kept = fs::read(largest).unwrap();
    fs::remove_file(largest).unwrap();
    env.write("uploads/f", "3");
    assert_eq!(night(&env, 3, &["uploads"]).status, 3);
    fs::write(largest, kept).unwrap();
    env.write("uploads/f", "4");
    night(&env, 4, &["uploads"]);
    night(&env, 5, &["uploads"]).ok();
    assert_eq!(days(&env, &["uploads", "--remote", "team"]), ["05", "04", "03", "02", "01"]);
}

#[test]
fn a_clock_that_is_years_ahead_deletes_nothing_and_is_no_good_sign() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[retention]\ndefault = '7d all, 30d daily'\n[services.uploads]\npath = 'uploads'\nschedule = '@daily'\n");
    for day in 1..=8 {
        env.write("uploads/f", day.to_string());
        night(&env, day, &[]).ok();
    }
    let said = env.at("2036-11-09T02:30:00Z", &["nightly", "--json"]);
    assert!(steps(&said).contains(&"uploads prune failed".to_owned()), "{}", said.text());
    assert!(said.text().contains("8 of the 9 snapshots of uploads would go at once"), "{}", said.text());
    assert_eq!(env.count(), 9);
    let said = env.at("2026-11-20T03:00:00Z", &["status"]);
    assert_eq!(said.status, 3);
    assert!(said.stderr.contains("of a time that is yet to come: whose clock is wrong?"), "{}", said.stderr);
    assert!(said.text().contains("11 days ago") || said.text().contains("12 days ago"), "{}", said.text());
}

#[test]
fn a_remote_that_is_not_mounted_is_no_new_one() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("uploads/f", "1");
    night(&env, 1, &["uploads"]).ok();
    fs::rename(env.path("team"), env.path("elsewhere")).unwrap();
    let said = night(&env, 2, &["uploads"]);
    assert_eq!(said.status, 3);
    assert!(said.text().contains("and there is none now: is it mounted?"), "{}", said.text());
    assert!(!env.path("team").exists());
    env.ok(&["push", "team"]);
    night(&env, 3, &["uploads"]).ok();
}

#[test]
fn a_run_that_died_and_a_journal_that_cannot_be_read_are_told() {
    let env = TestEnv::new();
    let hook = "if test $ICECORE_STEP = verify; then kill -9 $PPID; fi";
    env.write(
        "icecore.toml",
        format!("[nightly]\nbefore = ['sh', '-c', '{hook}']\n[services.uploads]\npath = 'uploads'\n"),
    );
    env.write("uploads/f", "1");
    assert_eq!(night(&env, 1, &[]).status, -9);
    let said = env.at("2026-11-01T03:00:00Z", &["status"]);
    assert_eq!(said.status, 3);
    assert!(said.stderr.contains("its last run on this machine did not come to its end"), "{}", said.stderr);
    env.write("icecore.toml", "[services.uploads]\npath = 'uploads'\n");
    night(&env, 2, &[]).ok();
    env.at("2026-11-02T03:00:00Z", &["status"]).ok();
    let journal = env
        .files(".icecore/nightly")
        .into_iter()
        .find(|path| path.extension().is_some_and(|it| it == "json"));
    fs::write(journal.unwrap(), "{").unwrap();
    let said = env.at("2026-11-02T03:00:00Z", &["status"]);
    assert_eq!(said.status, 3);
    assert!(said.stderr.contains("it may be deleted"), "{}", said.stderr);
    night(&env, 3, &[]).ok();
    env.at("2026-11-03T03:00:00Z", &["status"]).ok();
}

#[test]
fn damage_that_was_found_is_found_every_night_however_little_is_read() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[nightly]\nverify = '1kB'\n[services.uploads]\npath = 'uploads'\n");
    for day in 1..=6 {
        env.write("uploads/picture", noise(day.into(), 200_000));
        night(&env, day, &[]).ok();
    }
    damage(&env);
    // It comes to it some night.
    let mut found = 7;
    while night(&env, found, &[]).status == 0 {
        found += 1;
        assert!(found < 25, "it is never found");
    }
    for day in found + 1..found + 4 {
        env.write("uploads/other", day.to_string());
        assert_eq!(night(&env, day, &[]).status, 3, "{day}");
        assert_eq!(env.at(&format!("2026-11-{day:02}T03:00:00Z"), &["status"]).status, 3);
    }
    let said = env.run(&["status", "--metrics-file", "icecore.prom"]);
    assert_eq!(said.status, 3);
    let metrics = String::from_utf8(env.read("icecore.prom")).unwrap();
    assert!(metrics.contains("\nicecore_store_good 0\n"), "{metrics}");
}

#[test]
fn evidence_against_a_snapshot_is_told() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.uploads]\npath = 'uploads'\n");
    env.write("uploads/picture", noise(1, 200_000));
    night(&env, 1, &[]).ok();
    damage(&env);
    env.run(&["verify", "uploads", "--record"]);
    let said = env.run(&["status"]);
    assert_eq!(said.status, 3);
    assert!(said.stderr.contains("was tried, and is not right"), "{}", said.stderr);
}

#[test]
fn services_that_are_run_one_by_one_collect_once_a_day() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG.replace("push = ['team']", ""));
    env.write("uploads/f", "1");
    ledger(&env, "a");
    let of_store = |said: &Said| steps(said).contains(&"- gc done".to_owned());
    assert!(of_store(&night(&env, 1, &["uploads"])));
    assert!(!of_store(&night(&env, 1, &["ledger"])));
    assert!(of_store(&night(&env, 1, &[])));
    assert!(of_store(&night(&env, 2, &["ledger"])));
    // What is not done any more is not due for ever.
    env.write("icecore.toml", CONFIG.replace("push = ['team']", "verify = '0'"));
    assert!(of_store(&night(&env, 4, &["ledger"])));
    assert!(!of_store(&night(&env, 4, &["uploads"])));
}

#[test]
fn what_one_service_has_lost_is_collected_by_no_other_ones_run() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG.replace("push = ['team']", ""));
    env.write("uploads/picture", noise(1, 300_000));
    env.at("2026-11-01T02:00:00Z", &["create", "uploads"]).ok();
    damage(&env);
    env.write("uploads/other", "new");
    ledger(&env, "a");
    assert!(steps(&night(&env, 1, &["uploads"])).contains(&"uploads verify failed".to_owned()));
    let steps = steps(&night(&env, 3, &["ledger"]));
    assert!(steps.contains(&"- gc skipped".to_owned()), "{steps:?}");
}

#[test]
fn a_secret_in_the_url_of_a_remote_is_told_to_nobody() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[nightly]\npush = ['s3://KEY:hush@bucket/x']\nprune_remotes = ['s3://KEY:hush@bucket/x']\n[retention]\ndefault = 'last 1'\n[services.ledger]\nurl = 'sqlite:ledger.db'\n");
    ledger(&env, "a");
    for arguments in [&["nightly", "--metrics-file", "icecore.prom"][..], &["nightly", "--json"], &["status"]]
    {
        let said = env.at("2026-11-01T02:30:00Z", arguments);
        assert_eq!(said.status, 3, "{}{}", said.text(), said.stderr);
        assert!(
            !said.text().contains("hush") && !said.stderr.contains("hush"),
            "{}{}",
            said.text(),
            said.stderr
        );
    }
    for file in env.files(".icecore/nightly").into_iter().chain([env.path("icecore.prom")]) {
        assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("hush"), "{file:?}");
    }
}

#[test]
fn an_empty_mount_point_deletes_nothing_of_what_belongs_there() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[retention]\ndefault = 'last 2'\n[services.uploads]\npath = 'uploads'\n");
    let night = |day: u64| env.at(&format!("2026-11-{day:02}T02:30:00Z"), &["nightly"]);
    for day in 1..=3 {
        env.write("uploads/picture", noise(day, 2_000_000));
        assert_eq!(night(day).status, 0);
    }
    assert_eq!(env.count(), 2);
    fs::remove_file(env.path("uploads/picture")).unwrap();
    for day in 4..=6 {
        let said = night(day);
        assert_eq!(said.status, 3, "{}", said.text());
        assert!(
            said.text().contains("next to nothing is left in the newest snapshot of uploads"),
            "{}",
            said.text()
        );
    }
    assert_eq!(env.count(), 5);
    env.at("2026-11-06T08:00:00Z", &["note", "latest", "all is elsewhere now"]).ok();
    let said = night(7);
    assert_eq!(said.status, 0, "{}", said.text());
    assert!(env.count() < 5, "{}", env.ok(&["list"]));
}
