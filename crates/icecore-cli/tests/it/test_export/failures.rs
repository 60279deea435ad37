//! Exports and imports that fail leave nothing.

use std::fs;
use std::process::Stdio;

use super::{BLOCK, check_round_trip};
use crate::running::wait_until;
use crate::small_disk::SmallDisk;
use crate::support::{Said, TestEnv, noise};

/// What lies in the folder besides the store.
fn names(env: &TestEnv) -> Vec<String> {
    let entries = fs::read_dir(env.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_str().unwrap().to_owned()).collect();
    names.retain(|name| name != ".icecore");
    names.sort();
    names
}

#[test]
fn what_is_there_is_replaced_only_when_somebody_says_so() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 100_000));
    env.ok(&["create", "plain"]);
    env.write("out.tar", "mine");
    let said = env.fails(15, &["export", "plain", "-o", "out.tar"]);
    assert!(said.contains("out.tar exists already, and was not touched") && said.contains("--yes"), "{said}");
    assert_eq!(env.read("out.tar"), b"mine");
    env.ok(&["export", "plain", "-o", "out.tar", "--yes"]);
    assert_eq!(env.json(&["import", "out.tar"])["is_new"], false);
    let said = env.fails(2, &["export", "plain", "-o", ".icecore/packs/x.tar"]);
    assert!(said.contains("lies in the store itself"), "{said}");
    fs::create_dir(env.path("folder.tar")).unwrap();
    env.fails(2, &["export", "plain", "-o", "folder.tar", "--yes"]);
    env.fails(1, &["export", "plain", "-o", "no/such/folder.tar"]);
    let made = std::process::Command::new("mkfifo").arg(env.path("pipe.tar")).status();
    assert!(made.unwrap().success());
    let said = env.fails(2, &["export", "plain", "-o", "pipe.tar", "--yes"]);
    assert!(said.contains("pipe.tar is no place for a file"), "{said}");
    assert!(!env.path("pipe.tar").is_file());
    assert_eq!(names(&env), ["folder.tar", "out.tar", "pipe.tar", "plain"]);
    env.fails(10, &["import", "nothing.tar"]);
    env.fails(2, &["import", "folder.tar"]);
}

#[test]
fn a_damaged_snapshot_is_not_exported() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 1_000_000));
    env.ok(&["create", "plain"]);
    env.write("out.tar", "mine");
    for pack in env.files(".icecore/packs") {
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(pack, bytes).unwrap();
    }
    let said = env.fails(13, &["export", "plain", "-o", "out.tar", "--yes"]);
    assert!(said.contains("is damaged in plain"), "{said}");
    assert_eq!(env.read("out.tar"), b"mine");
    env.fails(13, &["export", "plain", "-o", "new.tar"]);
    assert_eq!(names(&env), ["out.tar", "plain"]);
}

#[test]
fn a_full_disk_leaves_no_archive_and_no_snapshot() {
    let disk = SmallDisk::new("24m");
    let env = &disk.env;
    env.write("plain", noise(1, 9_000_000));
    env.ok(&["--store", "elsewhere", "init"]);
    env.ok(&["--store", "elsewhere", "create", "plain"]);
    // The archive lies on the small disk.
    disk.fill(4 << 20);
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let output = format!(".icecore/out.{ending}");
        let said = disk.icecore(&["--store", "elsewhere", "export", "plain", "-o", &output]).fails(1);
        assert!(said.contains("out.tar") && said.contains("no space left"), "{said}");
        assert!(disk.files("").iter().all(|path| path.to_str().unwrap().contains("filler")));
    }
    disk.clear();
    // The store does.
    env.ok(&["--store", "elsewhere", "export", "plain", "-o", "out.tar"]);
    disk.icecore(&["init"]).ok();
    disk.fill(5 << 20);
    let said = disk.icecore(&["import", "out.tar"]).fails(1);
    assert!(said.contains("no space left"), "{said}");
    disk.check_leftovers();
    disk.icecore(&["list"]).ok();
    disk.clear();
    disk.icecore(&["import", "out.tar"]).ok();
    disk.icecore(&["verify"]).ok();
    disk.check_restore("plain", &noise(1, 9_000_000));
}

#[test]
fn a_full_device_is_told() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 1_000_000));
    env.ok(&["create", "plain"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = env.command(&["export", "plain", "-o", "-", "--format", "tar"]);
    let output = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let said = Said::new(output).fails(1);
    assert!(said.contains("standard output") && said.contains("no space left"), "{said}");
}

#[test]
fn an_export_that_is_killed_leaves_no_archive_and_the_next_one_tidies_up() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 40_000_000));
    env.ok(&["create", "plain"]);
    let leftovers = || names(&env).into_iter().filter(|name| name.starts_with(".out.tar.gz.")).count();
    let running = env.start(&["export", "plain", "-o", "out.tar.gz"]);
    wait_until(|| leftovers() == 1);
    running.kill();
    assert!(!env.path("out.tar.gz").exists());
    env.ok(&["export", "plain", "-o", "out.tar.gz"]);
    assert_eq!(leftovers(), 0);
    // One that is interrupted tidies up itself.
    let running = env.start(&["export", "plain", "-o", "out.tar.gz", "--yes"]);
    wait_until(|| leftovers() == 1);
    running.send(rustix::process::Signal::INT);
    assert_eq!(running.said().status, 130);
    assert_eq!(leftovers(), 0);
    assert_eq!(env.json(&["import", "out.tar.gz"])["is_new"], false);
}

#[test]
fn an_import_that_is_killed_leaves_no_snapshot_and_can_be_run_again() {
    use std::io::Write as _;
    let env = TestEnv::new();
    env.write("plain", noise(1, 40_000_000));
    env.ok(&["create", "plain"]);
    env.ok(&["export", "plain", "-o", "out.tar"]);
    let archive = env.read("out.tar");
    let other = TestEnv::new();
    for part in [1, 300, 700, 999] {
        let mut command = other.command(&["import", "-"]);
        let mut running = crate::running::Running::start(command.stdin(Stdio::piped()));
        let mut stdin = running.stdin();
        stdin.write_all(&archive[..archive.len() / 1000 * part]).unwrap();
        running.kill();
        assert_eq!(other.count(), 0);
        other.ok(&["verify"]);
    }
    let said = other.run_with_input(&["import", "-"], &archive).ok();
    assert!(said.starts_with("Imported plain"), "{said}");
    other.ok(&["verify"]);
    assert!(other.back("plain") == env.read("plain"));
}

#[test]
fn what_was_cut_off_is_refused_wherever_that_was() {
    let env = TestEnv::new();
    super::fill_directory(&env);
    env.ok(&["create", "tree"]);
    let other = TestEnv::new();
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let name = format!("out.{ending}");
        env.ok(&["export", "tree", "-o", &name]);
        let archive = env.read(&name);
        // Here and there, around the beginning and around the end, where blocks begin.
        let step = archive.len() / 40;
        let cuts = (0..40).map(|n| n * step + n % 7).chain([1, BLOCK, BLOCK + 1]);
        let ends = [1, 2, 4, 9, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, 3 * BLOCK].map(|back| archive.len() - back);
        for len in cuts.chain(ends) {
            let said = other.run_with_input(&["import", "-"], &archive[..len]);
            assert!(matches!(said.status, 1 | 13), "{ending} {len}: {} {}", said.status, said.stderr);
            let cut_off =
                said.stderr.contains("cut off") || said.status == 1 || said.stderr.contains("damaged");
            assert!(cut_off, "{ending} {len}: {}", said.stderr);
        }
        assert_eq!(other.count(), 0);
    }
    other.ok(&["verify"]);
    check_round_trip(&env, "tree");
}

#[test]
fn what_was_cut_off_is_refused_where_the_snapshot_is_there_already() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 300_000));
    env.ok(&["create", "plain"]);
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let name = format!("out.{ending}");
        env.ok(&["export", "plain", "-o", &name]);
        let archive = env.read(&name);
        let cuts = (1..8).map(|n| archive.len() / 8 * n);
        let ends = [1, 9, BLOCK, 2 * BLOCK, 3 * BLOCK].map(|back| archive.len() - back);
        for len in cuts.chain(ends) {
            let said = env.run_with_input(&["import", "-"], &archive[..len]);
            assert_eq!(said.status, 13, "{ending} {len}: {}", said.stderr);
            let words = ["cut off", "damaged"];
            assert!(words.iter().any(|word| said.stderr.contains(word)), "{ending} {len}: {}", said.stderr);
        }
        let mut changed = archive.clone();
        changed[archive.len() / 2] ^= 1;
        env.run_with_input(&["import", "-"], &changed).fails(13);
        let said = env.run_with_input(&["import", "-"], &archive).ok();
        assert!(said.starts_with("Nothing to do: plain "), "{said}");
    }
    assert_eq!(env.count(), 1);
    env.ok(&["verify"]);
}

#[test]
fn an_import_brings_back_what_a_snapshot_that_is_there_has_lost() {
    let env = TestEnv::new();
    env.write("plain", noise(1, 300_000));
    env.ok(&["create", "plain"]);
    env.ok(&["export", "plain", "-o", "out.tar"]);
    let packs = env.files(".icecore/packs");
    fs::remove_file(packs.iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap()).unwrap();
    env.fails(13, &["restore", "plain", "--to", "-"]);
    let said = env.ok(&["import", "out.tar"]);
    assert!(said.contains(" is there already; what it had lost is there again: 30"), "{said}");
    assert_eq!(env.count(), 1);
    assert!(env.back("plain") == env.read("plain"));
    env.ok(&["verify"]);
}

#[test]
fn what_was_changed_is_refused_or_the_same() {
    let env = TestEnv::new();
    env.write("tree/a", noise(1, 20_000));
    env.write("tree/b/c", "some text\n".repeat(1000));
    env.ok(&["create", "tree", "--note", "noted", "--tag", "t"]);
    let id = env.json(&["show", "tree"])["id"].clone();
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let name = format!("out.{ending}");
        env.ok(&["export", "tree", "-o", &name]);
        let archive = env.read(&name);
        let mut same = 0;
        let step = (archive.len() / 150).max(1);
        for at in (0..archive.len()).step_by(step) {
            let mut changed = archive.clone();
            changed[at] ^= 1 << (at % 8);
            let other = TestEnv::new();
            let said = other.run_with_input(&["--json", "import", "-"], &changed);
            match said.status {
                0 => {
                    assert_eq!(said.json()["id"], id, "{ending} {at}");
                    same += 1;
                }
                status => {
                    assert!(matches!(status, 1 | 13), "{ending} {at}: {}", said.stderr);
                    assert_eq!(other.count(), 0);
                }
            }
        }
        // A header of gzip or zstd holds bits that mean nothing to us; a tarball of ours holds none.
        assert!(same == 0 || (ending != "tar" && same < 5), "{ending}: {same}");
    }
}
