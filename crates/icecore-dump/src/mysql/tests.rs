use crate::tests::{list, scan, scan_in_pieces, tables};
use crate::{Completeness, Format};

const HEAD: &str = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)\n--\n-- Host: localhost    Database: shop\n-- ------------------------------------------------------\n-- Server version\t10.11.6-MariaDB-0+deb12u1\n\n/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;\n\n";
const TAIL: &str = "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n\n/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;\n\n-- Dump completed on 2026-11-20 10:00:00\n";

fn structure(name: &str) -> String {
    format!(
        "--\n-- Table structure for table `{name}`\n--\n\nDROP TABLE IF EXISTS `{name}`;\nCREATE TABLE `{name}` (\n  `a` int(11) COMMENT 'it''s; (',\n  PRIMARY KEY (`a`)\n) ENGINE=InnoDB;\n\n"
    )
}

fn data(name: &str, statements: &str) -> String {
    format!(
        "--\n-- Dumping data for table `{name}`\n--\n\nLOCK TABLES `{name}` WRITE;\n/*!40000 ALTER TABLE `{name}` DISABLE KEYS */;\n{statements}UNLOCK TABLES;\n\n"
    )
}

fn names(text: &str) -> Vec<String> {
    let (marks, _) = scan(Format::MysqlDump, text.as_bytes());
    list(&marks)
        .iter()
        .map(|line| line.split("..").next().unwrap().rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[test]
fn tables_hold_their_structure_and_their_rows() {
    let text = [
        HEAD,
        &structure("a"),
        &data("a", "INSERT INTO `a` VALUES (1,'),('),\n(2,'\\'');\nINSERT IGNORE INTO `a` (`x`,`y`) VALUES (1,2);\n"),
        &structure("b"),
        &data("b", ""),
        "--\n-- Temporary table structure for view `v`\n--\n\nDROP TABLE IF EXISTS `v`;\nSET @saved_cs_client     = @@character_set_client;\n/*!50001 CREATE VIEW `v` AS SELECT\n 1 AS `a` */;\n\n",
        "--\n-- Dumping routines for database 'shop'\n--\nDELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN\n  INSERT INTO c VALUES ('it''s);\nEND ;;\nDELIMITER ;\n\n",
        "--\n-- Final view structure for view `v`\n--\n\n/*!50001 DROP VIEW IF EXISTS `v`*/;\n",
        TAIL,
    ]
    .concat();
    let expected =
        ["header Schema", "a Table", "b Table", "view v Schema", "routines Schema", "view v (2) Schema"];
    assert_eq!(names(&text), expected);
    let (marks, outcome) = scan(Format::MysqlDump, text.as_bytes());
    assert_eq!(tables(&marks), [("a".to_owned(), Some(3)), ("b".to_owned(), Some(0))]);
    assert!(list(&marks)[1].contains(&format!(" {}..", HEAD.len())), "{:?}", list(&marks));
    assert_eq!(outcome.completeness, Completeness::Complete);
    assert_eq!(outcome.engine, Some("mariadb"));
    assert_eq!(outcome.engine_version.as_deref(), Some("10.11.6-MariaDB-0+deb12u1"));
    assert_eq!(outcome.database.as_deref(), Some("shop"));
}

#[test]
fn a_table_that_was_dumped_without_data_has_no_count() {
    let text = [HEAD, &structure("a"), TAIL].concat();
    let (marks, _) = scan(Format::MysqlDump, text.as_bytes());
    assert_eq!(tables(&marks), [("a".to_owned(), None)]);
    assert_eq!(names(&text), ["header Schema", "a Table", "footer Schema"]);
}

#[test]
fn tables_are_found_without_comments() {
    let text = "/*!40101 SET NAMES utf8 */;\nDROP TABLE IF EXISTS `a`;\nCREATE TABLE `a` (\n  `a` int\n);\nLOCK TABLES `a` WRITE;\nINSERT INTO `a` VALUES (1);\nINSERT INTO `a` VALUES (2);\nUNLOCK TABLES;\nREPLACE INTO `b` VALUES (0x27);\n";
    let (marks, outcome) = scan(Format::MysqlDump, text.as_bytes());
    assert_eq!(tables(&marks), [("a".to_owned(), Some(2)), ("b".to_owned(), Some(1))]);
    assert_eq!(outcome.completeness, Completeness::Unknown);
}

#[test]
fn several_databases_prefix_their_tables() {
    let database = |name: &str| {
        format!(
            "--\n-- Current Database: `{name}`\n--\n\nCREATE DATABASE `{name}`;\n\nUSE `{name}`;\n\n{}",
            structure("t")
        )
    };
    let text = [HEAD, &database("a"), &database("b.c"), TAIL].concat();
    let expected = [
        "header Schema",
        "database a Schema",
        "a.t Table",
        "database b.c Schema",
        "b.c.t Table",
        "footer Schema",
    ];
    assert_eq!(names(&text), expected);
}

#[test]
fn every_shorter_dump_is_cut() {
    let insert = "INSERT INTO `a` VALUES (1,'\n-- Dump completed on 2026-11-20 10:00:00\n');\n";
    let text = [HEAD, &structure("a"), &data("a", insert), TAIL].concat();
    let marker = text.rfind("-- Dump completed").unwrap() + "-- Dump completed".len();
    let begin = HEAD.find("-- MariaDB dump ").unwrap() + "-- MariaDB dump 1".len();
    for len in begin..marker {
        let (_, outcome) = scan(Format::MysqlDump, &text.as_bytes()[..len]);
        assert!(matches!(outcome.completeness, Completeness::Cut { .. }), "{len}: {outcome:?}");
    }
    assert_eq!(scan(Format::MysqlDump, text.as_bytes()).1.completeness, Completeness::Complete);
    let twice = [&text, HEAD].concat();
    let (_, outcome) = scan(Format::MysqlDump, twice.as_bytes());
    assert!(matches!(outcome.completeness, Completeness::Cut { .. }), "{outcome:?}");
}

#[test]
fn a_header_after_statements_is_the_same_part_however_the_stream_is_read() {
    let text = "SELECT 1;\n-- MySQL dump 10.13\n\n-- MySQL dump 10.13\n";
    let whole = scan(Format::MysqlDump, text.as_bytes());
    assert_eq!(list(&whole.0), ["header Schema 0..31 -", "header (2) Schema 31..51 -"]);
    assert_eq!(scan_in_pieces(Format::MysqlDump, text.as_bytes(), &[1]), whole);
}
