//! Rollbacks that nothing in the store helps any more.

use std::path::Path;

use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::PostgresServer;

use crate::support::{Said, TestEnv};

/// Damages everything that is stored of snapshots.
fn rot(env: &TestEnv) {
    for pack in env.files(".icecore/packs") {
        let mut bytes = std::fs::read(&pack).unwrap();
        let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
        bytes[from..to].iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(pack, bytes).unwrap();
    }
}

/// What the rollback says, with status 13; then types the command that it hints at.
#[track_caller]
fn refused(env: &TestEnv, source: &str, kept: &str) {
    let ids: Vec<String> = env.json(&["list", source_name(source)])["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|snapshot| snapshot["id"].as_str().unwrap()[..8].to_owned())
        .collect();
    let said = env.fails(13, &["rollback", source, "--emergency"]);
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors.as_slice() else { panic!("{said}") };
    assert!(error.contains("all whole snapshots of") && ids.iter().all(|id| error.contains(id)), "{said}");
    assert!(!said.contains("allow-damaged"), "{said}");
    let hint = said.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
    assert!(hint.contains(kept), "{said}");
    let command = hint.split('`').nth(1).unwrap().strip_prefix("icecore ").unwrap();
    let mut shell = env.command_of(Path::new("sh"), &["-c", &format!("\"$0\" {command} --yes")]);
    Said::of(shell.arg(env!("CARGO_BIN_EXE_icecore"))).ok();
}

/// What its snapshots are called here.
fn source_name(source: &str) -> &str {
    if source.contains("://") { "shop" } else { source }
}

#[test]
fn where_all_snapshots_of_a_postgres_database_are_damaged_what_was_put_aside_comes_back() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let (env, url) = (TestEnv::new(), server.url("shop"));
    env.ok(&["create", &url]);
    server.sql("shop", "UPDATE t SET a = 2");
    env.ok(&["create", &url]);
    env.ok(&["restore", "shop~1", "--yes"]);
    rot(&env);
    refused(&env, &url, "shop__ice_old");
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "2");
    // A restore that gives back all or nothing has no use for --allow-damaged.
    let said = env.fails(13, &["restore", "shop", "--yes"]);
    assert!(said.contains("an older snapshot") && !said.contains("allow-damaged"), "{said}");
}

#[test]
fn where_all_snapshots_of_a_mysql_database_are_damaged_what_was_put_aside_comes_back() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t AS SELECT 1 AS a");
    let (env, url) = (TestEnv::new(), server.url("shop"));
    env.ok(&["create", &url]);
    server.sql("shop", "UPDATE t SET a = 2");
    env.ok(&["restore", "shop", "--yes"]);
    rot(&env);
    refused(&env, &url, "shop__ice_old");
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "2\n");
}

#[test]
fn where_all_snapshots_of_a_sqlite_database_are_damaged_what_was_put_aside_comes_back() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.ledger]\nurl = 'sqlite:ledger.db'\n");
    let database = || rusqlite::Connection::open(env.path("ledger.db")).unwrap();
    let amount = || database().query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    database().execute_batch("CREATE TABLE t AS SELECT 1 AS a").unwrap();
    env.ok(&["create", "ledger"]);
    database().execute_batch("UPDATE t SET a = 2").unwrap();
    env.ok(&["restore", "ledger", "--yes"]);
    assert_eq!(amount(), 1);
    rot(&env);
    refused(&env, "ledger", "ledger.db__ice_old");
    assert_eq!(amount(), 2);
    // The same once more: it swapped the two.
    refused(&env, "ledger", "ledger.db__ice_old");
    assert_eq!(amount(), 1);
}

#[test]
fn where_nothing_was_put_aside_verify_and_repair_are_named() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.ledger]\nurl = 'sqlite:ledger.db'\n");
    rusqlite::Connection::open(env.path("ledger.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    env.ok(&["create", "ledger"]);
    rot(&env);
    let said = env.fails(13, &["rollback", "ledger", "--emergency"]);
    assert!(said.contains("icecore verify") && said.contains("icecore repair"), "{said}");
}

#[test]
fn what_is_called_so_on_another_server_is_not_taken_for_a_service() {
    let table = |n: u32| format!("CREATE TABLE t AS SELECT {n} AS a");
    let (here, elsewhere) =
        (PostgresServer::with_database("shop", &table(1)), PostgresServer::with_database("shop", &table(2)));
    let env = TestEnv::new();
    env.write("icecore.toml", format!("[services.shop]\nurl = '{}'\n", here.url("shop")));
    env.ok(&["create", "shop"]);
    env.ok(&["create", &elsewhere.url("shop")]);
    here.sql("shop", "UPDATE t SET a = 7");
    env.ok(&["rollback", "shop", "--emergency"]);
    assert_eq!(here.sql("shop", "SELECT a FROM t"), "1");
    let said = env.run(&["restore", "shop", "--yes"]).fails(0);
    assert!(said.contains("the snapshot was taken at"), "{said}");
    assert_eq!(here.sql("shop", "SELECT a FROM t"), "2");
    let said = env.run(&["restore", "shop~1", "--yes"]).fails(0);
    assert!(!said.contains("was taken at"), "{said}");
}
