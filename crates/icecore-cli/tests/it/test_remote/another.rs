//! Places that are taken: by something else, or by another store.

use std::fs;
use std::path::Path;

use super::content;
use super::site::{Site, URL};
use crate::support::TestEnv;

/// The same on a server and in a directory: how a place is called, and where what lies there is.
fn for_each_place(check: impl Fn(&Site, &TestEnv, &str, &Path)) {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    check(&site, &env, URL, &site.server.folder("backups").join("team/db"));
    let shared = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let folder = shared.path().canonicalize().unwrap().join("store");
    check(&site, &env, &format!("file://{}", folder.display()), &folder);
}

#[test]
fn a_place_with_something_else_is_left_alone() {
    for_each_place(|site, env, url, folder| {
        fs::create_dir_all(folder.join("photos")).unwrap();
        fs::write(folder.join("photos/holiday.jpg"), "x").unwrap();
        for command in [&["push", url][..], &["init", "--store", url]] {
            let said = site.fails(env, 2, command);
            assert!(said.contains(url.trim_start_matches("file://")) && said.contains("error: "), "{said}");
        }
        for command in [
            &["pull", url][..],
            &["init", "--from", url, "--store", "joined"],
            &["list", "--remote", url],
            &["restore", "data", "--remote", url, "--to", "back"],
            &["gc", "--remote", url],
        ] {
            let said = site.fails(env, 10, command);
            assert!(said.contains("no icecore store"), "{command:?}: {said}");
        }
        assert!(!env.path("joined").exists());
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing was put there");
    });
}

#[test]
fn a_config_of_something_else_is_no_damaged_store() {
    for_each_place(|site, env, url, folder| {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config"), "[core]\n\tbare = false\n").unwrap();
        let said = site.fails(env, 2, &["push", url]);
        assert!(said.contains("config"), "{said}");
        for command in
            [&["pull", url][..], &["init", "--from", url, "--store", "joined"], &["list", "--remote", url]]
        {
            let said = site.fails(env, 10, command);
            assert!(said.contains("no icecore store") && said.contains("`icecore push` makes it"), "{said}");
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing was put there");
    });
}

#[test]
fn another_store_is_refused_and_both_are_named() {
    for_each_place(|site, env, url, folder| {
        let other = TestEnv::new();
        other.write("theirs", content(2));
        other.ok(&["create", "theirs"]);
        site.ok(&other, &["push", url]);
        let id =
            |env: &TestEnv| site.json(env, &["init", "--store", "another"])["id"].as_str().unwrap().len();
        assert_eq!(id(env), 64);
        fs::remove_dir_all(env.path("another")).unwrap();
        let objects = || walk(folder);
        let before = objects();
        for command in [&["push", url][..], &["pull", url], &["push", url, "--dry-run"]] {
            let said = site.fails(env, 15, command);
            let is_id = |word: &&str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
            let ids: Vec<&str> = said.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_id).collect();
            assert!(ids.len() == 2 && ids[0] != ids[1], "{command:?}: {said}");
        }
        let said = site.fails(env, 1, &["init", "--store", url]);
        assert!(said.contains("already"), "{said}");
        assert_eq!(objects(), before, "nothing was put there");
        assert_eq!(env.count(), 1);
        site.ok(&other, &["verify", "--remote", url]);
    });
}

/// Every file below, with its length.
fn walk(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            match path.is_dir() {
                true => left.push(path),
                // A cache, where the place is a directory.
                false if path.ends_with("index.redb") || path.to_string_lossy().contains("/tmp/") => (),
                false => found.push((path.display().to_string(), entry.metadata().unwrap().len())),
            }
        }
    }
    found.sort();
    found
}
