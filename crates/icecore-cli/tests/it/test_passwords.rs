//! Which password goes to which server.

use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::PostgresServer;

use crate::support::TestEnv;

#[test]
fn the_password_of_a_service_is_that_of_a_url_of_the_same_server_port_and_user() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop; CREATE ROLE clerk LOGIN SUPERUSER PASSWORD 'other'");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let env = TestEnv::new();
    env.write("secret", server.password());
    let url = server.tcp_url("shop");
    // What is wrong with another service is not asked for.
    let config = format!(
        "[services.broken]\nengine = 'oracle'\n[services.elsewhere]\nurl = 'postgres://clerk@127.0.0.1/shop'\npassword_command = ['false']\n
        [services.shop]\nurl = '{url}'\npassword_file = 'secret'\n"
    );
    env.write("icecore.toml", config);
    env.ok(&["create", "shop"]);
    let copy = server.tcp_url("copy");
    env.ok(&["restore", "shop", "--to", &copy]);
    assert_eq!(server.sql("copy", "SELECT a FROM t"), "1");
    env.ok(&["create", &copy]);
    for other in [copy.replace("postgres@", "clerk@"), copy.replace("127.0.0.1", "localhost")] {
        let said = env.fails(14, &["restore", "shop", "--to", &other, "--yes"]);
        assert!(said.contains("password"), "{said}");
    }
    // What the URL says counts more.
    let said =
        env.fails(14, &["restore", "shop", "--to", &copy.replace("postgres@", "postgres:no@"), "--yes"]);
    assert!(said.contains("is it the right role, and the right password?"), "{said}");
}

#[test]
fn passwords_of_mysql_are_found_in_the_same_way() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t AS SELECT 1 AS a");
    server.sql("", "CREATE USER clerk@localhost IDENTIFIED BY 'hush'; GRANT ALL ON *.* TO clerk@localhost");
    let env = TestEnv::new();
    let url = server.url_as("clerk", "shop");
    env.write(
        "icecore.toml",
        format!("[services.shop]\nurl = '{url}'\npassword_command = ['echo', 'hush']\n"),
    );
    env.ok(&["create", "shop"]);
    env.ok(&["restore", "shop", "--to", &server.url_as("clerk", "copy")]);
    assert_eq!(server.sql("copy", "SELECT a FROM t"), "1\n");
    env.fails(14, &["restore", "shop", "--to", &server.url_as("nobody", "copy"), "--yes"]);
}
