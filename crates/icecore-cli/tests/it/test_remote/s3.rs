//! The same in a bucket.

use std::fs;

use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use super::content;
use super::site::{Site, URL};
use crate::support::{Said, TestEnv};

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

/// Zeros in the bodies of the packs below a folder.
fn rot(packs: Vec<std::path::PathBuf>) {
    assert!(!packs.is_empty());
    for pack in packs {
        let mut bytes = fs::read(&pack).unwrap();
        let bodies = 64..bytes.len() / 2;
        bytes[bodies].fill(0);
        fs::write(&pack, bytes).unwrap();
    }
}

#[test]
fn copies_come_from_a_bucket_and_go_to_one() {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    site.ok(&env, &["push", URL]);
    rot(env.files(".icecore/packs"));
    env.fails(13, &["verify"]);
    let said = site.ok(&env, &["repair", "--from", URL]);
    assert!(said.starts_with("Fetched 1 pack from s3://backups/team/db"), "{said}");
    env.ok(&["verify"]);
    let folder = site.server.folder("backups").join("team/db/packs");
    let there: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    rot(there.clone());
    site.fails(&env, 13, &["verify", URL]);
    let own = format!("file://{}", env.path(".icecore").canonicalize().unwrap().display());
    site.ok(&env, &["repair", "--store", URL, "--from", &own]);
    site.ok(&env, &["verify", URL]);
    there.iter().for_each(|pack| fs::remove_file(pack).unwrap());
    site.ok(&env, &["repair", "--store", URL, "--from", &own]);
    site.ok(&env, &["verify", URL]);
}

/// Status 13 would mean that something is damaged.
#[test]
fn a_bucket_that_cannot_be_reached_is_not_called_damaged() {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    site.ok(&env, &["push", URL]);
    let expire = || S3Fault::new(S3Call::Get, Trouble::Answer(400, "ExpiredToken")).key("packs/").for_good();
    let commands: [&[&str]; 5] = [
        &["verify", URL],
        &["repair", "--dry-run", "--store", URL],
        &["repair", "--store", URL],
        &["restore", "data", "--remote", URL, "--to", "back"],
        &["restore", "data", "--remote", URL, "--to", "back", "--allow-damaged"],
    ];
    for command in commands {
        site.server.inject(expire());
        let said = site.fails(&env, 1, command);
        assert!(said.contains("the credentials have expired"), "{command:?}: {said}");
        site.server.heal();
        assert!(!env.path("back").exists(), "{command:?}");
    }
    rot(env.files(".icecore/packs"));
    site.server.inject(expire());
    site.fails(&env, 1, &["repair", "--from", URL]);
    site.server.heal();
    assert!(!env.path(".icecore/damaged").exists(), "another run goes on");
    site.ok(&env, &["repair", "--from", URL]);
    // One object that is denied, where the others are not, is a finding.
    site.server
        .inject(S3Fault::new(S3Call::Get, Trouble::Answer(403, "AccessDenied")).key("packs/").for_good());
    site.fails(&env, 13, &["verify", URL]);
    site.server.heal();
    // Nobody listens any more.
    drop(site.server);
    let mut command = env.command(&["verify", URL]);
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "x");
    let said = Said::of(command.env("AWS_SECRET_ACCESS_KEY", "x").env("AWS_REGION", "us-east-1")).fails(1);
    assert!(said.contains("cannot connect"), "{said}");
}
