//! Users who may not do all that is asked.

use icecore_testkit::postgres::PostgresServer;

use super::databases;
use crate::support::{Said, TestEnv};

/// A database of the role `owner`, with one table.
fn shop(server: &PostgresServer) {
    server.sql(
        "postgres",
        "CREATE ROLE owner LOGIN; CREATE ROLE clerk LOGIN; CREATE DATABASE shop OWNER owner",
    );
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO owner");
}

#[test]
fn what_a_user_may_not_read_is_no_snapshot() {
    let server = PostgresServer::start();
    shop(&server);
    let env = TestEnv::new();
    let clerk = server.url_as("clerk", "shop");
    for (sql, why) in [
        ("CREATE TABLE u AS SELECT 2 AS a", "permission denied for table"),
        (
            "GRANT pg_read_all_data TO clerk; CREATE SCHEMA hidden; REVOKE pg_read_all_data FROM clerk; GRANT SELECT ON t, u TO clerk; CREATE TABLE hidden.v (a int)",
            "permission denied for schema hidden",
        ),
        ("DROP SCHEMA hidden CASCADE; CREATE SEQUENCE s", "permission denied for sequence s"),
        ("GRANT SELECT ON s TO clerk; ALTER TABLE t ENABLE ROW LEVEL SECURITY", "row-level security"),
    ] {
        server.sql("shop", sql);
        let said = env.fails(14, &["create", &clerk]);
        assert!(said.contains(why), "{why}: {said}");
        assert_eq!(env.count(), 0);
    }
    server.sql("shop", "GRANT pg_read_all_data TO clerk; ALTER ROLE clerk BYPASSRLS");
    env.ok(&["create", &clerk]);
}

#[test]
fn who_may_do_enough_need_not_be_a_superuser() {
    let server = PostgresServer::start();
    shop(&server);
    let env = TestEnv::new();
    let owner = server.url_as("owner", "shop");
    env.ok(&["create", &owner]);
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("owner may not make databases: ALTER ROLE owner CREATEDB"), "{said}");
    server.sql("postgres", "ALTER ROLE owner CREATEDB");
    server.sql("shop", "INSERT INTO t VALUES (2)");
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "1");
    env.ok(&["rollback", &owner, "--yes"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "2");
    // Of an extension that only a superuser may make, the first that it says is that.
    server.sql("shop", "CREATE EXTENSION file_fdw");
    env.ok(&["create", &server.url("shop")]);
    let before = databases(&server);
    let said = env.run(&["restore", "shop", "--yes", "--to", &owner]);
    assert!(matches!(said.status, 1 | 15) && said.stderr.contains("file_fdw"), "{}", said.stderr);
    assert_eq!(databases(&server), before);
}

#[test]
fn an_extension_that_the_server_lacks_is_named_before_anything_is_written() {
    let server = PostgresServer::start();
    shop(&server);
    let env = TestEnv::new();
    // As it is on a server that had it.
    server.sql("shop", "CREATE EXTENSION pg_trgm; UPDATE pg_extension SET extname = 'not_to_be_had' WHERE extname = 'pg_trgm'");
    env.ok(&["create", &server.url("shop")]);
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(
        said.contains("does not have the extension not_to_be_had") && said.contains("install it"),
        "{said}"
    );
    assert_eq!(databases(&server), "shop");
}

#[test]
fn wrong_credentials_are_told_before_anything_is_written() {
    let server = PostgresServer::start();
    shop(&server);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let mut command = env.command(&["restore", "shop", "--yes", "--to", &server.tcp_url("shop")]);
    let said = Said::of(command.env("PGPASSWORD", "not it")).fails(14);
    assert!(said.contains("password authentication failed") && !said.contains("not it"), "{said}");
    let said = env.fails(14, &["restore", "shop", "--yes", "--to", &server.url_as("nobody", "shop")]);
    assert!(said.contains("role \"nobody\" does not exist"), "{said}");
    assert_eq!(databases(&server), "shop");
}

#[test]
fn an_extension_and_its_comment_come_back_for_who_is_no_superuser() {
    let server = PostgresServer::start();
    shop(&server);
    server.sql("postgres", "ALTER ROLE owner CREATEDB");
    server.sql("shop", "CREATE EXTENSION pg_trgm; COMMENT ON EXTENSION plpgsql IS 'ours'; CREATE INDEX ON t USING gin ((a::text) gin_trgm_ops)");
    let env = TestEnv::new();
    let owner = server.url_as("owner", "shop");
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "INSERT INTO t VALUES (2)");
    env.ok(&["restore", "shop", "--yes", "--to", &owner]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "1");
    assert_eq!(server.sql("shop", "SELECT extname FROM pg_extension ORDER BY 1"), "pg_trgm\nplpgsql");
}
