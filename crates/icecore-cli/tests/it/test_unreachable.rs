//! What is said of a server that lets nobody in, or is not there: the cause, and what to do about it, with one status for all commands.

use std::fs;
use std::process::Command;

use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::PostgresServer;
use rustix::process::{Pid, Signal, kill_process};

use crate::running::wait_until;
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
        Said::of(command.env("MYSQL_PWD", password)).fails(14)
    };
    let shut = server.url_as("shut", "shop");
    reason(&with("", &shut), "(error 1045)", "a password comes from");
    reason(&with("no", &shut), "(error 1045)", "the right password?");
    let said = env.fails(1, &["restore", "shop", "--to", &server.url_as("few", "shop")]);
    reason(&said, "(error 1142)", "lacks a right");
    reason(&with("", "mysql://me@127.0.0.1:1/shop"), "Connection refused", "does the server run");
    reason(&with("", "mysql://me@/shop?socket=/nowhere"), "No such file", "does the server run");
    reason(&with("", "mysql://me@nowhere.invalid/shop"), "(error 2005)", "the right name of the host?");
}

/// The servers' own words may be in any language: what helps is known by the number, and by the place in the server that refuses.
#[test]
fn postgresql_is_told_what_fits_the_cause_by_every_command() {
    let server = PostgresServer::start();
    server.sql(
        "postgres",
        "CREATE DATABASE shop; CREATE ROLE full_up LOGIN CONNECTION LIMIT 0; CREATE ROLE asleep; CREATE ROLE barred LOGIN; CREATE ROLE peerless LOGIN",
    );
    let rules = server.data_dir().join("pg_hba.conf");
    let told = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("local all barred reject\nlocal all peerless peer\n{told}")).unwrap();
    let loaded = || server.sql("postgres", "SELECT pg_conf_load_time()");
    let before = loaded();
    server.sql("postgres", "SELECT pg_reload_conf()");
    wait_until(|| loaded() != before);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let check = |url: &str, password: &str, said: &str, hint: &str| {
        let restore = ["restore", "shop", "--yes", "--to", url];
        for arguments in [&["create", url][..], &restore, &["rollback", url, "--yes"]] {
            let mut command = env.command(arguments);
            let told = Said::of(command.env("PGPASSWORD", password)).fails(14);
            reason(&told, said, hint);
            assert!(told.starts_with("error: the database shop on ") && !told.contains("os error"), "{told}");
        }
    };
    for (role, said, hint) in [
        ("nobody", "role \"nobody\" does not exist", "; name the role that may: "),
        ("asleep", "is not permitted to log in", "; name the role that may: "),
        ("barred", "pg_hba.conf", "pg_hba.conf says who is let in"),
        ("peerless", "Peer authentication failed", "another proof than a password"),
        ("full_up", "too many connections", "; try again when others have gone"),
    ] {
        check(&server.url_as(role, "shop"), "", said, hint);
    }
    check(&server.tcp_url("shop"), "", "asks for a password", "; give one by PGPASSWORD");
    check(&server.tcp_url("shop"), "no", "password authentication failed", "; is it the right role, and");
    check("postgres://me@127.0.0.1:1/shop", "", "Connection refused", "; does the server run");
    let nowhere = "postgres://me@nowhere.invalid/shop";
    check(nowhere, "", "lookup address", "; is that the right name of the host?");
    let said = env.fails(14, &["create", &server.url("shpo")]);
    reason(&said, "database \"shpo\" does not exist", "psql -l lists what there is");
    // One that has been told to end waits for the session that there is, and lets nobody in.
    let mut session = Command::new("psql");
    session.args(["-X", "-h"]).arg(server.socket_dir()).args([
        "-p",
        &server.port().to_string(),
        "-U",
        "postgres",
    ]);
    let mut session = session.args(["shop", "-c", "SELECT pg_sleep(600)"]).spawn().unwrap();
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'";
    wait_until(|| server.sql("postgres", sleeps) == "1");
    kill_process(Pid::from_raw(server.pid().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    check(&server.url("shop"), "", "is shutting down", "; try again in a moment");
    session.kill().unwrap();
    session.wait().unwrap();
}

/// No variable says who we are, as in many a container: the system does.
#[test]
fn who_we_are_is_asked_of_the_system() {
    let output = Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let env = TestEnv::new();
    let server = PostgresServer::start();
    server.sql("postgres", &format!("CREATE ROLE \"{me}\" SUPERUSER LOGIN; CREATE DATABASE shop"));
    let nobody = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap();
        format!("{scheme}://{}", rest.split_once('@').unwrap().1)
    };
    let url = nobody(&server.url("shop"));
    assert!(url.starts_with("postgres:///shop?"), "{url}");
    env.ok(&["create", &url]);
    let origin = env.json(&["show", "latest"])["origin"].as_str().unwrap().to_owned();
    assert!(origin.starts_with(&format!("postgres://{me}@/shop")), "{origin}");
    // Those that programs of PostgreSQL do not ask either count less.
    let mut command = env.command(&["create", &url]);
    Said::of(command.env("USER", "nobody").env("LOGNAME", "nobody")).ok();
    let said = Said::of(env.command(&["create", &url]).env("PGUSER", "nobody")).fails(14);
    assert!(said.contains("role \"nobody\""), "{said}");

    let server = MariaDbServer::start();
    server.sql("", format!("CREATE OR REPLACE USER `{me}`@localhost; GRANT ALL ON *.* TO `{me}`@localhost; CREATE DATABASE shop"));
    let url = nobody(&server.url("shop"));
    assert!(url.starts_with("mariadb:///shop?"), "{url}");
    env.ok(&["create", &url, "--name", "other"]);
    env.ok(&["restore", "other", "--yes"]);
}
