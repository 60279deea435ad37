//! Nights that die.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::{CONFIG, ledger};
use crate::support::{TestEnv, noise};

/// After so many lines of its report a night is killed; the next night does all that is to be done.
#[test]
fn a_night_that_is_killed_at_any_step_is_made_up_for_by_the_next() {
    let env = TestEnv::new();
    env.write("icecore.toml", CONFIG);
    let mut day = 0;
    let mut night = |env: &TestEnv| {
        day += 1;
        ledger(env, &format!("day {day}"));
        env.write("uploads/picture", noise(day, 300_000));
        format!("2026-11-{day:02}T02:30:00Z")
    };
    let time = night(&env);
    // A heading for each service and for the store.
    let lines = env.at(&time, &["nightly"]).ok().lines().count();
    assert_eq!(lines, 4 + 4 + 2 + 3);
    for lines_seen in 0..=lines {
        let time = night(&env);
        let mut command = env.command(&["nightly"]);
        command.env("ICECORE_NOW", &time).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..lines_seen {
            output.next().unwrap().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What a step of a dead run was last known for is no reason to worry for ever, and nothing is damaged.
        env.ok(&["verify"]);
        if lines_seen % 4 == 3 {
            let time = night(&env);
            env.at(&time, &["nightly"]).ok();
            let there = format!("there_{lines_seen}");
            env.ok(&["restore", "uploads", "--remote", "team", "--to", &there]);
            assert_eq!(env.read(&format!("{there}/picture")), env.read("uploads/picture"));
            env.at(&time, &["status"]).ok();
            env.ok(&["verify", "team"]);
        }
    }
    let time = night(&env);
    env.at(&time, &["nightly"]).ok();
    assert_eq!(env.count(), 4);
    assert_eq!(env.json(&["gc", "--dry-run"])["packs_deleted"], 0);
    env.ok(&["restore", "uploads", "--to", "back"]);
    assert_eq!(env.read("back/picture"), env.read("uploads/picture"));
}
