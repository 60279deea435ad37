//! Snapshots of strangers, who want more than to be restored.

use icecore_testkit::mariadb::MariaDbServer;

use crate::support::{TestEnv, assert_same};

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
