//! Commands that say whether a restored database is good.

use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::PostgresServer;

use crate::support::TestEnv;

#[test]
fn a_command_sees_the_restored_postgres_database_and_decides() {
    let server = PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "UPDATE t SET a = 2");
    let check = |wanted: &str| {
        format!(
            "!test \"$(psql -XAtc 'SELECT a FROM t')\" = {wanted} && test $ICECORE_DATABASE = $PGDATABASE"
        )
    };
    let said = env.fails(15, &["restore", "shop", "--yes", "--check", &check("2")]);
    assert!(said.contains("what was restored fails the check") && said.contains("exit status 1"), "{said}");
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "2");
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE '%ice%'"), "0");
    env.ok(&["restore", "shop", "--yes", "--check", &check("1"), "--check", "SELECT true"]);
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "1");
    // Nobody else sees a table before all is done.
    let said = env.fails(15, &["restore", "shop", "--table", "t", "--yes", "--check", "!true"]);
    assert!(said.contains("a command sees nothing of it"), "{said}");
}

#[test]
fn a_command_sees_the_restored_mysql_database_and_decides() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); INSERT INTO shop.t VALUES (1)");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let said = env.fails(15, &["restore", "shop", "--yes", "--check", "!test $ICECORE_DATABASE = shop"]);
    assert!(said.contains("fails the check"), "{said}");
    env.ok(&[
        "restore",
        "shop",
        "--yes",
        "--check",
        "!case $ICECORE_DATABASE in shop__ice_new_*) true;; *) false;; esac",
    ]);
}

#[test]
fn a_command_sees_the_restored_sqlite_database_and_decides() {
    let env = TestEnv::new();
    let database = rusqlite::Connection::open(env.path("shop.db")).unwrap();
    database.execute_batch("CREATE TABLE t AS SELECT 1 AS a").unwrap();
    env.ok(&["create", "shop.db"]);
    let check = |wanted: &str| {
        format!(
            "!test \"$(sqlite3 -readonly \"file:$ICECORE_DATABASE?immutable=1\" 'SELECT a FROM t')\" = {wanted}"
        )
    };
    env.fails(15, &["restore", "shop.db", "--yes", "--check", &check("2")]);
    env.ok(&["restore", "shop.db", "--yes", "--check", &check("1")]);
}

/// Queries that confirm nothing, and what is said of them.
const NO: [(&str, &str); 5] = [
    ("SELECT 0", "\"SELECT 0\": it is false (0);"),
    ("SELECT 0.0", "it is false (0"),
    ("SELECT NULL", "it is null;"),
    ("SELECT a FROM t WHERE a = 7", "it gives no row;"),
    ("SELECT nothing", "nothing"),
];
/// And some that do.
const YES: [&str; 4] = ["SELECT 2", "SELECT -1", "SELECT 'Ada'", "SELECT a = 1 FROM t"];

#[track_caller]
fn ask(env: &TestEnv, series: &str) {
    for (query, why) in NO {
        let said = env.fails(15, &["restore", series, "--yes", "--check", query]);
        let is_whole = said.contains("fails the check") && said.contains("what was there was not touched");
        assert!(is_whole && said.contains(why) && said.contains("an older snapshot"), "{query}: {said}");
    }
    for query in YES {
        env.ok(&["restore", series, "--yes", "--check", query]);
    }
}

#[test]
fn a_query_means_the_same_in_postgres() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    ask(&env, "shop");
    env.fails(15, &["restore", "shop", "--yes", "--check", "SELECT false"]);
}

#[test]
fn a_query_means_the_same_in_sqlite() {
    let env = TestEnv::new();
    let database = rusqlite::Connection::open(env.path("shop.db")).unwrap();
    database.execute_batch("CREATE TABLE t AS SELECT 1 AS a").unwrap();
    env.ok(&["create", "shop.db"]);
    ask(&env, "shop.db");
}

#[test]
fn a_query_means_the_same_in_mysql_and_writes_nothing() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); INSERT INTO shop.t VALUES (1)");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    ask(&env, "shop");
    // A server makes and drops tables all the same, but gives no row for it.
    for (writes, why) in [("INSERT INTO t VALUES (2) RETURNING a", "READ ONLY"), ("DROP TABLE t", "no row")] {
        let said = env.fails(15, &["restore", "shop", "--yes", "--check", writes]);
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(server.sql("shop", "SELECT * FROM t; SHOW TABLES"), "1\nt\n");
}
