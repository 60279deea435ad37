//! Dumps that say too much or too little, and the programs that write them.

use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use super::databases;
use crate::support::{Said, TestEnv, assert_same};

/// A database with a row that changed after it was dumped; returns the dump.
fn dumped(server: &PostgresServer) -> String {
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'dumped'), (2, 'dumped')",
    );
    let dump = server.dump("shop", &[]);
    server.sql("shop", "UPDATE t SET b = 'live'");
    dump
}

#[test]
fn the_first_error_ends_a_restore_and_rows_that_are_missing_are_one() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let dump = dumped(&server);
    let swallow = "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER swallow BEFORE INSERT ON public.t FOR EACH ROW WHEN (NEW.a = 2) EXECUTE FUNCTION public.swallow();\n";
    let rows = dump.find("--\n-- Data for Name: t;").unwrap();
    for (broken, why) in [
        (dump.replace("2\tdumped\n", "1\tdumped\n"), "could not create unique index"),
        (dump.replace("2\tdumped\n", "two\tdumped\n"), "invalid input syntax for type integer"),
        (dump.replace("b text\n", "b no_such_type\n"), "no_such_type"),
        (format!("{}{swallow}{}", &dump[..rows], &dump[rows..]), "has 1 rows, and 2 were captured"),
    ] {
        assert!(broken != dump);
        env.run_with_input(&["create", "-", "--name", "shop"], broken.as_bytes()).ok();
        let said = env.fails(1, &["restore", "shop", "--yes", "--to", &server.url("shop")]);
        assert!(said.contains(why), "{said}");
        assert_eq!(server.sql("shop", "SELECT DISTINCT b FROM t"), "live");
        assert_eq!(databases(&server), "shop");
    }
}

#[test]
fn a_dump_that_names_its_database_goes_where_it_is_told() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    dumped(&server);
    server.sql("shop", "ALTER DATABASE shop SET work_mem = '7MB'; COMMENT ON DATABASE shop IS 'dumped'; GRANT CREATE ON DATABASE shop TO PUBLIC");
    for (number, options) in
        [&["--create"][..], &["--create", "--clean"], &["--clean", "--if-exists"]].iter().enumerate()
    {
        let dump = server.dump("shop", options);
        env.run_with_input(&["create", "-", "--name", "dump"], dump.as_bytes()).ok();
        server.sql("shop", "UPDATE t SET b = 'later'; ALTER DATABASE shop RESET work_mem; COMMENT ON DATABASE shop IS 'later'");
        let (before, copy) = (server.dump("shop", &["--create"]), format!("copy{number}"));
        env.ok(&["restore", "dump", "--to", &server.url(&copy)]);
        assert_same(&before, &server.dump("shop", &["--create"]));
        assert_eq!(server.sql(&copy, "SELECT DISTINCT b FROM t"), if number == 0 { "live" } else { "later" });
        server.sql("postgres", &format!("DROP DATABASE {copy}"));
        assert_eq!(databases(&server), "shop");
    }
}

#[test]
fn settings_that_an_older_server_does_not_know_stop_no_dump() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let dump = dumped(&server);
    let newer =
        dump.replacen("SET lock_timeout = 0;", "SET lock_timeout = 0;\nSET transaction_timeout = 0;", 1);
    assert!(newer != dump);
    let newer = format!("\\restrict abc\n{newer}\\unrestrict abc\n");
    env.run_with_input(&["create", "-", "--name", "shop"], newer.as_bytes()).ok();
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_same(&dump, &server.dump("copy", &[]));
}

#[test]
fn a_pg_dump_that_cannot_read_the_server_is_passed_over() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    dumped(&server);
    for version in ["9.6.24", "14.9", "99.1"] {
        let path = env.path_with(&[(
            "pg_dump",
            format!("[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) {version}' || exit 1"),
        )]);
        Said::of(env.command(&["create", &server.url("shop")]).env("PATH", path)).ok();
    }
}

#[test]
fn passwords_are_no_arguments_of_the_programs_that_are_run() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    dumped(&server);
    let log = env.path("arguments");
    // The newest one that is installed, as the server is.
    let tell = |name: &str| {
        format!(
            "echo \"$0 $*\" >> '{}'; exec \"$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/{name}\" \"$@\"",
            log.display()
        )
    };
    let path = env.path_with(&["pg_dump", "pg_dumpall"].map(|name| (name, tell(name))));
    let url = server.tcp_url("shop");
    let run = |arguments: &[&str]| {
        Said::of(env.command(arguments).env("PATH", &path).env("PGPASSWORD", server.password())).ok()
    };
    run(&["create", &url, "--globals"]);
    run(&["restore", "shop", "--yes"]);
    let told = String::from_utf8(env.read("arguments")).unwrap();
    assert!(
        told.contains("bin/pg_dump ") && told.contains("bin/pg_dumpall ") && !told.contains("a secret"),
        "{told}"
    );
}

#[test]
fn databases_of_one_name_on_two_servers_are_not_taken_for_each_other() {
    let (one, two) = (PostgresServer::start(), PostgresServer::start());
    let env = TestEnv::new();
    for (server, whose) in [(&one, "one"), (&two, "two")] {
        server.sql("postgres", "CREATE DATABASE shop; CREATE ROLE clerk SUPERUSER LOGIN");
        server.sql("shop", &format!("CREATE TABLE t AS SELECT '{whose}' AS a"));
        env.ok(&["create", &server.url("shop")]);
    }
    let found = || (one.sql("shop", "SELECT a FROM t"), two.sql("shop", "SELECT a FROM t"));
    // Each snapshot goes back to its own server.
    for (server, selector) in [(&one, "shop~1"), (&two, "shop")] {
        server.sql("shop", "UPDATE t SET a = 'changed'");
        env.ok(&["restore", selector, "--yes", "--replace"]);
    }
    assert_eq!(found(), ("one".into(), "two".into()));
    // What was there before is in the store, for each; whoever asks for it.
    let clerk = one.url_as("clerk", "shop");
    two.sql("shop", "UPDATE t SET a = 'other'");
    env.ok(&["restore", "shop", "--yes", "--replace"]);
    env.ok(&["rollback", &clerk, "--yes"]);
    assert_eq!(found(), ("changed".into(), "two".into()));
    env.ok(&["rollback", &clerk, "--emergency"]);
    assert_eq!(found(), ("one".into(), "two".into()));
    let said = env.fails(10, &["rollback", "postgres://me@127.0.0.1:1/shop", "--emergency"]);
    assert!(said.contains("of another place"), "{said}");
}

#[test]
fn a_dump_that_was_piped_is_restored_to_a_server_too() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    let dump = server.dump("shop", &[]);
    let created = env.run_with_input(&["create", "-", "--name", "shop"], dump.as_bytes());
    created.ok();
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_same(&dump, &server.dump("copy", &[]));
}

#[test]
fn a_dump_that_was_cut_off_takes_no_place_of_what_is_there() {
    let server =
        PostgresServer::with_database("shop", "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let env = TestEnv::new();
    let dump = server.dump("shop", &[]);
    let cut = &dump[..dump.find("ALTER TABLE ONLY").unwrap()];
    env.run_with_input(&["create", "-", "--name", "cut", "--allow-incomplete"], cut.as_bytes()).fails(3);
    let said = env.fails(15, &["restore", "cut", "--to", &server.url("shop"), "--yes"]);
    assert!(said.contains("was not taken whole") && said.contains("--allow-incomplete"), "{said}");
    env.fails(3, &["restore", "cut", "--to", &server.url("other")]);
    env.fails(3, &["restore", "cut", "--to", &server.url("shop"), "--yes", "--allow-incomplete"]);
}
