//! Names that are hard to spell, and databases with little in them.

use icecore_testkit::postgres::PostgresServer;

use crate::support::{TestEnv, assert_same};

/// Names of tables, as SQL writes them.
const NAMES: [&str; 8] = [
    "\"UPPER case\"",
    "\"it's\"",
    "\"\"\"quoted\"\"\"",
    "\"new\nline\"",
    "\"tab\tand \\ backslash\"",
    "\"select\"",
    "\"$$; DROP TABLE x; --\"",
    "\"a.b\"",
];

#[test]
fn names_with_quotes_newlines_and_upper_case_come_back() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "CREATE DATABASE \"The \"\"shop\"\"\"");
    let database = "The \"shop\"";
    for (number, schema) in NAMES.iter().enumerate() {
        server.sql(database, &format!("CREATE SCHEMA {schema}"));
        let tables = NAMES.map(|name| {
            format!("CREATE TABLE {schema}.{name} ({name} int PRIMARY KEY, b serial); INSERT INTO {schema}.{name} VALUES ({number});")
        });
        server.sql(database, &tables.concat());
    }
    let created = env.json(&["create", &server.url(database), "--name", "shop"]);
    assert_eq!(created["parts"], 68, "{created}");
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(server.sql(database, "SELECT \"select\" FROM \"new\nline\".\"select\""), "3");
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_same(&server.dump(database, &[]), &server.dump("copy", &[]));
    env.ok(&["rollback", &server.url(database), "--yes"]);
    assert_same(&server.dump(database, &[]), &server.dump("copy", &[]));
}

#[test]
fn an_empty_database_and_unlogged_tables_come_back() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "CREATE DATABASE shop");
    env.ok(&["create", &server.url("shop")]);
    server.sql(
        "shop",
        "CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 1000) AS a; CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; CREATE TABLE empty (a int)",
    );
    env.ok(&["create", &server.url("shop")]);
    let full = server.dump("shop", &[]);
    env.ok(&["restore", "shop~1", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&full, &server.dump("shop", &[]));
    assert_eq!(server.sql("shop", "SELECT relpersistence FROM pg_class WHERE relname = 'u'"), "u");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM nothing"), "1");
}
