//! Servers that do not keep conditions: what deletes must be alone there, and all else needs none.

use icecore_testkit::s3::{Manners, S3Call, S3Fault, Trouble};

use super::content;
use super::site::{Site, URL};
use crate::support::TestEnv;

#[test]
fn only_what_deletes_must_be_alone() {
    for manners in [Manners::Ignore, Manners::Refuse, Manners::Race] {
        let site = Site::new();
        site.server.behave(manners);
        let env = TestEnv::new();
        env.write("data", content(1));
        env.ok(&["create", "data"]);
        let said = site.fails(&env, 3, &["remote", "check", URL]);
        assert!(said.contains("--exclusive"), "{manners:?}: {said}");
        site.ok(&env, &["push", URL]);
        site.ok(&env, &["pull", URL]);
        site.ok(&env, &["create", "data", "--name", "there", "--store", URL]);
        let other = site.joined();
        site.ok(&other, &["pull", "origin"]);
        site.ok(&other, &["restore", "there", "--to", "back"]);
        assert!(other.read("back") == content(1));
        let prune = ["prune", "--keep-last", "1", "--gc"];
        for command in [&["gc"][..], &["repair"], &prune, &["delete", "there", "--yes"]] {
            let said = site.fails(&env, 15, &[command, &["--store", URL]].concat());
            assert!(said.contains(URL) && said.contains("does not keep conditions"), "{manners:?}: {said}");
            assert!(said.contains("hint: ") && said.contains("--exclusive"), "{manners:?}: {said}");
            site.ok(&env, &[command, &["--store", URL, "--exclusive"]].concat());
        }
        site.ok(&env, &["gc", "--store", URL, "--dry-run"]);
        site.ok(&env, &["verify", "--store", URL]);
    }
}

#[test]
fn whoever_makes_a_store_there_is_told_at_once() {
    for manners in [Manners::Ignore, Manners::Refuse, Manners::Race] {
        let site = Site::new();
        site.server.behave(manners);
        let made = site.run(&TestEnv::bare(), &["init", "--store", URL]);
        assert_eq!(made.status, 0, "{}", made.stderr);
        let of_made = |said: &str| said.contains("warning: the server does not keep conditions");
        assert!(of_made(&made.stderr) && made.stderr.contains("--exclusive"), "{manners:?}: {}", made.stderr);
        assert!(site.objects("tmp").is_empty(), "something is left of the look");
    }
    let site = Site::new();
    let made = site.run(&TestEnv::bare(), &["init", "--store", URL]);
    assert!(made.status == 0 && !made.stderr.contains("warning"), "{}", made.stderr);
}

#[test]
fn a_look_that_fails_is_no_reason_to_give_up_what_keeps_others_safe() {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    site.ok(&env, &["push", URL]);
    site.server
        .inject(S3Fault::new(S3Call::Put, Trouble::Answer(403, "AccessDenied")).key("tmp/").for_good());
    let said = site.fails(&env, 1, &["gc", "--store", URL]);
    assert!(said.contains("access is denied") && !said.contains("--exclusive"), "{said}");
    // Who may only read is told what is not allowed, and may add it all the same.
    site.ok(&env, &["remote", "add", "team", URL]);
    let said = site.fails(&env, 3, &["remote", "check", "team"]);
    assert!(said.contains("access is denied"), "{said}");
}
