//! Users who may not do all that is asked.

use icecore_testkit::mariadb::MariaDbServer;

use crate::support::{Said, TestEnv, assert_same};

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
    let said = env.fails(14, &["restore", "shop", "--to", &url, "--yes"]);
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

#[test]
fn who_could_not_make_the_code_that_is_there_again_may_not_replace_it() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (a INT); CREATE USER clerk; GRANT ALL ON shop.* TO clerk; GRANT ALL ON `shop\\_\\_ice\\_%`.* TO clerk");
    let url = server.url_as("clerk", "shop");
    env.ok(&["create", &url]);
    env.ok(&["restore", "shop", "--yes", "--to", &url]);
    // All rights are there but for the name of what is preserved.
    let said = env.fails(15, &["restore", "shop", "--yes", "--preserve", "--to", &url]);
    assert!(said.contains("GRANT ALL ON") && said.contains("shop\\_20"), "{said}");
    server.sql("shop", "CREATE TRIGGER of_root BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1");
    let before = server.dump("shop");
    let said = env.fails(15, &["restore", "shop", "--yes", "--to", &url]);
    assert!(said.contains("SET USER") && said.contains("root@localhost"), "{said}");
    assert_same(&before, &server.dump("shop"));
    server.sql("", "GRANT SET USER ON *.* TO clerk; GRANT SELECT ON mysql.proc TO clerk");
    env.ok(&["restore", "shop", "--yes", "--to", &url]);
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&before, &server.dump("shop"));
}
