//! Databases of a PostgreSQL server of our own.

mod dumps;
mod encodings;
mod failures;
mod many;
mod names;
mod replication;
mod rights;

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use crate::support::{Done, Said, TestEnv, assert_same};

/// A database that has everything.
fn everything(server: &PostgresServer, database: &str) {
    server.sql("postgres", &format!("CREATE DATABASE {database}"));
    server.sql(database, EVERYTHING);
}

#[test]
fn a_captured_database_is_a_script_that_psql_restores() {
    let server = PostgresServer::start();
    everything(&server, "shop");
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
    let server = PostgresServer::start();
    everything(&server, "shop");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "VACUUM");
    let created = env.json(&["create", &server.url("shop")]);
    assert_eq!(created["new_chunks"], 0, "{created}");
}

/// The databases of the server that are not its own.
fn databases(server: &PostgresServer) -> String {
    server
        .sql("postgres", "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template)' ORDER BY 1")
}

#[test]
fn a_restore_takes_the_place_of_what_is_there_and_is_rolled_back() {
    let server = PostgresServer::start();
    everything(&server, "shop");
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
    let server = PostgresServer::start();
    let other = PostgresServer::start();
    everything(&server, "shop");
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
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS a");
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

#[test]
fn what_is_dropped_is_in_the_store_before() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a; COMMENT ON DATABASE shop IS 'ours'");
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
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
    let weak = server.url("shop").replace("postgres@", "weak@");
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
fn a_dump_that_was_piped_is_restored_to_a_server_too() {
    let server = PostgresServer::start();
    everything(&server, "shop");
    let env = TestEnv::new();
    let dump = server.dump("shop", &[]);
    let created = env.run_with_input(&["create", "-", "--name", "shop"], dump.as_bytes());
    created.ok();
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_same(&dump, &server.dump("copy", &[]));
}

/// Starts the program, and waits until the server runs `query` for it.
fn start(env: &TestEnv, server: &PostgresServer, arguments: &[&str], query: &str) -> Child {
    let mut command = env.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    let running = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query ~ '{query}' AND application_name = 'icecore'"
    );
    while server.sql("postgres", &running) != "t" {
        assert!(started.elapsed() < Duration::from_secs(60), "{query} is not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
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

#[test]
fn a_restore_that_is_killed_leaves_what_was_there() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    // In the middle of the rows, and in the middle of the indexes.
    for query in ["COPY", "CREATE INDEX slowly"] {
        let mut restore = start(&env, &server, &["restore", "shop", "--yes"], query);
        restore.kill().unwrap();
        restore.wait().unwrap();
        assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    }
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "c4ca4238a0b923820dcc509a6f75849b");
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_server_that_dies_in_a_restore_still_has_what_was_there() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    for query in ["COPY", "CREATE INDEX slowly"] {
        let restore = start(&env, &server, &["restore", "shop", "--yes"], query);
        server.kill();
        let said = Said::new(restore.wait_with_output().unwrap()).fails(1);
        assert!(said.contains("shop__ice_new"), "{said}");
        server.restart();
        assert_eq!(server.sql("shop", "SELECT b FROM t WHERE a = 1"), "live");
    }
    env.ok(&["restore", "shop", "--yes"]);
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}

#[test]
fn a_server_that_dies_in_a_capture_makes_no_snapshot() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    let url = slow_shop(&server, &env);
    server.sql(
        "shop",
        "CREATE TABLE large AS SELECT repeat(md5(a::text), 100) FROM generate_series(1, 30000) a",
    );
    let create = start(&env, &server, &["create", &url], "COPY");
    server.kill();
    Said::new(create.wait_with_output().unwrap()).fails(14);
    server.restart();
    assert_eq!(env.count(), 2);
    env.ok(&["create", &url]);
}

#[test]
fn two_restores_of_one_database_do_not_meet() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    slow_shop(&server, &env);
    let first = start(&env, &server, &["restore", "shop", "--yes"], "CREATE INDEX slowly");
    let said = env.fails(11, &["restore", "shop", "--yes"]);
    assert!(said.contains("is being restored by somebody else"), "{said}");
    Said::new(first.wait_with_output().unwrap()).ok();
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
fn a_capture_under_load_is_one_moment() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "CREATE DATABASE bank");
    server.sql(
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
fn passwords_reach_the_server_and_nobody_else() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let url = server.tcp_url("shop");
    let said = env.fails(14, &["create", &url]);
    assert!(said.contains("by PGPASSWORD or ~/.pgpass"), "{said}");
    let mut command = env.command(&["create", &url]);
    let said = Said::of(command.env("PGPASSWORD", "wrong")).fails(14);
    assert!(said.contains("is it the right password?") && !said.contains("wrong"), "{said}");
    env.write("secret", format!("{}\nnot this\n", server.password()));
    let variants = [
        ("password_env = 'SHOP_PASSWORD'", true),
        ("password_file = 'secret'", true),
        ("password_command = ['cat', 'secret']", true),
        ("password_command = ['false']", false),
        ("password_env = 'NOT_SET'", false),
        ("password_file = 'not there'", false),
    ];
    for (line, works) in variants {
        env.write("icecore.toml", format!("[services.shop]\nurl = '{url}'\n{line}\n"));
        let mut command = env.command(&["-v", "create", "shop"]);
        let said = Said::of(command.env("SHOP_PASSWORD", server.password()));
        assert_eq!(said.status, if works { 0 } else { 2 }, "{line}: {}", said.stderr);
        assert!(
            !said.stderr.contains(server.password()) && !said.stderr.contains("not this"),
            "{}",
            said.stderr
        );
    }
    for path in env.files(".icecore") {
        let bytes = std::fs::read(path).unwrap();
        assert!(!bytes.windows(server.password().len()).any(|some| some == server.password().as_bytes()));
    }
    let shown = env.ok(&["show", "shop"]);
    assert!(!shown.contains(server.password()), "{shown}");
}

#[test]
fn config_check_tells_what_each_service_means() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    env.fails(10, &["config", "check"]);
    env.write("data.db", b"");
    let config = format!(
        "[services.shop]\nurl = '{}'\n[services.gone]\nurl = 'postgres://me@127.0.0.1:1/x'\n[services.data]\npath = 'data.db'\n
        [services.odd]\nengine = 'oracle'\n",
        server.url("postgres")
    );
    env.write("icecore.toml", config);
    let said = env.run(&["config", "check"]);
    assert_eq!(said.status, 3);
    let text = said.text();
    assert!(text.contains("answers, version 15") && text.contains("data.db"), "{text}");
    assert!(
        said.stderr.contains("does the server run") && said.stderr.contains("no engine \"oracle\""),
        "{}",
        said.stderr
    );
    env.ok(&["config", "check", "shop", "data"]);
    env.fails(10, &["config", "check", "nothing"]);
    env.write("elsewhere.toml", "[services.a]\npath = '.'\n");
    let checked = env.json(&["--config", "elsewhere.toml", "config", "check"]);
    assert_eq!(checked["services"][0]["name"], "a");
}

#[test]
fn an_emergency_takes_the_newest_snapshot_that_is_whole() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a, repeat('x', 100) AS b");
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

#[test]
fn definitions_without_rows_take_no_place_of_rows() {
    let server = PostgresServer::start();
    everything(&server, "shop");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop"), "--schema-only"]);
    let said = env.fails(15, &["restore", "shop", "--yes"]);
    assert!(said.contains("definitions and no rows"), "{said}");
    env.ok(&["restore", "shop", "--to", &server.url("empty")]);
    assert_same(&server.dump("shop", &["--schema-only"]), &server.dump("empty", &["--schema-only"]));
}

#[test]
fn databases_that_icecore_did_not_make_are_never_dropped() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 1 AS a");
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
    // What is kept under a name of its own is nothing that a rollback brings back, and neither is what was put aside before it.
    env.ok(&["restore", "shop", "--yes", "--preserve"]);
    env.fails(10, &["rollback", &url, "--yes"]);
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
    let said = Said::new(restore.wait_with_output().unwrap()).fails(15);
    assert!(said.contains("another one than when it was looked at"), "{said}");
    server.sql("late", "SELECT * FROM precious");
    assert_eq!(databases(&server), "late\nshop");
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
fn a_capture_and_somebody_who_alters_a_table_do_not_wait_for_each_other() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let url = slow_shop(&server, &env);
    server.sql(
        "shop",
        "CREATE TABLE large AS SELECT repeat(md5(a::text), 100) AS b FROM generate_series(1, 30000) a",
    );
    let create = start(&env, &server, &["create", &url], "COPY");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.sql(
                "shop",
                "ALTER TABLE t ADD COLUMN c int; ALTER TABLE gate ADD COLUMN c int; TRUNCATE large",
            )
        });
        Said::new(create.wait_with_output().unwrap()).ok();
    });
    env.ok(&["restore", "latest", "--to", &server.url("copy")]);
    assert_eq!(server.sql("copy", "SELECT count(*) FROM large"), "30000");
}

#[test]
fn a_dump_that_was_cut_off_takes_no_place_of_what_is_there() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let env = TestEnv::new();
    let dump = server.dump("shop", &[]);
    let cut = &dump[..dump.find("ALTER TABLE ONLY").unwrap()];
    env.run_with_input(&["create", "-", "--name", "cut", "--allow-incomplete"], cut.as_bytes()).fails(3);
    let said = env.fails(15, &["restore", "cut", "--to", &server.url("shop"), "--yes"]);
    assert!(said.contains("was not taken whole") && said.contains("--allow-incomplete"), "{said}");
    env.fails(3, &["restore", "cut", "--to", &server.url("other")]);
    env.fails(3, &["restore", "cut", "--to", &server.url("shop"), "--yes", "--allow-incomplete"]);
}

/// Passes everything on, until names change: that it sends, and cuts the connection before the answer.
fn cutting_proxy(port: u16) -> u16 {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut up, mut down) =
                ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
            std::thread::spawn(move || {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(len @ 1..) = up.0.read(&mut bytes) {
                    let is_last = bytes[..len].windows(9).any(|some| some == b"RENAME TO");
                    if is_last {
                        let _ = up.0.shutdown(Shutdown::Both);
                    }
                    if up.1.write_all(&bytes[..len]).is_err() || is_last {
                        // Long enough for the server to hear of it, and to do it.
                        std::thread::sleep(Duration::from_millis(500));
                        break;
                    }
                }
                let _ = up.1.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut down.0, &mut down.1);
                let _ = down.1.shutdown(Shutdown::Both);
            });
        }
    });
    own
}

#[test]
fn a_swap_whose_answer_is_lost_is_not_taken_for_a_failure() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", "CREATE TABLE t AS SELECT 'captured' AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "UPDATE t SET a = 'live'");
    let url = format!("postgres://postgres@127.0.0.1:{}/shop", cutting_proxy(server.port()));
    let mut command = env.command(&["restore", "shop", "--to", &url, "--yes"]);
    Said::of(command.env("PGPASSWORD", server.password())).ok();
    assert_eq!(server.sql("shop", "SELECT a FROM t"), "captured");
    assert_eq!(server.sql("shop__ice_old", "SELECT a FROM t"), "live");
    assert_eq!(databases(&server), "shop\nshop__ice_old");
}
