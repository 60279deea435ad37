//! What is said of a server of MySQL that lets nobody in, or is not there: the cause, and what to do about it.

use icecore_testkit::mariadb::MariaDbServer;

use crate::support::{Said, TestEnv};

fn server() -> MariaDbServer {
    let server = MariaDbServer::start();
    server.sql(
        "",
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); CREATE VIEW shop.v AS SELECT * FROM shop.t",
    );
    server.sql("", "CREATE USER shut@localhost IDENTIFIED BY 'hush'; GRANT ALL ON *.* TO shut@localhost");
    server.sql("", "CREATE USER few@localhost; GRANT SELECT ON shop.* TO few@localhost");
    server
}

/// The one line that says why, and that it is the only one.
#[track_caller]
fn reason(said: &str, of: &str, hint: &str) {
    let errors: Vec<&str> = said.lines().filter(|line| !line.starts_with("hint: ")).collect();
    let is_right = matches!(errors.as_slice(), [line] if line.starts_with("error: ") && line.contains(of) && line.contains(hint));
    assert!(is_right, "{said}");
}

#[test]
fn a_capture_names_the_cause_and_what_to_do() {
    let server = server();
    let env = TestEnv::new();
    let with = |password: &str, user: &str, database: &str| {
        let mut command = env.command(&["create", &server.url_as(user, database)]);
        Said::of(command.env("MYSQL_PWD", password)).fails(14)
    };
    reason(&with("", "shut", "shop"), "(error 1045)", "a password comes from");
    reason(&with("no", "shut", "shop"), "(error 1045)", "the right password?");
    reason(&with("", "root", "nothing"), "(error 1049)", "SHOW DATABASES");
    reason(&with("", "few", "nothing"), "(error 1044)", "no rights on it");
    reason(&with("", "few", "shop"), "(error 1142)", "lacks a right");
    let said = env.fails(14, &["create", "mysql://me@127.0.0.1:1/shop"]);
    reason(&said, "shop on 127.0.0.1:1: Can't connect", "does the server run, and listen there?");
    let said = env.fails(14, &["create", "mysql://me@nowhere.invalid/shop"]);
    reason(&said, "(error 2005)", "the right name of the host?");
}

#[test]
fn a_restore_names_the_same_causes() {
    let server = server();
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let with = |password: &str, url: &str| {
        let mut command = env.command(&["restore", "shop", "--to", url]);
        Said::of(command.env("MYSQL_PWD", password)).fails(1)
    };
    let shut = server.url_as("shut", "shop");
    reason(&with("", &shut), "(error 1045)", "a password comes from");
    reason(&with("no", &shut), "(error 1045)", "the right password?");
    reason(&with("", &server.url_as("few", "shop")), "(error 1142)", "lacks a right");
    reason(&with("", "mysql://me@127.0.0.1:1/shop"), "Connection refused", "does the server run");
    reason(&with("", "mysql://me@/shop?socket=/nowhere"), "No such file", "does the server run");
    reason(&with("", "mysql://me@nowhere.invalid/shop"), "(error 2005)", "the right name of the host?");
}
