//! Databases of a PostgreSQL server of our own.

mod capture;
mod connections;
mod dumps;
mod encodings;
mod failures;
mod many;
mod names;
mod others;
mod replication;
mod restore;
mod rights;
mod rows;

use icecore_testkit::postgres::PostgresServer;

use crate::running::{Running, wait_until};
use crate::support::TestEnv;

/// The databases of the server that are not its own.
fn databases(server: &PostgresServer) -> String {
    server
        .sql("postgres", "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template)' ORDER BY 1")
}

/// Starts the program, and waits until the server runs `query` for it.
fn start(env: &TestEnv, server: &PostgresServer, arguments: &[&str], query: &str) -> Running {
    let running = env.start(arguments);
    let is_run = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query ~ '{query}' AND application_name = 'icecore'"
    );
    wait_until(|| server.sql("postgres", &is_run) == "t");
    running
}

/// Gives the database `shop` so many rows that its capture takes a while, and waits until it is in the midst of them.
fn start_long_capture(env: &TestEnv, server: &PostgresServer, url: &str) -> Running {
    let rows = "SELECT repeat(md5(a::text), 100) AS b FROM generate_series(1, 30000) a";
    server.sql("shop", &format!("CREATE TABLE large AS {rows}"));
    start(env, server, &["create", url], "COPY")
}

/// Has somebody alter `shop` while the program works, and waits for both.
fn meanwhile(server: &PostgresServer, alter: &str, running: Running) {
    std::thread::scope(|scope| {
        scope.spawn(|| server.sql("shop", alter));
        running.said().ok();
    });
}

/// A database whose restore takes a while, with something in it that changed after it was captured.
fn slow_shop(server: &PostgresServer, env: &TestEnv) -> String {
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE t AS SELECT a, md5(a::text) AS b FROM generate_series(1, 1000) a; CREATE INDEX ON t (b);
        CREATE FUNCTION slow(a int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a FROM pg_catalog.pg_sleep(0.001)';
        CREATE TABLE gate (a int CHECK (slow(a) > 0)); INSERT INTO gate SELECT generate_series(1, 1000)",
    );
    let url = server.url("shop");
    env.ok(&["create", &url]);
    server.sql("shop", "CREATE INDEX slowly ON gate (slow(a))");
    env.ok(&["create", &url]);
    server.sql("shop", "UPDATE t SET b = 'live' WHERE a = 1");
    url
}
