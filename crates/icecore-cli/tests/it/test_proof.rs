//! Snapshots that are restored to find out whether they can be, and what is written down of it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use icecore_testkit::mariadb::{EVERYTHING as MARIADB_EVERYTHING, MariaDbServer};
use icecore_testkit::postgres::{EVERYTHING, PostgresServer};
use rustix::process::Signal;
use serde_json::Value;

use crate::running::{Running, wait_until};
use crate::support::{PG_DUMP, Said, TestEnv, noise};
use crate::test_redis::Redis;

/// A SQLite database with an index, and a snapshot of it.
fn ledger() -> TestEnv {
    let env = TestEnv::new();
    let database = rusqlite::Connection::open(env.path("ledger.db")).unwrap();
    let script = "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX by_name ON person (name);
        CREATE TABLE entry (person REFERENCES person, what); INSERT INTO person VALUES (1, 'Ada'), (2, 'Grace');
        INSERT INTO entry VALUES (1, randomblob(60000))";
    database.execute_batch(script).unwrap();
    env.ok(&["create", "ledger.db"]);
    env
}

/// The `n`th proof of a document.
fn proof(document: &Value, n: usize) -> &Value {
    &document["proofs"][n]["restored"]
}

fn count(proof: &Value, name: &str) -> u64 {
    let checks = proof["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no {name} in {proof}"))["count"].as_u64().unwrap()
}

/// A place for temporary files into which servers get that are not root's.
fn open_to_all(env: &TestEnv) -> PathBuf {
    let tmp = env.path("tmp");
    fs::create_dir(&tmp).unwrap();
    for path in [env.path(""), tmp.clone()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    tmp
}

fn left_in(tmp: &PathBuf) -> Vec<String> {
    fs::read_dir(tmp).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether a process works in a folder.
fn is_used(folder: &PathBuf) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|it| fs::read_link(it.path().join("cwd")).ok()).any(|cwd| cwd.starts_with(folder))
}

#[test]
fn a_sqlite_database_is_proved_and_list_and_show_tell_it() {
    let env = ledger();
    let proved = env.json(&["verify", "--restore"]);
    let restored = proof(&proved, 0);
    assert_eq!((&proved["ok"], &restored["tables"], &restored["rows"]), (&true.into(), &2.into(), &3.into()));
    assert_eq!((count(restored, "integrity_check"), count(restored, "indexes")), (1, 1));
    assert_eq!(count(restored, "foreign_key_check"), 1);

    let listed = env.json(&["list"]);
    assert_eq!(listed["snapshots"][0]["restored"]["ok"], true, "{listed}");
    assert_eq!(listed["snapshots"][0]["verified"], Value::Null);
    let shown = env.json(&["show", "ledger.db"]);
    assert_eq!(shown["restored"], *restored);
    let text = env.ok(&["list"]);
    assert!(text.contains("PROOF") && text.contains(" restored"), "{text}");
    let text = env.ok(&["show", "latest"]);
    assert!(text.contains("Restored  2026-11-20 10:02 on ") && text.contains("2 tables, 3 rows"), "{text}");

    // Who restored it has read it, too; the list says `restored`, which is more.
    env.write("icecore.toml", "[services.\"ledger.db\"]\npath = \"ledger.db\"\n");
    let status = env.json(&["status"]);
    assert_eq!(status["services"][0]["verified"], status["services"][0]["restored"], "{status}");
    assert_eq!(status["services"][0]["verified"]["good"], true, "{status}");

    // A plain verification writes nothing down.
    env.ok(&["verify"]);
    assert_eq!(env.json(&["show", "latest"])["verified"], Value::Null);
    env.ok(&["verify", "--record"]);
    let verified = &env.json(&["show", "latest"])["verified"];
    assert_eq!((&verified["ok"], count(verified, "chunks") > 0), (&true.into(), true), "{verified}");
}

#[test]
fn rows_that_refer_to_nothing_are_told_and_are_no_fault_of_the_snapshot() {
    let env = ledger();
    let database = rusqlite::Connection::open(env.path("ledger.db")).unwrap();
    database.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO entry VALUES (7, 'nobody')").unwrap();
    env.ok(&["create", "ledger.db"]);
    let text = env.ok(&["verify", "--restore"]);
    assert!(
        text.contains(
            "not proved: rows that refer to rows which are not there, as they did when it was captured: 1"
        ),
        "{text}"
    );
}

#[test]
fn a_damaged_snapshot_fails_its_proof_and_the_others_go_on() {
    let env = ledger();
    env.write("tree/f", noise(1, 300_000));
    let packs = env.files(".icecore/packs");
    env.ok(&["create", "tree", "--no-delta"]);
    let pack = env.files(".icecore/packs").into_iter().find(|pack| !packs.contains(pack)).unwrap();
    let good = fs::read(&pack).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let said = env.run(&["verify", "--restore"]);
    assert_eq!(said.status, 13, "{}", said.stderr);
    let text = said.text();
    assert!(text.contains("tree: FAILED: ") && text.contains("ledger.db: in SQLite 3."), "{text}");
    let listed = env.ok(&["list"]);
    assert!(listed.contains(" FAILED") && listed.contains(" restored"), "{listed}");
    let shown = env.json(&["show", "tree"]);
    assert!(shown["restored"]["fault"].as_str().unwrap().contains("damaged"), "{shown}");
    let said = env.run(&["verify", "--record"]);
    assert_eq!(said.status, 13, "{}", said.stderr);
    assert_eq!(env.json(&["show", "tree"])["verified"]["ok"], false);
    assert_eq!(env.json(&["show", "ledger.db"])["verified"]["ok"], true);

    // A later attempt that is well takes the place of one that was not.
    fs::write(&pack, good).unwrap();
    env.ok(&["verify", "--restore", "tree"]);
    env.ok(&["verify", "--record"]);
    assert!(!env.ok(&["list"]).contains("FAILED"));
}

/// What `verify` names first of a damaged tree, once every command that meets the damage has named the same, and the files show it.
#[track_caller]
fn named_alike(env: &TestEnv) -> String {
    let report = env.run(&["--json", "verify"]);
    assert_eq!(report.status, 13, "{}", report.stderr);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let affected = findings.flat_map(|finding| finding["snapshots"].as_array().unwrap());
    let parts = affected.flat_map(|snapshot| snapshot["parts"].as_array().unwrap());
    let named: BTreeSet<&str> = parts.map(|part| part.as_str().unwrap()).collect();
    let first = (*named.first().unwrap()).to_owned();
    let blamed = format!(" is damaged in {first}: ");
    let said = env.fails(13, &["restore", "tree", "--to", "back"]);
    assert!(said.contains(&blamed), "{named:?}: {said}");
    let said = env.fails(13, &["export", "tree", "-o", "out.tar"]);
    assert!(said.contains(&blamed), "{named:?}: {said}");
    let proved = env.run(&["--json", "verify", "--restore", "tree"]);
    assert_eq!(proved.status, 13, "{}", proved.stderr);
    let proved: Value = serde_json::from_slice(&proved.stdout).unwrap();
    let fault = proof(&proved, 0)["fault"].as_str().unwrap();
    assert!(fault.contains(&blamed), "{named:?}: {fault}");
    let said = env.run(&["restore", "tree", "--to", "back", "--allow-damaged"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    let is_same = |part: &&str| env.read(&format!("tree/{part}")) == env.read(&format!("back/{part}"));
    let files: Vec<String> = (0..30).map(|n| format!("sub/f{n}")).collect();
    let wrong: BTreeSet<&str> = files.iter().map(String::as_str).filter(|part| !is_same(part)).collect();
    assert_eq!(wrong, named, "{}", said.stderr);
    fs::remove_dir_all(env.path("back")).unwrap();
    first
}

#[test]
fn what_is_damaged_is_named_alike_by_whoever_meets_it() {
    let env = TestEnv::bare();
    env.ok(&["init", "--pack-size", "100kB"]);
    for n in 0..30 {
        env.write(&format!("tree/sub/f{n}"), noise(n, 60_000));
    }
    env.ok(&["create", "tree"]);
    let mut packs = env.files(".icecore/packs");
    packs.retain(|pack| pack.metadata().unwrap().len() > 500_000);
    assert!(packs.len() > 1);
    let mut named = BTreeSet::new();
    for pack in packs {
        let good = fs::read(&pack).unwrap();
        for part in [1, 4, 8] {
            let mut bytes = good.clone();
            let at = bytes.len() / 9 * part;
            bytes[at] ^= 1;
            fs::write(&pack, bytes).unwrap();
            named.insert(named_alike(&env));
        }
        fs::remove_file(&pack).unwrap();
        named.insert(named_alike(&env));
        fs::write(&pack, good).unwrap();
    }
    assert!(named.len() > 5, "{named:?}");
}

#[test]
fn what_is_no_database_is_read_whole_and_says_what_that_does_not_prove() {
    let env = TestEnv::new();
    env.write("tree/f", noise(1, 100_000));
    env.write("dump.sql", PG_DUMP);
    env.ok(&["create", "tree"]);
    env.ok(&["create", "dump.sql"]);
    env.run_with_input(&["create", "-", "--name", "cut", "--allow-incomplete"], &PG_DUMP.as_bytes()[..600]);
    let said = env.run(&["--json", "verify", "--restore", "tree", "dump.sql", "cut"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    let proved: Value = serde_json::from_slice(&said.stdout).unwrap();
    let [tree, dump, cut] = [0, 1, 2].map(|n| proof(&proved, n));
    assert_eq!((&tree["bytes"], &tree["tables"]), (&100_000.into(), &Value::Null));
    assert!(count(tree, "parts read and compared") > 0);
    assert_eq!((&dump["ok"], count(dump, "end reached")), (&true.into(), 1), "{dump}");
    assert!(dump["tables"].as_u64().unwrap() > 0, "{dump}");
    assert!(dump["unproved"][0].as_str().unwrap().contains("no server ran it"), "{dump}");
    assert!(cut["fault"].as_str().unwrap().contains("it was cut off"), "{cut}");
    let listed = env.ok(&["list"]);
    assert!(
        listed.contains(" read") && listed.contains(" FAILED") && !listed.contains(" restored"),
        "{listed}"
    );
}

#[test]
fn postgres_is_proved_in_a_server_of_our_own_or_beside_other_databases() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql("shop", EVERYTHING);
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    // What it was told to load, or to send elsewhere, holds there.
    server.sql("postgres", "ALTER SYSTEM SET shared_preload_libraries = 'not_there'");
    env.ok(&["create", &url, "--physical"]);
    let proved = env.json(&["verify", "--restore", "shop", "shop.physical"]);
    let [logical, physical] = [0, 1].map(|n| proof(&proved, n));
    for proof in [logical, physical] {
        assert!(proof["engine"].as_str().unwrap().starts_with("PostgreSQL "), "{proof}");
        assert!(count(proof, "indexes") > 0 && proof["tables"].as_u64().unwrap() > 0, "{proof}");
        assert!(proof["rows"].as_u64().unwrap() > 0, "{proof}");
    }
    assert!(count(physical, "databases") > 1, "{physical}");

    let before = server.sql("postgres", "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database");
    let beside = env.json(&["verify", "--restore", "shop", "--scratch", &server.url("postgres")]);
    assert_eq!(proof(&beside, 0)["rows"], logical["rows"]);
    let after = server.sql("postgres", "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database");
    assert_eq!(before, after);
}

#[test]
fn a_proof_for_which_there_is_no_room_is_not_begun() {
    let server = PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT 1 AS a");
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let tmp = open_to_all(&env);
    let mut command = Command::new("unshare");
    command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    let script = "mount -t tmpfs -o size=16m none \"$TMPDIR\" && exec \"$0\" verify --restore shop";
    command.args(["sh", "-c", script, env!("CARGO_BIN_EXE_icecore")]).current_dir(env.path(""));
    let said = Said::of(command.env("TMPDIR", &tmp).env("PATH", std::env::var_os("PATH").unwrap())).fails(1);
    assert!(said.contains("bytes are needed in ") && said.contains("TMPDIR=DIR"), "{said}");
    assert_eq!(env.json(&["list"])["snapshots"][0]["restored"], Value::Null);
}

#[test]
fn mariadb_is_proved_in_a_server_of_our_own_or_beside_other_databases() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4");
    server.sql("shop", MARIADB_EVERYTHING);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let proved = env.json(&["verify", "--restore"]);
    let own = proof(&proved, 0);
    assert!(own["engine"].as_str().unwrap().starts_with("MariaDB "), "{own}");
    assert!(count(own, "tables checked") > 1 && own["rows"].as_u64().unwrap() > 0, "{own}");
    let before = server.databases();
    let beside = env.json(&["verify", "--restore", "--scratch", &server.url("shop")]);
    assert_eq!(proof(&beside, 0)["rows"], own["rows"]);
    assert_eq!(server.databases(), before);
}

/// A snapshot of some keys.
fn cache(env: &TestEnv) -> Redis {
    cache_of(env, "20000")
}

fn cache_of(env: &TestEnv, keys: &str) -> Redis {
    let redis = Redis::start(None);
    redis.ask(&["DEBUG", "POPULATE", keys, "key", "300"]);
    env.ok(&["create", &format!("redis+unix://{}", redis.socket().display()), "--name", "cache"]);
    redis
}

#[test]
fn redis_is_proved_in_a_server_of_our_own() {
    let env = TestEnv::new();
    let _redis = cache(&env);
    let proved = env.json(&["verify", "--restore", "cache"]);
    let restored = proof(&proved, 0);
    assert_eq!((count(restored, "keys"), &restored["rows"]), (20_000, &20_000.into()));
    assert!(restored["engine"].as_str().unwrap().starts_with("Redis "), "{restored}");
    assert_eq!(restored["tables"], Value::Null);
}

#[test]
fn without_a_server_the_package_is_named_and_the_others_are_tried() {
    let env = ledger();
    let _redis = cache(&env);
    fs::create_dir(env.path("bin")).unwrap();
    let run = |arguments: &[&str]| Said::of(env.command(arguments).env("PATH", env.path("bin")));
    let said = run(&["verify", "--restore", "cache"]);
    let stderr = said.fails(1);
    assert!(stderr.contains("there is no server of Redis on this machine: install redis-server"), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 2, "{stderr}");
    let said = run(&["verify", "--restore"]);
    assert!(said.text().contains("cache: not tried") && said.text().contains("2 tables"), "{}", said.text());
    assert!(said.fails(3).contains("install redis-server"));
    // Which says nothing of the snapshot.
    assert_eq!(env.json(&["show", "cache"])["restored"], Value::Null);
}

#[test]
fn a_server_that_dies_in_the_middle_is_a_failed_proof() {
    let env = TestEnv::new();
    // It takes a while to load them, and is looked at again and again.
    let _redis = cache_of(&env, "500000");
    let tmp = open_to_all(&env);
    let script = "/usr/bin/redis-server \"$@\" & server=$!
until /usr/bin/redis-cli -s \"$4\" INFO replication 2>/dev/null | grep -q role:slave; do :; done
kill -9 $server; wait $server";
    let path = env.path_with(&[("redis-server", script)]);
    fs::set_permissions(env.path("bin"), Permissions::from_mode(0o755)).unwrap();
    let said = Said::of(env.command(&["verify", "--restore", "cache"]).env("PATH", path).env("TMPDIR", &tmp));
    assert_eq!(said.status, 3, "{}{}", said.text(), said.stderr);
    assert!(
        said.text().contains("cache: FAILED: the redis-server of our own ended in the middle"),
        "{}",
        said.text()
    );
    assert_eq!(left_in(&tmp), [""; 0]);
    assert_eq!(env.json(&["show", "cache"])["restored"]["ok"], false);
}

/// A proof whose server never answers, and the folder it works in.
fn hanging(env: &TestEnv, tmp: &PathBuf) -> (Running, PathBuf) {
    let path = env.path_with(&[("redis-server", "exec sleep 1000")]);
    fs::set_permissions(env.path("bin"), Permissions::from_mode(0o755)).unwrap();
    let mut command: Command = env.command(&["verify", "--restore", "cache"]);
    let running = Running::start(command.env("PATH", path).env("TMPDIR", tmp));
    wait_until(|| left_in(tmp).iter().any(|name| is_used(&tmp.join(name))));
    let folder = tmp.join(&left_in(tmp)[0]);
    (running, folder)
}

#[test]
fn an_interrupted_proof_leaves_no_server_and_no_folder() {
    let env = TestEnv::new();
    let _redis = cache(&env);
    let tmp = open_to_all(&env);
    let (running, folder) = hanging(&env, &tmp);
    running.send(Signal::INT);
    running.said().fails(130);
    assert!(!is_used(&folder) && left_in(&tmp).is_empty());
    assert_eq!(env.json(&["show", "cache"])["restored"], Value::Null);
}

#[test]
fn a_server_of_postgres_ends_with_its_proof_however_that_ends() {
    let server =
        PostgresServer::with_database("shop", "CREATE TABLE t AS SELECT generate_series(1, 200000) AS a");
    let env = ledger();
    env.ok(&["create", &server.url("shop")]);
    let tmp = open_to_all(&env);
    for signal in [Signal::INT, Signal::KILL] {
        let mut command = env.command(&["verify", "--restore", "shop"]);
        let running = Running::start(command.env("TMPDIR", &tmp));
        let runs = |name: &String| tmp.join(name).join("data/postmaster.pid").exists();
        wait_until(|| left_in(&tmp).iter().any(runs));
        let folder = tmp.join(&left_in(&tmp)[0]);
        running.send(signal);
        let said = running.said();
        wait_until(|| !is_used(&folder));
        let is_asked = signal == Signal::INT;
        assert_eq!(
            (said.status, left_in(&tmp).is_empty()),
            (if is_asked { 130 } else { -9 }, is_asked),
            "{}",
            said.stderr
        );
    }
    Said::of(env.command(&["verify", "--restore", "ledger.db"]).env("TMPDIR", &tmp)).ok();
    assert_eq!(left_in(&tmp), [""; 0]);
}

#[test]
fn what_a_killed_proof_left_the_next_one_clears() {
    let env = ledger();
    let _redis = cache(&env);
    let tmp = open_to_all(&env);
    let (running, folder) = hanging(&env, &tmp);
    running.kill();
    // The system ends the server with its maker; where it cannot, the next proof does.
    wait_until(|| !is_used(&folder));
    assert_eq!(left_in(&tmp).len(), 1);
    Said::of(env.command(&["verify", "--restore", "ledger.db"]).env("TMPDIR", &tmp)).ok();
    assert_eq!(left_in(&tmp), [""; 0]);
}

#[test]
fn a_proof_goes_along_with_its_snapshot_and_ends_with_it() {
    let env = ledger();
    let url = format!("file://{}", env.path("elsewhere").display());
    env.ok(&["push", &url]);
    env.ok(&["verify", "--restore"]);
    let pushed = env.json(&["push", &url]);
    assert_eq!(pushed["labels"], 1, "{pushed}");
    let there = env.json(&["list", "--remote", &url]);
    assert_eq!(there["snapshots"][0]["restored"]["ok"], true, "{there}");
    // A proof that was made there comes back.
    env.ok(&["verify", "--restore", "--remote", &url]);
    env.ok(&["pull", &url]);
    let there = env.json(&["list", "--remote", &url]);
    assert_eq!(env.json(&["list"])["snapshots"][0]["restored"], there["snapshots"][0]["restored"]);
    env.ok(&["delete", "latest", "--yes"]);
    env.ok(&["gc"]);
    assert_eq!(env.files(".icecore/labels"), Vec::<PathBuf>::new());
}
