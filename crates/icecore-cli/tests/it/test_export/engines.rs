//! What was exported, restored by the tools of its own engine as the archive's README says it: icecore has no part in it.

use std::fs;
use std::process::Command;

use icecore_testkit::mariadb::{EVERYTHING as MARIADB_EVERYTHING, MariaDbServer};
use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use super::{check_round_trip, follow};
use crate::running::wait_until;
use crate::support::{Said, TestEnv, assert_same};
use crate::test_redis::filled;

/// Where a program is.
fn program(name: &str) -> String {
    Said::of(Command::new("sh").args(["-c", &format!("command -v {name}")])).ok().trim().to_owned()
}

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

#[test]
fn parts_of_a_database_and_dumps_of_people_come_back_by_psql_alone() {
    let script =
        "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2); CREATE TABLE other (b text)";
    let server = PostgresServer::with_database("shop", script);
    let place = place(&server);
    let env = TestEnv::new();
    let (captured, definitions) = (server.dump("shop", &[]), server.dump("shop", &["--schema-only"]));
    // The service is called otherwise than the database.
    env.ok(&["create", &server.url("shop"), "--name", "webshop", "--table", "t"]);
    env.ok(&["export", "webshop", "-o", "table.tar"]);
    server.sql("shop", "DROP TABLE t");
    follow(&env, "table.tar", "", &place);
    assert_same(&captured, &server.dump("shop", &[]));

    env.ok(&["create", &server.url("shop"), "--name", "webshop", "--globals"]);
    env.ok(&["export", "webshop", "-o", "globals.tar"]);
    server.sql("postgres", "DROP DATABASE shop");
    follow(&env, "globals.tar", "", &place);
    assert_same(&captured, &server.dump("shop", &[]));

    env.ok(&["create", &server.url("shop"), "--name", "webshop", "--schema-only"]);
    env.ok(&["export", "webshop", "-o", "schema.tar"]);
    server.sql("postgres", "DROP DATABASE shop");
    follow(&env, "schema.tar", "", &place);
    assert_same(&definitions, &server.dump("shop", &["--schema-only"]));

    server.sql("shop", "INSERT INTO t VALUES (1), (2)");
    let dump = |program: &str, arguments: &[&str]| {
        let mut dump = Command::new(program);
        dump.args(arguments).arg("-f").arg(env.path("dump.sql")).envs(place.iter().cloned());
        Said::of(&mut dump).ok();
        env.ok(&["create", "dump.sql"]);
        env.ok(&["export", "dump.sql", "-o", "dump.tar", "--yes"]);
    };
    dump("pg_dump", &["--create", "shop"]);
    server.sql("postgres", "DROP DATABASE shop");
    follow(&env, "dump.tar", "", &place);
    assert_same(&captured, &server.dump("shop", &[]));
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE NOT datistemplate"), "2");

    server.sql("postgres", "CREATE ROLE clerk");
    dump("pg_dumpall", &[]);
    let fresh = PostgresServer::start();
    follow(&env, "dump.tar", "", &self::place(&fresh));
    assert_same(&captured, &fresh.dump("shop", &[]));
    assert_eq!(fresh.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'clerk'"), "1");
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
fn a_dump_of_several_databases_comes_back_by_mariadb_alone() {
    let server = MariaDbServer::start();
    for name in ["shop", "stock"] {
        server.sql("", format!("CREATE DATABASE {name}"));
        server.sql(name, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
    }
    let env = TestEnv::new();
    env.write(".my.cnf", format!("[client]\nsocket = {}\nuser = root\n", server.socket().display()));
    let mut dump = Command::new("mariadb-dump");
    dump.args(["--databases", "shop", "stock"]).env("HOME", env.path(""));
    env.write("both.sql", Said::of(&mut dump).ok());
    env.ok(&["create", "both.sql"]);
    env.ok(&["export", "both.sql", "-o", "both.tar.gz"]);
    let captured = ["shop", "stock"].map(|name| server.dump(name));
    server.sql("", "DROP DATABASE shop; DROP DATABASE stock");
    follow(&env, "both.tar.gz", "", &[]);
    assert_eq!(server.databases().trim(), "shop\nstock");
    assert_eq!(captured, ["shop", "stock"].map(|name| server.dump(name)));
}

#[test]
fn the_data_of_redis_come_back_by_a_server_that_starts() {
    let redis = filled();
    let env = TestEnv::new();
    env.ok(&["create", &redis.url(), "--name", "cache"]);
    env.ok(&["export", "cache", "-o", "cache.tar.zst"]);
    // The command as it is, but for the port, which may be taken, and that it goes on beside us.
    let socket = env.path("socket").display().to_string();
    let more = "--port 0 --daemonize yes --pidfile $PWD/pid --enable-debug-command yes --unixsocket";
    let run = format!("exec {} \"$@\" {more} {socket}", program("redis-server"));
    follow(&env, "cache.tar.zst", "", &[("PATH", env.path_with(&[("redis-server", run)]))]);
    let ask =
        |arguments: &[&str]| Said::of(Command::new("redis-cli").args(["-s", &socket]).args(arguments)).text();
    wait_until(|| ask(&["PING"]).trim() == "PONG");
    let digest = ask(&["DEBUG", "DIGEST"]);
    ask(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(digest, redis.digest());
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
    // The service is called otherwise than the file.
    env.ok(&["create", "shop.db", "--name", "webshop"]);
    env.ok(&["export", "webshop", "-o", "shop.tar.zst"]);
    sqlite("DELETE FROM t");
    fs::remove_file(env.path("shop.db")).unwrap();
    env.write("shop.db-wal", "of the old one");
    follow(&env, "shop.tar.zst", "", &[]);
    assert!(!env.path("webshop").exists() && !env.path("shop.db-wal").exists());
    assert_same(&captured, &sqlite(".dump"));
    check_round_trip(&env, "webshop");
    // A file that is called as it is called in the archive is there when that is unpacked.
    fs::rename(env.path("shop.db"), env.path("database.sqlite")).unwrap();
    env.ok(&["create", "database.sqlite"]);
    env.ok(&["export", "database.sqlite", "-o", "same.tar"]);
    fs::remove_file(env.path("database.sqlite")).unwrap();
    env.write("database.sqlite-wal", "of the old one");
    follow(&env, "same.tar", "", &[]);
    assert!(!env.path("database.sqlite-wal").exists());
    fs::rename(env.path("database.sqlite"), env.path("shop.db")).unwrap();
    assert_same(&captured, &sqlite(".dump"));
}

#[test]
fn a_tarball_and_a_file_come_back_by_tar_alone() {
    let env = TestEnv::new();
    env.write("folder/a", "one");
    Said::of(Command::new("tar").args(["-cf", "folder.tar", "folder"]).current_dir(env.path(""))).ok();
    env.ok(&["create", "folder.tar", "--name", "tarball"]);
    env.ok(&["create", "folder", "--name", "directory"]);
    env.ok(&["create", "folder/a", "--name", "file"]);
    for (name, content) in [("tarball", "folder/a"), ("directory", "folder/a"), ("file", "files/a")] {
        let archive = format!("{name}.tar.gz");
        env.ok(&["export", name, "-o", &archive]);
        fs::remove_dir_all(env.path("folder")).unwrap();
        follow(&env, &archive, "", &[]);
        assert_eq!(env.read(content), b"one");
        env.write("folder/a", "one");
    }
}
