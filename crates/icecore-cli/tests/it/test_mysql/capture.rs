//! Captures: complete, of one moment, or none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use icecore_testkit::mariadb::MariaDbServer;

use super::{filled, processes};
use crate::running::{Done, wait_until};
use crate::support::{Said, TestEnv, assert_same};

#[test]
fn a_captured_database_is_a_script_that_restores_all_of_it() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    let created = env.run(&["create", &server.url("shop")]);
    assert!(created.stderr.contains("log (MyISAM)"), "{}", created.stderr);
    created.ok();
    let shown = env.json(&["show", "shop"]);
    assert_eq!(shown["engine"], "mariadb", "{shown}");
    assert!(shown["engine_version"].as_str().unwrap().contains("MariaDB"), "{shown}");
    server.sql("copy", env.back("shop"));
    assert_eq!(server.dump("shop"), server.dump("copy"));
    // Nothing changes by itself.
    assert_eq!(env.json(&["create", &server.url("shop")])["new_chunks"], 0);
}

#[test]
fn a_server_that_is_not_there_or_refuses_makes_no_snapshot() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    server.sql("", "CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON shop.* TO clerk; GRANT SELECT ON mysql.proc TO clerk");
    env.fails(14, &["create", "mysql:///shop?socket=/nonexistent"]);
    env.fails(14, &["create", &server.url("nothing")]);
    let url = server.url("shop").replace("root@", "clerk@");
    let said = env.fails(14, &["create", &url]);
    assert!(said.contains("MYSQL_PWD"), "{said}");
    assert_eq!(env.count(), 0);
    let mut command = env.command(&["create", &url]);
    Said::of(command.env("MYSQL_PWD", "a secret")).ok();
    env.write("secret", "a secret");
    env.write("icecore.toml", format!("[services.shop]\nurl = '{url}'\npassword_file = 'secret'\n"));
    env.ok(&["create", "shop"]);
    assert_eq!(env.ok(&["mysql", "shop", "--", "-N", "-e", "SELECT DATABASE()"]), "shop\n");
    assert!(env.ok(&["config", "check"]).contains("answers, version 1"));
    // A table that is altered in the middle fails the dump, and a dump that failed is no snapshot.
    server.sql("shop", "CREATE VIEW broken AS SELECT * FROM log; DROP TABLE log");
    let before = env.count();
    env.fails(14, &["create", "shop"]);
    assert_eq!(env.count(), before);
}

#[test]
fn a_capture_by_who_does_not_see_all_of_it_says_so() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); CREATE PROCEDURE shop.p() SELECT 1");
    server.sql("shop", "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1");
    server.sql("", "CREATE USER clerk; GRANT SELECT, SHOW VIEW, EVENT ON shop.* TO clerk; CREATE ROLE reader; GRANT TRIGGER ON `sho_`.* TO reader");
    let url = server.url_as("clerk", "shop");
    let said = env.fails(3, &["create", &url]);
    assert!(
        said.contains("GRANT TRIGGER ON `shop`.*") && said.contains("GRANT SELECT ON mysql.proc"),
        "{said}"
    );
    let restore = ["restore", "shop", "--yes", "--to", &server.url("shop")];
    assert!(env.fails(15, &restore).contains("not taken whole"));
    // What it may by a role counts.
    server.sql(
        "",
        "GRANT reader TO clerk; SET DEFAULT ROLE reader FOR clerk; GRANT SELECT ON mysql.proc TO clerk",
    );
    env.ok(&["create", &url]);
    let before = server.dump("shop");
    env.ok(&restore);
    assert_same(&before, &server.dump("shop"));
}

#[test]
fn a_capture_under_load_is_of_one_moment() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE bank; CREATE TABLE bank.a (id INT PRIMARY KEY, n INT, pad CHAR(200)); CREATE TABLE bank.z LIKE bank.a");
    server.sql(
        "bank",
        "INSERT INTO a SELECT seq, 100, REPEAT('x', 200) FROM seq_1_to_2000; INSERT INTO z SELECT * FROM a",
    );
    let (done, moved) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let _done = Done(&done);
        for account in [1, 7] {
            let (server, done, moved) = (&server, &done, &moved);
            scope.spawn(move || {
                let one = format!("START TRANSACTION; UPDATE a SET n = n - 1 WHERE id = {account}; UPDATE z SET n = n + 1 WHERE id = {account}; COMMIT;");
                while !done.load(Ordering::Relaxed) {
                    server.sql("bank", one.repeat(50));
                    moved.store(true, Ordering::Relaxed);
                }
            });
        }
        wait_until(|| moved.load(Ordering::Relaxed));
        for copy in ["copy1", "copy2", "copy3"] {
            env.ok(&["create", &server.url("bank")]);
            let check = "SELECT (SELECT SUM(n) FROM a) + (SELECT SUM(n) FROM z) = 400000";
            env.ok(&["restore", "bank", "--to", &server.url(copy), "--check", check]);
        }
    });
}

#[test]
fn a_table_that_is_altered_while_another_is_dumped_fails_the_dump() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, pad LONGTEXT); CREATE TABLE shop.z (a INT)");
    server.sql(
        "shop",
        "INSERT INTO z VALUES (1); INSERT INTO a SELECT seq, REPEAT('x', 100000) FROM seq_1_to_2000",
    );
    for change in ["ALTER TABLE z MODIFY a VARCHAR(10), ALGORITHM=COPY", "DROP TABLE z"] {
        let create = env.start(&["create", &server.url("shop")]);
        // While the first table is read.
        wait_until(|| processes(&server, "INFO LIKE '%FROM `a`%'"));
        server.sql("shop", change);
        let said = create.said().fails(14);
        assert!(said.contains("nothing was stored"), "{said}");
        assert_eq!(env.count(), 0);
    }
}

#[test]
fn a_dump_whose_server_or_whose_reader_dies_is_no_snapshot() {
    let (env, mut server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, pad LONGTEXT)");
    server.sql("shop", "INSERT INTO a SELECT seq, REPEAT('x', 100000) FROM seq_1_to_2000");
    for kills_server in [false, true] {
        let create = env.start(&["create", &server.url("shop")]);
        wait_until(|| processes(&server, "INFO LIKE '%FROM `a`%'"));
        if kills_server {
            server.kill();
            create.said().fails(14);
        } else {
            create.kill();
        }
        assert_eq!(env.count(), 0);
    }
}
