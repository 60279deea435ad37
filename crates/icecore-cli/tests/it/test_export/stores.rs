//! Stores that are carried in a file to where no network reaches.

use std::fs;

use super::{BLOCK, entry, set_len};
use crate::support::{TestEnv, noise};

/// A store with some snapshots, one of them a night later than the other.
fn some() -> TestEnv {
    let env = TestEnv::new();
    env.write("plain", noise(1, 3_000_000));
    env.ok(&["create", "plain", "--tag", "first", "--note", "noted"]);
    env.write("plain", [&noise(1, 2_000_000)[..], b"changed", &noise(1, 3_000_000)[2_000_000..]].concat());
    env.ok(&["create", "plain"]);
    env.write("other", "some text\n".repeat(10_000));
    env.ok(&["create", "other"]);
    env
}

#[test]
fn a_store_goes_to_another_machine_in_a_file() {
    let env = some();
    let file = env.path("store.tar");
    let file = file.to_str().unwrap();
    env.ok(&["export", "--all", "--format", "store", "-o", file]);
    let there = TestEnv::bare();
    let said = there.ok(&["init", "--from", file]);
    assert!(said.contains("Imported 3 snapshots"), "{said}");
    assert_eq!(there.json(&["list"]), env.json(&["list"]));
    there.ok(&["verify"]);
    for selector in ["plain", "plain~1", "other"] {
        assert!(there.back(selector) == env.back(selector), "{selector}");
    }
    let said = there.ok(&["import", file]);
    assert!(said.starts_with("Nothing to do"), "{said}");
    // What comes later goes the same way, in both directions.
    env.write("plain", noise(7, 400_000));
    env.ok(&["create", "plain"]);
    env.ok(&["export", "plain", "--format", "store", "-o", "later.tar"]);
    let later = env.path("later.tar");
    let said = there.ok(&["import", later.to_str().unwrap()]);
    assert!(said.contains("Imported 1 snapshot "), "{said}");
    assert_eq!(there.json(&["list"])["snapshots"], env.json(&["list"])["snapshots"]);
    there.write("mine", "mine");
    there.ok(&["create", "mine"]);
    there.ok(&["export", "mine", "--format", "store", "-o", "back.tar"]);
    let back = there.path("back.tar");
    env.ok(&["import", back.to_str().unwrap()]);
    assert_eq!(env.back("mine"), b"mine");
    env.ok(&["gc"]);
    env.ok(&["verify"]);
    // Another store has no use for it.
    let another = TestEnv::new();
    let said = another.fails(15, &["import", file]);
    assert!(said.contains("is another one"), "{said}");
    // What there is, is replaced only when somebody says so.
    env.fails(15, &["export", "--all", "--format", "store", "-o", file]);
    env.ok(&["export", "--all", "--format", "store", "-o", file, "--yes"]);
    env.fails(2, &["export", "--all", "-o", "x.tar"]);
    env.fails(2, &["export", "plain", "other", "-o", "x.tar"]);
    env.fails(2, &["export", "--format", "store", "-o", "x.tar"]);
    env.fails(2, &["export", "--all", "--format", "store", "-o", "-"]);
}

#[test]
fn an_encrypted_store_stays_encrypted_on_its_way() {
    let env = TestEnv::bare();
    env.write("password", "secret");
    let args = |more: &[&'static str]| [&["--password-file", "password"], more].concat();
    env.ok(&args(&["init", "--encrypt"]));
    env.write("plain", "nobody may read this\n".repeat(100));
    env.ok(&args(&["create", "plain", "--tag", "hidden-tag"]));
    env.ok(&args(&["export", "--all", "--format", "store", "-o", "store.tar"]));
    let bytes = env.read("store.tar");
    for hidden in ["nobody may read", "hidden-tag", "plain"] {
        assert!(!bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
    }
    let there = TestEnv::bare();
    fs::copy(env.path("store.tar"), there.path("store.tar")).unwrap();
    there.write("wrong", "another");
    there.write("password", "secret");
    there.fails(12, &["init", "--from", "store.tar"]);
    there.fails(12, &["--password-file", "wrong", "init", "--from", "store.tar"]);
    assert!(!there.path(".icecore").exists());
    there.ok(&args(&["init", "--from", "store.tar"]));
    assert_eq!(there.ok(&args(&["restore", "plain@hidden-tag", "--to", "-"])).as_bytes(), env.read("plain"));
}

#[test]
fn a_store_in_a_file_that_was_cut_off_or_changed_adds_nothing_wrong() {
    let env = some();
    env.ok(&["--store", "receiver", "init", "--from", "./.icecore"]);
    env.ok(&["export", "--all", "--format", "store", "-o", "store.tar"]);
    let archive = env.read("store.tar");
    let receiver = |bytes: &[u8]| {
        env.write("changed.tar", bytes);
        let _ = fs::remove_dir_all(env.path("copy"));
        let said = std::process::Command::new("cp")
            .args(["-a", "receiver", "copy"])
            .current_dir(env.path(""))
            .status();
        assert!(said.unwrap().success());
        env.run(&["--store", "copy", "import", "changed.tar"])
    };
    let count = || env.json(&["--store", "copy", "list"])["snapshots"].as_array().unwrap().len();
    let cuts =
        (1..20).map(|n| archive.len() / 20 * n).chain([1, 600, archive.len() - 1, archive.len() - 1024]);
    for len in cuts {
        let said = receiver(&archive[..len]);
        assert!(matches!(said.status, 1 | 13), "{len}: {}", said.stderr);
        assert_eq!(count(), 0, "{len}");
        // Where all of it is there already, too.
        let said = env.run(&["import", "changed.tar"]);
        assert!(matches!(said.status, 1 | 13), "{len}: {}", said.stderr);
    }
    for at in (0..archive.len()).step_by(archive.len() / 40) {
        let mut changed = archive.clone();
        changed[at] ^= 1 << (at % 8);
        let said = receiver(&changed);
        assert!(matches!(said.status, 0 | 1 | 13), "{at}: {} {}", said.status, said.stderr);
        // What has come is whole.
        env.ok(&["--store", "copy", "verify"]);
    }
    // Names that are none of a store's, or come twice.
    let (config, content) = entry(&archive, "config");
    let label = format!("labels/{}/../../x", "0".repeat(64));
    let steps =
        ["../../x", "/etc/x", "packs/../x", "keys/../../x", "copies/keys/../x", "snapshots/./x", &label];
    for name in steps.into_iter().chain(["claims/x", "epoch", "condemned/1"]) {
        let mut changed = archive.clone();
        changed[config..config + 100].fill(0);
        changed[config..config + name.len()].copy_from_slice(name.as_bytes());
        set_len(&mut changed[config..config + BLOCK], content.len() as u64);
        let said = receiver(&changed);
        assert_eq!(said.status, 13, "{name}: {}", said.stderr);
        assert_eq!(count(), 0);
    }
}

#[test]
fn a_damaged_pack_of_which_nothing_is_needed_is_told_all_the_same() {
    let env = some();
    env.ok(&["export", "--all", "--format", "store", "-o", "store.tar"]);
    let said = env.ok(&["import", "store.tar"]);
    assert!(said.starts_with("Nothing to do"), "{said}");
    let archive = env.read("store.tar");
    let mut packs = env.files(".icecore/packs");
    packs.sort_by_key(|pack| pack.metadata().unwrap().len());
    let pack = packs.pop().unwrap();
    let folder = pack.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let name = format!("packs/{folder}/{}", pack.file_name().unwrap().to_str().unwrap());
    let (_, content) = entry(&archive, &name);
    for at in [content.start, content.start + content.len() / 2, content.end - 1] {
        let mut changed = archive.clone();
        changed[at] ^= 1;
        env.write("changed.tar", changed);
        let said = env.run(&["import", "changed.tar"]);
        assert_eq!(said.status, 13, "{at}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("{name} in the file is damaged")), "{}", said.stderr);
    }
    env.ok(&["verify"]);
}

/// A pack goes whole if half of it is needed. That it had been read was taken for its being right, and the other half was never looked at.
#[test]
fn damage_in_what_nobody_needs_of_a_pack_is_told() {
    let env = TestEnv::new();
    env.write("tree/needed", noise(1, 400_000));
    env.write("tree/not", noise(2, 200_000));
    env.ok(&["create", "tree"]);
    fs::remove_file(env.path("tree/not")).unwrap();
    env.ok(&["create", "tree"]);
    env.ok(&["export", "latest", "--format", "store", "-o", "store.tar"]);
    let archive = env.read("store.tar");
    let packs = env.files(".icecore/packs");
    let pack = packs.iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let folder = pack.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let name = format!("packs/{folder}/{}", pack.file_name().unwrap().to_str().unwrap());
    let (_, content) = entry(&archive, &name);
    assert!(content.len() > 600_000, "{content:?}");
    let mut whole = 0;
    for n in 0..12 {
        let mut changed = archive.clone();
        changed[content.start + content.len() / 12 * n + 1_000] ^= 1;
        env.write("changed.tar", changed);
        let receiver = format!("receiver_{n}");
        let said = env.run(&["--store", &receiver, "init", "--from", "changed.tar", "--json"]);
        assert_eq!(said.status, 13, "{n}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("{name} in the file is damaged")), "{}", said.stderr);
        let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(document["damaged"], serde_json::json!([name]), "{document}");
        env.ok(&["--store", &receiver, "verify"]);
        whole += env.json(&["--store", &receiver, "list"])["snapshots"].as_array().unwrap().len();
    }
    // What is needed came over wherever it was right.
    assert!((3..9).contains(&whole), "{whole}");
}

#[test]
fn a_damaged_snapshot_is_not_carried() {
    let env = some();
    let newest = env.files(".icecore/packs").into_iter().max_by_key(|path| path.metadata().unwrap().len());
    fs::remove_file(newest.unwrap()).unwrap();
    let said = env.fails(13, &["export", "--all", "--format", "store", "-o", "store.tar"]);
    assert!(said.contains("is damaged"), "{said}");
    assert!(!env.path("store.tar").exists());
}
