//! Others who use the server while a restore runs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use icecore_testkit::postgres::PostgresServer;

use super::{databases, slow_shop, start};
use crate::running::Done;
use crate::support::TestEnv;

#[test]
fn two_restores_of_one_database_do_not_meet() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    let first = start(&env, &server, &["restore", "shop", "--yes"], "CREATE INDEX slowly");
    let said = env.fails(11, &["restore", "shop", "--yes"]);
    assert!(said.contains("is being restored by somebody else"), "{said}");
    first.said().ok();
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_pool_that_hammers_the_database_does_not_stop_the_swap() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = BTreeSet::new();
                    while !done.load(Ordering::Relaxed) {
                        // Sessions that are ended or find no database are the pool's daily bread.
                        seen.extend(
                            server.try_sql("shop", "SELECT b FROM t WHERE a = 1; SELECT pg_sleep(0.01)"),
                        );
                    }
                    seen
                })
            })
            .collect();
        let stop = Done(&done);
        for _ in 0..3 {
            env.ok(&["restore", "shop", "--yes"]);
            assert_eq!(server.sql("shop", "SELECT left(b, 4) FROM t WHERE a = 1"), "c4ca");
            env.ok(&["rollback", &server.url("shop"), "--yes"]);
        }
        drop(stop);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<BTreeSet<_>>()
    });
    // Everybody saw one state or the other, and never half of one.
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn a_database_that_appears_meanwhile_is_not_replaced() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    let target = server.url("late");
    let restore = start(&env, &server, &["restore", "shop", "--to", &target], "CREATE INDEX slowly");
    server.sql("postgres", "CREATE DATABASE late");
    server.sql("late", "CREATE TABLE precious (a int)");
    let said = restore.said().fails(15);
    assert!(said.contains("another one than when it was looked at"), "{said}");
    server.sql("late", "SELECT * FROM precious");
    assert_eq!(databases(&server), "late\nshop");
}
