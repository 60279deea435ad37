//! A store that may only be read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Said, TestEnv, noise};

/// An ordinary user: root may write everywhere.
const NOBODY: &str = "65534";

/// The program as somebody who may read the store, but not write it.
fn as_nobody(env: &TestEnv, arguments: &[&str]) -> Said {
    Said::of(&mut nobody(env, arguments, Some(env.path("home"))))
}

fn nobody(env: &TestEnv, arguments: &[&str], home: Option<PathBuf>) -> Command {
    let program = env.path("icecore");
    let like = env.command(arguments);
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let mut command = if is_root {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]).arg(program);
        setpriv
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir(env.path("")).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    command.envs(home.map(|home| ("HOME", home)));
    command
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| allow(&entry.unwrap().path(), mode));
    }
}

fn read_only_store() -> TestEnv {
    let env = TestEnv::new();
    fs::copy(env!("CARGO_BIN_EXE_icecore"), env.path("icecore")).unwrap();
    env.write("f", noise(1, 400_000));
    env.ok(&["create", "f"]);
    fs::create_dir(env.path("home")).unwrap();
    fs::set_permissions(env.path("home"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(env.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    allow(&env.path(".icecore"), 0o555);
    env
}

#[test]
fn reading_needs_no_right_to_write_with_an_index_and_without() {
    let env = read_only_store();
    for turn in ["with its index", "without an index"] {
        for arguments in [&["list"][..], &["show", "f"], &["stats"], &["verify"], &["gc", "--dry-run"]] {
            let said = as_nobody(&env, arguments);
            assert_eq!(said.status, 0, "{arguments:?} {turn}: {}", said.stderr);
        }
        let said = as_nobody(&env, &["restore", "f", "--to", "-"]);
        assert!(said.stdout == noise(1, 400_000), "{turn}: {}", said.stderr);
        assert!(env.path("home/.cache/icecore").is_dir(), "the index lies with the user's own files");
        allow(&env.path(".icecore"), 0o755);
        drop(fs::remove_file(env.path(".icecore/index.redb")));
        allow(&env.path(".icecore"), 0o555);
        fs::remove_dir_all(env.path("home/.cache")).unwrap();
    }
    allow(&env.path(".icecore"), 0o755);
}

/// Nor a place for an index: then that of the store is read, or one lies in memory.
#[test]
fn reading_needs_no_right_to_write_anywhere() {
    for home in [Some("home"), None] {
        let env = read_only_store();
        let (store, index) = (env.path(".icecore"), env.path(".icecore/index.redb"));
        allow(&store, 0o755);
        fs::copy(&index, env.path("old-index")).unwrap();
        env.write("g", noise(2, 100_000));
        env.ok(&["create", "g"]);
        fs::set_permissions(env.path("home"), fs::Permissions::from_mode(0o555)).unwrap();
        let run =
            |arguments: &[&str]| Said::of(&mut nobody(&env, arguments, home.map(|home| env.path(home))));
        for turn in ["with its index", "with an older index", "without an index"] {
            match turn {
                "with an older index" => drop(fs::copy(env.path("old-index"), &index).unwrap()),
                "without an index" => fs::remove_file(&index).unwrap(),
                _ => (),
            }
            allow(&store, 0o555);
            for arguments in [&["list"][..], &["show", "f"], &["stats"], &["verify"], &["gc", "--dry-run"]] {
                let said = run(arguments);
                assert_eq!(said.status, 0, "{arguments:?} {turn} {home:?}: {}", said.stderr);
            }
            for (source, bytes) in [("f", noise(1, 400_000)), ("g", noise(2, 100_000))] {
                let said = run(&["restore", source, "--to", "-"]);
                assert!(said.stdout == bytes, "{turn} {home:?}: {}", said.stderr);
            }
            allow(&store, 0o755);
        }
    }
}

#[test]
fn writing_needs_it_and_says_where() {
    let env = read_only_store();
    let packs = env.files(".icecore/packs");
    for arguments in [&["create", "f"][..], &["gc"], &["tag", "add", "f", "x"], &["delete", "f", "--yes"]] {
        let said = as_nobody(&env, arguments);
        assert_eq!(said.status, 1, "{arguments:?}: {}", said.stderr);
        assert!(
            said.stderr.contains("permission denied\nhint: look at the owner"),
            "{arguments:?}: {}",
            said.stderr
        );
        assert!(said.stderr.contains(".icecore/"), "{arguments:?}: {}", said.stderr);
    }
    allow(&env.path(".icecore"), 0o755);
    assert_eq!(env.files(".icecore/packs"), packs);
    assert!(env.back("f") == noise(1, 400_000));
}
