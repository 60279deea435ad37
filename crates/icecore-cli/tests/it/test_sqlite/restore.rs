//! Restores, and what becomes of what was there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use super::{assert_is, changed, ledger, names, set};
use crate::running::wait_until;

#[test]
fn a_restore_takes_the_place_of_what_is_there_and_is_rolled_back() {
    for journal_mode in ["delete", "wal"] {
        let env = changed(journal_mode);
        let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
        let before = fs::read(&live).unwrap();
        let refusal = env.fails(15, &["restore", "ledger"]);
        assert!(refusal.contains("is there, and was not touched") && refusal.contains("--yes"), "{refusal}");
        assert!(refusal.contains("data/ledger.db (") && refusal.contains("icecore rollback"), "{refusal}");
        assert!(fs::read(&live).unwrap() == before);
        assert_eq!(names(&env), ["ledger.db"]);

        let restored = env.json(&["restore", "ledger", "--yes"]);
        assert_eq!(restored["kept"], old.to_str().unwrap());
        assert_is(&live, "captured");
        assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
        assert!(fs::read(&old).unwrap() == before, "what is kept is what was there, to the byte");

        env.ok(&["rollback", "ledger", "--yes"]);
        assert_is(&live, "live");
        assert!(fs::read(&live).unwrap() == before);
        env.ok(&["rollback", "--yes"]);
        assert_is(&live, "captured");
        env.fails(15, &["rollback", "ledger"]);
        env.ok(&["rollback", "sqlite:data/ledger.db", "--yes"]);
        assert_is(&live, "live");
        // The next restore keeps what it replaces, and no more.
        set(&live, "later");
        let said = env.run(&["restore", "ledger", "--yes"]);
        assert!(
            said.stderr
                .contains("__ice_old, which the restore before put aside, goes once this one has succeeded"),
            "{}",
            said.stderr
        );
        said.ok();
        assert_is(&old, "later");
        assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    }
}

#[test]
fn what_a_check_finds_leaves_everything_as_it_was() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    let before = fs::read(&live).unwrap();
    for (check, why) in [
        ("SELECT count(*) > 1 FROM t", "it is false"),
        ("SELECT a FROM missing", "no such table"),
        ("SELECT max(a) FROM t WHERE a = 'live'", "it is null"),
        ("DELETE FROM t", "readonly database"),
    ] {
        let said = env.fails(15, &["restore", "ledger", "--yes", "--check", check]);
        assert!(said.contains(why) && said.contains(check), "{said}");
        assert!(fs::read(&live).unwrap() == before);
        assert_eq!(names(&env), ["ledger.db"]);
    }
    env.ok(&["restore", "ledger", "--yes", "--check", "SELECT count(*) = 1 FROM t"]);
    assert_is(&live, "captured");
}

/// A snapshot may be a stranger's, and what looks like a table be a view without an end.
#[test]
fn a_check_without_an_end_is_interrupted() {
    let env = ledger("delete");
    let live = env.path("data/ledger.db");
    let endless =
        "CREATE VIEW orders AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n";
    Connection::open(&live).unwrap().execute_batch(endless).unwrap();
    env.ok(&["create", "ledger"]);
    set(&live, "live");
    let before = fs::read(&live).unwrap();
    let restore = env.start(&["restore", "ledger", "--yes", "--check", "SELECT count(*) > 0 FROM orders"]);
    wait_until(|| names(&env).len() == 2);
    sleep(Duration::from_millis(500));
    let interrupted = Instant::now();
    restore.send(Signal::INT);
    restore.said().fails(130);
    assert!(interrupted.elapsed() < Duration::from_secs(5), "{:?}", interrupted.elapsed());
    assert!(fs::read(&live).unwrap() == before);
    assert_eq!(names(&env), ["ledger.db"]);
}

#[test]
fn links_modes_and_owners_stay() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    fs::set_permissions(&live, fs::Permissions::from_mode(0o640)).unwrap();
    env.ok(&["create", "ledger"]);
    set(&live, "later");
    fs::create_dir(env.path("elsewhere")).unwrap();
    fs::rename(&live, env.path("elsewhere/real.db")).unwrap();
    symlink("../elsewhere/real.db", &live).unwrap();
    env.ok(&["restore", "ledger", "--yes"]);
    assert!(live.is_symlink());
    assert_is(&live, "live");
    assert_eq!(names(&env), ["ledger.db"]);
    let owner = |name: &str| {
        let meta = env.path(name).metadata().unwrap();
        (meta.mode() & 0o777, meta.uid(), meta.gid())
    };
    assert_eq!(owner("elsewhere/real.db").0, 0o640);
    assert_eq!(owner("elsewhere/real.db"), owner("elsewhere/real.db__ice_old"));
    env.ok(&["rollback", "ledger", "--yes"]);
    assert!(live.is_symlink());
    assert_is(&live, "later");
}

#[test]
fn a_database_that_is_no_service_follows_the_same_rules() {
    let env = changed("delete");
    for to in ["data/copy.db", "sqlite:data/copy.db"] {
        env.ok(&["restore", "ledger", "--to", to]);
        assert_eq!(names(&env), ["copy.db", "ledger.db"]);
        set(&env.path("data/copy.db"), "another");
        env.ok(&["restore", "ledger", "--to", to, "--yes"]);
        assert_eq!(names(&env), ["copy.db", "copy.db__ice_old", "ledger.db"]);
        env.ok(&["rollback", "data/copy.db", "--yes"]);
        assert_is(&env.path("data/copy.db"), "another");
        for name in ["copy.db", "copy.db__ice_old"] {
            fs::remove_file(env.path("data").join(name)).unwrap();
        }
    }
    env.fails(15, &["restore", "ledger", "--to", "data/new.db", "--check", "SELECT 0"]);
    env.ok(&["restore", "ledger", "--to", "data/new.db", "--check", "SELECT 1"]);
    assert_is(&env.path("data/new.db"), "captured");
    for arguments in [["--in-place", "--yes"], ["--part", "ledger.db"], ["--create-roles", "--yes"]] {
        env.fails(2, &[&["restore", "ledger"], &arguments[..]].concat());
    }
    env.write("notes.txt", "no database");
    env.ok(&["create", "notes.txt"]);
    let said = env.fails(2, &["restore", "notes.txt", "--to", "sqlite:data/new.db", "--yes"]);
    assert!(said.contains("is not of a SQLite database"), "{said}");
    env.fails(2, &["restore", "notes.txt", "--replace", "--yes"]);
    // A configuration that is wrong matters to those who need it.
    env.write("icecore.toml", "[services.ledger]\nengine = 'oracle'\n");
    env.ok(&["restore", "ledger", "--to", "data/copy.db", "--yes"]);
    env.fails(2, &["restore", "ledger", "--yes"]);
    assert_is(&env.path("data/ledger.db"), "live");
}

#[test]
fn killed_at_any_moment_a_restore_loses_nothing() {
    let env = ledger("wal");
    let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
    let started = Instant::now();
    env.ok(&["restore", "ledger", "--yes"]);
    let took = started.elapsed();
    let mut swapped = 0;
    for round in 0..24_u32 {
        let mark = format!("round {round}");
        set(&live, &mark);
        let restore = env.start(&["restore", "ledger", "--yes"]);
        sleep(took * (round % 12 + 1) / 10);
        restore.kill();
        // Whatever it came to, what was there is there, or comes back.
        let connection = Connection::open(&live).unwrap();
        let found: String = connection.query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
        drop(connection);
        if found != mark {
            assert_eq!(found, "captured");
            swapped += 1;
            env.ok(&["rollback", "ledger", "--yes"]);
            assert_is(&live, &mark);
            assert_is(&old, "captured");
        }
    }
    assert!(swapped < 24, "none was killed in time");
    env.ok(&["restore", "ledger", "--yes"]);
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
}
