//! Publications, subscriptions and replication slots.

use icecore_testkit::postgres::PostgresServer;

use super::databases;
use crate::running::wait_until;
use crate::support::TestEnv;

#[test]
fn slots_are_made_again_where_that_is_asked_for() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t REPLICA IDENTITY FULL; CREATE PUBLICATION changes FOR TABLE t;
        SELECT pg_create_logical_replication_slot('feed', 'pgoutput')",
    );
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    let slot = || server.sql("shop", "SELECT slot_name, plugin, database, active FROM pg_replication_slots");
    let plain = env.run(&["restore", "shop", "--yes"]);
    assert!(plain.stderr.contains("not made again: feed; --with-cdc does"), "{}", plain.stderr);
    assert_eq!(slot(), "feed|pgoutput|shop__ice_old|f");
    // That of what was put aside before stays where it is: what is there now has none of that name.
    env.ok(&["rollback", &url, "--yes"]);
    let with = env.run(&["restore", "shop", "--yes", "--with-cdc"]);
    assert!(with.stderr.contains("must take everything once more: feed"), "{}", with.stderr);
    assert_eq!(slot(), "feed|pgoutput|shop|f");
    assert_eq!(server.sql("shop", "SELECT relreplident FROM pg_class WHERE relname = 't'"), "f");
    server.sql("shop", "INSERT INTO t VALUES (1)");
    let changes = "SELECT count(*) > 0 FROM pg_logical_slot_peek_binary_changes('feed', NULL, NULL, 'proto_version', '1', 'publication_names', 'changes')";
    assert_eq!(server.sql("shop", changes), "t");
    // To a copy, beside it: its name is taken.
    let said = env.run(&["restore", "shop", "--to", &server.url("copy"), "--with-cdc"]).fails(3);
    assert!(said.contains("the replication slot feed was not made: shop has one of that name"), "{said}");
    assert_eq!(slot(), "feed|pgoutput|shop|f");
}

#[test]
fn subscriptions_come_back_disabled_and_without_their_passwords() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE t (a int PRIMARY KEY);
        CREATE SUBSCRIPTION \"from afar\" CONNECTION 'host=far.example user=me password=hush dbname=shop' PUBLICATION one, \"o'ther\"
            WITH (connect = false, slot_name = NONE)",
    );
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    assert!(!env.ok(&["restore", "shop", "--to", "-"]).contains("hush"));
    let copy = server.url("copy");
    let said = env.run(&["restore", "shop", "--to", &copy]);
    assert!(said.stderr.contains("subscriptions are not made again: from afar"), "{}", said.stderr);
    let subscriptions =
        "SELECT subname, subenabled, subslotname IS NULL, subconninfo, subpublications FROM pg_subscription s
        JOIN pg_database d ON d.oid = s.subdbid WHERE datname = current_database()";
    assert_eq!(server.sql("copy", subscriptions), "");
    let said = env.run(&["restore", "shop", "--to", &copy, "--yes", "--with-cdc"]);
    assert!(said.stderr.contains("comes back disabled"), "{}", said.stderr);
    said.ok();
    assert_eq!(
        server.sql("copy", subscriptions),
        "from afar|f|t|host='far.example' user='me' dbname='shop'|{one,o'ther}"
    );
}

#[test]
fn whoever_reads_a_database_or_writes_into_it_is_named_before() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop; CREATE DATABASE reader");
    server.sql("shop", "CREATE TABLE t (a int PRIMARY KEY); CREATE PUBLICATION p; SELECT pg_create_logical_replication_slot('feed', 'pgoutput')");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let folder = server.socket_dir().display();
    let port = server.port();
    server.sql(
        "reader",
        &format!("CREATE SUBSCRIPTION reads CONNECTION 'host={folder} port={port} dbname=shop user=postgres' PUBLICATION p WITH (create_slot = false, slot_name = 'feed', copy_data = false)"),
    );
    server.sql(
        "shop",
        "CREATE SUBSCRIPTION writes CONNECTION 'host=127.0.0.1 port=1 dbname=far' PUBLICATION p WITH (connect = false, slot_name = 's'); ALTER SUBSCRIPTION writes ENABLE",
    );
    let active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'feed'";
    wait_until(|| server.sql("shop", active) == "t");
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("the replication slot feed is in use: stop who reads it"), "{said}");
    assert!(said.contains("the subscription writes is enabled: ALTER SUBSCRIPTION writes DISABLE"), "{said}");
    assert_eq!(databases(&server), "reader\nshop");
}
