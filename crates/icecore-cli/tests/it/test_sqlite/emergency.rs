//! Emergencies: the newest snapshot that is sound.

use std::fs;

use rusqlite::Connection;

use super::{assert_is, changed, set};
use crate::support::TestEnv;

#[test]
fn an_emergency_takes_the_newest_snapshot_that_is_sound() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    // Captured as it is, a page of rubbish included.
    let connection = Connection::open(&live).unwrap();
    connection.execute_batch("CREATE TABLE u AS SELECT randomblob(3000) AS b FROM t").unwrap();
    drop(connection);
    let mut torn = fs::read(&live).unwrap();
    let last = torn.len() - 4096;
    torn[last..].fill(0xff);
    fs::write(&live, torn).unwrap();
    env.ok(&["create", "ledger"]);
    let said = env.run(&["rollback", "ledger", "--emergency"]);
    assert!(
        said.stderr.contains("is no sound database") && said.stderr.contains("trying the one before"),
        "{}",
        said.stderr
    );
    said.ok();
    assert_is(&live, "captured");
    fs::remove_file(&live).unwrap();
    env.ok(&["rollback", "ledger", "--emergency"]);
    assert_is(&live, "captured");
}

#[test]
fn an_emergency_takes_no_snapshot_of_a_file_elsewhere() {
    let env = TestEnv::new();
    for folder in ["one", "two"] {
        fs::create_dir(env.path(folder)).unwrap();
        let path = env.path(&format!("{folder}/ledger.db"));
        let sql = format!("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('{folder}')");
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        env.ok(&["create", path.to_str().unwrap()]);
        set(&path, "changed");
    }
    env.ok(&["rollback", "sqlite:one/ledger.db", "--emergency"]);
    assert_is(&env.path("one/ledger.db"), "one");
    assert_is(&env.path("two/ledger.db"), "changed");
    // Also when it is not there any more.
    fs::remove_file(env.path("one/ledger.db")).unwrap();
    env.ok(&["rollback", "sqlite:one/ledger.db", "--emergency"]);
    assert_is(&env.path("one/ledger.db"), "one");
}
