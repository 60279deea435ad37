//! Databases of a MariaDB server of our own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use icecore_testkit::mariadb::{EVERYTHING, MariaDbServer};

use crate::support::{Said, TestEnv};

/// A database that has everything, and an empty one.
pub(crate) fn filled(server: &MariaDbServer) {
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; CREATE DATABASE copy CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    server.sql("shop", EVERYTHING);
}

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
fn a_restore_takes_the_place_of_what_is_there_and_is_rolled_back() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    let url = server.url("shop");
    env.run(&["create", &url]).ok();
    let captured = server.dump("shop");
    server.sql("shop", LATER);
    let later = server.dump("shop");
    assert!(later != captured);

    let refusal = env.fails(15, &["restore", "shop"]);
    assert!(refusal.contains("is there, and was not touched") && refusal.contains("--yes"), "{refusal}");
    let restored = env.json(&["restore", "shop", "--yes"]);
    assert_eq!(restored["kept"], "shop__ice_old");
    assert_same(&captured, &server.dump("shop"));
    assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");

    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&later, &server.dump("shop"));
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    // The next restore keeps what it replaces, and no more.
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");
}

/// What happens to a database after it was captured.
pub(crate) const LATER: &str = "
CREATE TABLE later (a INT PRIMARY KEY); INSERT INTO later VALUES (7);
DROP VIEW a_view_on_views; DROP VIEW seen; CREATE TABLE seen (b INT);
CREATE VIEW a_view AS SELECT * FROM later; CREATE VIEW the_view AS SELECT * FROM a_view;
DROP TRIGGER z_first; CREATE TRIGGER other BEFORE DELETE ON child FOR EACH ROW DELETE FROM log;
DROP PROCEDURE proc; CREATE PROCEDURE proc() SELECT 'another';
DROP EVENT nightly; CREATE EVENT hourly ON SCHEDULE EVERY 1 HOUR STARTS '2031-01-01 00:00:00' DO SELECT 1;
ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_german2_ci;
UPDATE child SET amount = 99;
";

#[track_caller]
pub(crate) fn assert_same(a: &str, b: &str) {
    for (line, (a, b)) in a.lines().zip(b.lines()).enumerate() {
        assert_eq!(a, b, "line {line}");
    }
    assert!(a == b);
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
fn a_restore_elsewhere_touches_nothing_else() {
    let (env, server, other) = (TestEnv::new(), MariaDbServer::start(), MariaDbServer::start());
    filled(&server);
    env.run(&["create", &server.url("shop")]).ok();
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
    env.ok(&["rollback", &server.url("shop"), "--yes"]);
    assert_same(&full, &server.dump("shop"));
    env.ok(&["rollback", &server.url("shop"), "--yes"]);
    assert_same(&empty, &server.dump("shop"));
}

#[test]
fn what_was_there_is_preserved_or_replaced_as_the_user_wants() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    let url = server.url("shop");
    env.run(&["create", &url]).ok();
    let captured = server.dump("shop");
    server.sql("shop", LATER);
    let later = server.dump("shop");
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
        String::from_utf8_lossy(&replaced.stdout).contains("\"kept\":null"),
        "{}{}",
        replaced.text(),
        replaced.stderr
    );
    assert_eq!(server.databases(), format!("copy\nshop\n{kept}\n"));
    // All of it, the code too, is in the snapshot.
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&changed, &server.dump("shop"));
}

#[test]
fn what_a_check_finds_leaves_everything_as_it_was() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    filled(&server);
    env.run(&["create", &server.url("shop")]).ok();
    server.sql("shop", LATER);
    let (before, databases) = (server.dump("shop"), server.databases());
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
fn a_strangers_snapshot_reaches_nothing_but_the_new_database() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE other.t (a INT); CREATE TABLE shop.t (a INT)");
    let (shop, other, databases) = (server.dump("shop"), server.dump("other"), server.databases());
    for (number, evil) in [
        "DROP TABLE IF EXISTS other.t;",
        "USE other;\nDROP TABLE IF EXISTS t;",
        "INSERT INTO t VALUES ((SELECT COUNT(*) FROM mysql.user));",
        "/*!50001 DROP DATABASE other */;",
        "SET GLOBAL max_connections = 7;",
        "DELIMITER ;;\nCREATE TABLE x (a INT);; DROP DATABASE other ;;\nDELIMITER ;",
        "\\! touch /tmp/owned",
        "CREATE TABLE x (a INT); -- x\nGRANT ALL ON *.* TO evil;",
        "SELECT 1 INTO OUTFILE '/tmp/owned';",
        // Texts in which a quote may be a part of another character.
        "SET @c = x'67626b';\nSET character_set_client = @c;\nCREATE TABLE `v` (a TEXT);\nINSERT INTO `v` VALUES ('x');",
    ]
    .into_iter()
    .enumerate()
    {
        let dump = format!(
            "-- MySQL dump 10.13\n\nCREATE TABLE `t` (a INT);\nINSERT INTO `t` VALUES (1);\n{evil}\n-- Dump completed\n"
        );
        let name = format!("evil{number}");
        env.run_with_input(&["create", "-", "--name", &name], dump.as_bytes()).ok();
        let said = env.run(&["restore", &name, "--yes", "--to", &server.url("shop")]);
        assert!(matches!(said.status, 1 | 15), "{said:?}");
        assert_same(&shop, &server.dump("shop"));
        assert_same(&other, &server.dump("other"));
        assert_eq!(server.databases(), databases);
    }
}

#[test]
fn texts_of_a_strangers_snapshot_end_where_they_seem_to_end() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let dump = "-- MySQL dump 10.13\n\nSET sql_mode = 'NO_BACKSLASH_ESCAPES';\nCREATE TABLE `t` (a TEXT);\n\
        INSERT INTO `t` VALUES ('\\', (SELECT COUNT(*) FROM mysql.user)) -- ');\n-- Dump completed\n";
    env.run_with_input(&["create", "-", "--name", "evil"], dump.as_bytes()).ok();
    env.ok(&["restore", "evil", "--to", &server.url("shop")]);
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "', (SELECT COUNT(*) FROM mysql.user)) -- \n");
}

#[test]
fn code_that_its_server_reads_otherwise_reaches_no_other_database() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE victim; CREATE TABLE shop.t (a INT)");
    let before = (server.dump("shop"), server.dump("victim"), server.sql("", "SELECT @@GLOBAL.time_zone"));
    let evils: [&[u8]; 4] = [
        b"SET @@GLOBAL.time_zone='+05:00';",
        b"CREATE SEQUENCE victim.evil;",
        b"SET sql_mode = 'NO_BACKSLASH_ESCAPES';\nDELIMITER ;;\nCREATE DEFINER='a\\'@localhost VIEW victim.evil AS SELECT 1 -- '@b VIEW v AS SELECT 2 ;;",
        // In this character set a backtick may be the end of a letter.
        b"SET character_set_client = gbk;\nDELIMITER ;;\nCREATE VIEW `v\xc3\xa9` AS SELECT 1 ;;",
    ];
    for (number, evil) in evils.into_iter().enumerate() {
        let dump = [
            b"-- MySQL dump 10.13\n\nCREATE TABLE `t` (a INT);\n",
            evil,
            b"\nDELIMITER ;\n-- Dump completed\n",
        ]
        .concat();
        let name = format!("evil{number}");
        let created = env.run_with_input(&["create", "-", "--name", &name, "--allow-incomplete"], &dump);
        assert!(matches!(created.status, 0 | 3), "{created:?}");
        let said = env.run(&["restore", &name, "--yes", "--allow-incomplete", "--to", &server.url("shop")]);
        assert!(matches!(said.status, 1 | 15), "{said:?}");
        assert!(said.stderr.contains("what no dump") || said.stderr.contains("gbk are not read"), "{said:?}");
        let after = (server.dump("shop"), server.dump("victim"), server.sql("", "SELECT @@GLOBAL.time_zone"));
        assert!(before == after, "{number}");
    }
}

#[test]
fn what_a_snapshot_would_have_a_server_do_is_read_from_its_code_and_not_from_its_word() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let dump = "-- MariaDB dump 10.19\n-- Server version\t10.11\n-- icecore: {\"charset\":\"utf8mb4\",\"collation\":\"utf8mb4_bin\",\"definers\":[]}\n\n\
        CREATE TABLE `t` (a INT);\nDELIMITER ;;\n\
        CREATE DEFINER=`nobody`@`here` EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 00:00:00' DO SELECT 1 ;;\n\
        CREATE EVENT `past` ON SCHEDULE AT '2001-01-01 00:00:00' DO SELECT 1 ;;\nDELIMITER ;\n-- Dump completed\n";
    env.run_with_input(&["create", "-", "--name", "evil"], dump.as_bytes()).ok();
    let said = env.fails(15, &["restore", "evil", "--to", &server.url("shop")]);
    assert!(said.contains("nobody@here") && said.contains("2 events, which run"), "{said}");
    let said = env.fails(3, &["restore", "evil", "--to", &server.url("shop"), "--without-definers"]);
    assert!(said.contains("the time of the event past has passed"), "{said}");
    assert_eq!(server.sql("shop", "SELECT EVENT_NAME FROM information_schema.EVENTS"), "e\n");
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
fn names_that_collations_take_for_the_same_are_not_where_case_does_not_count() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start_with(&["--lower-case-table-names=1"]));
    server.sql("", "CREATE DATABASE `shöp`; CREATE DATABASE Shop; CREATE TABLE `shöp`.other (a INT); CREATE TABLE Shop.t (a INT); CREATE VIEW `shöp`.v AS SELECT 1");
    let (own, other) = (server.dump("shop"), server.dump("shöp"));
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "DROP TABLE t");
    env.ok(&["restore", "shop", "--to", &server.url("Shop"), "--yes"]);
    assert_same(&own, &server.dump("shop"));
    assert_same(&other, &server.dump("shöp"));
}

#[test]
fn a_backup_that_locks_the_server_does_not_end_a_restore() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); INSERT INTO shop.t VALUES (1)");
    env.ok(&["create", &server.url("shop")]);
    let mut backup = server.client(&["-e", "FLUSH TABLES WITH READ LOCK; DO SLEEP(7)"]).spawn().unwrap();
    wait_until(|| processes(&server, "INFO LIKE 'DO SLEEP%'"));
    env.ok(&["restore", "shop", "--yes"]);
    assert!(backup.wait().unwrap().success());
}

#[test]
fn option_files_say_where_what_is_left_open_leads_and_no_more() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql(
        "",
        "CREATE DATABASE shop; CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT ALL ON shop.* TO clerk",
    );
    env.ok(&["create", &server.url("shop")]);
    env.write(".my.cnf", "[client]\nhost=db.invalid\nport=3307\npassword=wrong\n");
    let said = env.fails(1, &["restore", "shop", "--to", "mysql:///shop"]);
    assert!(said.contains("shop on db.invalid:3307"), "{said}");
    // The password that is given is the right one.
    let url = server.url("shop").replace("root@", "clerk:a%20secret@");
    assert!(env.fails(10, &["rollback", &url, "--yes"]).contains("nothing to bring back"));
}

#[test]
fn databases_whose_names_differ_in_case_alone_are_different_ones() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE DATABASE Shop; CREATE DATABASE Shop__ice_new_00000000; CREATE DATABASE Shop__ice_old");
    let other = "CREATE TABLE other (a INT); CREATE PROCEDURE p() SELECT 'other'; CREATE VIEW v AS SELECT * FROM other; CREATE TRIGGER tr BEFORE INSERT ON other FOR EACH ROW SET NEW.a = 1";
    server.sql("Shop", other);
    for (database, table) in
        [("Shop__ice_new_00000000", "__icecore"), ("Shop__ice_old", "__icecore"), ("shop", "t")]
    {
        server.sql(
            database,
            format!("CREATE TABLE {table} (a INT) COMMENT 'icecore: made by a restore of Shop'"),
        );
    }
    server.sql("shop", "CREATE PROCEDURE p() SELECT 'own'; CREATE PROCEDURE q() SELECT 'own'");
    let (own, other) = (server.dump("shop"), server.dump("Shop"));
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "DROP PROCEDURE p; DROP TABLE t");
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&own, &server.dump("shop"));
    assert_same(&other, &server.dump("Shop"));
    let expected = "Shop\nShop__ice_new_00000000\nShop__ice_old\nshop\nshop__ice_old\n";
    assert_eq!(
        server.databases().lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>(),
        expected.lines().map(str::to_owned).collect()
    );
}

#[test]
fn a_second_restore_at_the_same_time_is_told_to_wait() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT)");
    env.ok(&["create", &server.url("shop")]);
    let first = env
        .command(&["restore", "shop", "--yes", "--check", "SELECT SLEEP(3) = 0"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    wait_until(|| processes(&server, "INFO LIKE 'SELECT SLEEP%'"));
    assert!(env.fails(11, &["restore", "shop", "--yes"]).contains("by somebody else"));
    assert!(first.unwrap().wait().unwrap().success());
}

#[test]
fn definers_that_are_not_there_are_said_before_anything_is_written() {
    let (env, server, other) = (TestEnv::new(), MariaDbServer::start(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE USER clerk@localhost");
    server.sql("shop", "CREATE TABLE t (a INT); CREATE DEFINER=clerk@localhost VIEW v AS SELECT 1 AS one; CREATE DEFINER=clerk@localhost PROCEDURE p() SELECT 2; CREATE DEFINER=clerk@localhost TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1");
    env.ok(&["create", &server.url("shop")]);
    let said = env.fails(15, &["restore", "shop", "--to", &other.url("shop")]);
    assert!(said.contains("clerk@localhost") && said.contains("--without-definers"), "{said}");
    assert_eq!(other.databases(), "");
    env.ok(&["restore", "shop", "--to", &other.url("shop"), "--without-definers"]);
    assert_same(&server.dump("shop").replace("clerk", "root"), &other.dump("shop"));
    // As it was where they are there.
    let before = server.dump("shop");
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&before, &server.dump("shop"));
}

#[test]
fn who_may_not_restore_is_told_so_before_anything_is_written() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); CREATE DATABASE aside; CREATE TABLE aside.u (a INT)");
    server.sql("", "CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT ALL ON shop.* TO clerk");
    env.ok(&["create", &server.url("shop")]);
    let url = server.url_as("clerk", "shop");
    let said = env.fails(1, &["restore", "shop", "--to", &url, "--yes"]);
    assert!(said.contains("MYSQL_PWD"), "{said}");
    let with_password = |arguments: &[&str]| Said::of(env.command(arguments).env("MYSQL_PWD", "a secret"));
    let said = with_password(&["restore", "shop", "--to", &url, "--yes"]).fails(15);
    assert!(said.contains("GRANT ALL ON") && !said.contains("a secret"), "{said}");
    assert_eq!(server.databases(), "aside\nshop\n");
    server.sql("", "GRANT ALL ON `shop\\_\\_ice\\_%`.* TO clerk");
    with_password(&["restore", "shop", "--to", &url, "--yes"]).ok();
    with_password(&["rollback", &url, "--yes"]).ok();
    // A key that leads here from elsewhere would follow what is put aside.
    server.sql("", "CREATE TABLE shop.p (id INT PRIMARY KEY); CREATE TABLE aside.c (id INT, FOREIGN KEY (id) REFERENCES shop.p (id))");
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("aside.c"), "{said}");
    // What somebody else has called as we would is not ours.
    server.sql("", "DROP TABLE aside.c; DROP DATABASE shop__ice_old; CREATE DATABASE shop__ice_old; CREATE TABLE shop__ice_old.precious (a INT)");
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("shop__ice_old"), "{said}");
    assert_eq!(server.databases(), "aside\nshop\nshop__ice_old\n");
}

/// Tells threads to end, also when a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not happen");
        sleep(Duration::from_millis(5));
    }
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
        let create = env
            .command(&["create", &server.url("shop")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        // While the first table is read.
        wait_until(|| processes(&server, "INFO LIKE '%FROM `a`%'"));
        server.sql("shop", change);
        let said = Said::new(create.unwrap().wait_with_output().unwrap()).fails(14);
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
        let create = env
            .command(&["create", &server.url("shop")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut create = create.unwrap();
        wait_until(|| processes(&server, "INFO LIKE '%FROM `a`%'"));
        if kills_server {
            server.kill();
            Said::new(create.wait_with_output().unwrap()).fails(14);
        } else {
            create.kill().unwrap();
            create.wait().unwrap();
        }
        assert_eq!(env.count(), 0);
    }
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
    filled(&server);
    env.run(&["create", &server.url("shop")]).ok();
    server.sql("shop", LATER);
    let (before, databases) = (server.dump("shop"), server.databases());
    let holder = Holder::of(&server, "SELECT * FROM child");
    let said = env.fails(1, &["restore", "shop", "--yes"]);
    assert!(said.contains("a transaction that does not end"), "{said}");
    drop(holder);
    assert_same(&before, &server.dump("shop"));
    assert_eq!(server.databases(), databases);
}

/// A transaction that does not end by itself.
pub(crate) struct Holder(std::process::Child);

impl Holder {
    pub(crate) fn of(server: &MariaDbServer, query: &str) -> Self {
        let script = format!("START TRANSACTION; {query}; DO SLEEP(600);");
        let mut client = server.client(&["shop", "-e", &script]);
        let client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| processes(server, "INFO LIKE 'DO SLEEP(600)%'"));
        Self(client)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn processes(server: &MariaDbServer, filter: &str) -> bool {
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ({filter}) AND ID <> CONNECTION_ID()"
    );
    server.sql("", query) != "0\n"
}

#[test]
fn whoever_dies_before_the_tables_have_moved_leaves_what_was_there() {
    for kills_server in [false, true] {
        let (env, mut server) = (TestEnv::new(), MariaDbServer::start());
        filled(&server);
        env.run(&["create", &server.url("shop")]).ok();
        server.sql("shop", LATER);
        let before = server.dump("shop");
        // The tables cannot move, but other triggers may be gone by then.
        let holder = Holder::of(&server, "SELECT * FROM bytes");
        let mut restore = env.command(&["restore", "shop", "--yes"]);
        let mut restore = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| processes(&server, "INFO LIKE 'RENAME TABLE%' AND STATE LIKE 'Waiting for%'"));
        let triggers = server.sql("shop", "SHOW TRIGGERS");
        assert!(!triggers.contains("other"), "{triggers}");
        if kills_server {
            server.kill();
            drop(holder);
            server.launch();
        } else {
            restore.kill().unwrap();
            restore.wait().unwrap();
            // The server does not know yet; its statement ends by itself.
            wait_until(|| !processes(&server, "INFO LIKE 'RENAME TABLE%'"));
            drop(holder);
        }
        restore.wait().unwrap();
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
        let many: String = (0..400).map(|n| format!("CREATE PROCEDURE p{n}() SELECT {n};")).collect();
        server.sql("shop", &many);
        env.run(&["create", &server.url("shop")]).ok();
        let captured = server.dump("shop");
        server.sql("shop", LATER);
        server.sql(
            "shop",
            many.replace("CREATE PROCEDURE", "DROP PROCEDURE")
                .replace("()", "")
                .split(';')
                .map(|one| one.split(" SELECT").next().unwrap().to_owned() + ";")
                .collect::<String>()
                .trim_end_matches(';'),
        );
        let before = server.dump("shop");
        let mut restore = env.command(&["restore", "shop", "--yes"]);
        let mut restore = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moved = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop__ice_old' AND TABLE_NAME = '__icecore'";
        wait_until(|| server.sql("", moved) == "1\n");
        if kills_server {
            server.kill();
            restore.wait().unwrap();
            server.launch();
        } else {
            restore.kill().unwrap();
            restore.wait().unwrap();
        }
        assert!(server.databases().contains("shop__ice_new_"), "it was over before it was killed");
        env.ok(&["rollback", &server.url("shop"), "--yes"]);
        assert_same(&before, &server.dump("shop"));
        env.ok(&["rollback", &server.url("shop"), "--yes"]);
        assert_same(&captured, &server.dump("shop"));
        assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");
    }
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
        let restore =
            env.command(&["restore", "shop", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut restore = restore.unwrap();
        wait_until(|| processes(&server, "INFO LIKE 'INSERT INTO%'"));
        if kills_server {
            server.kill();
            Said::new(restore.wait_with_output().unwrap()).fails(1);
            server.launch();
        } else {
            restore.kill().unwrap();
            restore.wait().unwrap();
        }
        assert_same(&before, &server.dump("shop"));
        // The next one drops what was left.
        env.ok(&["restore", "shop", "--yes"]);
        assert_eq!(server.databases(), "shop\nshop__ice_old\n");
        assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM a"), "1000\n");
    }
}

/// A database whose row changed after it was dumped; returns the dump.
fn dumped(server: &MariaDbServer, options: &[&str]) -> String {
    server.sql("", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE t (a INT PRIMARY KEY, b TEXT, p INT, double_a INT AS (a * 2) STORED, FOREIGN KEY (p) REFERENCES p (id))");
    server.sql(
        "shop",
        "INSERT INTO p VALUES (1); INSERT INTO t (a, b, p) VALUES (1, 'dumped', 1), (2, 'dumped', 1)",
    );
    let mut command = Command::new("mariadb-dump");
    command
        .arg("--no-defaults")
        .arg("-S")
        .arg(server.socket())
        .args(["-u", "root"])
        .args(options)
        .arg("shop");
    let dump = Said::of(&mut command).ok();
    server.sql("shop", "UPDATE t SET b = 'live'");
    dump
}

#[test]
fn the_first_error_ends_a_restore_and_leaves_what_was_there() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let dump = dumped(&server, &[]);
    let (live, databases) = (server.dump("shop"), server.databases());
    for (before, after, status, why) in [
        ("(2,'dumped'", "(1,'dumped'", 1, "does a key come twice"),
        ("`b` text", "`b` no_such_type", 1, "no_such_type"),
        ("(1,'dumped',1,2)", "(1,'dumped',1)", 1, "Column count doesn't match"),
        // Those that fail would be left out.
        ("INSERT INTO `t`", "INSERT IGNORE INTO `t`", 15, "INSERT IGNORE INTO `t`"),
    ] {
        let broken = dump.replace(before, after);
        assert!(broken != dump, "{before} is not in {dump}");
        env.run_with_input(&["create", "-", "--name", "shop"], broken.as_bytes()).ok();
        let said = env.fails(status, &["restore", "shop", "--yes", "--to", &server.url("shop")]);
        assert!(said.contains(why), "{said}");
        assert_same(&live, &server.dump("shop"));
        assert_eq!(server.databases(), databases);
    }
}

#[test]
fn a_dump_that_names_its_database_goes_nowhere_else() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let dump = dumped(&server, &["--databases"]);
    assert!(dump.contains("USE `shop`"));
    let (live, databases) = (server.dump("shop"), server.databases());
    env.run_with_input(&["create", "-", "--name", "shop"], dump.as_bytes()).ok();
    let said = env.fails(15, &["restore", "shop", "--to", &server.url("copy")]);
    assert!(said.contains("CREATE DATABASE") && said.contains("shop"), "{said}");
    assert_same(&live, &server.dump("shop"));
    assert_eq!(server.databases(), databases);
}

#[test]
fn passwords_are_no_arguments_of_the_programs_that_are_run() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    dumped(&server, &[]);
    server.sql("", "CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT ALL ON *.* TO clerk");
    for name in ["mariadb", "mariadb-dump", "my_print_defaults"] {
        let script = format!(
            "#!/bin/sh\necho \"$0 $*\" >> '{}'; exec /usr/bin/{name} \"$@\"\n",
            env.path("arguments").display()
        );
        let path = env.write(&format!("bin/{name}"), script);
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", env.path("bin").display(), std::env::var("PATH").unwrap());
    let url = server.url_as("clerk", "shop");
    for arguments in
        [&["create", &url][..], &["restore", "shop", "--yes"], &["mysql", &url, "--", "-e", "SELECT 1"]]
    {
        Said::of(env.command(arguments).env("PATH", &path).env("MYSQL_PWD", "a secret")).ok();
    }
    let told = String::from_utf8(env.read("arguments")).unwrap();
    assert!(told.contains("bin/mariadb-dump ") && !told.contains("secret"), "{told}");
}
