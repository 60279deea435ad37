use super::*;

const READER: Reader = Reader { is_mariadb: true, version: 101_114 };

fn statements(script: &str) -> Vec<String> {
    // In pieces of every size, the same.
    let mut all: Option<Vec<String>> = None;
    for step in 1..=script.len() {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        let (mut at, mut end) = (0, 0);
        loop {
            let (bytes, last) = (&script.as_bytes()[at..end], end == script.len());
            match splitter.next(bytes, last) {
                Piece::Nothing(len) => at += len,
                Piece::Statement(len, with_end) => {
                    found.push(String::from_utf8(bytes[..len].to_vec()).unwrap());
                    at += with_end;
                }
                Piece::Command(len) => {
                    found.push("a command".to_owned());
                    at += len;
                }
                Piece::More if last => break,
                Piece::More => end = (end + step).min(script.len()),
            }
        }
        assert!(all.as_ref().is_none_or(|all| *all == found), "{found:?} in steps of {step}");
        all = Some(found);
    }
    all.unwrap()
}

#[test]
fn a_script_is_split_where_its_client_would_split_it() {
    let script = "/*M!999999\\- enable the sandbox mode */ \n-- A comment; and more\n#\nINSERT INTO `a;b` VALUES ('x;\\'y',\"z;\");\nSELECT /* ; */ 1;\n\
        DELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT ';;'; -- it's ;;\n END ;;\n/*!50003 SET a = 1 */ ;;\nDELIMITER ;\n\\! rm\nLAST";
    let expected = [
        "INSERT INTO `a;b` VALUES ('x;\\'y',\"z;\")",
        "SELECT /* ; */ 1",
        "CREATE PROCEDURE p() BEGIN SELECT ';;'; -- it's ;;\n END ",
        "/*!50003 SET a = 1 */ ",
        "a command",
        "LAST",
    ];
    assert_eq!(statements(script), expected);
}

#[test]
fn comments_hide_nothing_from_who_reads_as_the_server_does() {
    let check = |statement: &str, plain: &str| {
        let read = READER.plain(statement.as_bytes()).map(|plain| String::from_utf8(plain).unwrap());
        let read = read.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(read.as_deref(), Ok(plain), "{statement}");
    };
    check(
        "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 SQL SECURITY DEFINER */ /*!50001 VIEW v AS SELECT '/*' */",
        "CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW v AS SELECT '/*'",
    );
    check("CREATE TABLE t (a int /*!80023 INVISIBLE */) /*M!100300 x */ -- end", "CREATE TABLE t (a int ) x");
    check("CREATE TABLE t (a int) /*M!999998 x */", "CREATE TABLE t (a int)");
    check(
        "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t AFTER INSERT ON x FOR EACH ROW BEGIN /* kept */ END */",
        "CREATE DEFINER=`a`@`b` TRIGGER t AFTER INSERT ON x FOR EACH ROW BEGIN /* kept */ END",
    );
    assert!(READER.plain(b"/*!50001 SELECT 1").is_err());
    assert!(READER.plain(b"SELECT '").is_err());
}

#[test]
fn statements_of_dumps_are_understood() {
    for statement in [
        "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */",
        "/*!40101 SET NAMES utf8mb4 */",
        "/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */",
        "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
        "/*!50003 SET character_set_client  = latin1 */ ",
        "/*!50106 SET TIME_ZONE= 'SYSTEM' */ ",
        "SET @@SESSION.SQL_LOG_BIN= 0",
        "SET @@SESSION.sql_mode = '', LOCAL time_zone = '+00:00'",
        "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN",
        "SET @saved_cs_client     = @@character_set_client",
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1-3'",
        "LOCK TABLES `t` WRITE",
        "UNLOCK TABLES",
        "DROP TABLE IF EXISTS `t`",
        "/*!50001 DROP VIEW IF EXISTS `v`*/",
        "CREATE TABLE `a ``b` (`select` int, CONSTRAINT c FOREIGN KEY (x) REFERENCES `other`.`t` (id)) ENGINE=InnoDB COMMENT='a; SELECT'",
        "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
        "INSERT INTO `t` VALUES (1,-1.5e10,'a\\'b''c',0xFF,NULL,_binary 'x',b'101',x'00')",
        "INSERT INTO `t` (`a`, `b`) VALUES (DEFAULT,1)",
        "ALTER DATABASE `shop` CHARACTER SET latin1 COLLATE latin1_swedish_ci",
        "CREATE SEQUENCE `s` start with 1 minvalue 1 maxvalue 9 increment by 1 cache 1000 nocycle ENGINE=InnoDB",
        "DO SETVAL(`s`, 1001, 0)",
        "/*!50001 CREATE VIEW `v` AS SELECT\n 1 AS `id` */",
        "-- nothing",
        "COMMIT",
    ] {
        assert!(
            action(statement.as_bytes(), READER).is_ok(),
            "{statement}: {:?}",
            action(statement.as_bytes(), READER)
        );
    }
}

#[test]
fn statements_that_reach_out_are_refused_by_kind() {
    for statement in [
        "USE mysql",
        "CREATE DATABASE x",
        "DROP DATABASE x",
        "DROP TABLE IF EXISTS other.t",
        "DROP TABLE IF EXISTS t, u",
        "DROP TABLE t",
        "GRANT ALL ON *.* TO a",
        "SET GLOBAL max_connections = 1",
        "SET @@GLOBAL.max_connections = 1",
        "SET PASSWORD = 'x'",
        "SET @a = (SELECT 1), sql_mode = ''",
        "SET sql_mode = '', GLOBAL read_only = 1",
        "SET @a = 1, @@global.read_only = 1",
        "SET @@GLOBAL.time_zone = '+05:00'",
        "SET GLOBAL sql_mode = ''",
        "SET @@PERSIST.sql_mode = ''",
        "SET sql_mode = '', @@global.sql_mode = ''",
        "SET @a = 'a\\', GLOBAL read_only = 1, @b = ''",
        "SET STATEMENT sql_mode = '' FOR SHUTDOWN",
        "SET ROLE x",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "INSERT INTO mysql.user VALUES (1)",
        "INSERT INTO t SELECT * FROM mysql.user",
        "INSERT INTO t VALUES (LOAD_FILE('/etc/passwd'))",
        "INSERT INTO t VALUES ((SELECT 1))",
        "INSERT INTO t VALUES (_latin1(1))",
        "INSERT INTO t VALUES (_f (1))",
        "INSERT INTO t VALUES (0\u{a0}OR\u{a0}f)",
        "INSERT INTO t VALUES (1) /*!50000 , (sleep(9)) */",
        "INSERT INTO t VALUES (@@datadir)",
        "REPLACE INTO t VALUES (1)",
        "CREATE TABLE other.t (a int)",
        "CREATE TABLE t LIKE mysql.user",
        "CREATE TABLE t (LIKE mysql.user)",
        "CREATE TABLE t SELECT * FROM mysql.user",
        "CREATE TABLE t (a int) AS SELECT * FROM mysql.user",
        "CREATE TABLE t (a int) TABLE mysql.user",
        "CREATE SEQUENCE other.s",
        "CREATE SEQUENCE IF NOT EXISTS other . s START WITH 1",
        "CREATE DEFINER='a\\'@localhost VIEW other.v AS SELECT 1 -- '@b VIEW v AS SELECT 2",
        "CREATE DEFINER=\"a\\\"@localhost VIEW other.v AS SELECT 1 -- \"@b VIEW v AS SELECT 2",
        "CREATE EVENT e ON SCHEDULE AT 'a\\' ENABLE DO SELECT 1 -- ' DO SELECT 2",
        "CREATE TABLE t (a int) ENGINE=FEDERATED CONNECTION='mysql://a/b/c'",
        "CREATE TABLE t (a int) ENGINE=CONNECT",
        "CREATE TABLE t (a int) DATA DIRECTORY='/tmp'",
        "CREATE TABLE t (a int) ENGINE=MyISAM /*!50000 INDEX DIRECTORY='/tmp' */",
        "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
        "CREATE VIEW other.v AS SELECT 1",
        "CREATE PROCEDURE other.p() SELECT 1",
        "CREATE USER x",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'h')",
        "ALTER TABLE t ENGINE=MyISAM",
        "ALTER TABLE other.t DISABLE KEYS",
        "DO SLEEP(100)",
        "DO SETVAL(other.s, 1)",
        "SELECT SETVAL(`s`, sleep(1))",
        "FLUSH TABLES WITH READ LOCK",
        "SHUTDOWN",
        "EXECUTE IMMEDIATE 'x'",
        "/*!99999 x */ SHUTDOWN",
    ] {
        assert!(
            action(statement.as_bytes(), READER).is_err(),
            "{statement}: {:?}",
            action(statement.as_bytes(), READER)
        );
    }
}

#[test]
fn code_says_what_it_is_and_whose() {
    let code = |statement: &str| match action(statement.as_bytes(), READER) {
        Ok(Action::Create(code)) => code,
        other => panic!("{other:?}"),
    };
    let view = code(
        "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 DEFINER=`a b`@`%` SQL SECURITY DEFINER */ /*!50001 VIEW `v` AS SELECT 1 */",
    );
    assert_eq!(
        (view.kind, view.name.as_str(), view.definer.as_deref()),
        (CodeKind::View, "v", Some("a b@%"))
    );
    let own = view.without_definer();
    assert!(!String::from_utf8(own.statement).unwrap().contains("a b"));
    let event = code(
        "CREATE DEFINER=`a`@`b` EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE COMMENT 'DISABLE' DO SET @a = 'ENABLE'",
    );
    let disabled = String::from_utf8(event.disabled()).unwrap();
    assert!(disabled.contains("PRESERVE DISABLE COMMENT 'DISABLE' DO SET @a = 'ENABLE'"), "{disabled}");
    let enabled = code(&disabled).happening_as(&event);
    assert_eq!(enabled, event.statement);
    let replica = code(
        "CREATE EVENT e ON SCHEDULE AT '2030-01-01' ON COMPLETION PRESERVE DISABLE ON SLAVE DO SELECT 1",
    );
    assert!(String::from_utf8(replica.disabled()).unwrap().contains("PRESERVE DISABLE DO"), "{replica:?}");
    let trigger =
        code("CREATE DEFINER=`a`@`b` TRIGGER `t` AFTER INSERT ON `my table` FOR EACH ROW SET @a = 1");
    assert_eq!(trigger.table.as_deref(), Some("my table"));
    // What it was called with when it was typed is not where it is.
    let typed = code("CREATE TRIGGER `other` . t AFTER INSERT ON other.x FOR EACH ROW SET @a = other.x");
    assert_eq!(
        String::from_utf8(typed.statement).unwrap(),
        "CREATE TRIGGER t AFTER INSERT ON x FOR EACH ROW SET @a = other.x"
    );
    assert_eq!(code("CREATE PACKAGE BODY p AS END").kind, CodeKind::PackageBody);
}

#[test]
fn sequences_of_defaults_are_found_where_they_are_named_with_their_database() {
    let table = b"CREATE TABLE `t` (a INT DEFAULT nextval(`my ``shop`.`s`), b TEXT DEFAULT 'nextval(`x`.`y`)', c INT DEFAULT (lastval(`s`)))";
    assert_eq!(sequences(table), [("my `shop".to_owned(), "s".to_owned())]);
}
