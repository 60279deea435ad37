//! An encrypted store in a bucket, and what its passwords open.

use super::content;
use super::site::{Site, URL};
use crate::support::TestEnv;

/// A machine with the files of passwords that people know.
fn machine() -> TestEnv {
    let env = TestEnv::bare();
    env.write("first", "correct horse\n");
    env.write("second", "battery staple\n");
    env.write("wrong", "hunter2\n");
    env
}

const FIRST: [&str; 2] = ["--password-file", "first"];
const SECOND: [&str; 2] = ["--password-file", "second"];
const WRONG: [&str; 2] = ["--password-file", "wrong"];

#[test]
fn an_encrypted_store_is_shared_by_those_who_know_a_password() {
    let site = Site::new();
    let (one, other) = (machine(), machine());
    let ok =
        |env: &TestEnv, arguments: &[&str], password: &[&str]| site.ok(env, &[arguments, password].concat());
    ok(&one, &["init", "--encrypt"], &FIRST);
    one.write("data", content(1));
    ok(&one, &["create", "data"], &FIRST);
    ok(&one, &["push", URL], &FIRST);

    for command in [
        &["init", "--from", URL][..],
        &["list", "--store", URL],
        &["restore", "data", "--store", URL, "--to", "back"],
    ] {
        let said = site.fails(&other, 12, &[command, &WRONG].concat());
        assert!(said.contains("password") && !said.contains("hunter2"), "{said}");
        let said = site.fails(&other, 12, command);
        assert!(said.contains("--password-file"), "{said}");
    }
    assert!(!other.path(".icecore").exists() && !other.path("back").exists());

    ok(&other, &["init", "--from", URL], &FIRST);
    ok(&other, &["pull", "origin"], &FIRST);
    ok(&other, &["restore", "data", "--to", "back"], &FIRST);
    assert!(other.read("back") == content(1));

    // A password belongs to a place: this one opens the store here, and not there.
    ok(&one, &["key", "add", "--new-password-file", "second"], &FIRST);
    one.write("data", content(2));
    ok(&one, &["create", "data"], &SECOND);
    ok(&one, &["push", URL], &SECOND);
    site.fails(&one, 12, &[&["list", "--remote", URL][..], &SECOND].concat());
    ok(&other, &["pull", "origin"], &FIRST);
    ok(&other, &["restore", "data", "--to", "back", "--yes"], &FIRST);
    assert!(other.read("back") == content(2));
    // There it is added, too.
    ok(&one, &["key", "add", "--new-password-file", "second", "--remote", URL], &FIRST);
    ok(&one, &["list", "--remote", URL], &SECOND);
    // And one that was taken away there does not come back with a push from where it still is.
    let keys = site.json(&one, &[&["key", "list", "--remote", URL][..], &SECOND].concat());
    let keys = keys["keys"].as_array().unwrap();
    let first = keys.iter().find(|key| key["label"] == "first").unwrap()["id"].as_str().unwrap();
    ok(&one, &["key", "remove", first, "--remote", URL, "--yes"], &SECOND);
    one.write("data", content(3));
    ok(&one, &["create", "data"], &FIRST);
    ok(&one, &["push", URL], &FIRST);
    site.fails(&other, 12, &[&["list", "--remote", URL][..], &FIRST].concat());
    ok(&other, &["list", "--remote", URL], &SECOND);
    // Who has a place of his own goes on with the password that it has.
    ok(&other, &["pull", "origin"], &FIRST);

    ok(&one, &["delete", "data~1", "data~2", "--remote", URL, "--yes"], &SECOND);
    for _ in 0..2 {
        ok(&one, &["gc", "--remote", URL], &SECOND);
    }
    ok(&one, &["verify", "--remote", URL], &SECOND);
    ok(&other, &["restore", "data", "--to", "back", "--yes"], &FIRST);
    assert!(other.read("back") == content(3));
    // Nothing of what it is about is told in the names of objects.
    assert!(site.objects("").iter().all(|name| !name.contains("data")));
}
