//! What was exported, restored by the tools of its own engine as the archive's README says it: icecore has no part in it.

use std::fs;
use std::process::Command;

use icecore_testkit::mariadb::{EVERYTHING as MARIADB_EVERYTHING, MariaDbServer};
use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use super::{check_round_trip, follow};
use crate::support::{Said, TestEnv, assert_same};
use crate::test_redis::{Redis, filled};

fn place(server: &PostgresServer) -> Vec<(&'static str, String)> {
    let folder = server.socket_dir().display().to_string();
    vec![("PGHOST", folder), ("PGPORT", server.port().to_string()), ("PGUSER", "postgres".to_owned())]
}

#[test]
fn a_database_of_postgresql_comes_back_by_psql_alone() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop", &[]);
    for ending in ["tar.zst", "tar.gz", "tar"] {
        let archive = format!("shop.{ending}");
        env.ok(&["export", "shop", "-o", &archive]);
        server.sql("postgres", "DROP DATABASE shop");
        follow(&env, &archive, "", &place(&server));
        assert_same(&captured, &server.dump("shop", &[]));
    }
    check_round_trip(&env, "shop");
}

#[test]
fn an_archive_of_pg_dump_comes_back_by_pg_restore_alone() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2)",
    );
    let env = TestEnv::new();
    let captured = server.dump("shop", &[]);
    let mut dump = Command::new("pg_dump");
    dump.args(["-Fc", "-Z0", "shop", "-f"]).arg(env.path("shop")).envs(place(&server));
    Said::of(&mut dump).ok();
    env.ok(&["create", "shop"]);
    env.ok(&["export", "shop", "-o", "shop.tar.zst"]);
    server.sql("postgres", "DROP DATABASE shop");
    follow(&env, "shop.tar.zst", "", &place(&server));
    assert_same(&captured, &server.dump("shop", &[]));
}

#[test]
fn a_cluster_of_postgresql_comes_back_by_tar_alone() {
    let mut server =
        PostgresServer::with_database("shop", "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop"), "--physical"]);
    let captured = server.dump("shop", &["--create"]);
    env.ok(&["export", "shop.physical", "-o", "cluster.tar.gz"]);
    server.sql("shop", "DROP TABLE t");
    server.stop();
    follow(&env, "cluster.tar.gz", "pg_ctl", &[]);
    let data = server.data_dir();
    fs::remove_dir_all(&data).unwrap();
    // It may be another file system.
    Said::of(Command::new("cp").arg("-a").arg(env.path("data")).arg(&data)).ok();
    server.restart();
    assert_same(&captured, &server.dump("shop", &["--create"]));
    check_round_trip_of_tree(&env, "shop.physical");
}

/// The same id, and the same files.
fn check_round_trip_of_tree(env: &TestEnv, selector: &str) {
    let other = TestEnv::new();
    let archive = env.path("again.tar.zst");
    let archive = archive.to_str().unwrap();
    let exported = env.json(&["export", selector, "-o", archive]);
    assert_eq!(other.json(&["import", archive])["id"], exported["id"]);
    other.ok(&["verify"]);
    other.ok(&["restore", selector, "--to", "back"]);
    env.ok(&["restore", selector, "--to", "back"]);
    assert_eq!(super::looks(&other.path("back")), super::looks(&env.path("back")));
}

#[test]
fn a_database_of_mariadb_comes_back_by_mariadb_alone() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    server.sql("shop", MARIADB_EVERYTHING);
    let env = TestEnv::new();
    env.write(".my.cnf", format!("[client]\nsocket = {}\nuser = root\n", server.socket().display()));
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop");
    env.ok(&["export", "shop", "-o", "shop.tar.zst"]);
    server.sql("", "DROP DATABASE shop");
    follow(&env, "shop.tar.zst", "", &[]);
    let body = |dump: &str| {
        dump.lines()
            .filter(|line| {
                !line.contains("-- icecore")
                    && !line.contains("ALTER DATABASE")
                    && !line.contains("CREATE DATABASE")
            })
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_same(&body(&captured), &body(&server.dump("shop")));
    check_round_trip(&env, "shop");
}

#[test]
fn the_data_of_redis_come_back_by_a_server_that_starts() {
    let redis = filled();
    let env = TestEnv::new();
    env.ok(&["create", &redis.url(), "--name", "cache"]);
    env.ok(&["export", "cache", "-o", "cache.tar.zst"]);
    follow(&env, "cache.tar.zst", "redis-server", &[]);
    let other = Redis::start(Some(&env.read("dump.rdb")));
    assert_eq!(other.digest(), redis.digest());
    check_round_trip(&env, "cache");
}

#[test]
fn a_database_of_sqlite_comes_back_as_it_is() {
    let env = TestEnv::new();
    let sqlite = |script: &str| Said::of(Command::new("sqlite3").arg(env.path("shop.db")).arg(script)).ok();
    sqlite(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT hex(i * 7919) FROM n",
    );
    let captured = sqlite(".dump");
    env.ok(&["create", "shop.db"]);
    env.ok(&["export", "shop.db", "-o", "shop.tar.zst"]);
    fs::remove_file(env.path("shop.db")).unwrap();
    follow(&env, "shop.tar.zst", "", &[]);
    assert_same(&captured, &sqlite(".dump"));
    check_round_trip(&env, "shop.db");
}
