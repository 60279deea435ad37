//! Stores elsewhere: pushed to, pulled from, joined, and worked on directly.

mod another;
mod broken;
mod conditions;
mod damaged;
mod encrypted;
mod killed;
mod networks;
mod nights;
mod refused;
mod repairs;
mod s3;
mod site;
mod slow;
mod together;

use std::fs;

use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use crate::support::{TestEnv, check_keys};

/// Enough for several chunks, and other ones for each seed.
fn content(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..60_000).flat_map(|_| next().to_le_bytes()).collect()
}

/// A machine with a store and a snapshot of `data`, and one with nothing; the URL of a shared directory.
fn two_machines() -> (TestEnv, TestEnv, tempfile::TempDir, String) {
    let (one, other) = (TestEnv::new(), TestEnv::bare());
    let shared = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let url = format!("file://{}/store", shared.path().canonicalize().unwrap().display());
    one.write("data", content(1));
    one.ok(&["create", "data"]);
    (one, other, shared, url)
}

#[test]
fn what_one_machine_pushes_another_one_pulls() {
    let (one, other, _shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    assert_eq!(one.json(&["remote", "list", "--json"])["remotes"][0]["url"], url);
    // Nothing is there before the first push, and a look changes nothing.
    let plan = one.json(&["push", "team", "--dry-run", "--json"]);
    check_keys(&plan, &["to", "snapshots", "present", "packs", "bytes", "labels", "requests"]);
    assert_eq!(plan["snapshots"].as_array().unwrap().len(), 1);
    let said = one.fails(10, &["list", "--remote", "team"]);
    assert!(said.contains("store"), "{said}");
    let sent = one.json(&["push", "team", "--json"]);
    check_keys(&sent, &["to", "snapshots", "present", "packs", "bytes", "labels", "failed"]);
    assert_eq!((&sent["packs"], &sent["present"]), (&1.into(), &0.into()));
    assert!(one.ok(&["push", "team"]).contains("Nothing to do"));

    let joined = other.ok(&["init", "--from", &url]);
    assert!(joined.contains("Made a place in"), "{joined}");
    assert_eq!(other.count(), 0);
    assert_eq!(
        other.json(&["list", "--remote", "origin", "--json"])["snapshots"].as_array().unwrap().len(),
        1
    );
    let pulled = other.json(&["pull", "origin", "--json"]);
    assert_eq!(pulled["snapshots"], sent["snapshots"], "a snapshot has one id everywhere");
    other.ok(&["restore", "latest", "--to", "back"]);
    assert_eq!(other.read("back"), content(1));
    other.ok(&["verify"]);
    assert!(other.ok(&["pull", "origin"]).contains("Nothing to do"));
}

#[test]
fn the_newest_of_each_source_goes_unless_others_are_named() {
    let (one, _other, _shared, url) = two_machines();
    one.write("data", content(2));
    one.ok(&["create", "data"]);
    one.write("more", content(3));
    one.ok(&["create", "more"]);
    one.ok(&["tag", "add", "data~1", "release"]);
    let count = |arguments: &[&str]| {
        let said = one.json(&[&["push", &url, "--dry-run", "--json"], arguments].concat());
        said["snapshots"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 2);
    assert_eq!(count(&["--all"]), 3);
    assert_eq!(count(&["--source", "data"]), 2);
    assert_eq!(count(&["--tag", "release"]), 1);
    assert_eq!(count(&["data~1", "more"]), 2);
    assert!(one.fails(10, &["push", &url, "--tag", "relase"]).contains("no snapshot"));
    one.ok(&["push", &url, "data~1"]);
    let there = one.json(&["list", "--remote", &url, "--json"]);
    assert_eq!(there["snapshots"][0]["tags"][0], "release");
    one.ok(&["push", &url, "--all", "--limit-upload", "1GB"]);
    assert_eq!(one.json(&["list", "--remote", &url, "--json"])["snapshots"].as_array().unwrap().len(), 3);
}

#[test]
fn every_command_works_on_a_remote() {
    let (one, _other, _shared, url) = two_machines();
    one.ok(&["push", &url]);
    one.ok(&["restore", "data", "--remote", &url, "--to", "back"]);
    assert_eq!(one.read("back"), content(1));
    one.ok(&["verify", "--remote", &url]);
    one.ok(&["create", "data", "--name", "there", "--remote", &url]);
    one.ok(&["delete", "there", "--remote", &url, "--yes"]);
    one.ok(&["gc", "--remote", &url]);
    assert!(one.ok(&["stats", "--remote", &url]).contains("Snapshots"));
    assert_eq!(one.count(), 1, "nothing of this was done here");
}

#[test]
fn a_remote_that_is_another_store_or_none_is_refused() {
    let (one, other, shared, url) = two_machines();
    let theirs = other.json(&["init", "--json"]);
    other.run_with_input(&["create", "-", "--name", "x"], b"x").ok();
    other.ok(&["push", &url]);
    let said = one.fails(15, &["push", &url]);
    assert!(said.contains(theirs["id"].as_str().unwrap()), "{said}");
    let is_id = |word: &&str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    let ids = said.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_id).count();
    assert_eq!(ids, 2, "both are named: {said}");
    let taken = shared.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("holiday.jpg"), "x").unwrap();
    let taken = format!("file://{}", taken.display());
    assert!(one.fails(2, &["push", &taken]).contains("is not empty"));
    assert!(
        one.fails(10, &["pull", &format!("file://{}/nowhere", shared.path().display())])
            .contains("no icecore store")
    );
    assert!(!shared.path().join("nowhere").exists());
}

#[test]
fn names_of_remotes_are_kept_and_forgotten() {
    let (one, _other, _shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    assert!(one.fails(2, &["remote", "add", "team", &url]).contains("already"));
    assert!(one.fails(2, &["remote", "add", "-x", &url]).contains("-x"));
    assert!(one.fails(2, &["remote", "add", "a b", &url]).contains("no name"));
    assert!(one.fails(2, &["remote", "add", "x", "ftp://a/b"]).contains("is not a place"));
    assert!(one.fails(2, &["remote", "add", "x", "./.icecore"]).contains("the store itself"));
    // What is meant for a bucket must not become a directory.
    for text in ["backups/team/app", "s3:/backups/app", ".icecore"] {
        let said = one.fails(2, &["remote", "add", "x", text]);
        assert!(said.contains("neither a URL nor a path") && said.contains("s3://BUCKET"), "{said}");
    }
    assert!(one.fails(2, &["push", "team", "--limit-upload", "0"]).contains("nothing would ever arrive"));
    assert!(one.fails(10, &["push", "tema"]).contains("team"), "what was meant is told");
    let said = one.ok(&["remote", "check", "team"]);
    assert!(said.contains("none yet"), "{said}");
    one.ok(&["remote", "remove", "team"]);
    assert!(one.fails(10, &["remote", "remove", "team"]).contains("no remote"));
    assert!(one.ok(&["remote", "list", "-q"]).is_empty());
    // A project's are everybody's.
    one.write("icecore.toml", format!("[remotes.shared]\nurl = \"{url}\"\n"));
    one.ok(&["push", "shared"]);
}

#[test]
fn a_list_of_remotes_shows_how_each_is_reached_and_where_it_stands() {
    let (one, _other, _shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    let settings = "endpoint = \"https://s3.example.org\"\nprofile = \"me\"\nstorage_class = \"COLD\"";
    one.write("icecore.toml", format!("[remotes.everybodys]\nurl = \"s3://backups\"\n{settings}\n"));
    let said = one.ok(&["remote", "list"]);
    let lines: Vec<&str> = said.lines().collect();
    let [head, shared, own] = lines.as_slice() else { panic!("{said}") };
    assert!(shared.starts_with("everybodys  s3://backups  "), "{said}");
    assert!(
        shared.ends_with("icecore.toml  endpoint=https://s3.example.org profile=me storage_class=COLD"),
        "{said}"
    );
    assert!(own.starts_with("team ") && own.ends_with("  remotes.toml"), "{said}");
    let column = |line: &str, word: &str| line.find(word);
    assert_eq!(column(head, "FROM"), column(shared, "icecore.toml"), "{said}");
    assert_eq!(column(head, "FROM"), column(own, "remotes.toml"), "{said}");
    let told = &one.json(&["remote", "list"])["remotes"];
    assert_eq!((&told[0]["file"], &told[1]["file"]), (&"icecore.toml".into(), &"remotes.toml".into()));
    assert_eq!(told[0]["profile"], "me");
}

#[test]
fn a_class_of_storage_that_nobody_has_is_not_added() {
    let env = TestEnv::new();
    let said = env.fails(2, &["remote", "add", "team", "s3://backups", "--storage-class", "STANDART_IA"]);
    assert!(said.contains("did you mean \"STANDARD_IA\"?") && said.contains("--endpoint"), "{said}");
    // Other servers know their own.
    let site = site::Site::new();
    let endpoint = site.server.endpoint();
    let add = ["remote", "add", "team", site::URL, "--endpoint", &endpoint, "--storage-class", "COLD"];
    let refuse = Trouble::Answer(400, "InvalidStorageClass");
    site.server.inject(S3Fault::new(S3Call::Put, refuse).key("tmp/").after(1).for_good());
    let said = site.fails(&env, 1, &add);
    assert!(said.contains("does not know the class of storage") && said.contains("not added"), "{said}");
    site.server.heal();
    site.ok(&env, &add);
}

#[test]
fn a_path_does_as_well_as_a_url() {
    let (one, other, shared, _url) = two_machines();
    let path = shared.path().canonicalize().unwrap().join("store").display().to_string();
    one.ok(&["push", &path]);
    other.ok(&["init", "--from", &path]);
    other.ok(&["pull", "origin"]);
    assert_eq!(other.count(), 1);
    // What may be a mistyped name becomes no directory.
    one.fails(10, &["push", "nowhere/store"]);
    assert!(!one.path("nowhere").exists());
    one.ok(&["push", "./there/store"]);
    assert!(one.path("there/store/config").exists());
}

#[test]
fn an_encrypted_store_is_joined_with_its_password() {
    let (one, other) = (TestEnv::bare(), TestEnv::bare());
    let shared = tempfile::tempdir_in(icecore_testkit::memory()).unwrap();
    let url = format!("file://{}/store", shared.path().canonicalize().unwrap().display());
    let password = |env: &TestEnv| env.write("password", "correct horse\n").display().to_string();
    let (mine, theirs) = (password(&one), password(&other));
    one.ok(&["init", "--encrypt", "--password-file", &mine]);
    one.write("data", content(4));
    one.ok(&["create", "data", "--password-file", &mine]);
    one.ok(&["push", &url, "--password-file", &mine]);
    assert!(other.fails(12, &["init", "--from", &url]).contains("password"));
    assert!(!other.path(".icecore").exists());
    other.ok(&["init", "--from", &url, "--password-file", &theirs]);
    other.ok(&["pull", "origin", "--password-file", &theirs]);
    other.ok(&["restore", "data", "--to", "back", "--password-file", &theirs]);
    assert_eq!(other.read("back"), content(4));
}

#[test]
fn who_joins_at_a_url_that_has_a_name_goes_on_under_that_name() {
    let (one, other) = (TestEnv::new(), TestEnv::bare());
    one.write("data", content(1));
    one.ok(&["create", "data"]);
    let url = format!("file://{}", one.path("shared").display());
    one.ok(&["push", &url]);
    other.write("icecore.toml", format!("[remotes.team]\nurl = \"{url}\"\n"));
    let said = other.ok(&["init", "--from", &format!("{url}/"), "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["remote"], serde_json::Value::Null, "{said}");
    other.ok(&["pull", "team"]);
    other.ok(&["restore", "data", "--to", "back"]);
    assert_eq!(other.read("back"), content(1));
}

#[test]
fn a_name_of_the_project_file_is_neither_taken_nor_forgotten() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[remotes.team]\nurl = \"./shared\"\n");
    assert!(env.fails(2, &["remote", "add", "team", "./other"]).contains("icecore.toml has a remote team"));
    assert!(env.fails(2, &["remote", "remove", "team"]).contains("stands in icecore.toml"));
}

#[test]
fn a_remote_that_is_another_store_is_not_added() {
    let (one, other) = (TestEnv::new(), TestEnv::new());
    let url = format!("file://{}", other.path(".icecore").display());
    one.fails(15, &["remote", "add", "team", &url]);
    assert!(!one.ok(&["remote", "list"]).contains("team"));
    let said = one.fails(3, &["remote", "check", &url]);
    assert!(said.contains("another store"), "{said}");
}

#[test]
fn hints_about_a_remote_name_it() {
    let (one, _other, _shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    one.ok(&["push", "team"]);
    let said = one.fails(10, &["show", "nothing", "--remote", "team"]);
    assert!(said.contains("--remote team"), "{said}");
}
