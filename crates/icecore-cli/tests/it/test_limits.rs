//! Rights, files, memory and stores that go while somebody works.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::running::{Running, wait_until};
use crate::support::{Said, TestEnv, noise};

/// A capture that begins, waits until `go` is there, and goes on with what `noise` holds.
fn begin_slow(mut command: std::process::Command, env: &TestEnv) -> Running {
    let running = Running::start(&mut command);
    wait_until(|| env.path("started").exists());
    running
}

const SLOW: [&str; 7] = [
    "create",
    "--name",
    "slow",
    "--",
    "sh",
    "-c",
    "touch started; while ! [ -e go ]; do sleep 0.02; done; cat noise",
];

/// A command of somebody who is not root, for whom rights do not count.
fn as_nobody(env: &TestEnv, arguments: &[&str]) -> std::process::Command {
    let binary = env.path("icecore-copy");
    if !binary.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_icecore"), &binary).unwrap();
        std::fs::set_permissions(env.path(""), Permissions::from_mode(0o777)).unwrap();
    }
    let binary = binary.to_str().unwrap();
    if !rustix::process::geteuid().is_root() {
        return env.command_of(Path::new(binary), arguments);
    }
    let mut all = vec!["--reuid=65534", "--regid=65534", "--clear-groups", binary];
    all.extend(arguments);
    env.command_of(Path::new("setpriv"), &all)
}

/// Sets the rights of the store's directories, for its owner.
fn set_rights(env: &TestEnv, mode: u32) {
    let mut left = vec![env.path(".icecore")];
    while let Some(dir) = left.pop() {
        std::fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
        let entries = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        left.extend(entries.filter(|path| path.is_dir()));
    }
}

#[test]
fn a_create_that_loses_its_rights_fails_and_what_was_stored_stays_readable() {
    let env = TestEnv::bare();
    let run = |arguments: &[&str]| Said::of(&mut as_nobody(&env, arguments));
    let before = noise(1, 300_000);
    env.write("before", &before);
    env.write("noise", noise(2, 3_000_000));
    run(&["init", "--pack-size", "300k"]).ok();
    run(&["create", "before"]).ok();
    let create = begin_slow(as_nobody(&env, &SLOW), &env);
    set_rights(&env, 0o500);
    env.write("go", "");
    let said = create.said().fails(1);
    assert!(said.contains("/.icecore/") && said.contains("permission denied"), "{said}");
    assert!(said.contains("hint: look at the owner and the permissions of the store"), "{said}");
    // Reading needs no right to write.
    run(&["verify"]).ok();
    assert!(run(&["restore", "before", "--to", "-"]).stdout == before);
    let said = run(&["create", "before"]).fails(1);
    assert!(said.contains("permission denied"), "{said}");

    set_rights(&env, 0o700);
    run(&["gc"]).ok();
    assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new());
    assert_eq!(env.files(".icecore/tmp").len(), 2, "the lock and the reserve");
    run(&["create", "noise"]).ok();
    run(&["verify"]).ok();
}

#[test]
fn a_store_that_may_only_be_read_and_has_no_index_can_be_read() {
    let env = TestEnv::bare();
    let run = |arguments: &[&str]| Said::of(&mut as_nobody(&env, arguments));
    let content = noise(1, 300_000);
    env.write("f", &content);
    run(&["init"]).ok();
    run(&["create", "f"]).ok();
    std::fs::remove_file(env.path(".icecore/index.redb")).unwrap();
    std::fs::remove_file(env.path(".icecore/index.lock")).unwrap();
    set_rights(&env, 0o500);
    for command in ["list", "stats", "verify"] {
        run(&[command]).ok();
    }
    run(&["show", "f"]).ok();
    assert!(run(&["restore", "f", "--to", "-"]).stdout == content);
    set_rights(&env, 0o700);
}

/// Saved in a new directory at the store's old place, the snapshot would have been found by nobody.
#[test]
fn a_create_whose_store_vanishes_is_no_success_and_makes_no_new_store() {
    let vanish: [fn(&TestEnv); 2] = [
        |env| std::fs::rename(env.path(".icecore"), env.path("elsewhere")).unwrap(),
        // As when it is unmounted: the directory below comes to light.
        |env| {
            std::fs::rename(env.path(".icecore"), env.path("elsewhere")).unwrap();
            std::fs::create_dir(env.path(".icecore")).unwrap();
        },
    ];
    for (vanish, len) in vanish.into_iter().flat_map(|vanish| [(vanish, 10), (vanish, 3_000_000)]) {
        let env = TestEnv::new();
        env.write("f", "f");
        env.ok(&["create", "f"]);
        env.write("noise", noise(1, len));
        let create = begin_slow(env.command(&SLOW), &env);
        vanish(&env);
        env.write("go", "");
        let said = create.said().fails(1);
        assert!(said.contains("/.icecore"), "{said}");
        assert!(said.contains("is gone") || said.contains("is not there any more"), "{said}");
        assert_eq!(env.files(".icecore/snapshots"), Vec::<PathBuf>::new());
        let _ = std::fs::remove_dir_all(env.path(".icecore"));
        std::fs::rename(env.path("elsewhere"), env.path(".icecore")).unwrap();
        env.ok(&["gc"]);
        env.ok(&["verify"]);
        assert_eq!(env.count(), 1);
    }
}

/// A tree of 25 levels with 20 files each.
fn deep_tree(env: &TestEnv) {
    let mut dir = "tree".to_owned();
    for level in 0..25 {
        for number in 0..20 {
            env.write(&format!("{dir}/file-{number}"), noise(level * 100 + number, 2000));
        }
        dir = format!("{dir}/{level}");
    }
}

fn under_limit(env: &TestEnv, limit: &str, arguments: &[&str]) -> Said {
    let script = format!("ulimit {limit}; exec \"$@\"");
    let mut all = vec!["-c", &script, "sh", env!("CARGO_BIN_EXE_icecore")];
    all.extend(arguments);
    Said::of(&mut env.command_of(Path::new("sh"), &all))
}

#[test]
fn forty_open_files_are_enough_for_a_deep_tree_and_too_few_store_nothing() {
    let env = TestEnv::new();
    deep_tree(&env);
    for (limit, target) in [(40, Some("restored")), (24, None), (16, None), (12, None), (8, None), (5, None)]
    {
        let before = env.count();
        let said = under_limit(&env, &format!("-n {limit}"), &["create", "tree"]);
        if said.status == 0 {
            assert_eq!(env.count(), before + 1);
        } else {
            assert!(target.is_none() && said.status != 3, "{limit}: {}", said.stderr);
            assert!(said.stderr.contains("too many open files"), "{limit}: {}", said.stderr);
            assert!(!said.stderr.contains("permissions"), "{limit}: {}", said.stderr);
            assert_eq!(env.count(), before, "{limit}");
        }
        let to = format!("restored-{limit}");
        let said = under_limit(&env, &format!("-n {limit}"), &["restore", "tree", "--to", &to]);
        if said.status == 0 {
            let (here, there) = (env.files("tree"), env.files(&to));
            assert_eq!(here.len(), there.len());
            assert!(
                here.iter().zip(&there).all(|(a, b)| std::fs::read(a).unwrap() == std::fs::read(b).unwrap())
            );
        } else {
            assert!(target.is_none(), "{limit}: {}", said.stderr);
            assert!(said.stderr.contains("too many open files"), "{limit}: {}", said.stderr);
            assert!(!env.path(&to).exists());
        }
        env.ok(&["verify"]);
        assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new(), "{limit}");
    }
}

/// However it ends, nothing is harmed. What is limited is address space, of which an allocator reserves much more than it uses.
#[test]
fn too_little_memory_harms_nothing() {
    let env = TestEnv::new();
    env.write("small", noise(1, 100_000));
    env.ok(&["create", "small"]);
    env.write("f", noise(2, 20_000_000));
    let mut ends = std::collections::BTreeSet::new();
    for megabytes in [20, 40, 60, 80, 100, 140, 200, 300, 500, 1000, 4000] {
        let script = format!("ulimit -v {}; exec \"$@\"", megabytes * 1024);
        let mut command =
            env.command_of(Path::new("sh"), &["-c", &script, "sh", env!("CARGO_BIN_EXE_icecore")]);
        // It may well abort, and need not do so in words.
        let ended = command.args(["create", "f"]).output().unwrap();
        ends.insert(ended.status.code());
        env.ok(&["verify"]);
        let f = env.run(&["restore", "f", "--to", "-"]);
        assert!(f.status == 10 || f.stdout == noise(2, 20_000_000), "{megabytes}: {}", f.stderr);
        assert!(!ended.status.success() || f.status == 0, "{megabytes}");
        assert!(env.back("small") == noise(1, 100_000));
    }
    assert!(ends.len() > 1 && ends.contains(&Some(0)), "{ends:?}");
    env.ok(&["gc"]);
    assert_eq!(env.files(".icecore/claims"), Vec::<PathBuf>::new());
}
