//! Restores, and what becomes of what was there.

use icecore_testkit::mariadb::MariaDbServer;

use super::{captured_and_changed, filled};
use crate::support::{TestEnv, assert_same};

/// A server with a database that has everything, and a snapshot of it; what was captured.
fn captured() -> (TestEnv, MariaDbServer, String) {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop");
    (env, server, captured)
}

/// The same, changed since; what was captured, and what is there.
fn changed() -> (TestEnv, MariaDbServer, String, String) {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let (captured, later) = captured_and_changed(&env, &server);
    assert!(later != captured);
    (env, server, captured, later)
}

/// Rolls back the last restore.
fn roll_back(env: &TestEnv, server: &MariaDbServer, status: i32) -> String {
    env.run(&["rollback", &server.url("shop"), "--yes"]).fails(status)
}

#[test]
fn a_restore_takes_the_place_of_what_is_there_and_is_rolled_back() {
    let (env, server, captured, later) = changed();
    let refusal = env.fails(15, &["restore", "shop"]);
    assert!(refusal.contains("is there, and was not touched") && refusal.contains("--yes"), "{refusal}");
    let restored = env.json(&["restore", "shop", "--yes"]);
    assert_eq!(restored["kept"], "shop__ice_old");
    assert_same(&captured, &server.dump("shop"));
    assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");

    roll_back(&env, &server, 0);
    assert_same(&later, &server.dump("shop"));
    roll_back(&env, &server, 0);
    assert_same(&captured, &server.dump("shop"));
    // The next restore keeps what it replaces, and no more.
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");
}

#[test]
fn a_restore_elsewhere_touches_nothing_else() {
    let ((env, server, _), other) = (captured(), MariaDbServer::start());
    // The program that dumps does not find events in a database of such a name.
    let quotes = [
        "restore",
        "shop",
        "--to",
        &other.url("the \"shop's\""),
        "--check",
        "SELECT answer = 42 FROM a_call",
    ];
    env.ok(&quotes);
    other.sql("", "DROP DATABASE `the \"shop's\"`");
    let name = "The `new` ä Shop";
    env.ok(&["restore", "shop", "--to", &other.url(name)]);
    assert_same(&server.dump("shop"), &other.dump(name));
    assert_eq!(other.databases(), format!("{name}\n"));
    assert_eq!(server.databases(), "copy\nshop\n");
    // Nothing was there, so nothing is brought back.
    assert!(env.fails(10, &["rollback", &other.url(name), "--yes"]).contains("nothing to bring back"));
    // A name that is as long as can be leaves room for others beside it.
    let long = "x".repeat(64);
    env.ok(&["restore", "shop", "--to", &other.url(&long)]);
    env.ok(&["restore", "shop", "--to", &other.url(&long), "--yes"]);
    env.ok(&["rollback", &other.url(&long), "--yes"]);
    assert_same(&server.dump("shop"), &other.dump(&long));
}

#[test]
fn an_empty_database_is_restored_as_one() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop CHARACTER SET latin2");
    let empty = server.dump("shop");
    env.ok(&["create", &server.url("shop")]);
    server.sql(
        "shop",
        "CREATE TABLE t (a INT); INSERT INTO t VALUES (1); ALTER DATABASE shop CHARACTER SET utf8mb4",
    );
    let full = server.dump("shop");
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&empty, &server.dump("shop"));
    roll_back(&env, &server, 0);
    assert_same(&full, &server.dump("shop"));
    roll_back(&env, &server, 0);
    assert_same(&empty, &server.dump("shop"));
}

#[test]
fn what_was_there_is_preserved_or_replaced_as_the_user_wants() {
    let (env, server, captured, later) = changed();
    let restored = env.json(&["restore", "shop", "--yes", "--preserve"]);
    let kept = restored["kept"].as_str().unwrap();
    assert_same(&captured, &server.dump("shop"));
    // It is a database like others, but nothing happens there by the clock.
    let still = |dump: &str| dump.replace("PRESERVE ENABLE", "PRESERVE DISABLE").replace(kept, "shop");
    assert_same(&still(&later), &still(&server.dump(kept)));
    assert!(!server.dump(kept).contains("PRESERVE ENABLE"));
    assert_eq!(server.databases(), format!("copy\nshop\n{kept}\n"));

    server.sql("shop", "DELETE FROM child");
    let changed = server.dump("shop");
    let replaced = env.run(&["--json", "restore", "shop", "--yes", "--replace"]);
    assert!(
        String::from_utf8_lossy(&replaced.stdout).contains("\"kept\":\"shop.before-restore\""),
        "{}{}",
        replaced.text(),
        replaced.stderr
    );
    assert_eq!(server.databases(), format!("copy\nshop\n{kept}\n"));
    // All of it, the code too, is in the snapshot.
    roll_back(&env, &server, 0);
    assert_same(&changed, &server.dump("shop"));
}

#[test]
fn what_a_check_finds_leaves_everything_as_it_was() {
    let (env, server, _, before) = changed();
    let databases = server.databases();
    for (check, why) in [
        ("SELECT COUNT(*) > 1000 FROM child", "false"),
        ("SELECT NULL", "null"),
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("SELECT 1; DROP DATABASE copy", "syntax"),
    ] {
        let said = env.fails(15, &["restore", "shop", "--yes", "--check", check]);
        assert!(said.contains(why), "{said}");
        assert_same(&before, &server.dump("shop"));
        assert_eq!(server.databases(), databases);
    }
    env.ok(&[
        "restore",
        "shop",
        "--yes",
        "--check",
        "SELECT answer = 42 FROM a_call",
        "--check",
        "SELECT COUNT(*) = 1 FROM child",
    ]);
}

#[test]
fn a_default_by_a_sequence_needs_one_of_that_name_where_it_is_restored() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE SEQUENCE shop.s; CREATE TABLE shop.t (a INT DEFAULT NEXTVAL(shop.s), b INT); INSERT INTO shop.t (b) VALUES (7)");
    let before = server.dump("shop");
    env.ok(&["create", &server.url("shop")]);
    server.sql("", "DROP DATABASE shop");
    let said = env.fails(15, &["restore", "shop"]);
    let advice = "CREATE DATABASE IF NOT EXISTS `shop`; CREATE SEQUENCE `shop`.`s`";
    assert!(said.contains(advice), "{said}");
    assert_eq!(server.databases(), "");
    server.sql("", advice);
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&before, &server.dump("shop"));
    server.sql("shop", "INSERT INTO t (b) VALUES (8)");
}

#[test]
fn a_view_that_is_broken_stops_neither_a_restore_nor_a_rollback() {
    let (env, server, captured) = captured();
    server.sql("shop", "CREATE TABLE b (a INT); CREATE VIEW broken AS SELECT * FROM b; DROP TABLE b");
    let said = env.run(&["restore", "shop", "--yes", "--preserve"]).fails(3);
    assert!(said.contains("view broken") && said.contains("shop__ice_left_"), "{said}");
    assert_same(&captured, &server.dump("shop"));
    let left = server.databases();
    let left = left.lines().find(|name| name.starts_with("shop__ice_left_")).unwrap();
    let statement = server.sql(left, "SELECT statement FROM __icecore");
    assert!(statement.contains("`broken`"), "{statement}");
    env.ok(&["restore", "shop", "--yes"]);
    roll_back(&env, &server, 0);
    assert_same(&captured, &server.dump("shop"));
    let broken = "CREATE TABLE b (a INT); CREATE VIEW broken AS SELECT * FROM b; DROP TABLE b; DELETE FROM child; CREATE PROCEDURE mine() SELECT 1";
    server.sql("shop", broken);
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    let said = roll_back(&env, &server, 3);
    assert!(said.contains("view broken") && said.contains("shop__ice_left_"), "{said}");
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM child; CALL mine()"), "0\n1\n");
    roll_back(&env, &server, 0);
    assert_same(&captured, &server.dump("shop"));
}

#[test]
fn a_rollback_never_brings_back_what_an_earlier_restore_replaced() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "INSERT INTO t VALUES (1)");
    env.ok(&["restore", "shop", "--yes"]);
    server.sql("shop", "INSERT INTO t VALUES (2)");
    let said = env.run(&["restore", "shop", "--yes", "--preserve"]).fails(0);
    assert!(
        said.contains(
            "shop__ice_old, which the restore before put aside, is dropped once this one has succeeded"
        ),
        "{said}"
    );
    let databases = server.databases();
    assert!(!databases.contains("__ice_"), "{databases}");
    let preserved = databases.lines().find(|name| name.starts_with("shop_20")).expect(&databases);
    assert_eq!(server.sql(preserved, "SELECT a FROM t"), "2\n");
    env.ok(&["rollback", &server.url("shop"), "--yes"]);
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "2\n");
}
