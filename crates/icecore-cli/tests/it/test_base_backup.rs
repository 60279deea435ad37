//! Whole clusters of a PostgreSQL server of our own, as files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use crate::running::wait_until;
use crate::support::{Said, TestEnv, assert_same};

/// What is not in the log is empty after a recovery, and a base backup begins with one.
const EMPTY_UNLOGGED: &str = "DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' LOOP EXECUTE 'TRUNCATE ' || t || ' RESTART IDENTITY'; END LOOP; END $$";

/// A server with a database that has everything.
fn server() -> PostgresServer {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", EVERYTHING);
    server.sql("shop", EMPTY_UNLOGGED);
    server
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn packs(env: &TestEnv) -> BTreeSet<PathBuf> {
    env.files(".icecore/packs").into_iter().collect()
}

#[test]
fn a_cluster_goes_back_to_the_data_directory_of_a_stopped_server() {
    let mut server = server();
    let env = TestEnv::new();
    env.write("icecore.toml", format!("[services.shop]\nurl = {:?}\n", server.url("shop")));
    let data = text(&server.data_dir());
    let captured = server.dump("shop", &["--create"]);
    let created = env.json(&["create", "shop", "--physical"]);
    assert_eq!(created["source"], "shop.physical");
    // It belongs to no database, so the database's own series goes on beside it.
    env.ok(&["create", "shop"]);

    server.sql("shop", "CREATE TABLE later (a int); INSERT INTO later VALUES (1)");
    let later = server.dump("shop", &["--create"]);
    let said = env.fails(15, &["restore", "shop.physical", "--yes"]);
    assert!(said.contains(&format!("process {}", server.pid())) && said.contains("stop it"), "{said}");
    assert_same(&later, &server.dump("shop", &["--create"]));

    server.stop();
    let said = env.fails(15, &["restore", "shop.physical"]);
    assert!(said.contains(&data) && said.contains("--yes"), "{said}");
    let owner = |path: &Path| fs::metadata(path).map(|meta| (meta.uid(), meta.gid(), meta.mode())).unwrap();
    let before = owner(&server.data_dir());
    let restored = env.json(&["restore", "shop.physical", "--yes"]);
    assert_eq!(restored["kept"], "shop.physical.before-restore");
    assert_eq!(owner(&server.data_dir()), before);
    server.restart();
    assert_same(&captured, &server.dump("shop", &["--create"]));

    for state in [&later, &captured] {
        server.stop();
        env.ok(&["rollback", &data, "--yes"]);
        server.restart();
        assert_same(state, &server.dump("shop", &["--create"]));
    }
    server.sql("shop", "DROP TABLE IF EXISTS later; CREATE TABLE latest (a int)");
    server.stop();
    env.ok(&["rollback", &data, "--emergency"]);
    server.restart();
    assert_same(&captured, &server.dump("shop", &["--create"]));
}

#[test]
fn in_place_only_what_differs_is_written() {
    let mut server = server();
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop"), "--physical"]);
    let captured = server.dump("shop", &["--create"]);
    server.sql("shop", "CREATE TABLE later (a int)");
    server.stop();
    let data = server.data_dir();
    fs::write(data.join("base/stray"), "nothing of ours").unwrap();
    let restored = env.json(&["restore", "latest", "--in-place", "--yes"]);
    let (written, all) = (restored["written_bytes"].as_u64().unwrap(), restored["bytes"].as_u64().unwrap());
    // The log is new; of the rest, most is as it was.
    assert!(written > 0 && written * 2 < all, "{restored}");
    assert!(!data.join("base/stray").exists());
    server.restart();
    assert_same(&captured, &server.dump("shop", &["--create"]));
    // And to another directory, for a server of its own.
    let copy = text(&env.path("copy"));
    env.ok(&["restore", "latest", "--to", &copy]);
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o700);
}

/// Every file of a directory, its bytes and when it was last written to.
fn state(env: &TestEnv, directory: &Path) -> BTreeMap<PathBuf, (i64, i64, Vec<u8>)> {
    let files = env.files(&text(directory));
    let look = |path: PathBuf| {
        let meta = fs::metadata(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        (path, (meta.mtime(), meta.mtime_nsec(), bytes))
    };
    files.into_iter().map(look).collect()
}

#[test]
fn a_damaged_snapshot_changes_nothing_of_what_is_there() {
    let mut server = server();
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url, "--physical", "--no-delta"]);
    let before = packs(&env);
    server.sql("shop", "CREATE TABLE t AS SELECT md5(n::text) AS a FROM generate_series(1, 50000) n");
    env.ok(&["create", &url, "--physical", "--no-delta"]);
    for pack in packs(&env).difference(&before) {
        let mut bytes = fs::read(pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 100].fill(0);
        fs::write(pack, bytes).unwrap();
    }
    server.sql("shop", "DROP TABLE t");
    let live = server.dump("shop", &["--create"]);
    server.stop();
    let there = state(&env, &server.data_dir());
    for how in [&["--yes"][..], &["--in-place", "--yes"], &["--in-place", "--yes"]] {
        let said = env.fails(13, &[&["restore", "shop.physical"], how].concat());
        assert!(how.len() == 1 || said.contains("nothing was changed"), "{said}");
        assert!(state(&env, &server.data_dir()) == there, "{said}");
    }
    // A rollback is to undo what has replaced something.
    let said = env.fails(10, &["rollback", server.data_dir().to_str().unwrap(), "--yes"]);
    assert!(said.contains("nothing to bring back"), "{said}");
    server.restart();
    assert_same(&live, &server.dump("shop", &["--create"]));
}

#[test]
fn what_was_not_restored_to_its_end_is_nothing_that_a_server_starts_on() {
    let mut server = server();
    let env = TestEnv::new();
    let captured = server.dump("shop", &["--create"]);
    env.ok(&["create", &server.url("shop"), "--physical"]);
    // Of the log that was captured, nothing is there any more.
    for _ in 0..3 {
        server
            .sql("shop", "CREATE TABLE later (a int); SELECT pg_switch_wal(); CHECKPOINT; DROP TABLE later");
    }
    let live = server.dump("shop", &["--create"]);
    server.stop();
    let data = text(&server.data_dir());
    let control = server.data_dir().join("global/pg_control");
    // A segment of the log is too long.
    let limited = || {
        let script = "trap '' XFSZ; exec prlimit --fsize=12582912 \"$@\"";
        let restore = ["restore", "shop.physical", "--in-place", "--yes"];
        let all = [&["-c", script, "sh", env!("CARGO_BIN_EXE_icecore")], &restore[..]].concat();
        Said::of(&mut env.command_of(Path::new("sh"), &all)).fails(1)
    };
    let said = limited();
    assert!(said.contains("may be a mixture") && said.contains("too large"), "{said}");
    let undo = format!("is the snapshot shop.physical.before-restore, and `icecore rollback {data}` brings");
    assert!(said.contains(&undo) && said.contains("the same restore once more finishes it"), "{said}");
    assert!(!control.exists());
    // What was left half done does not take the place of what was there before it.
    let said = limited();
    assert!(said.contains("brings back what the restore before has kept"), "{said}");
    assert!(!control.exists());
    env.ok(&["rollback", &data, "--yes"]);
    server.restart();
    assert_same(&live, &server.dump("shop", &["--create"]));

    server.stop();
    limited();
    env.ok(&["restore", "shop.physical", "--in-place", "--yes"]);
    server.restart();
    assert_same(&captured, &server.dump("shop", &["--create"]));
}

#[test]
fn a_service_says_where_its_cluster_goes_back_to() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    let toml = format!("[services.shop]\nurl = {:?}\ndata_directory = \"cluster\"\n", server.url("postgres"));
    env.write("icecore.toml", toml);
    env.ok(&["create", "shop", "--physical"]);
    env.ok(&["restore", "shop.physical"]);
    assert_eq!(env.read("cluster/PG_VERSION"), fs::read(server.data_dir().join("PG_VERSION")).unwrap());
}

#[test]
fn a_backup_whose_server_dies_is_no_snapshot() {
    let mut server = PostgresServer::start();
    server.sql("postgres", "CREATE TABLE t AS SELECT repeat(md5(a::text), 100) AS a FROM generate_series(1, 60000) a; ALTER TABLE t ALTER a SET STORAGE PLAIN; VACUUM FULL t");
    let env = TestEnv::new();
    let create = env.start(&["create", &server.url("postgres"), "--physical"]);
    let phase = "SELECT count(*) FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files'";
    wait_until(|| server.sql("postgres", phase) == "1");
    server.kill();
    let said = create.said().fails(14);
    assert!(said.contains("pg_basebackup failed"), "{said}");
    assert_eq!(env.count(), 0);
}

#[test]
fn what_keeps_a_cluster_from_being_taken_is_said_before() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE ROLE reader LOGIN");
    let env = TestEnv::new();
    let url = server.url("postgres");
    let said = env.fails(14, &["create", &server.url_as("reader", "postgres"), "--physical"]);
    assert!(said.contains("ALTER ROLE reader REPLICATION"), "{said}");
    let place = server.data_dir().parent().unwrap().join("elsewhere");
    fs::create_dir(&place).unwrap();
    let data = fs::metadata(server.data_dir()).unwrap();
    std::os::unix::fs::chown(&place, Some(data.uid()), Some(data.gid())).unwrap();
    server.sql("postgres", &format!("CREATE TABLESPACE elsewhere LOCATION '{}'", place.display()));
    let said = env.fails(14, &["create", &url, "--physical"]);
    assert!(said.contains("tablespaces") && said.contains("elsewhere"), "{said}");
    let said = env.fails(2, &["create", &text(&server.data_dir()), "--physical"]);
    assert!(said.contains("PostgreSQL server"), "{said}");
    assert_eq!(env.count(), 0);
}

#[test]
fn a_data_directory_under_a_server_is_not_taken_for_a_state_of_it() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    let data = text(&server.data_dir());
    let said = env.run(&["create", &data]).fails(3);
    assert!(said.contains("a PostgreSQL server runs on") && said.contains("--physical"), "{said}");
    server.stop();
    env.ok(&["create", &data]);
    server.restart();
    let said = env.fails(15, &["restore", "data", "--yes"]);
    assert!(said.contains("stop it first"), "{said}");
    // A stale one cannot be told from one of a server in a container.
    server.kill();
    let said = env.fails(15, &["restore", "data", "--yes"]);
    assert!(said.contains("remove the file if it crashed"), "{said}");
}

#[test]
fn a_cluster_whose_log_lies_elsewhere_is_not_restored_over() {
    let mut server = PostgresServer::start();
    let env = TestEnv::new();
    env.ok(&["create", &server.url("postgres"), "--physical"]);
    server.stop();
    let (data, log) = (server.data_dir(), env.path("log"));
    let moved = std::process::Command::new("mv").arg(data.join("pg_wal")).arg(&log).status().unwrap();
    assert!(moved.success());
    std::os::unix::fs::symlink(&log, data.join("pg_wal")).unwrap();
    for how in [&["--yes"][..], &["--in-place", "--yes"]] {
        let said = env.fails(15, &[&["restore", "latest"], how].concat());
        assert!(said.contains("by the link pg_wal") && said.contains("--to another directory"), "{said}");
    }
    assert_eq!(env.count(), 1);
}

#[test]
fn what_the_server_logs_is_kept_until_it_is_taken() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE TABLE t AS SELECT repeat(md5(a::text), 100) AS a FROM generate_series(1, 60000) a; ALTER TABLE t ALTER a SET STORAGE PLAIN; VACUUM FULL t");
    let env = TestEnv::new();
    let create = env.start(&["create", &server.url("postgres"), "--physical"]);
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND restart_lsn IS NOT NULL";
    wait_until(|| server.sql("postgres", slots) == "1");
    for _ in 0..4 {
        server.sql("postgres", "SELECT pg_switch_wal(); CHECKPOINT; INSERT INTO t VALUES ('x')");
    }
    create.said().ok();
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_replication_slots"), "0");
}
