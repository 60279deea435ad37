//! Snapshots that somebody made to do harm.

use super::*;

const PRECIOUS: &str = "CREATE TABLE precious (a UNIQUE, b); INSERT INTO precious VALUES (1, 2); CREATE TABLE t (a, b);
    INSERT INTO t VALUES (1, 2); CREATE INDEX i ON t (a); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END";

/// A snapshot in which this is said of what is called so, against every rule.
fn said(name: &str, column: &str, said: &str) -> Shop {
    let mut shop = Shop::captured("delete", PRECIOUS);
    let live = fs::read(&shop.path).unwrap();
    let connection = Connection::open(&shop.path).unwrap();
    connection.execute_batch("PRAGMA writable_schema = ON").unwrap();
    connection
        .execute(&format!("UPDATE sqlite_schema SET {column} = ?1 WHERE name = ?2"), [said, name])
        .unwrap();
    drop(connection);
    shop.snapshot = fs::read(&shop.path).unwrap();
    fs::write(&shop.path, live).unwrap();
    shop
}

#[test]
fn statements_of_a_stranger_make_the_table_or_nothing() {
    for (name, column, text) in [
        ("t", "sql", "CREATE TABLE t (a, b); DROP TABLE precious"),
        ("t", "sql", "CREATE TABLE t (a, b); PRAGMA writable_schema = ON"),
        ("t", "sql", "CREATE TABLE t (a, b); ATTACH '/tmp/stranger.db' AS x"),
        ("t", "sql", "CREATE TABLE precious (a, b)"),
        ("t", "sql", "CREATE TABLE temp.t (a, b)"),
        ("t", "sql", "CREATE TEMP TABLE t (a, b)"),
        ("t", "sql", "CREATE TABLE t AS SELECT 1 AS a, 2 AS b"),
        ("t", "sql", "CREATE VIRTUAL TABLE t USING fts5(a, b)"),
        ("t", "sql", "CREATE VIEW t AS SELECT 1 AS a, 2 AS b"),
        ("t", "sql", "CREATE TABLE t (a, b, c AS (load_extension('/tmp/x.so')) STORED)"),
        ("t", "sql", "CREATE TABLE t (a, b CHECK (unknown_function(b)))"),
        ("t", "sql", "create"),
        ("t", "sql", "CREATE TABLE t (a, b"),
        ("t", "sql", ""),
        ("t", "tbl_name", "precious"),
        ("t", "type", "index"),
        ("t", "rootpage", "1"),
        ("t", "rootpage", "2"),
        ("i", "sql", "CREATE INDEX i ON precious (b)"),
        ("i", "sql", "CREATE INDEX i ON t (a); DELETE FROM precious"),
        ("i", "sql", "CREATE TRIGGER i AFTER INSERT ON t BEGIN SELECT 1; END"),
        ("g", "sql", "CREATE TRIGGER g AFTER INSERT ON precious BEGIN SELECT 1; END"),
        ("g", "sql", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END; DELETE FROM precious"),
        ("g", "sql", "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END"),
        ("g", "type", "table"),
    ] {
        let shop = said(name, column, text);
        let before = shop.dump();
        let mut target = SqliteTarget::new(&shop.path, Placement::Replace).unwrap();
        target.write(&shop.snapshot).unwrap();
        // Even of what SQLite finds unsound.
        let restored = plan(target, "t", &|| false).and_then(|plan| {
            let refused = !plan.blockers.is_empty();
            let restored = restore(&plan, &[], &|_| (), &|| false);
            assert!(!refused || restored.is_err(), "{text}");
            restored
        });
        let after = shop.dump();
        if restored.is_err() {
            assert_same(&before, &after);
            assert_eq!(shop.names(), ["shop.db"], "{text}");
        }
        assert_same(&without(&before, &["t"]), &without(&after, &["t"]));
        if text.contains(';') && name != "g" || text.contains("precious") || text.contains("TEMP") {
            assert!(restored.is_err(), "{text}");
        }
    }
}

#[test]
fn values_that_a_stranger_makes_grow_need_no_memory() {
    let shop = Shop::captured(
        "delete",
        "CREATE TABLE t (a, b AS (hex(zeroblob(a))) VIRTUAL); INSERT INTO t (a) VALUES (0), (1)",
    );
    let mut snapshot = Shop::captured(
        "delete",
        "CREATE TABLE t (a, b AS (hex(zeroblob(a))) VIRTUAL); INSERT INTO t (a) VALUES (400000000)",
    );
    Connection::open(&snapshot.path)
        .unwrap()
        .execute_batch(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'VIRTUAL', 'STORED')",
        )
        .unwrap();
    snapshot.snapshot = fs::read(&snapshot.path).unwrap();
    let before = shop.dump();
    let mut target = SqliteTarget::new(&shop.path, Placement::Replace).unwrap();
    target.write(&snapshot.snapshot).unwrap();
    let plan = plan(target, "t", &|| false).unwrap();
    let error = restore(&plan, &[], &|_| (), &|| false).unwrap_err().to_string();
    assert!(error.contains("too big"), "{error}");
    drop(plan);
    assert_same(&before, &shop.dump());
}
