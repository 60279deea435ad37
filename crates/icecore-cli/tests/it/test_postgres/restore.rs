//! Restores, and what becomes of what was there.

use std::collections::BTreeSet;

use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use super::databases;
use crate::support::{TestEnv, assert_same};

#[test]
fn a_restore_takes_the_place_of_what_is_there_and_is_rolled_back() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    let captured = server.dump("shop", &["--create"]);
    server.sql(
        "shop",
        "CREATE TABLE later (a int); DROP VIEW IF EXISTS nothing; ALTER DATABASE shop SET work_mem TO '7MB'",
    );
    let later = server.dump("shop", &["--create"]);
    assert!(later != captured);

    let refusal = env.fails(15, &["restore", "shop"]);
    assert!(refusal.contains("is there, and was not touched") && refusal.contains("--yes"), "{refusal}");
    let restored = env.json(&["restore", "shop", "--yes"]);
    assert_eq!(restored["kept"], "shop__ice_old");
    assert_same(&captured, &server.dump("shop", &["--create"]));
    assert_eq!(databases(&server), "shop\nshop__ice_old");

    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&later, &server.dump("shop", &["--create"]));
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&captured, &server.dump("shop", &["--create"]));
    // The next restore keeps what it replaces, and no more.
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop", &["--create"]));
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_restore_elsewhere_touches_nothing_else() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let other = PostgresServer::start();
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let target = other.url("The \"new\" shop");
    let refusal = env.fails(15, &["restore", "shop", "--to", &target]);
    assert!(refusal.contains("everything_owner") && refusal.contains("--create-roles"), "{refusal}");
    assert_eq!(databases(&other), "");
    env.ok(&["restore", "shop", "--to", &target, "--create-roles"]);
    assert_same(&server.dump("shop", &[]), &other.dump("The \"new\" shop", &[]));
    assert_eq!(databases(&server), "shop");
}

#[test]
fn what_a_check_finds_leaves_everything_as_it_was() {
    let server =
        PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "INSERT INTO t VALUES (0)");
    for (check, why) in [
        ("SELECT count(*) > 1000 FROM public.t", "it is false"),
        ("SELECT * FROM nothing", "does not exist"),
        ("SELECT max(a) FROM public.t WHERE a > 1000", "it is null"),
    ] {
        let said = env.fails(15, &["restore", "shop", "--yes", "--check", check]);
        assert!(said.contains(why) && said.contains(check), "{said}");
        assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "1001");
        assert_eq!(databases(&server), "shop");
    }
    let check = "SELECT count(*) = 1000 FROM public.t";
    env.ok(&["restore", "shop", "--yes", "--check", check, "--preserve"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "1000");
    assert_eq!(databases(&server), "shop\nshop_20261120_100500");
}

/// A database with a comment, captured; its URL.
fn commented() -> (PostgresServer, TestEnv, String) {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE t AS SELECT 1 AS a; COMMENT ON DATABASE shop IS 'ours'",
    );
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    (server, env, url)
}

#[test]
fn what_is_dropped_is_in_the_store_before() {
    let (server, env, url) = commented();
    server.sql("shop", "UPDATE t SET a = 2; COMMENT ON DATABASE shop IS 'still ours'");
    let later = server.dump("shop", &["--create"]);
    env.ok(&["restore", "shop", "--yes", "--replace"]);
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "1");
    assert_eq!(databases(&server), "shop");
    // It is no snapshot of the shop: nobody meant to keep it.
    let listed = env.json(&["list", "shop"]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&later, &server.dump("shop", &["--create"]));
    env.ok(&["rollback", &url, "--yes"]);
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "1");
    let said = env.fails(10, &["rollback", &server.url("other"), "--yes"]);
    assert!(said.contains("nothing to bring back of other"), "{said}");
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_written() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop; CREATE ROLE weak LOGIN");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let weak = server.url_as("weak", "shop");
    let said = env.fails(15, &["restore", "shop", "--yes", "--to", &weak]);
    assert!(said.contains("CREATEDB") && said.contains("does not belong to weak"), "{said}");
    server.sql("shop", "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'half'");
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("PREPARED 'half'"), "{said}");
    server.sql("shop", "ROLLBACK PREPARED 'half'");
    server.sql("shop", "SELECT pg_create_logical_replication_slot('reader', 'pgoutput')");
    let restored = env.run(&["restore", "shop", "--yes"]);
    assert!(restored.stderr.contains("slot reader stays with the database"), "{}", restored.stderr);
    restored.ok();
}

#[test]
fn definitions_without_rows_take_no_place_of_rows() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop"), "--schema-only"]);
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("definitions and no rows"), "{said}");
    let said = env.ok(&["restore", "shop", "--to", &server.url("empty")]);
    let tables = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|information)'";
    let made = server.sql("shop", tables);
    assert!(said.contains(&format!(": {made} tables, 0 rows")), "{made}: {said}");
    assert_same(&server.dump("shop", &["--schema-only"]), &server.dump("empty", &["--schema-only"]));
}

#[test]
fn databases_that_icecore_did_not_make_are_never_dropped() {
    let server = PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    for name in ["shop__ice_old", "shop__ice_gone"] {
        server.sql("postgres", &format!("CREATE DATABASE {name}"));
        server.sql(name, "CREATE TABLE payroll (a int)");
        let said = env.fails(15, &["restore", "shop", "--yes"]);
        assert!(said.contains(name) && said.contains("icecore did not"), "{said}");
        server.sql(name, "SELECT * FROM payroll");
        assert_eq!(databases(&server), format!("shop\n{name}"));
        server.sql("postgres", &format!("DROP DATABASE {name}"));
    }
    server.sql("postgres", "CREATE DATABASE shop__ice_new_12345678");
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(databases(&server), "shop\nshop__ice_new_12345678\nshop__ice_old");
}

#[test]
fn a_rollback_brings_back_what_the_last_restore_preserved() {
    let (server, env, url) = commented();
    server.sql("shop", "UPDATE t SET a = 2");
    env.ok(&["restore", "shop", "--yes"]);
    server.sql("shop", "UPDATE t SET a = 3; COMMENT ON DATABASE shop IS 'still ours'");
    let later = server.dump("shop", &["--create"]);
    // What was put aside before goes, or a rollback would bring back that.
    let restored = env.json(&["restore", "shop", "--yes", "--preserve"]);
    let kept = restored["kept"].as_str().unwrap();
    assert!(kept.starts_with("shop_2026"), "{restored}");
    assert_eq!(databases(&server), format!("shop\n{kept}"));
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&later, &server.dump("shop", &["--create"]));
    assert_eq!(databases(&server), "shop\nshop__ice_old");
    env.ok(&["rollback", &url, "--yes"]);
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "1");
    // Also where the database is gone that took its place.
    env.ok(&["rollback", &url, "--yes"]);
    env.ok(&["restore", "shop", "--yes", "--preserve"]);
    server.sql("postgres", "DROP DATABASE shop");
    env.ok(&["rollback", &url, "--yes"]);
    assert_same(&later, &server.dump("shop", &["--create"]));
    assert_eq!(databases(&server), "shop");
}

#[test]
fn what_depends_on_settings_and_keys_comes_back_as_it_was() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop; CREATE ROLE seldom_seen");
    server.sql(
        "shop",
        "ALTER DATABASE shop SET timezone = 'Asia/Tokyo'; ALTER DATABASE shop SET search_path = '';
        ALTER ROLE seldom_seen IN DATABASE shop SET work_mem = '5MB'",
    );
    server.sql(
        "shop",
        "CREATE TABLE public.t (id int PRIMARY KEY, name text, at timestamptz); INSERT INTO public.t VALUES (1, 'a', '2024-01-01 20:00+00');
        CREATE MATERIALIZED VIEW public.days AS SELECT at::date AS day FROM public.t;
        CREATE MATERIALIZED VIEW public.by_key AS SELECT id, name FROM public.t GROUP BY id; CREATE INDEX ON public.by_key (name);",
    );
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop", &["--create"]);
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop", &["--create"]));
    assert_eq!(server.sql("shop", "SELECT day FROM public.days"), "2024-01-02");
    let said = env.fails(15, &["restore", "shop", "--to", &PostgresServer::start().url("shop")]);
    assert!(said.contains("seldom_seen"), "{said}");
}

#[test]
fn an_emergency_takes_the_newest_snapshot_that_is_whole() {
    let server =
        PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT 1 AS a, repeat('x', 100) AS b");
    let env = TestEnv::new();
    let url = server.url("shop");
    let known = || env.files(".icecore/packs").into_iter().collect::<BTreeSet<_>>();
    env.ok(&["create", &url, "--no-delta"]);
    server.sql(
        "shop",
        "UPDATE t SET a = 2, b = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 5000) n)",
    );
    let before = known();
    env.ok(&["create", &url, "--no-delta"]);
    for pack in known().difference(&before) {
        let mut bytes = std::fs::read(pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(pack, bytes).unwrap();
    }
    env.ok(&["create", &url, "--schema-only"]);
    server.sql("postgres", "DROP DATABASE shop");
    let said = env.run(&["rollback", &url, "--emergency"]);
    assert!(
        said.stderr.contains("is damaged") && said.stderr.contains("trying the one before"),
        "{}",
        said.stderr
    );
    said.ok();
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "1");
    assert_eq!(databases(&server), "shop");
    let said = env.fails(10, &["rollback", &server.url("other"), "--emergency"]);
    assert!(said.contains("no whole snapshot of other"), "{said}");
}

/// A file that is called like the database that was meant would be found by nobody.
#[test]
fn a_word_that_may_be_a_database_or_a_file_is_asked_about() {
    let server = PostgresServer::with_database("shop", "CREATE TABLE t (a int)");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let said = env.fails(2, &["restore", "latest", "--to", "shop_copy"]);
    assert!(said.starts_with("error: shop_copy may be a database or a file\n"), "{said}");
    assert!(said.contains("--to ./shop_copy writes a script here"), "{said}");
    assert!(!env.path("shop_copy").exists());
    let url = said.split('\'').nth(1).unwrap();
    assert_eq!(url, server.url("shop_copy"));
    env.ok(&["restore", "latest", "--to", url]);
    assert_eq!(databases(&server), "shop\nshop_copy");
    for path in ["./shop_copy", "shop.sql", "-"] {
        env.ok(&["restore", "latest", "--to", path]);
    }
    assert_eq!(env.read("shop_copy"), env.read("shop.sql"));
    // It is there, and a file.
    env.fails(15, &["restore", "latest", "--to", "shop_copy"]);
    env.ok(&["create", "shop_copy", "--name", "file"]);
    env.ok(&["restore", "file", "--to", "another"]);
    env.write("icecore.toml", "[services.shop_copies]\nurl = 'postgres://h/b'\n");
    let said = env.fails(2, &["restore", "shop", "--to", "shop_copie"]);
    assert!(said.contains("; did you mean the service shop_copies?"), "{said}");
}
