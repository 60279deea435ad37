use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{TestEnv, check_keys, noise};

fn json_at(env: &TestEnv, time: &str) -> (i32, Value) {
    let said = env.at(time, &["status", "--json"]);
    (said.status, serde_json::from_slice(&said.stdout).unwrap())
}

const CONFIG: &str = "
[services.shop]
path = 'shop'
schedule = '30 2 * * *'

[services.notes]
path = 'notes'
";

#[test]
fn a_service_is_good_until_its_schedule_wants_a_newer_snapshot() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    env.write("notes", "notes");
    let (status, document) = json_at(&env, "2026-11-01T00:00:00Z");
    assert_eq!((status, &document["services"][1]["state"]), (3, &Value::from("never")));
    env.at("2026-11-01T02:30:00Z", &["nightly"]).ok();
    let (status, document) = json_at(&env, "2026-11-02T03:29:00Z");
    assert_eq!(status, 0, "{document}");
    check_keys(&document, &["good", "services", "store"]);
    check_keys(&document["store"], &["place", "snapshots", "stored_bytes", "added_7d", "added_30d", "steps"]);
    let shop = &document["services"][1];
    check_keys(
        shop,
        &[
            "service",
            "state",
            "schedule",
            "newest",
            "shrunk_from",
            "faults",
            "late_since",
            "next_run",
            "verified",
            "restored",
            "last_run",
            "holds_up",
        ],
    );
    assert_eq!(shop["service"], "shop");
    assert_eq!(shop["state"], "good");
    assert_eq!(shop["newest"]["age_seconds"], 24 * 3600 + 59 * 60);
    assert_eq!(shop["next_run"], "2026-11-03T02:30:00.000000Z");
    assert_eq!(shop["verified"]["good"], true);
    assert_eq!(shop["last_run"]["begun"], "2026-11-01T02:30:00.000000Z");
    // An hour after its time it is late; what has no schedule never is.
    let (status, document) = json_at(&env, "2026-11-02T03:30:00Z");
    assert_eq!(status, 3);
    assert_eq!(document["services"][1]["state"], "late");
    assert_eq!(document["services"][1]["late_since"], "2026-11-02T02:30:00.000000Z");
    let (_, document) = json_at(&env, "2027-11-02T03:30:00Z");
    assert_eq!(document["services"][0]["state"], "good");
    assert_eq!(env.at("2027-11-02T03:30:00Z", &["status", "notes"]).status, 0);
    let said = env.at("2026-11-02T03:30:00Z", &["status"]);
    assert_eq!(said.status, 3);
    let text = said.text();
    assert!(text.starts_with("SERVICE  STATE    NEWEST"), "{text}");
    assert!(text.contains("\nnotes    good   25 h ago"), "{text}");
    assert!(text.contains("\nshop     late   25 h ago"), "{text}");
    assert!(
        said.stderr.contains("warning: shop: there should be a snapshot of 2026-11-02 02:30 or later"),
        "{}",
        said.stderr
    );
    env.fails(10, &["status", "shpo"]);
}

#[test]
fn a_step_that_failed_is_told_until_it_went_well() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    env.write("shop", "shop");
    env.write("notes", "notes");
    env.at("2026-11-01T02:30:00Z", &["nightly"]).ok();
    fs::remove_file(env.path("shop")).unwrap();
    assert_eq!(env.at("2026-11-02T02:30:00Z", &["nightly", "shop"]).status, 3);
    let said = env.at("2026-11-02T02:40:00Z", &["status"]);
    assert_eq!(said.status, 3);
    assert!(said.text().contains("shop     failed"), "{}", said.text());
    let told = "warning: shop: the step create failed at 2026-11-02 02:30: ";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    // What nobody remembers is no reason to worry.
    fs::remove_dir_all(env.path(".icecore/nightly")).unwrap();
    assert_eq!(env.at("2026-11-02T02:40:00Z", &["status"]).status, 0);
    env.write("shop", "shop again");
    env.at("2026-11-02T02:50:00Z", &["nightly"]).ok();
    env.at("2026-11-02T02:55:00Z", &["status"]).ok();
}

#[test]
fn what_has_shrunk_is_told_and_what_is_gone_is_an_alarm() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.uploads]\npath = 'uploads'\n");
    env.write("uploads/a", noise(1, 3_000_000));
    env.write("uploads/b", noise(2, 900_000));
    let night = |day: u32| env.at(&format!("2026-11-{day:02}T02:30:00Z"), &["nightly"]).ok();
    let shrunk = || {
        let text = String::from_utf8(env.read("icecore.prom")).unwrap();
        text.contains("icecore_snapshot_shrunk{service=\"uploads\"} 1\n")
    };
    let status = |day: u32| {
        let time = format!("2026-11-{day:02}T03:00:00Z");
        env.at(&time, &["status", "--metrics-file", "icecore.prom"])
    };
    night(1);
    assert_eq!((status(1).status, shrunk()), (0, false));
    fs::remove_file(env.path("uploads/a")).unwrap();
    night(2);
    let said = status(2);
    let told = "warning: uploads: much smaller than the one of 2026-11-01 02:30: 3.9 MB, 900 kB now\n";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    assert_eq!((said.status, shrunk()), (0, true));
    let document = json_at(&env, "2026-11-02T03:00:00Z").1;
    check_keys(&document["services"][0]["shrunk_from"], &["id", "created_at", "logical_bytes"]);
    // A night later that is how it is.
    night(3);
    assert_eq!((status(3).stderr.as_str(), shrunk()), ("", false));
    // But a disk that is not mounted is no news that is over tomorrow.
    fs::remove_file(env.path("uploads/b")).unwrap();
    night(4);
    night(5);
    let said = status(5);
    assert_eq!((said.status, shrunk()), (3, true));
    assert!(said.text().contains("uploads  failed"), "{}", said.text());
    assert!(said.stderr.contains("next to nothing is left in its newest snapshot"), "{}", said.stderr);
    env.ok(&["note", "uploads", "moved to another machine"]);
    assert_eq!((status(5).status, shrunk()), (0, false));
    night(6);
    assert_eq!((status(6).status, shrunk()), (0, false));
}

#[test]
fn metrics_are_what_prometheus_reads_and_take_the_place_of_the_old_ones() {
    let env = TestEnv::new();
    env.write("icecore.toml", format!("{CONFIG}\n[services.'a \"b\" \\c']\npath = 'shop'\n"));
    env.write("shop", "shop");
    env.write("notes", "notes");
    env.at("2026-11-01T02:30:00Z", &["nightly", "--metrics-file", "icecore.prom"]).ok();
    let path = env.path("icecore.prom");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let parse = || {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        prometheus_parse::Scrape::parse(lines).unwrap()
    };
    let value = |name: &str, service: &str| {
        let scrape = parse();
        let sample = scrape.samples.iter().find(|sample| {
            sample.metric == name && sample.labels.get("service").unwrap_or_default() == service
        });
        match sample.map(|sample| &sample.value) {
            Some(prometheus_parse::Value::Gauge(value)) => Some(*value),
            None => None,
            Some(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(value("icecore_service_good", "shop"), Some(1.0));
    assert_eq!(value("icecore_service_late", "notes"), None);
    assert_eq!(value("icecore_snapshot_timestamp_seconds", "shop"), Some(1_793_500_200.0));
    // As the format wants it: a quote and a backslash have one before them. The parser leaves these.
    assert_eq!(value("icecore_service_good", r#"a \"b\" \\c"#), Some(1.0));
    assert_eq!(value("icecore_store_snapshots", ""), Some(3.0));
    assert!(parse().docs.contains_key("icecore_store_bytes"));
    env.at("2026-11-02T03:30:00Z", &["status", "--metrics-file", "icecore.prom"]).fails(3);
    assert_eq!(value("icecore_service_good", "shop"), Some(0.0));
    assert_eq!(value("icecore_service_late", "shop"), Some(1.0));
    // Nothing else was left there.
    let names = fs::read_dir(env.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().starts_with(".tmp")).count(), 0);
    let said = env.fails(1, &["status", "--metrics-file", "nowhere/icecore.prom"]);
    assert!(said.contains("cannot write nowhere/icecore.prom: no such file or directory"), "{said}");
}

/// The gauges that the table of `docs/nightly.md` names.
fn documented_gauges() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/nightly.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let names = rows.flat_map(|names| names.split(", ")).map(|name| name.trim_matches('`').to_owned());
    names.filter(|name| name.starts_with("icecore_")).collect()
}

#[test]
fn every_gauge_is_as_documented_and_every_documented_one_is_there() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        "[nightly]\npush = ['team']\nprune_remotes = ['team']\nprove = '1d'\n[remotes.team]\nurl = 'a file'\n[services.shop]\npath = 'shop'\nschedule = '@daily'\n",
    );
    env.write("a file", "in the way");
    env.write("shop", "shop");
    let night = "2026-11-01T02:30:00Z";
    let said = env.at(night, &["nightly", "--metrics-file", "icecore.prom"]);
    assert_eq!(said.status, 3, "{}", said.text());
    let text = String::from_utf8(env.read("icecore.prom")).unwrap();
    let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let found: BTreeSet<String> = scrape.samples.iter().map(|sample| sample.metric.clone()).collect();
    assert_eq!(found, documented_gauges());
    for sample in &scrape.samples {
        // Without a line of its type it would be untyped.
        assert!(matches!(sample.value, prometheus_parse::Value::Gauge(_)), "{sample:?}");
        assert!(scrape.docs.contains_key(&sample.metric), "{sample:?}");
    }
    let of = |name: &str, labels: &[(&str, &str)]| {
        let is_it = |sample: &&prometheus_parse::Sample| {
            let has = |(name, value): &(&str, &str)| sample.labels.get(name) == Some(*value);
            sample.metric == format!("icecore_{name}")
                && sample.labels.len() == labels.len()
                && labels.iter().all(has)
        };
        match scrape.samples.iter().find(is_it).map(|sample| &sample.value) {
            Some(prometheus_parse::Value::Gauge(value)) => value.to_string().parse::<i64>().unwrap(),
            other => panic!("{name}{labels:?} is {other:?} in {text}"),
        }
    };
    let (shop, then) = ([("service", "shop")], 1_793_500_200);
    let push = [("service", "shop"), ("step", "push"), ("remote", "team")];
    for (name, labels, value) in [
        ("service_good", &shop[..], 0),
        ("service_late", &shop, 0),
        ("snapshot_timestamp_seconds", &shop, then),
        ("snapshot_logical_bytes", &shop, 4),
        ("snapshot_shrunk", &shop, 0),
        ("last_run_timestamp_seconds", &shop, then),
        ("next_run_timestamp_seconds", &shop, then - 9_000 + 86_400),
        ("verified_timestamp_seconds", &shop, then),
        ("verified_good", &shop, 1),
        ("restored_timestamp_seconds", &shop, then),
        ("restored_good", &shop, 1),
        ("step_failed", &push, 1),
        ("step_failed", &[("service", "shop"), ("step", "create")], 0),
        ("step_failed", &[("step", "gc"), ("remote", "team")], 1),
        ("step_failed", &[("step", "gc")], 0),
        ("step_timestamp_seconds", &push, then),
        ("store_good", &[], 0),
        ("store_snapshots", &[], 1),
        ("examined_timestamp_seconds", &[], then),
    ] {
        assert_eq!(of(name, labels), value, "{name}{labels:?}");
    }
    let stored = of("snapshot_stored_bytes", &shop);
    assert_eq!([of("store_added_bytes_7d", &[]), of("store_added_bytes_30d", &[])], [stored; 2]);
    assert!(of("store_bytes", &[]) >= stored && stored > 0, "{text}");
}

#[test]
fn a_night_that_did_not_capture_all_is_told_until_one_does() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.tree]\npath = 'tree'\n");
    env.write("tree/a", "a");
    let secret = env.write("tree/b", "b");
    let allow = |mode| fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
    env.ok(&["nightly"]);
    env.ok(&["status"]);
    allow(0);
    env.run_by_modes(&["nightly"]).fails(3);
    let said = env.run(&["status", "--metrics-file", "icecore.prom"]).fails(3);
    assert!(said.contains("tree: the step create warned at ") && said.contains("cannot read "), "{said}");
    let metrics = String::from_utf8(env.read("icecore.prom")).unwrap();
    for gauge in ["service_good{service=\"tree\"} 0", "step_failed{service=\"tree\",step=\"create\"} 1"] {
        assert!(metrics.contains(&format!("icecore_{gauge}\n")), "{metrics}");
    }
    allow(0o600);
    env.run_by_modes(&["nightly"]).ok();
    env.ok(&["status"]);
}

/// `/dev/null`, say, if root asks.
#[test]
fn metrics_take_the_place_of_a_file_and_of_nothing_else() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.shop]\npath = 'shop'\n");
    env.write("shop", "shop");
    env.ok(&["nightly"]);
    assert!(Command::new("mkfifo").arg(env.path("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", env.path("gone")).unwrap();
    for (name, why) in [("pipe", "it is there, and is no file"), ("gone", "no such file or directory")] {
        let before = env.path(name).symlink_metadata().unwrap().file_type();
        let said = env.fails(1, &["status", "--metrics-file", name]);
        assert!(said.contains(&format!("cannot write {name}: {why}")), "{said}");
        assert_eq!(env.path(name).symlink_metadata().unwrap().file_type(), before);
    }
    env.write("there/metrics", "old");
    std::os::unix::fs::symlink("there/metrics", env.path("link")).unwrap();
    env.ok(&["status", "--metrics-file", "link"]);
    assert!(env.path("link").is_symlink());
    assert!(String::from_utf8(env.read("there/metrics")).unwrap().contains("icecore_service_good"));
}
