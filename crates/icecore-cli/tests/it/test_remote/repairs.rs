//! `repair --from` and `verify REMOTE`, with a shared directory.

use std::fs;
use std::path::PathBuf;

use super::{content, two_machines};
use crate::support::TestEnv;

/// Zeros in the bodies of a pack.
fn rot(pack: &PathBuf) {
    let mut bytes = fs::read(pack).unwrap();
    let bodies = 64..bytes.len() / 2;
    bytes[bodies].fill(0);
    fs::write(pack, bytes).unwrap();
}

#[test]
fn what_rots_here_comes_from_a_remote_and_what_rots_there_from_here() {
    let (one, _other, shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    one.ok(&["push", "team"]);
    let here = one.files(".icecore/packs");
    rot(&here[0]);
    one.fails(13, &["verify"]);
    let said = one.run(&["repair", "--dry-run", "--from", "team"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert!(
        said.text().starts_with("fetch pack ") && said.text().contains("Would fetch up to "),
        "{}",
        said.text()
    );
    one.fails(13, &["verify"]);
    let said = one.ok(&["repair", "--from", "team"]);
    assert!(said.starts_with("Fetched 1 pack from "), "{said}");
    one.ok(&["verify"]);
    assert!(!one.path(".icecore/damaged").exists());
    // A pack that is gone, by the URL.
    fs::remove_file(&here[0]).unwrap();
    one.fails(13, &["verify"]);
    one.ok(&["repair", "--from", &url]);
    one.ok(&["restore", "data", "--to", "back"]);
    assert_eq!(one.read("back"), content(1));
    // The other way round.
    let name = here[0].strip_prefix(one.path(".icecore")).unwrap().to_owned();
    rot(&shared.path().join("store").join(name));
    one.fails(13, &["verify", "team"]);
    one.ok(&["verify"]);
    let own = format!("file://{}", one.path(".icecore").canonicalize().unwrap().display());
    one.ok(&["repair", "--remote", "team", "--from", &own]);
    assert!(one.ok(&["verify", "team"]).starts_with("All is well"));
}

#[test]
fn a_remote_that_is_damaged_as_well_gives_nothing_and_is_told_of() {
    let (one, _other, shared, url) = two_machines();
    one.ok(&["push", &url]);
    let pack = one.files(".icecore/packs").remove(0);
    let there = shared.path().join("store").join(pack.strip_prefix(one.path(".icecore")).unwrap());
    rot(&pack);
    rot(&there);
    let said = one.fails(3, &["repair", "--from", &url]);
    assert!(said.contains("could not be had from"), "{said}");
    one.fails(13, &["restore", "data", "--to", "back"]);
}

#[test]
fn only_the_same_store_elsewhere_gives_copies() {
    let (one, other, shared, url) = two_machines();
    let theirs = other.json(&["init", "--json"]);
    other.run_with_input(&["create", "-", "--name", "x"], b"x").ok();
    other.ok(&["push", &url]);
    let said = one.fails(15, &["repair", "--from", &url]);
    assert!(said.contains(theirs["id"].as_str().unwrap()), "{said}");
    assert!(one.fails(2, &["repair", "--from", "./.icecore"]).contains("the store itself"));
    assert!(one.fails(10, &["repair", "--from", "tema"]).contains("remote"));
    let nowhere = format!("file://{}/nowhere", shared.path().display());
    assert!(one.fails(10, &["repair", "--from", &nowhere]).contains("no icecore store"));
    assert!(!shared.path().join("nowhere").exists());
}

#[test]
fn a_remote_is_verified_by_its_name_or_url() {
    let (one, _other, shared, url) = two_machines();
    one.ok(&["remote", "add", "team", &url]);
    assert!(one.fails(10, &["verify", "team"]).contains("no icecore store"));
    one.ok(&["push", "team"]);
    let pack = shared
        .path()
        .join("store")
        .join(one.files(".icecore/packs")[0].strip_prefix(one.path(".icecore")).unwrap());
    rot(&pack);
    one.ok(&["verify"]);
    for remote in ["team", &url] {
        one.fails(13, &["verify", remote]);
    }
    // Without a store here.
    let bare = TestEnv::bare();
    bare.fails(13, &["verify", &url]);
    bare.write("icecore.toml", format!("[remotes.team]\nurl = \"{url}\"\n"));
    bare.fails(13, &["verify", "team"]);
    // A name that means two things means none.
    one.write("team", content(5));
    one.ok(&["create", "team"]);
    let said = one.fails(2, &["verify", "team"]);
    assert!(said.contains("team~0") && said.contains("--remote team"), "{said}");
    one.ok(&["verify", "team~0"]);
    one.fails(13, &["verify", "--remote", "team"]);
    assert!(one.fails(10, &["verify", "data", "tema"]).contains("tema"));
}
