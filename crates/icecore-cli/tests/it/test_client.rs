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
    assert!(said.contains("is of files"), "{said}");
    let said = env.fails(10, &["redis-cli"]);
    assert!(said.contains("no service of redis"), "{said}");
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
