//! Archives that somebody made who means no good.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BLOCK, entry, filtered, set_len, with_entry};
use crate::support::{Said, TestEnv};

/// An archive of a small directory, and its manifest.
fn exported(env: &TestEnv) -> (Vec<u8>, Value) {
    env.write("tree/a", "one");
    env.write("tree/b/c", "two");
    std::os::unix::fs::symlink("a", env.path("tree/link")).unwrap();
    env.ok(&["create", "tree"]);
    env.ok(&["export", "tree", "-o", "out.tar"]);
    let archive = env.read("out.tar");
    let manifest = serde_json::from_slice(&archive[entry(&archive, "manifest.json").1]).unwrap();
    (archive, manifest)
}

#[track_caller]
fn refused(archive: &[u8], status: i32, why: &str) {
    let env = TestEnv::new();
    let said = env.run_with_input(&["import", "-"], archive);
    assert_eq!(said.status, status, "{why}: {}", said.stderr);
    assert!(said.stderr.contains(why), "{why}: {}", said.stderr);
    assert_eq!(env.count(), 0, "{why}");
    assert!(env.files(".icecore/claims").is_empty() && env.files(".icecore/snapshots").is_empty());
}

#[test]
fn a_manifest_that_lies_is_refused() {
    let env = TestEnv::new();
    let (archive, manifest) = exported(&env);
    let check = |change: &dyn Fn(&mut Value), why: &str| {
        let mut changed = manifest.clone();
        change(&mut changed);
        let text = serde_json::to_vec(&changed).unwrap();
        refused(&with_entry(&archive, "manifest.json", &text), 13, why);
    };
    let part = |index: usize, field: &'static str, value: Value| {
        move |manifest: &mut Value| manifest["parts"][index][field] = value.clone()
    };
    for name in ["../../etc/passwd", "/etc/passwd", "b/../../x", "b//c", "./a", "b/", "..", "a\0b"] {
        check(&part(1, "name", name.into()), "unsafe name");
    }
    check(&part(2, "name", "a".into()), "comes twice, or out of order");
    check(&part(1, "name", "z".into()), "comes twice, or out of order");
    check(&part(1, "name", "x".repeat(100_000).into()), "name is too long");
    check(&part(1, "name", json!({ "hex": "f" })), "what none can be");
    check(&part(1, "bytes", 4.into()), "not those that manifest.json counts");
    check(&part(1, "bytes", u64::MAX.into()), "can be");
    check(&part(1, "bytes", i64::MAX.into()), "not those that manifest.json counts");
    check(&part(1, "bytes", (-1).into()), "cannot be understood");
    check(&part(1, "kind", "elf".into()), "what none can be");
    check(&|it| it["snapshot"]["created_at"] = "yesterday".into(), "a time that is none");
    check(&part(1, "kind", "symlink".into()), "the header of a is not as it was written");
    check(&part(1, "blake3", "00".repeat(32).into()), "a has another hash than it had");
    check(&|it| it["parts"][1]["file"]["mode"] = 0o4755.into(), "the header of a is not as it was written");
    check(&|it| it["parts"][1]["file"]["extents"] = json!([[5, 1], [1, 2]]), "no part can be");
    check(&|it| it["parts"][1]["file"]["extents"] = json!([[u64::MAX, 3]]), "no part can be");
    check(&|it| it["parts"] = json!([]), "not those that manifest.json counts");
    check(&|it| drop(it.as_object_mut().unwrap().remove("parts")), "parts");
    check(&|it| it["archive"] = 2.into(), "a newer version of icecore");
    check(&|it| it["archive"] = 0.into(), "version 0");
    check(&|it| it["content"] = "../x".into(), "a name that none has");
    check(&|it| it["content"] = "README.md".into(), "a name that none has");
    check(&|it| it["content_bytes"] = u64::MAX.into(), "not as long as it was");
    check(&|it| it["snapshot"]["form"] = "rdb".into(), "");
    check(&|it| it["snapshot"]["source"] = 7.into(), "cannot be understood");
    // What nothing else holds it to, the list of hashes does.
    check(&|it| it["note"] = "not what was said".into(), "b3sums");
    check(&|it| it["snapshot"]["source"] = "other".into(), "b3sums");
    refused(&with_entry(&archive, "manifest.json", b""), 13, "cannot be understood");
    refused(&with_entry(&archive, "manifest.json", b"[[[["), 13, "cannot be understood");
    refused(&with_entry(&archive, "manifest.json", &b"[".repeat(1 << 20)), 13, "cannot be understood");
}

#[test]
fn entries_that_do_not_belong_there_are_refused() {
    let env = TestEnv::new();
    let (archive, _) = exported(&env);
    let (manifest, _) = entry(&archive, "manifest.json");
    let (cuts, cut_bytes) = entry(&archive, "cuts.bin");
    let (files, _) = entry(&archive, "files/");
    let (sums, _) = entry(&archive, "b3sums");
    let without = |from: usize, to: usize| [&archive[..from], &archive[to..]].concat();
    refused(&without(manifest, cuts), 13, "manifest.json should come");
    refused(&without(cuts, files), 13, "cuts.bin should come");
    refused(&without(files, sums), 13, "the header of");
    refused(&without(sums, archive.len()), 13, "cut off");
    refused(&without(0, manifest), 1, "README.md should be");
    // Twice the same, and something more.
    let twice = [&archive[..sums], &archive[files..]].concat();
    refused(&twice, 13, "b3sums should come");
    let more = [&archive[..], &archive[..manifest]].concat();
    refused(&more, 13, "something follows its end");
    // A link in the place of a file, which leads elsewhere.
    let mut link = archive.clone();
    link[manifest + 156] = b'2';
    let len = cuts - manifest;
    set_len(&mut link[manifest..manifest + BLOCK], len as u64);
    refused(&link, 13, "the header of manifest.json is not as it was written");
    // Lengths that no disk has.
    for name in [0, manifest, cuts, sums] {
        let mut huge = archive.clone();
        set_len(&mut huge[name..name + BLOCK], (8 << 30) - 1);
        let env = TestEnv::new();
        let said = env.run_with_input(&["import", "-"], &huge);
        assert_eq!(said.status, 13, "{}", said.stderr);
        assert_eq!(env.count(), 0);
    }
    // Cuts that are none: it is cut anew, and its hashes do not fit.
    for len in [0u32, u32::MAX, 1 << 30] {
        let lens = len.to_le_bytes().repeat(cut_bytes.len() / 4);
        refused(&with_entry(&archive, "cuts.bin", &lens), 13, "b3sums");
    }
    refused(&with_entry(&archive, "cuts.bin", b"abc"), 13, "not a whole number of lengths");
    for (bytes, why) in [(&b""[..], "shorter"), (b"PK\x03\x04", "shorter"), (&[7; 4096], "no tarball")] {
        refused(bytes, 1, why);
    }
    let mut tar = std::process::Command::new("tar");
    Said::of(tar.args(["-cf", "plain.tar", "tree"]).current_dir(env.path(""))).ok();
    refused(&env.read("plain.tar"), 1, "README.md should be");
}

#[test]
fn a_bomb_takes_neither_memory_nor_time() {
    let env = TestEnv::new();
    let (archive, _) = exported(&env);
    let (manifest, content) = entry(&archive, "manifest.json");
    let mut header = archive[manifest..manifest + BLOCK].to_vec();
    set_len(&mut header, (8 << 30) - 1);
    // A line without an end, a name without one, lists in lists, short lines without an end.
    let texts =
        [(&b"{"[..], &b" "[..]), (b"{\"a\":\"x", b"x"), (b"{\"parts\":[[[", b"["), (b"{\"a\":[1\n", b",1\n")];
    for (text, fill) in texts {
        let begin = [&archive[..manifest], &header, text].concat();
        let bomb = [&begin[..], &fill.repeat((200 << 20) / fill.len())].concat();
        let packed = filtered("zstd", &["-c", "-1"], &bomb);
        assert!(packed.len() < 1 << 20);
        let started = Instant::now();
        let mut limited = std::process::Command::new("prlimit");
        std::fs::write(env.path("bomb.tar.zst"), &packed).unwrap();
        limited.args(["--as=2000000000", env!("CARGO_BIN_EXE_icecore"), "import", "bomb.tar.zst"]);
        let said = Said::of(limited.current_dir(env.path("")).env("HOME", env.path("")));
        assert_eq!(said.status, 13, "{}", said.stderr);
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert!(content.len() < 10_000);
    assert_eq!(env.count(), 1);
}
