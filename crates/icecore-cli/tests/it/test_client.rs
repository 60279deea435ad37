//! The engines' own programs, connected by services.

use icecore_testkit::postgres::PostgresServer;

use crate::support::{Said, TestEnv};

#[test]
fn psql_is_connected_to_the_service() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop; CREATE DATABASE other; CREATE ROLE clerk LOGIN");
    let env = TestEnv::bare();
    env.write("secret", server.password());
    env.write(
        "icecore.toml",
        format!(
            "[services.shop]\nurl = '{}'\npassword_file = 'secret'\n[services.file]\npath = 'x'\n",
            server.tcp_url("shop")
        ),
    );
    let ask = ["-c", "SELECT current_database() || ' ' || current_user", "-At"];
    let asked = |first: &[&str]| env.ok(&[first, &["--"], &ask].concat());
    assert_eq!(asked(&["psql", "shop"]), "shop postgres\n");
    assert_eq!(asked(&["psql"]), "shop postgres\n");
    assert_eq!(asked(&["psql", "shop", "--db", "other"]), "other postgres\n");
    let clerk = server.url("shop");
    assert_eq!(asked(&["psql", &clerk, "--user", "clerk"]), "shop clerk\n");
    // The program's status is ours, and its input is ours.
    let said =
        env.run_with_input(&["psql", "shop", "--", "-v", "ON_ERROR_STOP=1"], b"SELECT * FROM nothing;\n");
    said.fails(3);
    let said = env.fails(2, &["psql", "file"]);
    assert!(said.contains("psql is for PostgreSQL") && said.contains("x is a file or directory"), "{said}");
    let said = env.fails(10, &["redis-cli"]);
    assert!(said.contains("no service of redis") && said.contains("redis://HOST"), "{said}");
}

#[test]
fn what_is_not_there_is_met_with_a_hint_of_the_command() {
    let env = TestEnv::bare();
    for (program, hint) in [
        ("psql", "postgres://USER@HOST/DATABASE"),
        ("mysql", "mysql://USER@HOST/DATABASE"),
        ("redis-cli", "redis://HOST"),
        ("sqlite3", "the path of a file"),
    ] {
        let said = env.fails(10, &[program, "nothing"]);
        let is_right = said.contains("no file, directory or service \"nothing\"") && said.contains(hint);
        assert!(is_right && !said.contains("standard input"), "{said}");
    }
    let said = env.fails(10, &["rollback", "nothing"]);
    assert!(said.contains("as it was restored: by its URL") && !said.contains("standard input"), "{said}");
    env.ok(&["init"]);
    env.write("f", "1");
    env.ok(&["create", "f"]);
    let said = env.fails(10, &["restore", "f", "--to", "oracle://db/shop"]);
    assert!(said.contains("--to takes postgres://") && !said.contains("standard input,"), "{said}");
}

#[test]
fn a_rollback_by_the_name_of_a_series_hints_at_where_its_snapshots_came_from() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    env.ok(&["restore", "shop", "--yes"]);
    let said = env.fails(10, &["rollback", "shop", "--yes"]);
    let command = said.split('`').nth(1).unwrap();
    assert!(command.starts_with("icecore rollback 'postgres://") && command.ends_with('\''), "{said}");
    let url = command.split('\'').nth(1).unwrap();
    let said = env.fails(15, &["rollback", url]);
    assert!(
        said.contains("needs a confirmation; the database shop") && said.contains("--yes brings back"),
        "{said}"
    );
    env.ok(&["rollback", url, "--yes"]);
}

#[test]
fn redis_cli_is_told_only_what_it_heeds() {
    let env = TestEnv::bare();
    let url = "redis://127.0.0.1:1";
    let said = env.fails(2, &["redis-cli", url, "--db", "shop"]);
    assert!(said.contains("\"shop\" is no database of Redis: they have numbers"), "{said}");
    let said = env.fails(2, &["redis-cli", url, "--user", "clerk"]);
    assert!(said.contains("clerk of Redis needs a password") && said.contains("REDISCLI_AUTH"), "{said}");
}

#[test]
fn sqlite3_opens_the_file() {
    let env = TestEnv::bare();
    env.write("icecore.toml", "[services.ledger]\nurl = 'sqlite:ledger.db'\n");
    let said = env.run_with_input(&["sqlite3"], b"CREATE TABLE t AS SELECT 1 AS a; SELECT a FROM t;\n");
    assert_eq!(said.ok(), "1\n");
    assert_eq!(env.ok(&["sqlite3", "ledger", "--", "SELECT count(*) FROM t"]), "1\n");
    let said = env.fails(2, &["sqlite3", "--db", "x"]);
    assert!(said.contains("no other databases"), "{said}");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let env = TestEnv::bare();
    env.write("icecore.toml", "[services.ledger]\nurl = 'sqlite:ledger.db'\n");
    let mut command = env.command(&["sqlite3"]);
    let said = Said::of(command.env("PATH", "/nonexistent")).fails(1);
    assert!(said.contains("cannot run sqlite3"), "{said}");
}
