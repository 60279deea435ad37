use icecore_testkit::postgres::PostgresServer;
use serde_json::Value;

use crate::support::{TestEnv, check_keys, noise};

/// A snapshot of so many nights of November 2026, the last of them that of the 20th.
fn nights(env: &TestEnv, name: &str, count: u32) {
    for day in 21 - count..=20 {
        env.write(name, format!("{name} {day}"));
        env.at(&format!("2026-11-{day:02}T02:00:00Z"), &["create", name]).ok();
    }
}

/// The days of those that are listed, newest first.
fn days(env: &TestEnv, source: &str) -> Vec<String> {
    let listed = env.json(&["list", source]);
    let day = |snapshot: &Value| snapshot["created_at"].as_str().unwrap()[8..10].to_owned();
    listed["snapshots"].as_array().unwrap().iter().map(day).collect()
}

#[test]
fn without_a_policy_nothing_is_pruned() {
    let env = TestEnv::new();
    nights(&env, "shop", 3);
    let said = env.fails(2, &["prune"]);
    assert!(
        said.contains("no policy says what to keep; nothing was deleted\nhint: say it with --policy"),
        "{said}"
    );
    env.fails(2, &["prune", "--keep-tag", "x", "--gc"]);
    env.fails(2, &["prune", "--keep-named", "1y all"]);
    env.fails(2, &["prune", "--keep-last", "0"]);
    env.fails(2, &["prune", "--policy", "7d all", "--keep-last", "1"]);
    let said = env.fails(2, &["prune", "--policy", "7d all, 30d dayly"]);
    assert!(said.contains("\"dayly\" is no period") && said.contains("did you mean \"daily\"?"), "{said}");
    // Of one source there may be one, and of another none.
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\nretention = 'last 1'\n");
    nights(&env, "cache", 2);
    let said = env.fails(2, &["prune", "shop", "cache"]);
    assert!(said.contains("no policy says what to keep of cache"), "{said}");
    assert_eq!(env.count(), 5);
    let said = env.run(&["prune"]);
    assert!(
        said.stderr.contains("No policy says what to keep of cache: all of that stays."),
        "{}",
        said.stderr
    );
    assert_eq!(said.ok(), "shop: 2 deleted, 1 kept\n");
    assert_eq!(env.count(), 3);
}

#[test]
fn options_say_what_stays_and_a_dry_run_says_why() {
    let env = TestEnv::new();
    nights(&env, "shop", 20);
    let options = ["prune", "shop", "--keep-daily", "2", "--keep-weekly", "3", "--keep-monthly", "1"];
    let shown = env.ok(&[&options[..], &["--dry-run"]].concat());
    assert!(shown.starts_with("shop: 2 daily, 3 weekly, 1 monthly; of named ones: all\n"), "{shown}");
    let line = |day: &str| shown.lines().find(|line| line.contains(&format!("2026-11-{day} "))).unwrap();
    assert!(line("20").contains("keep    the last good one; 2 daily; 3 weekly; 1 monthly"), "{shown}");
    assert!(line("15").contains("keep    3 weekly"), "{shown}");
    assert!(line("14").contains("delete  no rule keeps it"), "{shown}");
    assert!(
        shown.contains("Would delete 16 snapshots and keep 4\nA collection would free about "),
        "{shown}"
    );
    assert_eq!(env.count(), 20);
    let said = env.run(&options);
    assert_eq!(said.stderr, "hint: `icecore gc` gives their space back\n");
    assert_eq!(said.ok(), "shop: 16 deleted, 4 kept\n");
    assert_eq!(days(&env, "shop"), ["20", "19", "15", "08"]);
    // Once more there is nothing to do.
    assert_eq!(env.ok(&options), "shop: 0 deleted, 4 kept\n");
    // What is asked for wins over the file.
    env.write("icecore.toml", "[retention]\ndefault = 'last 1'\n");
    assert_eq!(env.ok(&["prune", "--keep-last", "2"]), "shop: 2 deleted, 2 kept\n");
    assert_eq!(env.ok(&["prune"]), "shop: 1 deleted, 1 kept\n");
    assert_eq!(env.back("shop"), b"shop 20");
}

#[test]
fn what_was_named_stays_unless_it_is_limited_itself() {
    let env = TestEnv::new();
    nights(&env, "shop", 6);
    env.ok(&["tag", "add", "shop~5", "release"]);
    env.ok(&["tag", "add", "shop~4", "nightly"]);
    env.ok(&["tag", "add", "shop~3", "old"]);
    env.ok(&["prune", "--keep-last", "1"]);
    assert_eq!(days(&env, "shop"), ["20", "17", "16", "15"]);
    // A tag that every night gets names nothing.
    env.write("icecore.toml", "[retention]\nautomatic_tags = ['nightly']\n");
    env.ok(&["prune", "--keep-last", "1"]);
    assert_eq!(days(&env, "shop"), ["20", "17", "15"]);
    env.ok(&["prune", "--keep-last", "1", "--keep-named", "1d all", "--keep-tag", "release"]);
    assert_eq!(days(&env, "shop"), ["20", "15"]);
}

#[test]
fn the_newest_whole_snapshot_stays_whatever_is_asked() {
    let env = TestEnv::new();
    nights(&env, "shop", 3);
    // What was taken since is not whole: a file could not be read as it was.
    let cut = &crate::support::PG_DUMP.as_bytes()[..600];
    let mut command = env.command(&["create", "-", "--name", "shop", "--allow-incomplete"]);
    command.env("ICECORE_NOW", "2026-11-21T02:00:00Z").stdin(std::process::Stdio::piped());
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), cut).unwrap();
    child.wait().unwrap();
    assert!(!env.json(&["show", "shop"])["findings"].as_array().unwrap().is_empty());
    let shown = env.at("2026-12-24T00:00:00Z", &["prune", "--keep-within", "1h", "--dry-run"]).ok();
    assert!(shown.contains("keep    the last good one; 1h all"), "{shown}");
    env.at("2026-12-24T00:00:00Z", &["prune", "--keep-within", "1h"]).ok();
    assert_eq!(days(&env, "shop"), ["21", "20"]);
}

#[test]
fn what_something_is_missing_of_is_not_the_last_good_one() {
    let env = TestEnv::new();
    let night = |day: u64| {
        env.write("shop", noise(day, 100_000));
        env.at(&format!("2026-11-{day:02}T02:00:00Z"), &["create", "shop", "--no-delta"]).ok();
    };
    night(17);
    night(18);
    night(19);
    let known = env.files(".icecore/packs");
    night(20);
    for pack in env.files(".icecore/packs").iter().filter(|pack| !known.contains(pack)) {
        std::fs::remove_file(pack).unwrap();
    }
    let said = env.run(&["--json", "prune", "--policy", "tag none"]);
    assert_eq!(said.status, 13, "{}", said.stderr);
    assert!(
        said.stderr.contains("something of it is missing; an older one stays instead"),
        "{}",
        said.stderr
    );
    assert_eq!(days(&env, "shop"), ["19"]);
    assert_eq!(env.back("shop"), noise(19, 100_000));
}

#[test]
fn what_cannot_be_read_is_told_and_keeps_nothing_else_from_going() {
    let env = TestEnv::new();
    nights(&env, "shop", 4);
    nights(&env, "cache", 1);
    env.ok(&["tag", "add", "shop~2", "release"]);
    let label = env.files(".icecore/labels").pop().unwrap();
    std::fs::write(label, "nothing").unwrap();
    let record = env.files(".icecore/snapshots").pop().unwrap();
    std::fs::write(record, "nothing").unwrap();
    let said = env.run(&["prune", "--keep-last", "1"]);
    assert_eq!(said.status, 13);
    assert!(said.stderr.contains("labels/") && said.stderr.contains("snapshots/"), "{}", said.stderr);
    // Somebody may have named the one whose tag cannot be read.
    let listed = env.run(&["--json", "list"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let left = listed["snapshots"].as_array().unwrap().iter();
    let left: Vec<_> = left.map(|it| &it["created_at"].as_str().unwrap()[8..10]).collect();
    assert_eq!(left, ["20", "18"]);
}

#[test]
fn a_policy_in_the_file_is_that_of_the_service_or_else_the_default() {
    let env = TestEnv::new();
    nights(&env, "shop", 6);
    nights(&env, "cache", 6);
    nights(&env, "other", 6);
    env.write(
        "icecore.toml",
        "[retention]\ndefault = '2d all, then weekly'\n[services.shop]\npath = 'shop'\nretention = 'last 4'\n[services.cache]\npath = 'cache'\nretention = 'all'\n",
    );
    assert_eq!(
        env.ok(&["prune"]),
        "cache: 0 deleted, 6 kept\nother: 2 deleted, 4 kept\nshop: 2 deleted, 4 kept\n"
    );
    assert_eq!(days(&env, "other"), ["20", "19", "18", "15"]);
    let checked = env.ok(&["config", "check"]);
    assert!(checked.contains("Keeps") && checked.contains("there  last 4"), "{checked}");
    let checked = env.json(&["config", "check"]);
    assert_eq!(checked["services"][1]["retention"], "last 4");
    assert_eq!(checked["services"][1]["retention_named"], "all");
    env.write("icecore.toml", "[retention]\ndefault = '2 fortnights'\n");
    let said = env.fails(1, &["config", "check"]);
    assert!(said.contains("icecore.toml: line 2: \"fortnights\" is no period"), "{said}");
}

#[test]
fn what_restores_took_is_kept_for_a_month_beside_its_source() {
    let env = TestEnv::new();
    for day in [1, 5, 20] {
        env.write("shop", format!("{day}"));
        let time = format!("2026-11-{day:02}T02:00:00Z");
        env.at(&time, &["create", "shop", "--name", "shop.before-restore", "--tag", "before-restore"]).ok();
    }
    nights(&env, "shop", 5);
    let pruned = |time: &str, arguments: &[&str]| env.at(time, &[&["prune"], arguments].concat()).ok();
    assert_eq!(
        pruned("2026-12-02T03:00:00Z", &["shop", "--keep-last", "1"]),
        "shop: 4 deleted, 1 kept\nshop.before-restore: 1 deleted, 2 kept\n"
    );
    let only = ["shop.before-restore", "--keep-last", "1"];
    assert_eq!(pruned("2026-12-02T03:00:00Z", &only), "shop.before-restore: 1 deleted, 1 kept\n");
}

#[test]
fn a_snapshot_of_the_future_stays_and_is_told() {
    let env = TestEnv::new();
    nights(&env, "shop", 3);
    let said = env.at("2026-11-19T12:00:00Z", &["prune", "--keep-last", "1"]);
    assert!(said.stderr.contains("shop: 1 snapshot of a time that is yet to come"), "{}", said.stderr);
    said.ok();
    assert_eq!(days(&env, "shop"), ["20", "19"]);
}

#[test]
fn gc_after_pruning_frees_what_the_dry_run_promised() {
    let env = TestEnv::new();
    for day in 17..=20_u64 {
        env.write("shop", noise(day, 1_000_000));
        env.at(&format!("2026-11-{day}T02:00:00Z"), &["create", "shop"]).ok();
    }
    let promised = env.json(&["prune", "--keep-last", "1", "--dry-run"]);
    assert_eq!(promised["dry_run"], true);
    let bytes = promised["bytes_freed"].as_u64().unwrap();
    assert!((3_000_000..3_200_000).contains(&bytes), "{bytes}");
    let before = env.json(&["stats"])["stored_bytes"].as_u64().unwrap();
    let done = env.json(&["prune", "--keep-last", "1", "--gc"]);
    check_keys(&done, &["dry_run", "sources", "without_policy", "deleted", "bytes_freed"]);
    assert_eq!(done["deleted"], 3);
    let freed = done["bytes_freed"].as_u64().unwrap();
    assert!(freed.abs_diff(bytes) < 10_000, "{freed} {bytes}");
    let after = env.json(&["stats"])["stored_bytes"].as_u64().unwrap();
    assert!((before - after).abs_diff(bytes) < 10_000, "{before} {after}");
    env.ok(&["verify"]);
}

#[test]
fn the_schema_or_a_table_alone_is_not_the_last_good_one_and_pushes_none_out() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let url = server.url("shop");
    let env = TestEnv::new();
    let ways: [&[&str]; 4] = [&[], &[], &["--schema-only"], &["--table", "public.t"]];
    for (day, options) in (17..).zip(ways) {
        let create = [&["create", &url, "--name", "shop"], options].concat();
        env.at(&format!("2026-11-{day}T02:00:00Z"), &create).ok();
    }
    let shown = env.ok(&["prune", "--keep-last", "1", "--dry-run"]);
    assert!(
        shown.contains("2026-11-18 02:00") && shown.contains("keep    the last good one; last 1"),
        "{shown}"
    );
    env.ok(&["prune", "--keep-last", "1"]);
    assert_eq!(days(&env, "shop"), ["20", "18"]);
    let restore = |selector: &str| env.json(&["show", selector])["restore"].as_str().unwrap().to_owned();
    assert!(restore("#1").ends_with(" --to URL") && !restore("#2").contains("--to"));
}

#[test]
fn a_source_that_is_not_there_is_an_error() {
    let env = TestEnv::new();
    nights(&env, "shop", 2);
    let said = env.fails(10, &["prune", "shpo", "--keep-last", "1"]);
    assert!(said.contains("did you mean \"shop\"?"), "{said}");
    assert_eq!(env.count(), 2);
    env.ok(&["snapshot", "prune", "--service", "shop", "--keep-last", "1"]);
    assert_eq!(env.count(), 1);
}

/// Both see the same; what one of them deletes first is no error of the other.
#[test]
fn two_may_prune_at_once() {
    let env = TestEnv::new();
    nights(&env, "shop", 20);
    let prunes: Vec<_> =
        (0..4).map(|_| env.command(&["prune", "--keep-last", "2"]).spawn().unwrap()).collect();
    for mut child in prunes {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(days(&env, "shop"), ["20", "19"]);
}

/// The newest one that is whole stays, whatever is pruned. One of which it is known that it cannot be read is not whole: the one before it went.
#[test]
fn what_was_tried_and_is_not_right_does_not_push_out_what_is() {
    let env = TestEnv::new();
    let take = |day: &str| {
        let before = env.files(".icecore/packs");
        env.write("shop", noise(day.parse().unwrap(), 200_000));
        env.at(&format!("2026-11-{day}T02:00:00Z"), &["create", "shop", "--no-delta"]).ok();
        env.files(".icecore/packs").into_iter().find(|pack| !before.contains(pack)).unwrap()
    };
    take("18");
    take("19");
    let pack = take("20");
    let good = std::fs::read(&pack).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    for tried in [&["verify", "--restore", "shop"][..], &["verify", "--record", "shop"]] {
        env.run(tried).fails(13);
        let plan = env.ok(&["prune", "--keep-last", "1", "--dry-run"]);
        assert!(plan.lines().any(|line| line.contains("2026-11-18") && line.contains("delete ")), "{plan}");
        assert!(!plan.lines().any(|line| line.contains("2026-11-19") && line.contains("delete ")), "{plan}");
    }
    env.ok(&["prune", "--keep-last", "1"]);
    assert_eq!(days(&env, "shop"), ["20", "19"]);
    // Once it is right again it counts again.
    std::fs::write(&pack, good).unwrap();
    env.ok(&["verify", "--restore", "shop"]);
    env.ok(&["prune", "--keep-last", "1"]);
    assert_eq!(days(&env, "shop"), ["20"]);
}

#[test]
fn named_ones_and_those_that_restores_took_have_limits_of_their_own_in_the_file() {
    let env = TestEnv::new();
    nights(&env, "shop", 4);
    for steps in ["shop~1", "shop~2", "shop~3"] {
        env.ok(&["tag", "add", steps, &format!("named-{}", &steps[5..])]);
    }
    env.write("other", "x");
    nights(&env, "other", 3);
    env.ok(&["tag", "add", "other~1", "a"]);
    env.ok(&["tag", "add", "other~2", "b"]);
    env.write(
        "icecore.toml",
        "[retention]\ndefault = 'last 1'\nnamed = 'last 1'\n[services.shop]\npath = 'shop'\nretention_named = 'last 2'\n",
    );
    env.ok(&["prune"]);
    assert_eq!(days(&env, "shop"), ["20", "19", "18"]);
    assert_eq!(days(&env, "other"), ["20", "19"]);
}

#[test]
fn the_newest_of_each_hour_and_of_each_year_stays() {
    let env = TestEnv::new();
    for time in [
        "2024-03-01T10:00",
        "2025-03-01T10:00",
        "2025-06-01T10:00",
        "2026-11-20T08:10",
        "2026-11-20T08:50",
        "2026-11-20T09:30",
    ] {
        env.write("shop", time);
        env.at(&format!("{time}:00Z"), &["create", "shop"]).ok();
    }
    let times = || {
        let listed = env.json(&["list", "shop"]);
        let time = |snapshot: &Value| snapshot["created_at"].as_str().unwrap()[..16].to_owned();
        listed["snapshots"].as_array().unwrap().iter().map(time).collect::<Vec<_>>()
    };
    let now = "2026-11-20T10:00:00Z";
    env.at(now, &["prune", "--keep-hourly", "2", "--keep-yearly", "3"]).ok();
    assert_eq!(times(), ["2026-11-20T09:30", "2026-11-20T08:50", "2025-06-01T10:00", "2024-03-01T10:00"]);
    env.at(now, &["prune", "--keep-yearly", "2"]).ok();
    assert_eq!(times(), ["2026-11-20T09:30", "2025-06-01T10:00"]);
}
