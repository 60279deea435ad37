//! Nights that die.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{CONFIG, ledger};
use crate::support::{TestEnv, noise};

/// Where in a step a night is killed, in parts of the time that the step took in a night that was not.
const MOMENTS: [f64; 3] = [0.0, 0.35, 0.7];

/// A night is killed before, between and within its steps; the next night does all that is to be done. When exactly it dies within a step is left to chance:
/// what is asked for holds whenever that is.
#[test]
fn a_night_that_is_killed_at_any_step_is_made_up_for_by_the_next() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        CONFIG.replace("[nightly]", "[nightly]\nprove = '1d'\nprune_remotes = ['team']"),
    );
    let mut day = 0;
    let mut night = |env: &TestEnv| {
        day += 1;
        ledger(env, &format!("day {day}"));
        env.write("uploads/picture", noise(day, 300_000));
        format!("{}-{:02}-{:02}T02:30:00Z", 2026 + day / 336, 1 + day / 28 % 12, 1 + day % 28)
    };
    for _ in 0..2 {
        let time = night(&env);
        env.at(&time, &["nightly"]).ok();
    }
    let time = night(&env);
    let document: Value = env.at(&time, &["nightly", "--json"]).json();
    let took: Vec<Duration> = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| Duration::from_millis(step["duration_ms"].as_u64().unwrap()))
        .collect();
    // create, verify, prove, push, prune here and there of both; collections here and there, and sample.
    assert_eq!(took.len(), 2 * 6 + 3, "{document}");
    for (n, step) in took.iter().enumerate() {
        for moment in MOMENTS {
            kill(&env, &night(&env), n, step.mul_f64(moment));
            // What a step of a dead run was last known for is no reason to worry for ever, and nothing is damaged.
            env.ok(&["verify"]);
        }
        // Not later: a night that finds more than five to delete is right to refuse.
        let time = night(&env);
        env.at(&time, &["nightly"]).ok();
        if n % 3 == 2 {
            let there = format!("there_{n}");
            env.ok(&["restore", "uploads", "--remote", "team", "--to", &there]);
            assert_eq!(env.read(&format!("{there}/picture")), env.read("uploads/picture"));
            env.at(&time, &["status"]).ok();
            env.ok(&["verify", "team"]);
        }
    }
    for remote in [&[][..], &["--remote", "team"]] {
        let listed = env.json(&[&["list"], remote].concat());
        assert_eq!(listed["snapshots"].as_array().unwrap().len(), 4, "{listed}");
        let plan = env.json(&[&["gc", "--dry-run"], remote].concat());
        assert_eq!(plan["packs_deleted"], 0, "{plan}");
    }
    env.ok(&["restore", "uploads", "--to", "back"]);
    assert_eq!(env.read("back/picture"), env.read("uploads/picture"));
}

/// Kills a night some time after it has told of so many steps.
fn kill(env: &TestEnv, time: &str, steps: usize, after: Duration) {
    let mut command = env.command(&["nightly"]);
    command.env("ICECORE_NOW", time).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // A heading for each service and for the store, and a line for each step.
    let told = lines.filter(|line| line.starts_with("  ")).take(steps).count();
    assert_eq!(told, steps);
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}
