//! What is seen of a push or a pull while it takes its time.

use std::collections::BTreeSet;

use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use super::site::{Site, URL};
use crate::support::{Said, TestEnv, noise};
use crate::test_terminal::on_a_terminal_as;

const SAID: &str = "note: no answer from s3://backups/team/db, still trying";

/// A store with one snapshot in one pack of about a megabyte.
fn machine() -> TestEnv {
    let env = TestEnv::new();
    env.write("data", noise(1, 1_000_000));
    env.ok(&["create", "data"]);
    env
}

/// So that a server which is busy for some seconds is lived through.
fn patient(site: &Site, env: &TestEnv, arguments: &[&str]) -> std::process::Command {
    let mut command = site.command(env, arguments);
    command.env("AWS_MAX_ATTEMPTS", "12");
    command
}

/// At least six seconds.
fn busy(site: &Site, call: S3Call, key: &'static str) {
    site.server.inject(S3Fault::new(call, Trouble::Answer(503, "SlowDown")).key(key).times(7));
}

#[test]
fn whoever_waits_for_a_server_is_told_once() {
    let site = Site::new();
    let env = machine();
    // While a pack is on its way, and while the remote is opened.
    for (call, key) in [(S3Call::Put, "packs/"), (S3Call::Get, "config")] {
        busy(&site, call, key);
        let said = Said::of(&mut patient(&site, &env, &["push", URL]));
        assert_eq!(said.status, 0, "{}", said.stderr);
        assert_eq!(said.stderr.lines().filter(|line| *line == SAID).count(), 1, "{}", said.stderr);
        assert_eq!(site.server.heal(), 0, "the server was not busy");
    }
    let other = site.joined();
    busy(&site, S3Call::Get, "packs/");
    let said = Said::of(&mut patient(&site, &other, &["pull", "origin", "--json"]));
    assert!(said.status == 0 && said.stderr.is_empty(), "{}", said.stderr);
}

#[test]
fn a_terminal_shows_that_a_server_does_not_answer() {
    let site = Site::new();
    let env = machine();
    busy(&site, S3Call::Put, "packs/");
    let like = patient(&site, &env, &[]);
    let (status, said) = on_a_terminal_as(&env, &like, &format!("push {URL}"), "");
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("Pushing") && said.contains("no answer from s3://backups/team/db, still trying"),
        "{said:?}"
    );
    assert!(!said.contains("note:"), "{said:?}");
}

/// How far the bar said it was, as it said it.
fn positions(said: &str) -> BTreeSet<&str> {
    let ends = said.match_indices(" of 1.0 MB").map(|(at, _)| at);
    ends.filter_map(|at| {
        said[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != ' ').next()
    })
    .map(str::trim)
    .collect()
}

#[test]
fn a_bar_moves_while_one_pack_is_on_its_way() {
    let site = Site::new();
    let env = machine();
    let shared = format!("file://{}", env.path("shared").display());
    let like = site.command(&env, &[]);
    for url in [URL, &shared] {
        let (status, said) = on_a_terminal_as(&env, &like, &format!("push {url} --limit-upload 300kB"), "");
        assert_eq!(status, 0, "{said}");
        assert!(positions(&said).len() > 3, "{:?} {said:?}", positions(&said));
        assert!(said.contains("Pushed 1 snapshot"), "{said:?}");
    }
    for url in [URL, &shared] {
        let other = TestEnv::bare();
        site.ok(&other, &["init", "--from", url]);
        let like = site.command(&other, &[]);
        let (status, said) = on_a_terminal_as(&other, &like, "pull origin --limit-download 300kB", "");
        assert_eq!(status, 0, "{said}");
        assert!(positions(&said).len() > 3, "{:?} {said:?}", positions(&said));
    }
}
