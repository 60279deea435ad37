//! SQLite databases as services: restored by the same rules as those of servers.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Said, TestEnv};

/// A service with one table, as it was captured: `a` is 'captured'.
fn ledger(journal_mode: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.ledger]\nurl = 'sqlite:data/ledger.db'\n");
    fs::create_dir(env.path("data")).unwrap();
    let connection = Connection::open(env.path("data/ledger.db")).unwrap();
    connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (a TEXT, b BLOB); INSERT INTO t VALUES ('captured', randomblob(100000))",
        )
        .unwrap();
    drop(connection);
    env.ok(&["create", "ledger"]);
    env
}

/// Captured, and changed since.
fn changed(journal_mode: &str) -> TestEnv {
    let env = ledger(journal_mode);
    set(&env.path("data/ledger.db"), "live");
    env
}

fn set(path: &Path, a: &str) {
    Connection::open(path).unwrap().execute("UPDATE t SET a = ?1", [a]).unwrap();
}

#[track_caller]
fn assert_is(path: &Path, a: &str) {
    let connection = Connection::open(path).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let found: String = connection.query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!((sound.as_str(), found.as_str()), ("ok", a), "{}", path.display());
}

/// What lies in the folder of the database.
fn names(env: &TestEnv) -> Vec<String> {
    let entries = fs::read_dir(env.path("data")).unwrap();
    let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Another program that has the database open. Killed when dropped.
struct User {
    program: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl User {
    fn open(path: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = command.spawn().unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        Self { program, lines }
    }

    /// Runs statements; returns the first line that they say.
    fn run(&mut self, sql: &str) -> String {
        let stdin = self.program.stdin.as_mut().unwrap();
        writeln!(stdin, "{sql};\nSELECT 'done';").unwrap();
        let mut said = Vec::new();
        while said.last().is_none_or(|line| line != "done") {
            said.push(self.lines.next().unwrap().unwrap());
        }
        said.remove(0)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

#[test]
fn a_restore_takes_the_place_of_what_is_there_and_is_rolled_back() {
    for journal_mode in ["delete", "wal"] {
        let env = changed(journal_mode);
        let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
        let before = fs::read(&live).unwrap();
        let refusal = env.fails(15, &["restore", "ledger"]);
        assert!(refusal.contains("is there, and was not touched") && refusal.contains("--yes"), "{refusal}");
        assert!(refusal.contains("data/ledger.db (") && refusal.contains("icecore rollback"), "{refusal}");
        assert!(fs::read(&live).unwrap() == before);
        assert_eq!(names(&env), ["ledger.db"]);

        let restored = env.json(&["restore", "ledger", "--yes"]);
        assert_eq!(restored["kept"], old.to_str().unwrap());
        assert_is(&live, "captured");
        assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
        assert!(fs::read(&old).unwrap() == before, "what is kept is what was there, to the byte");

        env.ok(&["rollback", "ledger", "--yes"]);
        assert_is(&live, "live");
        assert!(fs::read(&live).unwrap() == before);
        env.ok(&["rollback", "--yes"]);
        assert_is(&live, "captured");
        env.fails(15, &["rollback", "ledger"]);
        env.ok(&["rollback", "sqlite:data/ledger.db", "--yes"]);
        assert_is(&live, "live");
        // The next restore keeps what it replaces, and no more.
        set(&live, "later");
        let said = env.run(&["restore", "ledger", "--yes"]);
        assert!(
            said.stderr.contains("__ice_old, which the restore before put aside, goes"),
            "{}",
            said.stderr
        );
        said.ok();
        assert_is(&old, "later");
        assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    }
}

#[test]
fn what_a_check_finds_leaves_everything_as_it_was() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    let before = fs::read(&live).unwrap();
    for (check, why) in [
        ("SELECT count(*) > 1 FROM t", "it is false"),
        ("SELECT a FROM missing", "no such table"),
        ("SELECT max(a) FROM t WHERE a = 'live'", "it is null"),
        ("DELETE FROM t", "readonly database"),
    ] {
        let said = env.fails(15, &["restore", "ledger", "--yes", "--check", check]);
        assert!(said.contains(why) && said.contains(check), "{said}");
        assert!(fs::read(&live).unwrap() == before);
        assert_eq!(names(&env), ["ledger.db"]);
    }
    env.ok(&["restore", "ledger", "--yes", "--check", "SELECT count(*) = 1 FROM t"]);
    assert_is(&live, "captured");
}

/// A snapshot may be a stranger's, and what looks like a table be a view without an end.
#[test]
fn a_check_without_an_end_is_interrupted() {
    let env = ledger("delete");
    let live = env.path("data/ledger.db");
    let endless =
        "CREATE VIEW orders AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n";
    Connection::open(&live).unwrap().execute_batch(endless).unwrap();
    env.ok(&["create", "ledger"]);
    set(&live, "live");
    let before = fs::read(&live).unwrap();
    let mut command =
        env.command(&["restore", "ledger", "--yes", "--check", "SELECT count(*) > 0 FROM orders"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while names(&env).len() < 2 {
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(500));
    let interrupted = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Said::new(child.wait_with_output().unwrap()).fails(130);
    assert!(interrupted.elapsed() < Duration::from_secs(5), "{:?}", interrupted.elapsed());
    assert!(fs::read(&live).unwrap() == before);
    assert_eq!(names(&env), ["ledger.db"]);
}

#[test]
fn what_is_preserved_is_nothing_that_a_rollback_brings_back() {
    let env = changed("wal");
    let live = env.path("data/ledger.db");
    env.ok(&["restore", "ledger", "--yes"]);
    set(&live, "second");
    env.ok(&["restore", "ledger", "--yes", "--preserve"]);
    assert_eq!(names(&env), ["ledger.db", "ledger.db_20261120_100300"]);
    assert_is(&env.path("data/ledger.db_20261120_100300"), "second");
    env.fails(10, &["rollback", "ledger", "--yes"]);
    assert_is(&live, "captured");
    // A name that is taken stays whose it is.
    fs::write(env.path("data/ledger.db_20261120_100500"), "mine").unwrap();
    let said = env.fails(15, &["restore", "ledger", "--yes", "--preserve"]);
    assert!(said.contains("ledger.db_20261120_100500 is there already"), "{said}");
    assert_eq!(env.read("data/ledger.db_20261120_100500"), b"mine");
}

#[test]
fn what_is_removed_is_in_the_store_before() {
    let env = changed("wal");
    let live = env.path("data/ledger.db");
    env.ok(&["restore", "ledger", "--yes", "--replace"]);
    assert_is(&live, "captured");
    assert_eq!(names(&env), ["ledger.db"]);
    // It is no snapshot of the ledger: nobody meant to keep it.
    let listed = env.json(&["list", "ledger"]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
    let listed = env.json(&["list", "ledger.before-restore"]);
    assert_eq!(listed["snapshots"][0]["tags"][0], "before-restore", "{listed}");
    // Nor is it the latest, unless that is asked for.
    for meant in [&["latest"][..], &["--at", "1 second ago"]] {
        let restored = env.json(&[&["restore", "--to", "data/new.db", "--yes"], meant].concat());
        assert_eq!(restored["source"], "ledger", "{meant:?}");
    }
    let restored = env.json(&["restore", "ledger.before-restore", "--to", "data/new.db", "--yes"]);
    assert_eq!(restored["source"], "ledger.before-restore");
    fs::remove_file(env.path("data/new.db")).unwrap();
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "live");
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "captured");
}

#[test]
fn what_cannot_be_captured_is_not_removed() {
    let env = ledger("delete");
    env.write("data/ledger.db", b"no database, or an encrypted one".repeat(1000));
    let said = env.run(&["restore", "ledger", "--yes", "--replace"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert!(said.stderr.contains("what was there is still there, as"), "{}", said.stderr);
    assert_is(&env.path("data/ledger.db"), "captured");
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
}

#[test]
fn what_sqlite_cannot_read_is_kept_to_the_byte() {
    let env = ledger("delete");
    let live = env.path("data/ledger.db");
    let mut torn = fs::read(&live).unwrap();
    torn[100..4096].fill(0xff);
    for bytes in [b"no database, or an encrypted one".repeat(1000), torn, Vec::new()] {
        fs::write(&live, &bytes).unwrap();
        env.ok(&["restore", "ledger", "--yes"]);
        assert_is(&live, "captured");
        assert!(env.read("data/ledger.db__ice_old") == bytes);
        env.ok(&["rollback", "ledger", "--yes"]);
        assert!(env.read("data/ledger.db") == bytes);
    }
    // Its log may hold what the file does not, and nobody here can tell.
    fs::write(&live, b"no database, or an encrypted one".repeat(1000)).unwrap();
    fs::write(env.path("data/ledger.db-wal"), "the rest").unwrap();
    let said = env.fails(15, &["restore", "ledger", "--yes"]);
    assert!(said.contains("ledger.db-wal may hold a part"), "{said}");
    assert_eq!(env.read("data/ledger.db-wal"), b"the rest");
    // Where nothing is to be kept, it is replaced as any file.
    env.ok(&["restore", "ledger", "--to", "data/ledger.db", "--yes"]);
    assert_is(&live, "captured");
}

#[test]
fn what_a_crash_left_in_a_log_is_in_what_is_put_aside() {
    let env = changed("wal");
    let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
    let mut user = User::open(&live);
    user.run("UPDATE t SET a = 'in the log'");
    drop(user);
    assert!(env.path("data/ledger.db-wal").metadata().unwrap().len() > 0);
    env.ok(&["restore", "ledger", "--yes"]);
    assert_is(&live, "captured");
    assert_is(&old, "in the log");
    // What is done to the one that is kept comes back with it.
    let mut user = User::open(&old);
    user.run("UPDATE t SET a = 'in the log of the old one'");
    drop(user);
    env.ok(&["rollback", "ledger", "--yes"]);
    assert_is(&live, "in the log of the old one");
    assert_is(&old, "captured");
}

#[test]
fn what_a_crash_left_half_done_is_undone_in_what_is_put_aside() {
    let env = changed("delete");
    let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
    let mut user = User::open(&live);
    // A cache of one page: the file is written before the transaction ends.
    user.run("PRAGMA cache_size = 1; BEGIN; UPDATE t SET a = 'half'; INSERT INTO t SELECT 'half', randomblob(1000000)");
    drop(user);
    assert!(env.path("data/ledger.db-journal").metadata().unwrap().len() > 0);
    env.ok(&["restore", "ledger", "--yes"]);
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    assert_is(&live, "captured");
    assert_is(&old, "live");
}

#[test]
fn a_database_that_is_locked_is_refused_before_anything_is_written() {
    for (journal_mode, sql) in [
        ("wal", "SELECT a FROM t"),
        ("wal", "BEGIN IMMEDIATE; SELECT a FROM t"),
        ("delete", "BEGIN; SELECT a FROM t"),
        ("delete", "BEGIN IMMEDIATE; SELECT a FROM t"),
    ] {
        let env = changed(journal_mode);
        let live = env.path("data/ledger.db");
        let mut user = User::open(&live);
        assert_eq!(user.run(sql), "live");
        let before = (fs::read(&live).unwrap(), names(&env));
        let said = env.fails(15, &["restore", "ledger", "--yes"]);
        assert!(
            said.contains("is in use by another process") && said.contains("nothing was touched"),
            "{said}"
        );
        assert!((fs::read(&live).unwrap(), names(&env)) == before);
        // Its user notices nothing.
        assert_eq!(user.run("SELECT a FROM t"), "live");
        drop(user);
        env.ok(&["restore", "ledger", "--yes"]);
    }
}

#[test]
fn what_is_put_aside_is_not_taken_from_whoever_reads_it() {
    let env = changed("wal");
    env.ok(&["restore", "ledger", "--yes"]);
    let mut user = User::open(&env.path("data/ledger.db__ice_old"));
    assert_eq!(user.run("SELECT a FROM t"), "live");
    for command in [["restore", "ledger", "--yes"], ["rollback", "ledger", "--yes"]] {
        let said = env.fails(15, &command);
        assert!(said.contains("__ice_old is in use by another process"), "{said}");
        assert!(said.contains("nothing was"), "{said}");
    }
    assert_is(&env.path("data/ledger.db"), "captured");
    assert_eq!(user.run("SELECT a FROM t"), "live");
}

#[test]
fn whoever_has_the_database_open_is_named() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    let mut user = User::open(&live);
    assert_eq!(user.run("SELECT a FROM t"), "live");
    let said = env.run(&["restore", "ledger", "--yes"]);
    let named = format!("process {} (sqlite3) has", user.program.id());
    assert!(said.stderr.contains(&named), "{}", said.stderr);
    said.ok();
    // SQLite itself lets nobody write to a database that has moved.
    assert_eq!(user.run("SELECT a FROM t"), "live");
    user.run("UPDATE t SET a = 'lost'");
    assert_is(&live, "captured");
    assert_is(&env.path("data/ledger.db__ice_old"), "live");
}

#[test]
fn links_modes_and_owners_stay() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    fs::set_permissions(&live, fs::Permissions::from_mode(0o640)).unwrap();
    env.ok(&["create", "ledger"]);
    set(&live, "later");
    fs::create_dir(env.path("elsewhere")).unwrap();
    fs::rename(&live, env.path("elsewhere/real.db")).unwrap();
    symlink("../elsewhere/real.db", &live).unwrap();
    env.ok(&["restore", "ledger", "--yes"]);
    assert!(live.is_symlink());
    assert_is(&live, "live");
    assert_eq!(names(&env), ["ledger.db"]);
    let owner = |name: &str| {
        let meta = env.path(name).metadata().unwrap();
        (meta.mode() & 0o777, meta.uid(), meta.gid())
    };
    assert_eq!(owner("elsewhere/real.db").0, 0o640);
    assert_eq!(owner("elsewhere/real.db"), owner("elsewhere/real.db__ice_old"));
    env.ok(&["rollback", "ledger", "--yes"]);
    assert!(live.is_symlink());
    assert_is(&live, "later");
}

#[test]
fn a_plain_restore_keeps_nothing_and_a_database_by_url_does() {
    let env = changed("delete");
    env.ok(&["restore", "ledger", "--to", "data/copy.db"]);
    env.ok(&["restore", "ledger", "--to", "data/copy.db", "--yes"]);
    assert_eq!(names(&env), ["copy.db", "ledger.db"]);
    env.ok(&["restore", "ledger", "--to", "sqlite:data/copy.db", "--yes"]);
    assert_eq!(names(&env), ["copy.db", "copy.db__ice_old", "ledger.db"]);
    env.ok(&["rollback", "data/copy.db", "--yes"]);
    // What only databases have can be asked for with a path too.
    env.fails(15, &["restore", "ledger", "--to", "data/new.db", "--check", "SELECT 0"]);
    env.ok(&["restore", "ledger", "--to", "data/new.db", "--check", "SELECT 1"]);
    assert_is(&env.path("data/new.db"), "captured");
    for arguments in [["--in-place", "--yes"], ["--part", "ledger.db"], ["--create-roles", "--yes"]] {
        env.fails(2, &[&["restore", "ledger"], &arguments[..]].concat());
    }
    env.write("notes.txt", "no database");
    env.ok(&["create", "notes.txt"]);
    let said = env.fails(2, &["restore", "notes.txt", "--to", "sqlite:data/new.db", "--yes"]);
    assert!(said.contains("is not of a SQLite database"), "{said}");
    env.fails(2, &["restore", "notes.txt", "--replace", "--yes"]);
    // A configuration that is wrong matters to those who need it.
    env.write("icecore.toml", "[services.ledger]\nengine = 'oracle'\n");
    env.ok(&["restore", "ledger", "--to", "data/copy.db", "--yes"]);
    env.fails(2, &["restore", "ledger", "--yes"]);
    assert_is(&env.path("data/ledger.db"), "live");
}

#[test]
fn an_emergency_takes_the_newest_snapshot_that_is_sound() {
    let env = changed("delete");
    let live = env.path("data/ledger.db");
    // Captured as it is, a page of rubbish included.
    let connection = Connection::open(&live).unwrap();
    connection.execute_batch("CREATE TABLE u AS SELECT randomblob(3000) AS b FROM t").unwrap();
    drop(connection);
    let mut torn = fs::read(&live).unwrap();
    let last = torn.len() - 4096;
    torn[last..].fill(0xff);
    fs::write(&live, torn).unwrap();
    env.ok(&["create", "ledger"]);
    let said = env.run(&["rollback", "ledger", "--emergency"]);
    assert!(
        said.stderr.contains("is no sound database") && said.stderr.contains("trying the one before"),
        "{}",
        said.stderr
    );
    said.ok();
    assert_is(&live, "captured");
    fs::remove_file(&live).unwrap();
    env.ok(&["rollback", "ledger", "--emergency"]);
    assert_is(&live, "captured");
}

#[test]
fn restores_and_rollbacks_at_once_leave_two_whole_databases() {
    let env = changed("wal");
    env.ok(&["restore", "ledger", "--yes"]);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let env = &env;
            scope.spawn(move || {
                for round in 0..6 {
                    let command = if (worker + round) % 2 == 0 { "restore" } else { "rollback" };
                    let said = env.run(&[command, "ledger", "--yes"]);
                    // One at a time; whoever looked at another file than is there by now, or finds it locked, is told so.
                    assert!(matches!(said.status, 0 | 11 | 15), "{command}: {}", said.stderr);
                }
            });
        }
    });
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
    for name in ["data/ledger.db", "data/ledger.db__ice_old"] {
        let connection = Connection::open(env.path(name)).unwrap();
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "{name}");
    }
}

#[test]
fn killed_at_any_moment_a_restore_loses_nothing() {
    let env = ledger("wal");
    let (live, old) = (env.path("data/ledger.db"), env.path("data/ledger.db__ice_old"));
    let started = Instant::now();
    env.ok(&["restore", "ledger", "--yes"]);
    let took = started.elapsed();
    let mut swapped = 0;
    for round in 0..24_u32 {
        let mark = format!("round {round}");
        set(&live, &mark);
        let mut restore = env.command(&["restore", "ledger", "--yes"]);
        let mut restore = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(took * (round % 12 + 1) / 10);
        restore.kill().unwrap();
        restore.wait().unwrap();
        // Whatever it came to, what was there is there, or comes back.
        let connection = Connection::open(&live).unwrap();
        let found: String = connection.query_row("SELECT a FROM t", [], |row| row.get(0)).unwrap();
        drop(connection);
        if found != mark {
            assert_eq!(found, "captured");
            swapped += 1;
            env.ok(&["rollback", "ledger", "--yes"]);
            assert_is(&live, &mark);
            assert_is(&old, "captured");
        }
    }
    assert!(swapped < 24, "none was killed in time");
    env.ok(&["restore", "ledger", "--yes"]);
    assert_eq!(names(&env), ["ledger.db", "ledger.db__ice_old"]);
}

#[test]
fn an_emergency_takes_no_snapshot_of_a_file_elsewhere() {
    let env = TestEnv::new();
    for folder in ["one", "two"] {
        fs::create_dir(env.path(folder)).unwrap();
        let path = env.path(&format!("{folder}/ledger.db"));
        let sql = format!("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('{folder}')");
        Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
        env.ok(&["create", path.to_str().unwrap()]);
        set(&path, "changed");
    }
    env.ok(&["rollback", "sqlite:one/ledger.db", "--emergency"]);
    assert_is(&env.path("one/ledger.db"), "one");
    assert_is(&env.path("two/ledger.db"), "changed");
    // Also when it is not there any more.
    fs::remove_file(env.path("one/ledger.db")).unwrap();
    env.ok(&["rollback", "sqlite:one/ledger.db", "--emergency"]);
    assert_is(&env.path("one/ledger.db"), "one");
}
