//! The same in a bucket.

use std::fs;

use icecore_testkit::s3::{Manners, S3Call, S3Fault, S3Server, Trouble};

use super::content;
use crate::support::{Said, TestEnv};

const URL: &str = "s3://backups/team/db";

/// A bucket, and machines that know how to reach it.
struct Site {
    server: S3Server,
}

impl Site {
    fn new() -> Self {
        let server = S3Server::start();
        server.create_bucket("backups");
        Self { server }
    }

    fn run(&self, env: &TestEnv, arguments: &[&str]) -> Said {
        let mut command = env.command(arguments);
        command.envs(self.server.environment()).env("AWS_ENDPOINT_URL", self.server.endpoint());
        Said::of(&mut command)
    }

    fn ok(&self, env: &TestEnv, arguments: &[&str]) -> String {
        self.run(env, arguments).ok()
    }

    fn fails(&self, env: &TestEnv, status: i32, arguments: &[&str]) -> String {
        self.run(env, arguments).fails(status)
    }
}

#[test]
fn two_machines_share_a_bucket() {
    let site = Site::new();
    let (one, other) = (TestEnv::new(), TestEnv::bare());
    one.write("data", content(1));
    one.ok(&["create", "data"]);
    site.ok(&one, &["remote", "add", "team", URL, "--endpoint", &site.server.endpoint()]);
    site.ok(&one, &["push", "team"]);
    site.ok(&other, &["init", "--from", URL]);
    site.ok(&other, &["pull", "origin"]);
    other.ok(&["restore", "data", "--to", "back"]);
    assert_eq!(other.read("back"), content(1));
    // And back again.
    other.write("data", content(2));
    other.ok(&["create", "data"]);
    site.ok(&other, &["push", "origin"]);
    site.ok(&one, &["pull", "team"]);
    one.ok(&["restore", "data", "--to", "back"]);
    assert_eq!(one.read("back"), content(2));
    one.ok(&["verify"]);
    let check = site.run(&one, &["remote", "check", "team", "--json"]).json();
    assert_eq!(check["conditional_writes"], true, "{check}");
    let names = fs::read_to_string(one.path(".icecore/remotes.toml")).unwrap();
    assert!(!names.contains(site.server.secret_key()), "{names}");
}

#[test]
fn a_store_may_be_in_a_bucket() {
    let site = Site::new();
    let env = TestEnv::bare();
    env.write("icecore.toml", format!("store = \"{URL}\"\n"));
    env.write("data", content(1));
    site.ok(&env, &["init"]);
    assert!(!env.path(".icecore").exists());
    site.ok(&env, &["create", "data"]);
    env.write("data", content(2));
    site.ok(&env, &["create", "data"]);
    // The cache is one.
    fs::remove_dir_all(env.path(".cache/icecore")).unwrap();
    site.ok(&env, &["restore", "data~1", "--to", "back"]);
    assert_eq!(env.read("back"), content(1));
    site.ok(&env, &["verify"]);
    site.ok(&env, &["tag", "add", "data", "release"]);
    site.ok(&env, &["delete", "data~1", "--yes"]);
    site.ok(&env, &["gc"]);
    site.ok(&env, &["gc"]);
    let listed = site.run(&env, &["list", "--json"]).json();
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
    assert_eq!(listed["snapshots"][0]["tags"][0], "release");
    site.ok(&env, &["restore", "data", "--to", "back", "--yes"]);
    assert_eq!(env.read("back"), content(2));
    site.ok(&env, &["repair"]);
    assert!(site.ok(&env, &["stats"]).contains(URL));
}

#[test]
fn where_conditions_are_ignored_only_what_deletes_must_be_alone() {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    site.server.behave(Manners::Ignore);
    let said = site.fails(&env, 3, &["remote", "check", URL]);
    assert!(said.contains("--exclusive"), "{said}");
    site.ok(&env, &["push", URL]);
    site.ok(&env, &["pull", URL]);
    site.ok(&env, &["create", "data", "--name", "there", "--store", URL]);
    for command in [&["gc"][..], &["delete", "there", "--yes"]] {
        let said = site.fails(&env, 15, &[command, &["--store", URL]].concat());
        assert!(said.contains("does not keep conditions"), "{said}");
        site.ok(&env, &[command, &["--store", URL, "--exclusive"]].concat());
    }
    site.ok(&env, &["gc", "--store", URL, "--dry-run"]);
}

#[test]
fn what_is_wrong_with_a_bucket_is_said() {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    let said = site.fails(&env, 1, &["push", "s3://nowhere/db"]);
    assert!(said.contains("nowhere"), "{said}");
    let mut command = env.command(&["push", URL]);
    command.envs(site.server.environment()).env("AWS_ENDPOINT_URL", site.server.endpoint());
    let said = Said::of(command.env("AWS_SECRET_ACCESS_KEY", "hunter2")).fails(1);
    assert!(said.contains("s3://backups/team/db") && !said.contains("hunter2"), "{said}");
    fs::write(site.server.folder("backups").join("holiday.jpg"), "x").unwrap();
    let said = site.fails(&env, 2, &["push", "s3://backups"]);
    assert!(said.contains("holiday.jpg") || said.contains("not empty"), "{said}");
    // A server that cannot be reached is given up, and nothing is harmed.
    site.server.inject(S3Fault::new(S3Call::Put, Trouble::Answer(403, "AccessDenied")).for_good());
    let said = site.fails(&env, 1, &["push", URL]);
    assert!(said.contains("s3://backups/team/db"), "{said}");
    assert!(site.fails(&env, 1, &["remote", "add", "team", URL]).contains("not added"));
    site.server.heal();
    site.ok(&env, &["push", URL]);
    env.ok(&["verify"]);
}
