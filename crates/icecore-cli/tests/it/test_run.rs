//! A command between two snapshots, and the way back if it fails.

mod plans;
mod servers;
mod signals;
mod terminal;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Said, TestEnv, check_keys};

/// A SQLite database that is the service `shop`, with a table of one row.
fn shop() -> TestEnv {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.shop]\nengine = 'sqlite'\npath = 'shop.db'\n");
    sql(&env, "CREATE TABLE orders (n INTEGER); INSERT INTO orders VALUES (1)");
    env
}

fn sql(env: &TestEnv, statements: &str) {
    Connection::open(env.path("shop.db")).unwrap().execute_batch(statements).unwrap();
}

/// The sum over all rows.
fn sum(env: &TestEnv) -> i64 {
    let database = Connection::open(env.path("shop.db")).unwrap();
    database.query_row("SELECT sum(n) FROM orders", [], |row| row.get(0)).unwrap()
}

/// A line for the shell that adds a row, and what follows.
fn add(n: u32, then: &str) -> String {
    format!("sqlite3 shop.db 'INSERT INTO orders VALUES ({n})'; {then}")
}

/// The snapshots and their tags, oldest first.
fn tags(env: &TestEnv) -> Vec<String> {
    let listed = env.json(&["list"]);
    let tags = |it: &Value| {
        let tags: Vec<&str> =
            it["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        tags.join(" ")
    };
    listed["snapshots"].as_array().unwrap().iter().rev().map(tags).collect()
}

fn run(env: &TestEnv, arguments: &[&str], script: &str) -> Said {
    env.run(&[&["run"], arguments, &["shop", "--", "sh", "-c", script]].concat())
}

#[test]
fn what_a_command_changed_is_told() {
    let env = shop();
    let said = run(&env, &[], &add(2, "echo from the command; echo to stderr >&2"));
    let stderr = said.stderr.clone();
    // Standard output is the command's alone.
    assert_eq!(said.ok(), "from the command\n");
    assert!(stderr.contains("Saved shop as ") && stderr.contains("tagged before-run: "), "{stderr}");
    assert!(stderr.contains("to stderr\n") && stderr.contains("tagged after-run: "), "{stderr}");
    assert!(stderr.contains("Parts compared with before: 1 changed."), "{stderr}");
    assert_eq!((tags(&env), sum(&env)), (vec!["before-run".to_owned(), "after-run".to_owned()], 3));
    // Both can be gone back to, and nothing is in the way of an ordinary night.
    env.ok(&["restore", "shop@before-run", "--yes"]);
    assert_eq!(sum(&env), 1);
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(sum(&env), 3);
    let said = run(&env, &["--tag", "release-2", "--tag", "x"], "true");
    assert!(said.stderr.contains("Nothing has changed in 1 part."), "{}", said.stderr);
    assert_eq!(tags(&env)[2..], ["release-2 x", "after-run"]);
    let said = run(&env, &["--quiet"], "echo only this");
    assert_eq!((said.stderr.as_str(), said.text().as_str()), ("", "only this\n"));
    let said = run(&env, &["--no-after"], "true");
    assert!(!said.stderr.contains("after-run") && !said.stderr.contains("changed"), "{}", said.stderr);
}

#[test]
fn a_failed_command_is_undone_when_that_was_asked_for() {
    let env = shop();
    let said = run(&env, &["--rollback"], &add(2, "exit 7"));
    assert!(said.stderr.contains("warning: the command failed with status 7 after "), "{}", said.stderr);
    assert!(said.stderr.contains("Restored shop "), "{}", said.stderr);
    assert_eq!((said.fails(7), sum(&env)).1, 1);
    // What the failed command did is kept, as by any restore.
    env.ok(&["rollback", "shop", "--yes"]);
    assert_eq!(sum(&env), 3);
    // --yes says yes to what would be asked.
    assert_eq!(run(&env, &["--yes"], &add(4, "exit 1")).status, 1);
    assert_eq!(sum(&env), 3);
}

#[test]
fn without_anybody_to_ask_the_way_back_is_printed_and_works() {
    let env = shop();
    for quiet in [&["--quiet"][..], &[]] {
        let said = run(&env, quiet, &add(2, "exit 3"));
        let stderr = said.stderr.clone();
        said.fails(3);
        assert_eq!(sum(&env), 3);
        let command = stderr.split('`').nth(1).unwrap_or_else(|| panic!("{stderr}"));
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        assert!(command.starts_with("icecore restore ") && words.last() == Some(&"--yes"), "{stderr}");
        env.ok(&words);
        assert_eq!(sum(&env), 1);
    }
}

#[test]
fn a_command_never_starts_without_a_snapshot_before_it() {
    let env = shop();
    let never = |arguments: &[&str], status: i32, why: &str| {
        let said = env.fails(status, arguments);
        assert!(said.contains(why), "{said}");
        assert!(!env.path("ran").exists(), "{said}");
    };
    let touch = ["--", "touch", "ran"];
    std::fs::rename(env.path("shop.db"), env.path("elsewhere")).unwrap();
    never(&[&["run", "shop"], &touch[..]].concat(), 10, "shop.db");
    std::fs::rename(env.path("elsewhere"), env.path("shop.db")).unwrap();
    never(&[&["run", "--store", "nowhere", "shop"], &touch[..]].concat(), 10, "nowhere");
    never(&[&["run", "shopp"], &touch[..]].concat(), 10, "did you mean \"shop\"?");
    never(&[&["run", "-"], &touch[..]].concat(), 2, "standard input cannot be restored");
    never(&["run", "--", "touch", "ran"], 2, "say of what");
    never(&["run", "shop"], 2, "say what to run");
    never(&["run", "shop", "--", ""], 2, "say what to run");
    never(&["run", "shop", "--", "no-such-program"], 127, "there is no program no-such-program");
    never(&["run", "shop", "--", "./shop.db"], 126, "cannot run ./shop.db: permission denied");
    never(&["run", "shop", "--", "/"], 126, "cannot run /");
    never(&["run", "--rollback=x", "shop", "--", "touch", "ran"], 2, "names a step of a plan");
    assert_eq!(env.count(), 0);
}

#[test]
fn what_is_not_whole_is_nothing_to_go_back_to() {
    let env = TestEnv::new();
    env.write("tree/a", "a");
    let made = std::os::unix::net::UnixListener::bind(env.path("tree/socket")).unwrap();
    // A name that is no UTF-8 is no finding; a file that cannot be read is.
    let unreadable = env.write("tree/b", "b");
    std::fs::set_permissions(&unreadable, std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    let run = |more: &[&str]| {
        env.run_by_modes(&[&["run", "--store", ".icecore"], more, &["tree", "--", "touch", "ran"]].concat())
    };
    drop(made);
    let stderr = run(&[]).fails(15);
    assert!(stderr.contains("is not whole, 1 thing could not be captured"), "{stderr}");
    assert!(!env.path("ran").exists());
    assert_eq!(run(&["--allow-incomplete"]).status, 0);
    assert!(env.path("ran").exists());
}

#[test]
fn json_is_one_document_and_the_commands_output_goes_elsewhere() {
    let env = shop();
    let said = run(&env, &["--json"], &add(2, "echo loud"));
    assert!(said.stderr.contains("loud\n"), "{}", said.stderr);
    let document = said.json();
    check_keys(
        &document,
        &["source", "status", "steps", "rolled_back_to", "restored", "after", "changes", "notes"],
    );
    check_keys(&document["steps"][0], &["name", "snapshot", "status", "signal", "duration_ms", "restore"]);
    check_keys(&document["changes"], &["new", "changed", "gone", "same", "parts"]);
    check_keys(&document["changes"]["parts"][0], &["name", "kind", "change", "before", "after"]);
    assert_eq!(document["changes"]["changed"], 1);
    assert_eq!((&document["status"], &document["steps"][0]["status"]), (&0.into(), &0.into()));
    let said = run(&env, &["--json", "--rollback"], &add(4, "kill -9 $$"));
    assert_eq!(said.status, 137);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let step = &document["steps"][0];
    assert_eq!(
        (&document["status"], &step["status"], &step["signal"]),
        (&137.into(), &Value::Null, &9.into())
    );
    assert_eq!(document["rolled_back_to"], step["snapshot"]);
    assert_eq!(document["restored"]["id"], step["snapshot"]);
    assert_eq!(sum(&env), 3);
}

#[test]
fn a_command_that_took_its_database_away_gets_it_back() {
    let env = shop();
    let said = run(&env, &["--rollback"], "rm shop.db; exit 1");
    assert_eq!((said.fails(1), sum(&env)).1, 1);
    // And one that succeeded has succeeded, though nobody can look any more.
    let said = run(&env, &[], "rm shop.db");
    assert!(said.stderr.contains("nobody knows what it changed: "), "{}", said.stderr);
    said.fails(3);
    env.ok(&["restore", "shop@before-run"]);
    assert_eq!(sum(&env), 1);
}

#[test]
fn a_rollback_that_fails_says_so_and_how_it_is_tried_again() {
    let env = shop();
    let said = run(&env, &["--rollback"], &add(2, "rm -r .icecore/packs; exit 9"));
    let stderr = said.stderr.clone();
    assert_eq!(said.status, 13, "{stderr}");
    assert!(
        stderr.contains("the command failed with status 9 after ")
            && stderr.contains("could not be restored: "),
        "{stderr}"
    );
    assert!(stderr.contains("hint: `icecore restore ") && stderr.contains(" --yes` brings back"), "{stderr}");
    assert_eq!(sum(&env), 3);
}

#[test]
fn directories_and_files_are_brought_back_too() {
    let env = TestEnv::new();
    env.write("tree/a", "a");
    env.write("tree/b", "b");
    let script = "rm tree/a; echo other > tree/b; echo new > tree/c; exit 2";
    env.fails(2, &["run", "--rollback", "tree", "--", "sh", "-c", script]);
    assert_eq!((env.read("tree/a"), env.read("tree/b")), (b"a".to_vec(), b"b".to_vec()));
    assert!(!env.path("tree/c").exists());
    let script = "rm tree/a; echo other > tree/b; echo new > tree/c";
    let document = env.json(&["run", "tree", "--", "sh", "-c", script]);
    let changes = &document["changes"];
    assert_eq!((&changes["gone"], &changes["changed"], &changes["new"]), (&1.into(), &1.into(), &1.into()));
    env.write("plain", "plain");
    env.fails(4, &["run", "--rollback", "./plain", "--", "sh", "-c", "echo x > plain; exit 4"]);
    assert_eq!(env.read("plain"), b"plain");
}

#[test]
fn a_volume_that_is_mounted_is_rewritten_where_it_is() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("volume")).unwrap();
    let script = "mount -t tmpfs none volume && echo before > volume/f && echo 1 > volume/gone
        \"$0\" run --rollback ./volume -- sh -c 'rm volume/gone; echo after > volume/f; echo > volume/new; exit 3'
        echo $? $(ls volume) $(cat volume/f)";
    let namespace = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let arguments =
        [namespace, "sh", "-ec", &script.replace("exit 3'", "exit 3' ||"), env!("CARGO_BIN_EXE_icecore")];
    let said = Said::of(&mut env.command_of(std::path::Path::new("unshare"), &arguments));
    assert_eq!(said.text().lines().last(), Some("3 f gone before"), "{}", said.stderr);
}

#[test]
fn the_environment_is_the_users_and_no_password_is_put_into_it() {
    let env = shop();
    env.write("icecore.toml", "[services.shop]\nengine = 'sqlite'\npath = 'shop.db'\n[services.other]\nurl = 'postgres://a:hush@localhost/b'\n");
    let mut command = env.command(&["run", "shop", "--", "env"]);
    let mut expected: Vec<String> = command
        .env("MINE", "mine")
        .get_envs()
        .map(|(name, value)| format!("{}={}", name.to_str().unwrap(), value.unwrap().to_str().unwrap()))
        .collect();
    let said = Said::of(&mut command).ok();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    expected.sort();
    assert_eq!(lines, expected);
}

#[test]
fn snapshots_of_runs_name_nothing_when_it_is_pruned() {
    let env = shop();
    for _ in 0..3 {
        run(&env, &[], "true").ok();
    }
    run(&env, &["--tag", "release"], "true").ok();
    env.ok(&["prune", "--policy", "last 1"]);
    assert_eq!(tags(&env), ["release", "after-run"]);
}
