//! Snapshots in archives, and the way back: with icecore, and without.

mod engines;
mod failures;
mod later;
mod stores;
mod strangers;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Said, TestEnv, noise};

const BLOCK: usize = 512;

/// One entry of a tarball with plain headers: where its header is, and its content.
fn entry(archive: &[u8], name: &str) -> (usize, std::ops::Range<usize>) {
    let mut at = 0;
    loop {
        let header = &archive[at..at + BLOCK];
        let digits = std::str::from_utf8(&header[124..135]).unwrap();
        let len = usize::from_str_radix(digits, 8).unwrap();
        let content = at + BLOCK..at + BLOCK + len;
        if header.starts_with(name.as_bytes()) && header[name.len()] == 0 {
            return (at, content);
        }
        at = content.end.next_multiple_of(BLOCK);
    }
}

/// The same tarball with another content of one entry, under a header that fits.
fn with_entry(archive: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let (at, old) = entry(archive, name);
    let mut header = archive[at..at + BLOCK].to_vec();
    set_len(&mut header, content.len() as u64);
    let mut changed = [&archive[..at], &header, content].concat();
    changed.resize(changed.len().next_multiple_of(BLOCK), 0);
    changed.extend_from_slice(&archive[old.end.next_multiple_of(BLOCK)..]);
    changed
}

fn set_len(header: &mut [u8], len: u64) {
    header[124..136].copy_from_slice(format!("{len:011o}\0").as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// What `zstd` or `gzip` makes of bytes.
fn filtered(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Follows the commands of an archive's own README, in the folder that the archive lies in, up to one that begins with `until`.
fn follow(env: &TestEnv, archive: &str, until: &str, variables: &[(&str, String)]) {
    let unpacked = Said::of(Command::new("tar").args(["-xOf"]).arg(env.path(archive)).arg("README.md"));
    let readme = unpacked.ok();
    let block = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<&str> =
        block.lines().take_while(|line| until.is_empty() || !line.starts_with(until)).collect();
    assert!(!lines.is_empty(), "{readme}");
    let mut command = Command::new("sh");
    command.args(["-euxc", &lines.join("\n")]).current_dir(env.path("")).env("HOME", env.path(""));
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    Said::of(&mut command).ok();
}

/// What is listed of a snapshot, and what is shown of it, but for the store's own numbers.
fn described(env: &TestEnv, selector: &str) -> (Value, Value) {
    let listed = env.json(&["list"]);
    let shown = env.json(&["show", selector]);
    let id = shown["id"].clone();
    let mut found = listed["snapshots"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone();
    found["index"] = Value::Null;
    (found, shown)
}

/// Exports a snapshot in each form, and imports it into stores that have nothing of it: it is the same there.
#[track_caller]
fn check_round_trip(env: &TestEnv, selector: &str) {
    let expected = described(env, selector);
    let directory = expected.0["parts"].as_u64().unwrap() > 1 && expected.1["form"] == "directory";
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let other = TestEnv::new();
        let archive = env.path(&format!("archive.{ending}"));
        let archive = archive.to_str().unwrap();
        env.ok(&["export", selector, "--output", archive, "--yes"]);
        let imported = other.json(&["import", archive]);
        assert_eq!(imported["id"], expected.0["id"], "{selector} {ending}");
        assert_eq!(imported["is_new"], true);
        assert_eq!(described(&other, "latest"), expected, "{selector} {ending}");
        if !directory {
            assert!(other.back("latest") == env.back(selector), "{selector} {ending}");
        }
        other.ok(&["verify"]);
        let again = other.json(&["import", archive]);
        assert_eq!((&again["is_new"], &again["id"]), (&false.into(), &expected.0["id"]));
        assert_eq!(env.json(&["import", archive])["is_new"], false);
        assert_eq!(other.count(), 1);
    }
}

/// A directory with something of everything that a file system has.
fn fill_directory(env: &TestEnv) {
    env.write("tree/hello", "hello");
    env.write("tree/empty", "");
    env.write("tree/sub/large", noise(1, 3_000_000));
    env.write("tree/sub/text", "some text\n".repeat(50_000));
    env.write(&format!("tree/{}/{}", "d".repeat(120), "f".repeat(200)), "deep");
    env.write("tree/with space\nand line", "odd");
    let file = fs::File::create(env.path("tree/holes")).unwrap();
    file.set_len(7_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"in the middle", 3_000_001).unwrap();
    fs::File::create(env.path("tree/all a hole")).unwrap().set_len(5_000_000).unwrap();
    fs::hard_link(env.path("tree/hello"), env.path("tree/sub/again")).unwrap();
    symlink("hello", env.path("tree/link")).unwrap();
    symlink("l".repeat(150), env.path("tree/long link")).unwrap();
    fs::set_permissions(env.path("tree/hello"), fs::Permissions::from_mode(0o640)).unwrap();
    let odd = std::ffi::OsStr::new("tree");
    let odd = env
        .path("")
        .join(odd)
        .join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff\xfe"));
    fs::write(odd, "not UTF-8").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, env.path("tree/pipe"), 0o600.into()).unwrap();
}

/// What is the same of two trees if they are: names, kinds, modes, times, links, sizes and hashes.
fn looks(root: &Path) -> String {
    let script = "find . -mindepth 1 -printf '%P|%y|%m|%U|%G|%T@|%l|%s|%n\\n' | sed '/|d|/s/|[0-9]*|[0-9]*$//' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum";
    Said::of(Command::new("sh").args(["-ec", script]).current_dir(root).env("LC_ALL", "C")).lossy()
}

impl Said {
    fn lossy(self) -> String {
        assert_eq!(self.status, 0, "{}", self.stderr);
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

#[test]
fn what_is_imported_is_the_snapshot_that_was_exported() {
    let env = TestEnv::new();
    fill_directory(&env);
    env.ok(&["create", "tree", "--tag", "one", "--tag", "zwei", "--note", "a \"note\""]);
    check_round_trip(&env, "tree");
    env.write("tree/sub/more", "more");
    env.ok(&["create", "tree"]);
    check_round_trip(&env, "tree");
    env.write("plain", noise(2, 700_000));
    env.ok(&["create", "plain"]);
    check_round_trip(&env, "plain");
    env.write("README.md", "a file that is called as one of ours");
    env.ok(&["create", "README.md"]);
    check_round_trip(&env, "README.md");
    let holes = fs::File::create(env.path("disk")).unwrap();
    holes.set_len(9_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"in the middle", 4_000_000).unwrap();
    env.ok(&["create", "disk"]);
    check_round_trip(&env, "disk");
    env.run_with_input(&["create", "-", "--name", "dump"], crate::support::PG_DUMP.as_bytes()).ok();
    check_round_trip(&env, "dump");
    env.run_with_input(&["create", "-", "--name", "nothing", "--allow-empty"], b"").ok();
    check_round_trip(&env, "nothing");
    Said::of(Command::new("tar").args(["-cf", "tree.tar", "tree"]).current_dir(env.path(""))).ok();
    env.ok(&["create", "tree.tar"]);
    check_round_trip(&env, "tree.tar");
    let many: String = (0..200_000).map(|n| format!("CREATE TABLE t{n} (a int);\n")).collect();
    env.run_with_input(&["create", "-", "--name", "statements"], many.as_bytes()).ok();
    check_round_trip(&env, "statements");
    env.write(
        "x.pgdump",
        [b"PGDMP\x01\x0e\x00\x04\x08\x01\x00\x00\x00\x00\x00", &noise(3, 9000)[..]].concat(),
    );
    env.ok(&["create", "x.pgdump"]);
    check_round_trip(&env, "x.pgdump");
}

#[test]
fn a_directory_comes_back_by_tar_alone() {
    let env = TestEnv::new();
    fill_directory(&env);
    env.ok(&["create", "tree"]);
    fs::rename(env.path("tree"), env.path("original")).unwrap();
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let archive = format!("out.{ending}");
        env.ok(&["export", "tree", "--output", &archive]);
        follow(&env, &archive, "", &[]);
        assert_eq!(looks(&env.path("tree")), looks(&env.path("original")));
        let sparse = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(env.path("tree/holes")).unwrap());
        assert!(sparse * 512 < 1_000_000, "{sparse}");
        fs::remove_dir_all(env.path("tree")).unwrap();
    }
}

#[test]
fn many_files_whose_list_is_no_part_of_the_record_come_back() {
    let env = TestEnv::new();
    for n in 0..3000 {
        env.write(&format!("many/{}/{n}", n % 17), format!("file {n}"));
    }
    env.ok(&["create", "many"]);
    check_round_trip(&env, "many");
}

#[test]
fn an_archive_goes_through_a_pipe() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 500_000));
    let created = env.json(&["create", "plain"]);
    let said = env.run(&["export", "plain", "-o", "-", "--format", "tar.zst"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert!(said.stderr.contains("Exported plain"), "{}", said.stderr);
    let other = TestEnv::new();
    let imported = other.run_with_input(&["--json", "import", "-"], &said.stdout).json();
    assert_eq!(imported["id"], created["id"]);
    // However somebody packed it anew.
    let plain = filtered("zstd", &["-dc"], &said.stdout);
    for (program, arguments) in [("gzip", ["-c", "-1"]), ("zstd", ["-c", "-19"])] {
        let other = TestEnv::new();
        let packed = filtered(program, &arguments, &plain);
        assert_eq!(other.run_with_input(&["--json", "import", "-"], &packed).json()["id"], created["id"]);
    }
    env.fails(2, &["export", "plain", "-o", "-"]);
    let said = env.fails(2, &["export", "plain", "-o", "plain.zip"]);
    assert!(said.contains("plain.zip") && said.contains(".tar.zst"), "{said}");
    env.ok(&["snapshot", "export", "--service", "plain", "-o", "plain.odd", "--format", "tar"]);
    assert_eq!(env.json(&["snapshot", "import", "plain.odd"])["is_new"], false);
}

#[test]
fn an_import_may_have_another_name_and_needs_no_room_of_its_own() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 500_000));
    let created = env.json(&["create", "plain"]);
    env.ok(&["export", "plain", "-o", "plain.tar"]);
    let imported = env.json(&["import", "plain.tar", "--name", "copy"]);
    assert_eq!(imported["source"], "copy");
    assert_eq!(imported["exported_id"], created["id"]);
    assert!(imported["stored_bytes"].as_u64().unwrap() < 5000, "{imported}");
    assert!(env.back("copy") == env.back("plain"));
    assert_eq!(env.json(&["import", "plain.tar", "--name", "copy"])["is_new"], false);
    assert_eq!(env.count(), 2);
    // One that was deleted is the same again.
    env.ok(&["delete", "plain", "--yes"]);
    let said = env.ok(&["import", "plain.tar"]);
    assert!(said.starts_with("Imported plain as "), "{said}");
    assert_eq!(env.json(&["show", "plain"])["id"], created["id"]);
}

#[test]
fn what_an_encrypted_store_hides_is_written_only_when_somebody_says_so() {
    let env = TestEnv::bare();
    env.write("password", "secret");
    let args = |more: &[&'static str]| [&["--password-file", "password"], more].concat();
    env.ok(&args(&["init", "--encrypt"]));
    fill_directory(&env);
    env.ok(&args(&["create", "tree", "--tag", "kept"]));
    let said = env.fails(15, &args(&["export", "tree", "-o", "tree.tar.zst"]));
    assert!(said.contains("encrypted") && said.contains("--decrypt"), "{said}");
    assert!(!env.path("tree.tar.zst").exists());
    env.ok(&args(&["export", "tree", "-o", "tree.tar.zst", "--decrypt"]));
    // There it is, and is the same again if it is not.
    let id = env.json(&args(&["show", "tree"]))["id"].clone();
    assert_eq!(env.json(&args(&["import", "tree.tar.zst"]))["is_new"], false);
    env.ok(&args(&["delete", "tree", "--yes"]));
    assert_eq!(env.json(&args(&["import", "tree.tar.zst"]))["id"], id);
    // Elsewhere it has another id, and the same content.
    let other = TestEnv::new();
    let archive = env.path("tree.tar.zst");
    let imported = other.json(&["import", archive.to_str().unwrap()]);
    assert_eq!(imported["exported_id"], id);
    assert_ne!(imported["id"], id);
    assert_eq!(other.json(&["import", archive.to_str().unwrap()])["is_new"], false);
    assert_eq!(other.count(), 1);
    other.ok(&["restore", "tree", "--to", "back"]);
    assert_eq!(looks(&other.path("back")), looks(&env.path("tree")));
    // And back from there it is what it was.
    other.ok(&["export", "tree", "-o", "back.tar"]);
    env.ok(&args(&["delete", "tree", "--yes"]));
    let back = other.path("back.tar");
    let back = env.json(&["--password-file", "password", "import", back.to_str().unwrap()]);
    assert_eq!(back["id"], id);
}
