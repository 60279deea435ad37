//! Servers: what a restore does with a service, a rollback does.

use icecore_testkit::mariadb::MariaDbServer;
use icecore_testkit::postgres::PostgresServer;

use crate::support::TestEnv;
use crate::test_redis::filled;

#[test]
fn a_migration_of_postgresql_that_fails_half_way_is_undone() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE orders AS SELECT a FROM generate_series(1, 100) a; CREATE TABLE old (a int)",
    );
    let env = TestEnv::new();
    env.write("icecore.toml", format!("[services.shop]\nurl = '{}'\n", server.url("shop")));
    let psql = |statements: &str| format!("icecore psql shop -- -qc '{statements}'");
    let path = format!("{}:{}", program_dir(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str], script: &str| {
        let mut command = env.command(&[&["run"], arguments, &["shop", "--", "sh", "-ec", script]].concat());
        crate::support::Said::of(command.env("PATH", &path))
    };
    let script = psql("ALTER TABLE orders ADD b int; DROP TABLE old; INSERT INTO orders VALUES (101)");
    let said = run(&["--rollback"], &format!("{script}; {}", psql("SELECT 1/0")));
    assert_eq!(said.status, 1, "{}", said.stderr);
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'";
    assert_eq!(
        (server.sql("shop", columns), server.sql("shop", "SELECT count(*) FROM orders")),
        ("2".into(), "100".into())
    );
    // A connection that the command left behind is in nobody's way.
    let leaves = format!(
        "{script}; icecore psql shop -- -qc 'SELECT pg_sleep(600)' > /dev/null 2>&1 & sleep 1; exit 6"
    );
    let said = run(&["--rollback"], &leaves);
    assert_eq!((said.status, server.sql("shop", columns)), (6, "2".into()), "{}", said.stderr);
    // What a migration that succeeds changed is told table by table.
    let said = run(&["--json"], &script);
    let document: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let parts = document["changes"]["parts"].as_array().unwrap();
    let of = |name: &str| parts.iter().find(|part| part["name"] == name && part["kind"] == "table");
    let (orders, old) = (of("public.orders").unwrap(), of("public.old").unwrap());
    assert_eq!((&orders["before"]["rows"], &orders["after"]["rows"]), (&100.into(), &101.into()));
    assert_eq!(old["change"], "gone");
    // And if it changes nothing, nothing is told.
    let said = run(&[], "true");
    assert!(said.stderr.contains("Nothing has changed in "), "{}", said.stderr);
}

/// Where the program lies, for scripts that call it.
fn program_dir() -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_icecore"));
    program.parent().unwrap().display().to_string()
}

#[test]
fn databases_of_mariadb_are_brought_back() {
    let server = MariaDbServer::start();
    let client = format!("mariadb --socket={} -u root", server.socket().display());
    let env = TestEnv::new();
    server.sql(
        "",
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)",
    );
    env.write("icecore.toml", format!("[services.shop]\nurl = '{}'\n", server.url("shop")));
    let script = format!("{client} -e 'INSERT INTO shop.t VALUES (2)'");
    let said = env.fails(8, &["run", "--rollback", "shop", "--", "sh", "-c", &format!("{script}; exit 8")]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t").trim(), "1", "{said}");
    let said = env.run(&["run", "shop", "--", "true"]);
    assert!(said.stderr.contains("Nothing has changed in "), "{}", said.stderr);
    let document = env.json(&["run", "shop", "--", "sh", "-c", &script]);
    assert_eq!(document["changes"]["changed"], 1, "{document}");
}

#[test]
fn servers_of_redis_are_brought_back() {
    let redis = filled();
    let env = TestEnv::new();
    env.write("icecore.toml", format!("[services.cache]\nurl = '{}'\n", redis.url()));
    let before = redis.digest();
    let script = format!("redis-cli -s {} FLUSHALL; exit 1", redis.socket().display());
    let said = env.fails(1, &["run", "--rollback", "cache", "--", "sh", "-c", &script]);
    assert_eq!(redis.digest(), before, "{said}");
    let said = env.run(&["run", "cache", "--", "true"]);
    assert!(said.stderr.contains("Nothing has changed in "), "{}", said.stderr);
    let script = format!("redis-cli -s {} SET one-more key", redis.socket().display());
    let document = env.json(&["run", "cache", "--", "sh", "-c", &script]);
    let changed = &document["changes"]["parts"];
    assert_eq!((changed.as_array().unwrap().len(), &changed[0]["name"]), (1, &"db0".into()), "{document}");
}
