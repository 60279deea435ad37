//! Captures: complete, of one moment, and the same again.

use std::sync::atomic::{AtomicBool, Ordering};

use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use super::{meanwhile, slow_shop, start_long_capture};
use crate::running::Done;
use crate::support::{TestEnv, assert_same};

#[test]
fn a_captured_database_is_a_script_that_psql_restores() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    env.ok(&["restore", "shop", "--to", "shop.sql"]);
    server.sql("postgres", "CREATE DATABASE copy");
    let script = std::fs::read_to_string(env.path("shop.sql")).unwrap();
    server.sql("copy", &script);
    let (original, copy) = (server.dump("shop", &[]), server.dump("copy", &[]));
    assert_same(&original, &copy);
}

#[test]
fn an_unchanged_database_adds_nothing() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "VACUUM");
    let created = env.json(&["create", &server.url("shop")]);
    assert_eq!(created["new_chunks"], 0, "{created}");
}

#[test]
fn a_capture_under_load_is_one_moment() {
    let env = TestEnv::new();
    let server = PostgresServer::with_database(
        "bank",
        "CREATE TABLE a AS SELECT n, 1000 AS money FROM generate_series(1, 20000) n;
        CREATE TABLE b AS SELECT * FROM a; CREATE INDEX ON a (n); CREATE INDEX ON b (n)",
    );
    let transfer = "DO $$ DECLARE x int; y int; BEGIN FOR i IN 1..200 LOOP
        x := 1 + (random() * 19999)::int; y := 1 + (random() * 19999)::int;
        UPDATE a SET money = money - i WHERE n = x; UPDATE b SET money = money + i WHERE n = y;
        COMMIT; END LOOP; END $$";
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    server.sql("bank", transfer);
                }
            });
        }
        let _done = Done(&done);
        for number in 0..4 {
            env.ok(&["create", &server.url("bank")]);
            let target = server.url(&format!("copy{number}"));
            env.ok(&["restore", "bank", "--to", &target]);
            let sum = "SELECT (SELECT sum(money) FROM a) + (SELECT sum(money) FROM b)";
            assert_eq!(server.sql(&format!("copy{number}"), sum), "40000000");
        }
    });
}

#[test]
fn a_capture_and_somebody_who_alters_a_table_do_not_wait_for_each_other() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let url = slow_shop(&server, &env);
    let create = start_long_capture(&env, &server, &url);
    let alter = "ALTER TABLE t ADD COLUMN c int; ALTER TABLE gate ADD COLUMN c int; TRUNCATE large";
    meanwhile(&server, alter, create);
    env.ok(&["restore", "latest", "--to", &server.url("copy")]);
    assert_eq!(server.sql("copy", "SELECT count(*) FROM large"), "30000");
}
