//! Full disks, and ends at the worst moment.

use icecore_testkit::postgres::PostgresServer;

use super::{databases, meanwhile, slow_shop, start, start_long_capture};
use crate::running::wait_until;
use crate::support::TestEnv;

#[test]
fn a_server_whose_disk_is_full_has_what_was_there() {
    let server = PostgresServer::start_on_small_disk("54m");
    let env = TestEnv::new();
    let url = server.url("shop");
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT a, repeat(md5(a::text), 8) AS b FROM generate_series(1, 40000) a; CHECKPOINT");
    env.ok(&["create", &url]);
    server.sql("shop", "UPDATE t SET b = 'live' WHERE a = 1");
    let said = env.fails(1, &["restore", "shop", "--yes"]);
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "40000");
    assert_eq!(databases(&server), "shop");
    // Where there is room, the same snapshot is as good as ever.
    server.sql("shop", "DROP TABLE t; CHECKPOINT");
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t WHERE b = repeat(md5(a::text), 8)"), "40000");
}

/// A database with something in it that changed after it was captured.
fn shop(server: &PostgresServer, env: &TestEnv) -> String {
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a, 'captured' AS b");
    let url = server.url("shop");
    env.ok(&["create", &url]);
    server.sql("shop", "UPDATE t SET b = 'live'");
    url
}

/// A check that holds the restore where all is done but the swap.
const GATE: [&str; 5] = ["restore", "shop", "--yes", "--check", "SELECT pg_sleep(6) IS NOT NULL"];

#[test]
fn killed_just_before_the_swap_a_restore_leaves_what_was_there() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    shop(&server, &env);
    let restore = start(&env, &server, &GATE, "pg_sleep.6");
    restore.kill();
    assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    assert!(databases(&server).starts_with("shop\nshop__ice_new_"));
    env.fails(10, &["rollback", &server.url("shop"), "--yes"]);
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(databases(&server), "shop\nshop__ice_old");
    assert_eq!(server.sql("shop__ice_old", "SELECT b FROM t WHERE a = 1"), "live");
}

#[test]
fn a_server_that_dies_just_before_the_swap_has_what_was_there() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    shop(&server, &env);
    let restore = start(&env, &server, &GATE, "pg_sleep.6");
    server.kill();
    let said = restore.said();
    assert!(matches!(said.status, 1 | 15), "{}", said.stderr);
    server.restart();
    assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_capture_that_is_killed_makes_no_snapshot_and_holds_nothing() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let url = shop(&server, &env);
    let create = start_long_capture(&env, &server, &url);
    create.kill();
    assert_eq!(env.count(), 1);
    // Its sessions end when the server next writes to them, and with them their locks.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('icecore', 'pg_dump')";
    wait_until(|| server.sql("postgres", sessions) == "0");
    server.sql("shop", "SET lock_timeout = '1s'; DROP TABLE large");
    env.ok(&["create", &url]);
    assert_eq!(env.count(), 2);
}

#[test]
fn a_table_that_is_dropped_meanwhile_is_captured_whole() {
    let env = TestEnv::new();
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE a AS SELECT n, repeat(md5(n::text), 100) AS b FROM generate_series(1, 30000) n;
        CREATE TABLE z AS SELECT n FROM generate_series(1, 1000) n",
    );
    let create = start(&env, &server, &["create", &server.url("shop")], "COPY");
    let alter = "DROP TABLE z; ALTER TABLE a RENAME b TO c; CREATE TABLE z AS SELECT 'new' AS n";
    meanwhile(&server, alter, create);
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_eq!(server.sql("copy", "SELECT count(b), (SELECT sum(n) FROM z) FROM a"), "30000|500500");
    assert_eq!(server.sql("shop", "SELECT count(c), (SELECT min(n) FROM z) FROM a"), "30000|new");
}

#[test]
fn a_restore_that_is_killed_leaves_what_was_there() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    // In the middle of the rows, and in the middle of the indexes.
    for query in ["COPY", "CREATE INDEX slowly"] {
        let restore = start(&env, &server, &["restore", "shop", "--yes"], query);
        restore.kill();
        assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    }
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "c4ca4238a0b923820dcc509a6f75849b");
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_server_that_dies_in_a_restore_still_has_what_was_there() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    for query in ["COPY", "CREATE INDEX slowly"] {
        let restore = start(&env, &server, &["restore", "shop", "--yes"], query);
        server.kill();
        let said = restore.said().fails(1);
        assert!(said.contains("shop__ice_new"), "{said}");
        server.restart();
        assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    }
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_server_that_dies_in_a_capture_makes_no_snapshot() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    let url = slow_shop(&server, &env);
    let create = start_long_capture(&env, &server, &url);
    server.kill();
    create.said().fails(14);
    server.restart();
    assert_eq!(env.count(), 2);
    env.ok(&["create", &url]);
}
