//! Many tables, and many rows in one.
//!
//! `ICECORE_MANY_TABLES` and `ICECORE_MANY_ROWS` say how many; `make test-long` wants ten thousand tables, and a gigabyte of rows.

use std::time::Instant;

use icecore_testkit::postgres::PostgresServer;

use crate::support::{Said, TestEnv};

/// More than every connection locks.
const TABLES: u64 = 1_200;
const ROWS: u64 = 400_000;
/// Whatever there is of anything.
const MEMORY_MAX_KIB: u64 = 400 << 10;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs the program; says how long it took, and how much memory it had, in KiB.
#[expect(clippy::print_stdout, reason = "figures, for whoever asks for them")]
fn measured(env: &TestEnv, arguments: &[&str]) -> (Said, u64) {
    let icecore = env!("CARGO_BIN_EXE_icecore");
    let all = [&["-f", "%M", icecore], arguments].concat();
    let started = Instant::now();
    let said = Said::of(&mut env.command_of("time".as_ref(), &all));
    let peak = said.stderr.lines().last().unwrap().parse().unwrap();
    println!("{}: {:.1?}, {} MiB", arguments[0], started.elapsed(), peak >> 10);
    (said, peak)
}

#[test]
fn many_tables_are_captured_and_restored() {
    let tables = number("ICECORE_MANY_TABLES").unwrap_or(TABLES);
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "ALTER SYSTEM SET max_locks_per_transaction = 512; CREATE DATABASE many");
    server.restart();
    server.sql(
        "many",
        &format!(
            "DO $$ BEGIN FOR i IN 1..{tables} LOOP EXECUTE format('CREATE TABLE %I (a int, b text)', 't' || i);
            EXECUTE format('INSERT INTO %I VALUES (%s, ''x'')', 't' || i, i); END LOOP; END $$"
        ),
    );
    let (said, peak) = measured(&env, &["create", &server.url("many")]);
    said.ok();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    let (said, peak) = measured(&env, &["restore", "many", "--to", &server.url("copy")]);
    said.ok();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    let count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql("copy", count), tables.to_string());
    assert_eq!(server.sql("copy", "SELECT a, b FROM t777"), "777|x");
}

#[test]
fn a_server_with_too_few_locks_says_what_to_do() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "ALTER SYSTEM SET max_locks_per_transaction = 10; CREATE DATABASE many");
    server.restart();
    for _ in 0..12 {
        server.sql(
            "many",
            "DO $$ BEGIN FOR i IN 1..250 LOOP EXECUTE format('CREATE TABLE %I ()', 't' || (SELECT count(*) FROM pg_class)); END LOOP; END $$",
        );
    }
    let said = env.fails(14, &["create", &server.url("many")]);
    assert!(said.contains("max_locks_per_transaction"), "{said}");
    assert_eq!(env.count(), 0);
}

#[test]
fn every_row_of_a_long_table_is_captured_once() {
    let rows = number("ICECORE_MANY_ROWS").unwrap_or(ROWS);
    let server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "CREATE DATABASE long");
    // What is deleted and what moves leaves pages of every kind of fullness.
    server.sql(
        "long",
        &format!(
            "CREATE TABLE t (id bigint, a text); INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, {rows}) n;
            DELETE FROM t WHERE id % 7 = 0; UPDATE t SET a = a || id WHERE id % 1000 = 1; DELETE FROM t WHERE id BETWEEN {rows} / 2 AND {rows} / 2 + 20000"
        ),
    );
    let sum = "SELECT count(*), count(DISTINCT id), sum(hashtextextended(t::text, 0)) FROM t";
    let before = server.sql("long", sum);
    let count = before.split('|').next().unwrap();
    let (said, peak) = measured(&env, &["create", &server.url("long")]);
    said.ok();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    let shown = env.json(&["show", "long"]);
    let part =
        shown["parts"].as_array().unwrap().iter().find(|part| part["name"] == "public.t").unwrap().clone();
    assert_eq!(part["rows"].to_string(), count);
    let (said, peak) = measured(&env, &["restore", "long", "--yes"]);
    said.ok();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    assert_eq!(server.sql("long", sum), before);
}
