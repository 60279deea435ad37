//! Databases that are taken for others, by their names or by what says where they are.

use icecore_testkit::mariadb::MariaDbServer;

use crate::support::{TestEnv, assert_same};

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
fn option_files_say_where_what_is_left_open_leads_and_no_more() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql(
        "",
        "CREATE DATABASE shop; CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT ALL ON shop.* TO clerk",
    );
    env.ok(&["create", &server.url("shop")]);
    env.write(".my.cnf", "[client]\nhost=db.invalid\nport=3307\npassword=wrong\n");
    let said = env.fails(14, &["restore", "shop", "--to", "mysql:///shop"]);
    assert!(said.contains("shop on db.invalid:3307"), "{said}");
    // The password that is given is the right one.
    let url = server.url("shop").replace("root@", "clerk:a%20secret@");
    assert!(env.fails(10, &["rollback", &url, "--yes"]).contains("nothing to bring back"));
}
