//! Others who use the server while a restore runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use icecore::Database;
use icecore_engine::database::Restored;
use icecore_engine::mysql::Endpoint;
use icecore_testkit::mariadb::MariaDbServer;

use super::{Holder, LATER, captured_and_changed, filled, has_table, is_waiting, processes};
use crate::running::{Done, Running, wait_until};
use crate::support::{TestEnv, assert_same};

#[test]
fn a_backup_that_locks_the_server_does_not_end_a_restore() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); INSERT INTO shop.t VALUES (1)");
    env.ok(&["create", &server.url("shop")]);
    let backup = Running::start(&mut server.client(&["-e", "FLUSH TABLES WITH READ LOCK; DO SLEEP(7)"]));
    wait_until(|| processes(&server, "INFO LIKE 'DO SLEEP%'"));
    env.ok(&["restore", "shop", "--yes"]);
    backup.said().ok();
}

#[test]
fn a_second_restore_at_the_same_time_is_told_to_wait() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    env.ok(&["create", &server.url("shop")]);
    let first = env.start(&["restore", "shop", "--yes", "--check", "SELECT SLEEP(3) = 0"]);
    wait_until(|| processes(&server, "INFO LIKE 'SELECT SLEEP%'"));
    assert!(env.fails(11, &["restore", "shop", "--yes"]).contains("by somebody else"));
    first.said().ok();
}

#[test]
fn a_restore_succeeds_while_others_use_the_database() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, n INT); CREATE TABLE shop.u (a INT); CREATE VIEW shop.v AS SELECT * FROM shop.t");
    server.sql("shop", "INSERT INTO t (n) SELECT 1 FROM seq_1_to_1000; CREATE TRIGGER tr BEFORE INSERT ON u FOR EACH ROW SET NEW.a = NEW.a + 1");
    env.ok(&["create", &server.url("shop")]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _done = Done(&done);
        for _ in 0..4 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                // Tables and views are there all the time; nobody gets an error but for what two transactions do to each other.
                let one = "START TRANSACTION; INSERT INTO u VALUES (1); UPDATE t SET n = n + 1 WHERE id = 1; COMMIT; SELECT COUNT(*) FROM v;";
                while !done.load(Ordering::Relaxed) {
                    if let Err(error) = server.try_sql("shop", one.repeat(20)) {
                        assert!(error.contains("1213") || error.contains("1412"), "{error}");
                    }
                }
            });
        }
        for _ in 0..3 {
            env.ok(&["restore", "shop", "--yes", "--check", "SELECT SUM(n) = 1000 FROM t"]);
        }
        env.ok(&["rollback", &server.url("shop"), "--yes"]);
    });
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM t"), "1000\n");
    assert_eq!(server.databases(), "shop\nshop__ice_old\n");
}

#[test]
fn nothing_happens_by_the_clock_in_what_is_not_there_yet() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start_with(&["--event-scheduler=ON"]));
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.ticks (a INT)");
    server.sql("shop", "CREATE EVENT tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO ticks VALUES (1)");
    env.ok(&["create", &server.url("shop")]);
    let shown = env.json(&["show", "shop"]);
    let parts = shown["parts"].as_array().unwrap();
    let captured = parts.iter().find(|part| part["name"] == "ticks").unwrap()["rows"].as_u64().unwrap();
    let check = format!("SELECT COUNT(*) = {captured} FROM ticks");
    env.ok(&["restore", "shop", "--yes", "--check", "SELECT SLEEP(3) = 0 AND 1", "--check", &check]);
    // But it does in what is.
    wait_until(|| server.sql("shop", format!("SELECT COUNT(*) > {captured} FROM ticks")) == "1\n");
    let aside = server.sql("shop__ice_old", "SELECT COUNT(*) FROM ticks");
    sleep(Duration::from_millis(2100));
    assert_eq!(server.sql("shop__ice_old", "SELECT COUNT(*) FROM ticks"), aside);
}

#[test]
fn a_transaction_that_does_not_end_leaves_everything_as_it_was() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let (_, before) = captured_and_changed(&env, &server);
    let databases = server.databases();
    let holder = Holder::of(&server, "SELECT * FROM child");
    let said = env.fails(1, &["restore", "shop", "--yes"]);
    assert!(said.contains("a transaction that does not end"), "{said}");
    drop(holder);
    assert_same(&before, &server.dump("shop"));
    assert_eq!(server.databases(), databases);
}

#[test]
fn code_that_others_make_meanwhile_stays_and_triggers_keep_their_order() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    server.sql("shop", "CREATE TABLE many (a INT); CREATE TRIGGER b BEFORE INSERT ON many FOR EACH ROW SET NEW.a = 1; CREATE TRIGGER c BEFORE INSERT ON many FOR EACH ROW SET NEW.a = 2; CREATE TRIGGER a BEFORE INSERT ON many FOR EACH ROW SET NEW.a = 3");
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", LATER);
    let databases = server.databases();
    for is_killed in [false, true] {
        let holder = Holder::of(&server, "SELECT * FROM bytes");
        let restore = env.start(&["restore", "shop", "--yes"]);
        wait_until(|| is_waiting(&server));
        server.sql("shop", format!("CREATE PROCEDURE others_{is_killed}() SELECT 'of somebody else'"));
        if is_killed {
            restore.kill();
            drop(holder);
            wait_until(|| !processes(&server, "INFO LIKE 'RENAME TABLE%'"));
            if has_table(&server, "shop\\_\\_ice\\_old", "__icecore") {
                // Its statement was carried out at last.
                env.ok(&["rollback", &server.url("shop"), "--yes"]);
            }
            env.run(&["rollback", &server.url("shop"), "--yes"]);
        } else {
            let said = restore.said().fails(1);
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
