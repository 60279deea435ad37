//! The swap of a MariaDB database, by which nothing is lost whoever dies or does something else meanwhile.

use std::process::{Child, Stdio};

use icecore::Database;
use icecore_engine::database::Restored;
use icecore_engine::mysql::Endpoint;
use icecore_testkit::mariadb::MariaDbServer;

use crate::support::{Said, TestEnv};
use crate::test_mysql::{Holder, LATER, assert_same, filled, processes, wait_until};

/// Starts a command, and kills it once something is so.
fn kill_when(env: &TestEnv, arguments: &[&str], is_so: impl FnMut() -> bool) {
    let mut child = start(env, arguments);
    wait_until(is_so);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn start(env: &TestEnv, arguments: &[&str]) -> Child {
    env.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How many databases have such a table.
fn has_table(server: &MariaDbServer, schema: &str, table: &str) -> bool {
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE '{schema}' AND TABLE_NAME = '{table}'"
    );
    server.sql("", query) != "0\n"
}

fn is_waiting(server: &MariaDbServer) -> bool {
    processes(server, "INFO LIKE 'RENAME TABLE%' AND STATE LIKE 'Waiting for%'")
}

/// A database with a snapshot whose code takes a while to make, and then changed; what was captured, and what is there.
fn with_much_code(env: &TestEnv, server: &MariaDbServer) -> (String, String) {
    filled(server);
    let code = |number: u32| -> String {
        (0..400).map(|n| format!("CREATE OR REPLACE PROCEDURE p{n}() SELECT {n} + {number};")).collect()
    };
    server.sql("shop", code(1));
    env.run(&["create", &server.url("shop")]).ok();
    let captured = server.dump("shop");
    server.sql("shop", LATER);
    server.sql("shop", code(2));
    (captured, server.dump("shop"))
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
fn a_rollback_never_brings_back_what_an_earlier_restore_replaced() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "INSERT INTO t VALUES (1)");
    env.ok(&["restore", "shop", "--yes"]);
    server.sql("shop", "INSERT INTO t VALUES (2)");
    let said = env.run(&["restore", "shop", "--yes", "--preserve"]).fails(0);
    assert!(
        said.contains("shop__ice_old, which the restore before put aside, is dropped at the end"),
        "{said}"
    );
    let databases = server.databases();
    assert!(!databases.contains("__ice_"), "{databases}");
    let preserved = databases.lines().find(|name| name.starts_with("shop_20")).expect(&databases);
    assert_eq!(server.sql(preserved, "SELECT a FROM t"), "2\n");
    let said = env.fails(10, &["rollback", &server.url("shop"), "--yes"]);
    assert!(said.contains("nothing"), "{said}");
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM t"), "0\n");
}

#[test]
fn code_that_others_make_meanwhile_stays_and_triggers_keep_their_order() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    server.sql("shop", "CREATE TABLE many (a INT); CREATE TRIGGER b BEFORE INSERT ON many FOR EACH ROW SET NEW.a = 1; CREATE TRIGGER c BEFORE INSERT ON many FOR EACH ROW SET NEW.a = 2; CREATE TRIGGER a BEFORE INSERT ON many FOR EACH ROW SET NEW.a = 3");
    env.run(&["create", &server.url("shop")]).ok();
    server.sql("shop", LATER);
    let databases = server.databases();
    for is_killed in [false, true] {
        let holder = Holder::of(&server, "SELECT * FROM bytes");
        let mut restore = start(&env, &["restore", "shop", "--yes"]);
        wait_until(|| is_waiting(&server));
        server.sql("shop", format!("CREATE PROCEDURE others_{is_killed}() SELECT 'of somebody else'"));
        if is_killed {
            restore.kill().unwrap();
            restore.wait().unwrap();
            drop(holder);
            wait_until(|| !processes(&server, "INFO LIKE 'RENAME TABLE%'"));
            if has_table(&server, "shop\\_\\_ice\\_old", "__icecore") {
                // Its statement was carried out at last.
                env.ok(&["rollback", &server.url("shop"), "--yes"]);
            }
            env.run(&["rollback", &server.url("shop"), "--yes"]);
        } else {
            let said = Said::new(restore.wait_with_output().unwrap()).fails(1);
            assert!(said.contains("others_false"), "{said}");
            drop(holder);
        }
        let code = server.sql("shop", "SHOW PROCEDURE STATUS WHERE Db = 'shop'");
        assert!(code.contains(&format!("others_{is_killed}")), "{code}");
        let order = "SELECT GROUP_CONCAT(TRIGGER_NAME ORDER BY ACTION_ORDER) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE = 'many'";
        assert_eq!(server.sql("shop", order), "b,c,a\n");
        if !is_killed {
            assert_eq!(server.databases(), databases);
        }
    }
}

#[test]
fn who_could_not_make_the_code_that_is_there_again_may_not_replace_it() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); CREATE USER clerk; GRANT ALL ON shop.* TO clerk; GRANT ALL ON `shop\\_\\_ice\\_%`.* TO clerk");
    let url = server.url_as("clerk", "shop");
    env.ok(&["create", &url]);
    env.ok(&["restore", "shop", "--yes", "--to", &url]);
    // All rights are there but for the name of what is preserved.
    let said = env.fails(15, &["restore", "shop", "--yes", "--preserve", "--to", &url]);
    assert!(said.contains("GRANT ALL ON") && said.contains("shop\\_20"), "{said}");
    server.sql("shop", "CREATE TRIGGER of_root BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1");
    let before = server.dump("shop");
    let said = env.fails(15, &["restore", "shop", "--yes", "--to", &url]);
    assert!(said.contains("SET USER") && said.contains("root@localhost"), "{said}");
    assert_same(&before, &server.dump("shop"));
    server.sql("", "GRANT SET USER ON *.* TO clerk; GRANT SELECT ON mysql.proc TO clerk");
    env.ok(&["restore", "shop", "--yes", "--to", &url]);
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&before, &server.dump("shop"));
}

#[test]
fn a_view_that_is_broken_stops_neither_a_restore_nor_a_rollback() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    let url = server.url("shop");
    env.run(&["create", &url]).ok();
    let captured = server.dump("shop");
    server.sql("shop", "CREATE TABLE b (a INT); CREATE VIEW broken AS SELECT * FROM b; DROP TABLE b");
    let said = env.run(&["restore", "shop", "--yes", "--preserve"]).fails(3);
    assert!(said.contains("view broken") && said.contains("shop__ice_left_"), "{said}");
    assert_same(&captured, &server.dump("shop"));
    let left = server.databases();
    let left = left.lines().find(|name| name.starts_with("shop__ice_left_")).unwrap();
    let statement = server.sql(left, "SELECT statement FROM __icecore");
    assert!(statement.contains("`broken`"), "{statement}");
    env.ok(&["restore", "shop", "--yes"]);
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    let broken = "CREATE TABLE b (a INT); CREATE VIEW broken AS SELECT * FROM b; DROP TABLE b; DELETE FROM child; CREATE PROCEDURE mine() SELECT 1";
    server.sql("shop", broken);
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    let said = env.run(&["rollback", &url, "--yes"]).fails(3);
    assert!(said.contains("view broken") && said.contains("shop__ice_left_"), "{said}");
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM child; CALL mine()"), "0\n1\n");
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&captured, &server.dump("shop"));
}

#[test]
fn tables_and_code_go_back_where_code_of_a_snapshot_cannot_be_made() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    server.sql("shop", LATER);
    let (before, databases) = (server.dump("shop"), server.databases());
    let dump = "-- MySQL dump 10.13\n\nCREATE TABLE `child` (a INT);\nDELIMITER ;;\nCREATE PROCEDURE `proc`() SELECT 1 ;;\nCREATE TRIGGER `tr` BEFORE INSERT ON `child` FOR EACH ROW SET NEW.a = 1 ;;\nDELIMITER ;\nCREATE VIEW `the_view` AS SELECT 1 FROM `shop`.`nothing`;\n-- Dump completed\n";
    env.run_with_input(&["create", "-", "--name", "odd"], dump.as_bytes()).ok();
    let said = env.fails(1, &["restore", "odd", "--yes", "--to", &server.url("shop")]);
    assert!(said.contains("view the_view"), "{said}");
    assert_same(&before, &server.dump("shop"));
    assert_eq!(server.databases(), databases);
}

#[test]
fn a_database_that_is_dropped_while_a_restore_is_dead_can_be_restored_again() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    env.run(&["create", &server.url("shop")]).ok();
    let captured = server.dump("shop");
    let holder = Holder::of(&server, "SELECT * FROM bytes");
    kill_when(&env, &["restore", "shop", "--yes"], || is_waiting(&server));
    wait_until(|| !processes(&server, "INFO LIKE 'RENAME TABLE%'"));
    drop(holder);
    server.sql("", "DROP DATABASE shop");
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
}

#[test]
fn keys_that_lead_to_what_is_there_or_was_are_not_led_astray() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE shop.p (id INT PRIMARY KEY)");
    env.ok(&["create", &server.url("shop")]);
    env.ok(&["restore", "shop", "--yes"]);
    for (place, command) in [("shop", "rollback"), ("shop__ice_old", "restore")] {
        let key = format!("CREATE TABLE other.c (id INT, FOREIGN KEY (id) REFERENCES {place}.p (id))");
        server.sql("", key);
        let url = server.url("shop");
        let arguments = match command {
            "rollback" => [command, &url, "--yes"],
            _ => [command, "shop", "--yes"],
        };
        let said = env.fails(15, &arguments);
        assert!(said.contains("other.c"), "{said}");
        assert!(server.sql("", "SHOW CREATE TABLE other.c").contains(&format!("`{place}`.`p`")));
        assert_eq!(server.databases(), "other\nshop\nshop__ice_old\n");
        server.sql("", "DROP TABLE other.c");
    }
}

#[test]
fn what_another_restore_has_put_aside_is_not_dropped() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    let url = server.url("shop");
    env.ok(&["create", &url]);
    env.ok(&["restore", "shop", "--yes"]);
    let database = Database::Mysql(Endpoint::parse(&url).unwrap().unwrap());
    let first = Restored {
        mark: Some("a restore of shop by shop__ice_new_00000000".to_owned()),
        ..Restored::default()
    };
    let error = database.forget(&first).unwrap_err().to_string();
    assert!(error.contains("another restore"), "{error}");
    assert_eq!(server.databases(), "shop\nshop__ice_old\n");
}

#[test]
fn a_snapshot_with_tables_that_are_called_as_ours_is_refused() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    for (number, statement) in [
        "CREATE TABLE `__ICECORE_new` (a INT);",
        "DROP TABLE IF EXISTS `__icecore`;",
        "DROP TABLE IF EXISTS `__icecore`;\nCREATE TABLE `__icecore` (a INT) COMMENT='icecore: made by a restore of shop';",
    ]
    .into_iter()
    .enumerate()
    {
        let dump = format!("-- MySQL dump 10.13\n\nCREATE TABLE `t` (a INT);\n{statement}\n-- Dump completed\n");
        let name = format!("evil{number}");
        env.run_with_input(&["create", "-", "--name", &name], dump.as_bytes()).ok();
        let said = env.fails(15, &["restore", &name, "--yes", "--to", &server.url("shop")]);
        assert!(said.contains("icecore"), "{said}");
        assert_eq!(server.sql("shop", "SHOW TABLES"), "t\n");
        assert!(!server.databases().contains("shop__ice_old"));
    }
}
