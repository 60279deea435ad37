//! SQLite databases as services: restored by the same rules as those of servers.

mod aside;
mod emergency;
mod others;
mod restore;
pub(crate) mod user;

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::support::TestEnv;

/// A service with one table, as it was captured: `a` is 'captured'.
fn ledger(journal_mode: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.ledger]\nurl = 'sqlite:data/ledger.db'\n");
    fs::create_dir(env.path("data")).unwrap();
    let connection = Connection::open(env.path("data/ledger.db")).unwrap();
    connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (a TEXT, b BLOB); INSERT INTO t VALUES ('captured', randomblob(100000))",
        )
        .unwrap();
    drop(connection);
    env.ok(&["create", "ledger"]);
    env
}

/// Captured, and changed since.
fn changed(journal_mode: &str) -> TestEnv {
    let env = ledger(journal_mode);
    set(&env.path("data/ledger.db"), "live");
    env
}

fn set(path: &Path, a: &str) {
    Connection::open(path).unwrap().execute("UPDATE t SET a = ?1", [a]).unwrap();
}

#[track_caller]
fn assert_is(path: &Path, a: &str) {
    let connection = Connection::open(path).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let found: String = connection.query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!((sound.as_str(), found.as_str()), ("ok", a), "{}", path.display());
}

/// What lies in the folder of the database.
fn names(env: &TestEnv) -> Vec<String> {
    let entries = fs::read_dir(env.path("data")).unwrap();
    let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
