//! What is put aside, kept for good, or removed.

use std::fs;

use super::user::User;
use super::{assert_is, changed, ledger, names, set};

#[test]
fn a_rollback_brings_back_what_the_last_restore_preserved() {
    let env = changed("wal");
    let live = env.path("data/ledger.db");
    env.ok(&["restore", "ledger", "--yes"]);
    set(&live, "second");
    let said = env.run(&["restore", "ledger", "--yes", "--preserve"]);
    assert!(said.stderr.contains("`icecore rollback ledger` brings it back"), "{}", said.stderr);
    assert_eq!(names(&env), ["ledger.db", "ledger.db_20261120_100300"]);
    assert_is(&env.path("data/ledger.db_20261120_100300"), "second");
    // It is named before anything is done.
    let refused = env.run(&["rollback", "ledger"]);
    assert_eq!(refused.status, 15, "{}", refused.stderr);
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "second");
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "captured");
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "second");
}

#[test]
fn what_is_preserved_is_left_alone_by_all_else() {
    let env = changed("wal");
    let live = env.path("data/ledger.db");
    env.ok(&["restore", "ledger", "--yes", "--preserve"]);
    set(&live, "second");
    // A later restore is what is undone, whichever way it went.
    env.ok(&["restore", "ledger", "--yes", "--replace"]);
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "second");
    let kept: Vec<String> = names(&env).into_iter().filter(|name| name.starts_with("ledger.db_2")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_is(&env.path(&format!("data/{}", kept[0])), "live");
}

#[test]
fn names_that_are_taken_stay_whose_they_are() {
    let env = changed("wal");
    let live = env.path("data/ledger.db");
    fs::write(env.path("data/ledger.db_20261120_100200"), "mine").unwrap();
    let said = env.fails(15, &["restore", "ledger", "--yes", "--preserve"]);
    assert!(said.contains("ledger.db_20261120_100200 is there already"), "{said}");
    assert_eq!(env.read("data/ledger.db_20261120_100200"), b"mine");
    assert_is(&live, "live");
}

#[test]
fn what_is_removed_is_in_the_store_before() {
    let env = changed("wal");
    let live = env.path("data/ledger.db");
    env.ok(&["restore", "ledger", "--yes", "--replace"]);
    assert_is(&live, "captured");
    assert_eq!(names(&env), ["ledger.db"]);
    // It is no snapshot of the ledger: nobody meant to keep it.
    let listed = env.json(&["list", "ledger"]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
    let listed = env.json(&["list", "ledger.before-restore"]);
    assert_eq!(listed["snapshots"][0]["tags"][0], "before-restore", "{listed}");
    // Nor is it the latest, unless that is asked for.
    for meant in [&["latest"][..], &["--at", "1 second ago"]] {
        let restored = env.json(&[&["restore", "--to", "data/new.db", "--yes"], meant].concat());
        assert_eq!(restored["source"], "ledger", "{meant:?}");
    }
    let restored = env.json(&["restore", "ledger.before-restore", "--to", "data/new.db", "--yes"]);
    assert_eq!(restored["source"], "ledger.before-restore");
    fs::remove_file(env.path("data/new.db")).unwrap();
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "live");
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "captured");
}

#[test]
fn what_cannot_be_captured_is_not_removed() {
    let env = ledger("delete");
    env.write("data/ledger.db", b"no database, or an encrypted one".repeat(1000));
    let said = env.run(&["restore", "ledger", "--yes", "--replace"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert!(said.stderr.contains("what was there is still there, as"), "{}", said.stderr);
    assert_is(&env.path("data/ledger.db"), "captured");
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
}

#[test]
fn what_sqlite_cannot_read_is_kept_to_the_byte() {
    let env = ledger("delete");
    let live = env.path("data/ledger.db");
    let mut torn = fs::read(&live).unwrap();
    torn[100..4096].fill(0xff);
    for bytes in [b"no database, or an encrypted one".repeat(1000), torn, Vec::new()] {
        fs::write(&live, &bytes).unwrap();
        env.ok(&["restore", "ledger", "--yes"]);
        assert_is(&live, "captured");
        assert!(env.read("data/ledger.db__ice_old") == bytes);
        env.ok(&["rollback", "ledger", "--yes"]);
        assert!(env.read("data/ledger.db") == bytes);
    }
    // Its log may hold what the file does not, and nobody here can tell.
    fs::write(&live, b"no database, or an encrypted one".repeat(1000)).unwrap();
    fs::write(env.path("data/ledger.db-wal"), "the rest").unwrap();
    let said = env.fails(15, &["restore", "ledger", "--yes"]);
    assert!(said.contains("ledger.db-wal may hold a part"), "{said}");
    assert_eq!(env.read("data/ledger.db-wal"), b"the rest");
    // Who moves them away has them.
    fs::create_dir(env.path("away")).unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::rename(env.path("data").join(name), env.path("away").join(name)).unwrap();
    }
    env.ok(&["restore", "ledger", "--yes"]);
    assert_is(&live, "captured");
}

#[test]
fn what_a_crash_left_in_a_log_is_in_what_is_put_aside() {
    let env = changed("wal");
    let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
    let mut user = User::open(&live);
    user.run("UPDATE t SET a = 'in the log'");
    drop(user);
    assert!(env.path("data/ledger.db-wal").metadata().unwrap().len() > 0);
    env.ok(&["restore", "ledger", "--yes"]);
    assert_is(&live, "captured");
    assert_is(&old, "in the log");
    // What is done to the one that is kept comes back with it.
    let mut user = User::open(&old);
    user.run("UPDATE t SET a = 'in the log of the old one'");
    drop(user);
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "in the log of the old one");
    assert_is(&old, "captured");
}

#[test]
fn what_a_crash_left_half_done_is_undone_in_what_is_put_aside() {
    let env = changed("delete");
    let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
    let mut user = User::open(&live);
    // A cache of one page: the file is written before the transaction ends.
    user.run("PRAGMA cache_size = 1; BEGIN; UPDATE t SET a = 'half'; INSERT INTO t SELECT 'half', randomblob(1000000)");
    drop(user);
    assert!(env.path("data/ledger.db-journal").metadata().unwrap().len() > 0);
    env.ok(&["restore", "ledger", "--yes"]);
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    assert_is(&live, "captured");
    assert_is(&old, "live");
}

#[test]
fn what_replaces_the_file_of_a_service_is_put_aside_whatever_the_snapshot_is_called() {
    let env = ledger("wal");
    let live = env.path("data/ledger.db");
    env.ok(&["create", "data/ledger.db", "--name", "another"]);
    set(&live, "older");
    env.ok(&["restore", "ledger", "--yes"]);
    set(&live, "newer");
    env.ok(&["restore", "another", "--yes"]);
    assert_is(&live, "captured");
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "newer");
}

#[test]
fn what_replaces_a_file_is_put_aside_however_the_file_was_named() {
    let env = ledger("wal");
    let live = env.path("data/ledger.db");
    set(&live, "older");
    env.ok(&["restore", "ledger", "--yes"]);
    set(&live, "newer");
    env.ok(&["restore", "ledger", "--to", "data/ledger.db", "--yes"]);
    assert_is(&live, "captured");
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "newer");
    // It need not be a service.
    env.ok(&["restore", "ledger", "--to", "other.db"]);
    set(&env.path("other.db"), "another");
    let restored = env.json(&["restore", "ledger", "--to", "other.db", "--yes"]);
    assert_eq!(restored["kept"], env.path("other.db__ice_old").to_str().unwrap(), "{restored}");
    env.ok(&["rollback", "other.db", "--yes"]);
    assert_is(&env.path("other.db"), "another");
}

#[test]
fn a_record_that_is_damaged_is_told_of_once_in_a_rollback() {
    let env = changed("delete");
    env.ok(&["create", "ledger"]);
    let records = env.files(".icecore/snapshots");
    env.ok(&["restore", "ledger", "--yes", "--replace"]);
    fs::write(&records[0], "damaged").unwrap();
    let said = env.run(&["rollback", "ledger", "--yes"]);
    let told = said.stderr.lines().filter(|line| line.starts_with("warning: ")).count();
    assert_eq!(told, 1, "{}", said.stderr);
    assert_is(&env.path("data/ledger.db"), "live");
}
