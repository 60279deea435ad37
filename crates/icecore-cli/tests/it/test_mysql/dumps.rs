//! Dumps that say too much or too little, and the programs that write them.

use std::process::Command;

use icecore_testkit::mariadb::MariaDbServer;

use super::{LATER, filled};
use crate::support::{Said, TestEnv, assert_same};

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
fn passwords_are_no_arguments_of_the_programs_that_are_run() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    dumped(&server, &[]);
    server.sql("", "CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT ALL ON *.* TO clerk");
    let log = env.path("arguments");
    let tell = |name: &str| format!("echo \"$0 $*\" >> '{}'; exec /usr/bin/{name} \"$@\"", log.display());
    let programs = ["mariadb", "mariadb-dump", "my_print_defaults"];
    let path = env.path_with(&programs.map(|name| (name, tell(name))));
    let url = server.url_as("clerk", "shop");
    for arguments in
        [&["create", &url][..], &["restore", "shop", "--yes"], &["mysql", &url, "--", "-e", "SELECT 1"]]
    {
        Said::of(env.command(arguments).env("PATH", &path).env("MYSQL_PWD", "a secret")).ok();
    }
    let told = String::from_utf8(env.read("arguments")).unwrap();
    assert!(told.contains("bin/mariadb-dump ") && !told.contains("secret"), "{told}");
}
