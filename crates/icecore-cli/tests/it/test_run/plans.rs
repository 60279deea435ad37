//! Several steps, with a checkpoint before each.

use serde_json::Value;

use super::{add, run, shop, sql, sum, tags};
use crate::support::TestEnv;

/// A plan of steps that each add their number to the database; `fails` does that and fails.
fn plan(env: &TestEnv, fails: u32) {
    let step = |n: u32| {
        let command = add(1 << n, if n == fails { "exit 5" } else { "true" });
        format!("[[step]]\nname = 'step-{n}'\ncommand = \"\"\"{command}\"\"\"\n\n")
    };
    env.write("steps.toml", (1..=3).map(step).collect::<String>());
}

#[test]
fn a_plan_takes_a_checkpoint_before_each_step() {
    let env = shop();
    plan(&env, 0);
    let said = env.run(&["run", "--plan", "steps.toml", "shop"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("Step 2 of 3: step-2\n"), "{}", said.stderr);
    assert_eq!(tags(&env), ["before-run step-1", "before-run step-2", "before-run step-3", "after-run"]);
    assert_eq!(sum(&env), 15);
    env.ok(&["restore", "shop@step-3", "--yes"]);
    assert_eq!(sum(&env), 7);
    // A list of words needs no shell, and --tag takes the place of the usual tag.
    env.write("steps.toml", "[[step]]\nname = 'a b'\ncommand = ['touch', 'a $b', 'c']\n");
    env.ok(&["run", "--plan", "steps.toml", "--tag", "mine", "shop"]);
    assert!(env.path("a $b").exists() && env.path("c").exists());
    assert_eq!(tags(&env)[4..], ["a b mine", "after-run"]);
    env.write("steps.toml", "[[step]]\nname = 'before-run'\ncommand = 'true'\n");
    let said = env.run(&["run", "--plan", "steps.toml", "--no-after", "shop"]);
    assert!(said.stderr.contains("tagged before-run: "), "{}", said.stderr);
}

#[test]
fn a_failed_plan_goes_back_to_any_of_its_checkpoints() {
    // Before the failed step, before the one that is named, or before the failed one if it never came to that.
    let ways =
        [("--rollback", 3), ("--rollback=step-1", 1), ("--rollback=step-2", 3), ("--rollback=step-3", 3)];
    for (way, expected) in ways {
        let env = shop();
        plan(&env, 2);
        let said = env.run(&["run", "--plan", "steps.toml", way, "shop"]);
        assert!(said.stderr.contains("step 2 of 3, step-2, failed with status 5"), "{}", said.stderr);
        assert_eq!(said.stderr.contains("did not come to step-3"), way.ends_with('3'), "{}", said.stderr);
        assert_eq!((said.status, sum(&env)), (5, expected), "{way}: {}", said.stderr);
        assert_eq!(tags(&env)[..2], ["before-run step-1", "before-run step-2"]);
    }
    let env = shop();
    plan(&env, 3);
    let said = env.run(&["--json", "run", "--plan", "steps.toml", "--rollback=step-2", "shop"]);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let steps = document["steps"].as_array().unwrap();
    let statuses: Vec<_> = steps.iter().map(|step| step["status"].as_u64().unwrap()).collect();
    assert_eq!((statuses, &document["rolled_back_to"]), (vec![0, 0, 5], &steps[1]["snapshot"]));
    assert_eq!((said.status, sum(&env)), (5, 3));
}

#[test]
fn without_anybody_to_ask_all_ways_back_are_printed() {
    let env = shop();
    plan(&env, 2);
    let said = env.fails(5, &["run", "--plan", "steps.toml", "shop"]);
    assert_eq!(sum(&env), 7);
    let commands: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    assert!(said.contains("to before step-1") && said.contains("to before step-2"), "{said}");
    for (command, expected) in commands.iter().zip([3, 1]) {
        env.ok(&command.split(' ').skip(1).collect::<Vec<_>>());
        assert_eq!(sum(&env), expected, "{command}");
    }
    assert_eq!(commands.len(), 2);
}

#[test]
fn a_plan_that_cannot_be_is_refused_with_its_line_before_anything_is_done() {
    let env = shop();
    let refused = |text: &str, why: &str| {
        env.write("steps.toml", text);
        let said = env.fails(2, &["run", "--plan", "steps.toml", "shop"]);
        assert!(said.contains("steps.toml: ") && said.contains(why), "{said}");
    };
    refused("", "line 1: there is no [[step]] in it");
    refused(
        "[[step]]\nname = 'a'\nrun = 'x'\n",
        "line 3: a step has no key \"run\"; known are name, command",
    );
    refused(
        "[[step]]\nname = 'a'\ncommand = 'x'\n[[step]]\nname = 'a'\ncommand = 'y'\n",
        "line 5: line 2 has a step \"a\"",
    );
    refused("[[step]]\nname = 'a'\n", "command is missing here");
    let refused = |arguments: &[&str], why: &str| {
        let said = env.fails(2, &[&["run", "--plan"], arguments].concat());
        assert!(said.contains(why), "{said}");
    };
    refused(&["no.toml", "shop"], "no.toml: no such file");
    refused(&[".", "shop"], "cannot use the plan ");
    plan(&env, 0);
    refused(&["steps.toml", "--rollback=step-4", "shop"], "the plan has no step \"step-4\"; did you mean");
    refused(&["steps.toml", "shop", "--", "true"], "cannot be used with");
    assert_eq!((env.count(), sum(&env)), (0, 1));
}

#[test]
fn a_checkpoint_that_cannot_be_taken_ends_the_plan() {
    let env = shop();
    sql(&env, "INSERT INTO orders VALUES (10)");
    env.write(
        "steps.toml",
        "[[step]]\nname = 'hide'\ncommand = 'mv shop.db hidden'\n[[step]]\nname = 'later'\ncommand = 'touch ran'\n",
    );
    let said = env.fails(10, &["run", "--plan", "steps.toml", "--rollback", "shop"]);
    assert!(
        said.contains("there is no snapshot before later, which was not started; hide is done: "),
        "{said}"
    );
    assert!(said.contains("hint: `icecore restore ") && !env.path("ran").exists(), "{said}");
}

#[test]
fn a_step_whose_program_is_not_there_fails_as_in_a_shell() {
    let env = shop();
    env.write(
        "steps.toml",
        "[[step]]\nname = 'one'\ncommand = 'true'\n[[step]]\nname = 'two'\ncommand = ['no-such-program']\n",
    );
    let said = env.fails(127, &["run", "--plan", "steps.toml", "--rollback", "shop"]);
    assert!(said.contains("step 2 of 2, two, was not started: cannot run no-such-program"), "{said}");
    // Of what the first step needs it is known before.
    env.write("steps.toml", "[[step]]\nname = 'one'\ncommand = ['no-such-program']\n");
    let count = env.count();
    env.fails(127, &["run", "--plan", "steps.toml", "shop"]);
    assert_eq!(env.count(), count);
    assert_eq!(run(&env, &[], "no-such-program").status, 127);
}
