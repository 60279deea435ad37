//! The same in a bucket.

use std::fs;

use super::content;
use super::site::{Site, URL};
use crate::support::TestEnv;

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
    let check = site.json(&one, &["remote", "check", "team"]);
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
    let listed = site.json(&env, &["list"]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
    assert_eq!(listed["snapshots"][0]["tags"][0], "release");
    site.ok(&env, &["restore", "data", "--to", "back", "--yes"]);
    assert_eq!(env.read("back"), content(2));
    site.ok(&env, &["repair"]);
    assert!(site.ok(&env, &["stats"]).contains(URL));
}
