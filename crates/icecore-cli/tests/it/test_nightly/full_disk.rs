//! Nights on a disk that is full.

use serde_json::Value;

use super::steps;
use crate::small_disk::SmallDisk;
use crate::support::{Said, noise};

/// What fits is captured, what does not fit fails, and what was there stays and can be restored. Once there is room, a night mends it all.
#[test]
fn what_does_not_fit_fails_alone_and_a_night_with_room_makes_up_for_it() {
    let disk = SmallDisk::new("6m");
    disk.env.write("a", noise(1, 1_500_000));
    disk.env.write("b", noise(2, 500_000));
    disk.env.write(
        "icecore.toml",
        "[retention]\ndefault = 'last 1'\n[services.a]\npath = 'a'\n[services.b]\npath = 'b'\n",
    );
    disk.icecore(&["init", "--pack-size", "300k"]).ok();
    disk.icecore(&["nightly"]).ok();
    // More than there is.
    disk.env.write("a", noise(3, 8_000_000));
    disk.env.write("b", noise(4, 200_000));
    let said = disk.icecore(&["nightly", "--json"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let outcome = |service: &str, step: &str| {
        let steps = document["steps"].as_array().unwrap().iter();
        let mut found =
            steps.filter(|it| it["service"].as_str().unwrap_or("-") == service && it["step"] == step);
        found.next().unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!([outcome("a", "create"), outcome("a", "prune")], ["failed", "skipped"]);
    assert_eq!([outcome("b", "create"), outcome("b", "prune"), outcome("-", "gc")], ["done", "done", "done"]);
    assert!(document.to_string().contains("no space left on device"), "{document}");
    disk.icecore(&["verify"]).ok();
    disk.check_restore("a", &noise(1, 1_500_000));
    disk.check_restore("b", &noise(4, 200_000));
    disk.check_leftovers();
    disk.env.write("a", noise(5, 1_000_000));
    disk.icecore(&["nightly"]).ok();
    disk.check_restore("a", &noise(5, 1_000_000));
    disk.icecore(&["status"]).ok();
}

/// A store on a disk with no byte left, where all was good before.
fn nothing_left() -> SmallDisk {
    let disk = SmallDisk::new("6m");
    disk.env.write("a", noise(1, 500_000));
    disk.env.write("icecore.toml", "[services.a]\npath = 'a'\n");
    disk.icecore(&["init"]).ok();
    disk.icecore(&["nightly", "--metrics-file", "icecore.prom"]).ok();
    assert_eq!(gauge(&disk, "icecore_service_good{service=\"a\"}"), 1);
    disk.icecore(&["status"]).ok();
    disk.env.write("a", noise(2, 500_000));
    disk
}

fn gauge(disk: &SmallDisk, name: &str) -> u32 {
    let text = String::from_utf8(disk.env.read("icecore.prom")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

/// A night fails, and the metrics on another disk say so.
fn fails(disk: &SmallDisk) -> Said {
    let said = disk.icecore(&["nightly", "--json", "--metrics-file", "icecore.prom"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert_eq!(steps(&said)[..3], ["a create failed", "a verify skipped", "a prune skipped"]);
    assert_eq!(gauge(disk, "icecore_service_good{service=\"a\"}"), 0, "{}", said.stderr);
    assert_eq!(gauge(disk, "icecore_step_failed{service=\"a\",step=\"create\"}"), 1, "{}", said.stderr);
    disk.check_restore("a", &noise(1, 500_000));
    said
}

#[test]
fn a_night_on_a_disk_with_no_byte_left_is_known_to_have_failed() {
    let disk = nothing_left();
    for night in 0..3 {
        disk.fill(0);
        let said = fails(&disk);
        assert!(!said.stderr.contains("nightly/"), "{}", said.stderr);
        let said = disk.icecore(&["status", "--json"]);
        assert_eq!(said.status, 3, "night {night}: {}", said.text());
        let document: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(document["services"][0]["state"], "failed");
        let why = document["services"][0]["last_run"]["steps"][0]["remark"].as_str().unwrap();
        assert!(why.contains("no space left on device"), "{why}");
    }
    disk.clear();
    disk.icecore(&["nightly"]).ok();
    disk.icecore(&["status"]).ok();
    disk.check_restore("a", &noise(2, 500_000));
}

/// As it is where an older version was at work, or where somebody else takes what is given up.
#[test]
fn without_its_reserve_too_it_is_known_that_a_night_on_a_full_disk_was_bad() {
    let disk = nothing_left();
    let is_reserve = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "reserve");
    let reserves: Vec<_> = disk.files("nightly").into_iter().filter(is_reserve).collect();
    assert_eq!(reserves.len(), 1);
    std::fs::remove_file(&reserves[0]).unwrap();
    disk.fill(0);
    fails(&disk);
    assert_eq!(disk.icecore(&["status"]).status, 3);
    disk.clear();
    // A machine that did nothing since has not forgotten.
    assert_eq!(disk.icecore(&["status"]).status, 3);
    disk.icecore(&["nightly"]).ok();
    disk.icecore(&["status"]).ok();
    assert_eq!(disk.files("nightly").into_iter().filter(is_reserve).count(), 1);
}

#[test]
fn a_remote_whose_disk_is_full_gets_what_it_lacks_once_it_has_room() {
    let disk = SmallDisk::new("6m");
    disk.env.write(
        "icecore.toml",
        "[nightly]\npush = ['team']\n[retention]\ndefault = 'last 1'\n[remotes.team]\nurl = '.icecore/team'\n[services.a]\npath = 'a'\n",
    );
    let run = |arguments: &[&str]| disk.icecore(&[&["--store", "here"], arguments].concat());
    run(&["init"]).ok();
    disk.env.write("a", noise(1, 500_000));
    run(&["nightly"]).ok();
    for (night, free) in [(2, 300_000), (3, 0)] {
        disk.fill(free);
        disk.env.write("a", noise(night, 1_000_000));
        let said = run(&["nightly", "--json"]);
        assert_eq!(said.status, 3, "{}", said.stderr);
        let expected = ["a create done", "a verify done", "a push team failed", "a prune skipped"];
        assert_eq!(steps(&said)[..4], expected);
        assert!(said.text().contains("no space left on device"), "{}", said.text());
        let said = run(&["status"]);
        assert_eq!(said.status, 3);
        assert!(said.stderr.contains("the step push of team failed"), "{}", said.stderr);
        // What arrived before is whole.
        run(&["verify", "team"]).ok();
        run(&["restore", "a", "--remote", "team", "--to", "there", "--yes"]).ok();
        assert!(disk.env.read("there") == noise(1, 500_000));
    }
    disk.clear();
    run(&["nightly"]).ok();
    run(&["status"]).ok();
    // Three that were captured before, and the one of this night, which is no other.
    let there = run(&["list", "a", "--remote", "team", "--json"]).json();
    assert_eq!(there["snapshots"].as_array().unwrap().len(), 4, "{there}");
    run(&["verify", "team"]).ok();
    run(&["restore", "a", "--remote", "team", "--to", "there", "--yes"]).ok();
    assert!(disk.env.read("there") == noise(3, 1_000_000));
}

/// What deleted nights leave is taken out only where there is twice the room for it.
#[test]
fn a_night_that_lacks_the_room_to_shorten_chains_says_so_and_one_that_has_it_does_it() {
    let disk = SmallDisk::new("6m");
    disk.env.write("icecore.toml", "[retention]\ndefault = 'last 1'\n[services.a]\npath = 'a'\n");
    disk.icecore(&["init"]).ok();
    let mut table = noise(1, 500_000);
    for night in 0..25 {
        // One row in eight: most of what the nights hold is written over later.
        for (row, bytes) in noise(100 + night, 100 * 200).chunks(200).enumerate() {
            let at = row * 5_000 + usize::try_from(night % 8 * 600).unwrap();
            table[at..at + 200].copy_from_slice(bytes);
        }
        disk.env.write("a", &table);
        disk.icecore(&["create", "a"]).ok();
    }
    let gc = |said: &Said| {
        let document: Value = serde_json::from_slice(&said.stdout).unwrap();
        document["steps"].as_array().unwrap().iter().find(|it| it["step"] == "gc").unwrap().clone()
    };
    disk.icecore(&["prune"]).ok();
    // It would fit, for the night and the links together hold so much. Others need room meanwhile.
    disk.fill(400_000);
    let said = disk.icecore(&["nightly", "--json"]);
    let step = gc(&said);
    assert_eq!((said.status, &step["outcome"]), (3, &"warned".into()), "{step}");
    assert!(step["remarks"].to_string().contains("too little room"), "{step}");
    assert!(step["bytes_freed"].as_u64().unwrap() < 50_000, "{step}");
    disk.check_restore("a", &table);
    disk.icecore(&["verify"]).ok();
    disk.check_leftovers();

    disk.clear();
    let step = gc(&disk.icecore(&["nightly", "--json"]));
    assert_eq!((&step["outcome"], &step["remarks"]), (&"done".into(), &Value::Array(Vec::new())));
    assert!(step["bytes_freed"].as_u64().unwrap() > 100_000, "{step}");
    disk.icecore(&["status"]).ok();
    disk.check_restore("a", &table);
    disk.icecore(&["verify"]).ok();
}
