//! Others who have the database open, or restore it too.

use std::fs;

use rusqlite::Connection;

use super::user::User;
use super::{assert_is, changed, names};

#[test]
fn a_database_that_is_locked_is_refused_before_anything_is_written() {
    for (journal_mode, sql) in [
        ("wal", "SELECT a FROM t"),
        ("wal", "BEGIN IMMEDIATE; SELECT a FROM t"),
        ("delete", "BEGIN; SELECT a FROM t"),
        ("delete", "BEGIN IMMEDIATE; SELECT a FROM t"),
    ] {
        let env = changed(journal_mode);
        let live = env.path("data/ledger.db");
        let mut user = User::open(&live);
        assert_eq!(user.run(sql), "live");
        let before = (fs::read(&live).unwrap(), names(&env));
        let said = env.fails(15, &["restore", "ledger", "--yes"]);
        assert!(
            said.contains("is in use by another process") && said.contains("nothing was touched"),
            "{said}"
        );
        assert!((fs::read(&live).unwrap(), names(&env)) == before);
        // Its user notices nothing.
        assert_eq!(user.run("SELECT a FROM t"), "live");
        drop(user);
        env.ok(&["restore", "ledger", "--yes"]);
    }
}

#[test]
fn what_is_put_aside_is_not_taken_from_whoever_reads_it() {
    let env = changed("wal");
    env.ok(&["restore", "ledger", "--yes"]);
    let mut user = User::open(&env.path("data/ledger.db__ice_old"));
    assert_eq!(user.run("SELECT a FROM t"), "live");
    for command in [["restore", "ledger", "--yes"], ["rollback", "ledger", "--yes"]] {
        let said = env.fails(15, &command);
        assert!(said.contains("__ice_old is in use by another process"), "{said}");
        assert!(said.contains("nothing was"), "{said}");
    }
    assert_is(&env.path("data/ledger.db"), "captured");
    assert_eq!(user.run("SELECT a FROM t"), "live");
}

#[test]
fn whoever_has_the_database_open_is_named() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    let mut user = User::open(&live);
    assert_eq!(user.run("SELECT a FROM t"), "live");
    let said = env.run(&["restore", "ledger", "--yes"]);
    let named = format!("process {} (sqlite3) has", user.id());
    assert!(said.stderr.contains(&named), "{}", said.stderr);
    said.ok();
    // SQLite itself lets nobody write to a database that has moved.
    assert_eq!(user.run("SELECT a FROM t"), "live");
    user.run("UPDATE t SET a = 'lost'");
    assert_is(&live, "captured");
    assert_is(&env.path("data/ledger.db__ice_old"), "live");
}

#[test]
fn restores_and_rollbacks_at_once_leave_two_whole_databases() {
    let env = changed("wal");
    env.ok(&["restore", "ledger", "--yes"]);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let env = &env;
            scope.spawn(move || {
                for round in 0..6 {
                    let command = if (worker + round) % 2 == 0 { "restore" } else { "rollback" };
                    let said = env.run(&[command, "ledger", "--yes"]);
                    // One at a time; whoever looked at another file than is there by now, or finds it locked, is told so.
                    assert!(matches!(said.status, 0 | 11 | 15), "{command}: {}", said.stderr);
                }
            });
        }
    });
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    for name in ["data/ledger.db", "data/ledger.db__ice_old"] {
        let connection = Connection::open(env.path(name)).unwrap();
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "{name}");
    }
}
