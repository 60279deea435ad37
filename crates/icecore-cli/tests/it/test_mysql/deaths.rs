//! Programs and servers that die in the middle.

use std::fs;

use icecore_testkit::mariadb::MariaDbServer;

use super::relay::Relay;
use super::{Holder, LATER, captured_and_changed, filled, has_table, is_waiting, processes};
use crate::running::wait_until;
use crate::support::{TestEnv, assert_same};

/// A database with a snapshot whose code takes a while to make, and then changed; what was captured, and what is there.
fn with_much_code(env: &TestEnv, server: &MariaDbServer) -> (String, String) {
    filled(server);
    let code = |number: u32| -> String {
        (0..400).map(|n| format!("CREATE OR REPLACE PROCEDURE p{n}() SELECT {n} + {number};")).collect()
    };
    server.sql("shop", code(1));
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop");
    server.sql("shop", LATER);
    server.sql("shop", code(2));
    (captured, server.dump("shop"))
}

/// Starts a command, and kills it once something is so.
fn kill_when(env: &TestEnv, arguments: &[&str], is_so: impl FnMut() -> bool) {
    let child = env.start(arguments);
    wait_until(is_so);
    child.kill();
}

#[test]
fn whoever_dies_while_tables_are_filled_leaves_what_was_there() {
    for kills_server in [false, true] {
        let (env, mut server) = (TestEnv::new(), MariaDbServer::start());
        server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, pad LONGTEXT)");
        server.sql("shop", "INSERT INTO a SELECT seq, REPEAT('x', 100000) FROM seq_1_to_1000");
        env.ok(&["create", &server.url("shop")]);
        server.sql("shop", "DELETE FROM a WHERE id > 5");
        let before = server.dump("shop");
        let restore = env.start(&["restore", "shop", "--yes"]);
        wait_until(|| processes(&server, "INFO LIKE 'INSERT INTO%'"));
        if kills_server {
            server.kill();
            restore.said().fails(1);
            server.launch();
        } else {
            restore.kill();
        }
        assert_same(&before, &server.dump("shop"));
        // The next one drops what was left.
        env.ok(&["restore", "shop", "--yes"]);
        assert_eq!(server.databases(), "shop\nshop__ice_old\n");
        assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM a"), "1000\n");
    }
}

#[test]
fn whoever_dies_before_the_tables_have_moved_leaves_what_was_there() {
    for kills_server in [false, true] {
        let (env, mut server) = (TestEnv::new(), MariaDbServer::start());
        let (_, before) = captured_and_changed(&env, &server);
        // The tables cannot move, but other triggers may be gone by then.
        let holder = Holder::of(&server, "SELECT * FROM bytes");
        let restore = env.start(&["restore", "shop", "--yes"]);
        // They are put back for a moment whenever it has waited long enough, and tries again.
        wait_until(|| is_waiting(&server) && !server.sql("shop", "SHOW TRIGGERS").contains("other"));
        if kills_server {
            server.kill();
            drop(holder);
            server.launch();
            restore.said();
        } else {
            restore.kill();
            // The server does not know yet; its statement ends by itself.
            wait_until(|| !processes(&server, "INFO LIKE 'RENAME TABLE%'"));
            drop(holder);
        }
        // Who saw the server die has settled it by itself when the server was there again.
        let said = env.run(&["rollback", &server.url("shop"), "--yes"]);
        assert!(said.status == 0 || said.stderr.contains("nothing to bring back"), "{}", said.stderr);
        assert_same(&before, &server.dump("shop"));
        assert_eq!(server.databases(), "copy\nshop\n");
    }
}

#[test]
fn whoever_dies_after_the_tables_have_moved_leaves_what_one_command_makes_whole() {
    for kills_server in [false, true] {
        let (env, mut server) = (TestEnv::new(), MariaDbServer::start());
        filled(&server);
        // Much code takes a while.
        let all = |one: fn(u32) -> String| (0..400).map(one).collect::<String>();
        server.sql("shop", all(|n| format!("CREATE PROCEDURE p{n}() SELECT {n};")));
        env.ok(&["create", &server.url("shop")]);
        let captured = server.dump("shop");
        server.sql("shop", LATER);
        server.sql("shop", all(|n| format!("DROP PROCEDURE p{n};")));
        let before = server.dump("shop");
        let restore = env.start(&["restore", "shop", "--yes"]);
        wait_until(|| has_table(&server, "shop\\_\\_ice\\_old", "__icecore"));
        if kills_server {
            server.kill();
            restore.said();
            server.launch();
        } else {
            restore.kill();
        }
        assert!(server.databases().contains("shop__ice_new_"), "it was over before it was killed");
        env.ok(&["rollback", &server.url("shop"), "--yes"]);
        assert_same(&before, &server.dump("shop"));
        env.ok(&["rollback", &server.url("shop"), "--yes"]);
        assert_same(&captured, &server.dump("shop"));
        assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");
    }
}

/// Whether a command has ended, and nobody has asked it how.
fn is_over(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// Code that a server says otherwise than it was told.
const BY_HAND: &str = "
CREATE TABLE t (a INT); CREATE TABLE u (b INT);
CREATE TRIGGER shop.typed  BEFORE  INSERT ON shop.t FOR EACH ROW SET NEW.a = 1;
CREATE TRIGGER untyped BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.a + 1;
CREATE VIEW v AS SELECT * FROM t;
CREATE VIEW far AS SELECT t.a, o.id FROM t JOIN other.o;
CREATE VIEW own AS SELECT u.b, o.id FROM `shop`.u JOIN other.o;
CREATE PROCEDURE p(x  INT) SELECT  x;
CREATE FUNCTION f() RETURNS VARCHAR(9) DETERMINISTIC RETURN 'f';
CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
";

#[test]
fn what_a_restore_made_before_it_died_is_not_taken_for_somebody_elses() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE other.o (id INT)");
    server.sql("shop", BY_HAND);
    env.ok(&["create", &server.url("shop"), "--name", "dumped"]);
    env.write("shop.sql", format!("-- MySQL dump 10.13\n{BY_HAND}\n-- Dump completed\n"));
    env.ok(&["create", "shop.sql", "--name", "by_hand"]);
    server.sql("", "DROP DATABASE shop; CREATE DATABASE shop; USE shop; CREATE TABLE log (a INT); CREATE TRIGGER untyped BEFORE INSERT ON log FOR EACH ROW SET NEW.a = 7");
    let (before, rollback) = (server.dump("shop"), ["rollback", &server.url("shop"), "--yes"]);
    for name in ["dumped", "by_hand"] {
        let mut number = 0;
        loop {
            number += 1;
            // One statement for each of the code, once the tables are there.
            let (mut left, mut has_moved) = (number, false);
            let relay = Relay::to(&server, move |statement| {
                has_moved |= statement.starts_with("RENAME TABLE") && statement.contains("`log`");
                left -= usize::from(left > 0 && has_moved && statement.starts_with("CREATE"));
                left == 0
            });
            let restore = env.start(&["restore", name, "--to", &relay.url("shop"), "--yes"]);
            wait_until(|| relay.is_reached() || is_over(restore.id()));
            let is_reached = relay.is_reached();
            relay.hang_up();
            restore.kill();
            // It ends with a warning if anything stays as somebody else has made it.
            assert!(env.ok(&rollback).contains("Rolled back"), "{name} {number}");
            assert_same(&before, &server.dump("shop"));
            if !is_reached {
                break;
            }
        }
        assert!(number > 8, "{name} has {number} pieces of code");
    }
}

#[test]
fn what_somebody_else_made_while_a_restore_was_dead_stays_and_is_named() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE other.o (id INT)");
    server.sql("shop", BY_HAND);
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "DROP PROCEDURE p; DROP VIEW v; DROP TRIGGER untyped; DROP EVENT e");
    let mut has_moved = false;
    let relay = Relay::to(&server, move |statement| {
        has_moved |= statement.starts_with("RENAME TABLE") && statement.contains("`u`");
        has_moved
    });
    let restore = env.start(&["restore", "shop", "--to", &relay.url("shop"), "--yes"]);
    wait_until(|| relay.is_reached());
    relay.hang_up();
    restore.kill();
    let others = "CREATE PROCEDURE p() SELECT 'mine'; CREATE VIEW v AS SELECT 'mine'; CREATE TRIGGER untyped AFTER DELETE ON t FOR EACH ROW SET @a = 'mine'; CREATE EVENT e ON SCHEDULE EVERY 9 DAY DO SELECT 'mine'";
    server.sql("shop", others);
    let said = env.fails(1, &["restore", "shop", "--yes"]);
    for name in ["procedure p", "view v", "trigger untyped", "event e"] {
        assert!(said.contains(&format!("the {name} of shop stays: somebody made or changed it")), "{said}");
    }
    assert_eq!(server.dump("shop").matches("'mine'").count(), 4);
}

#[test]
fn a_restore_after_one_that_was_killed_keeps_what_that_replaced() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let (captured, before) = with_much_code(&env, &server);
    kill_when(&env, &["restore", "shop", "--yes"], || has_table(&server, "shop\\_\\_ice\\_old", "__icecore"));
    assert!(server.databases().contains("shop__ice_new_"), "it was over before it was killed");
    let said = env.fails(1, &["restore", "shop", "--yes"]);
    assert!(said.contains("is complete now") && said.contains("shop__ice_old"), "{said}");
    assert_same(&captured, &server.dump("shop"));
    env.ok(&["rollback", &server.url("shop"), "--yes"]);
    assert_same(&before, &server.dump("shop"));
}

#[test]
fn a_rollback_that_was_killed_is_finished_and_not_undone() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let (captured, before) = with_much_code(&env, &server);
    env.ok(&["restore", "shop", "--yes"]);
    let rollback = ["rollback", &server.url("shop"), "--yes"];
    kill_when(&env, &rollback, || has_table(&server, "shop\\_\\_ice\\_new\\_%", "__icecore_done"));
    assert!(server.databases().contains("shop__ice_new_"), "it was over before it was killed");
    assert!(env.ok(&rollback).contains("Rolled back"));
    assert_same(&before, &server.dump("shop"));
    env.ok(&rollback);
    assert_same(&captured, &server.dump("shop"));
}

#[test]
fn a_rollback_after_a_restore_that_replaced_nothing_says_so() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "INSERT INTO t VALUES (1)");
    env.ok(&["restore", "shop", "--yes"]);
    let slow = ["restore", "shop", "--yes", "--check", "SELECT SLEEP(20) = 0"];
    kill_when(&env, &slow, || processes(&server, "INFO LIKE 'SELECT SLEEP%'"));
    let rollback = ["rollback", &server.url("shop"), "--yes"];
    let said = env.ok(&rollback);
    assert!(said.contains("before it replaced anything") && !said.contains("Rolled back"), "{said}");
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM t"), "0\n");
    assert!(env.ok(&rollback).contains("Rolled back"));
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM t"), "1\n");
}

#[test]
fn a_database_that_is_dropped_while_a_restore_is_dead_can_be_restored_again() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop");
    let holder = Holder::of(&server, "SELECT * FROM bytes");
    kill_when(&env, &["restore", "shop", "--yes"], || is_waiting(&server));
    wait_until(|| !processes(&server, "INFO LIKE 'RENAME TABLE%'"));
    drop(holder);
    server.sql("", "DROP DATABASE shop");
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
}
