use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use icecore_format::{Digest, Part, PartKind};
use rusqlite::Connection;
use tempfile::TempDir;

use super::pending::identity;
use super::*;
use crate::files::Placement;
use crate::recording::{Recorded, RecordingSink};
use crate::{CaptureError, Grain, RestoreError, Target as _};

mod interrupted;

const ACCOUNTS: i64 = 200;
const STOP_AFTER: Duration = Duration::from_millis(200);
const SUM: i64 = ACCOUNTS * 100;

fn bank(folder: &TempDir, journal_mode: &str) -> PathBuf {
    let path = folder.path().join("bank.db");
    let connection = Connection::open(&path).unwrap();
    connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
    connection
        .execute_batch("CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, note TEXT)")
        .unwrap();
    connection.execute_batch("BEGIN").unwrap();
    for id in 0..ACCOUNTS {
        connection.execute("INSERT INTO account VALUES (?1, 100, ?2)", (id, "x".repeat(2000))).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
    path
}

fn transfer(connection: &Connection, turn: i64) -> rusqlite::Result<()> {
    let (from, to) = (turn * 7 % ACCOUNTS, turn * 13 % ACCOUNTS);
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; UPDATE account SET amount = amount - 1 WHERE id = {from};
         UPDATE account SET amount = amount + 1 WHERE id = {to}; COMMIT"
    ))
}

fn take(path: &Path) -> (SqliteReport, Recorded) {
    let scratch = tempfile::tempdir().unwrap();
    let mut sink = RecordingSink::default();
    let report = capture(path, scratch.path(), &mut sink).unwrap();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the copy is gone");
    assert_eq!(sink.parts.len(), 1);
    (report, sink.parts.remove(0))
}

fn restore(recorded: &Recorded, to: &Path, placement: Placement) -> Result<(), RestoreError> {
    let mut target = Box::new(SqliteTarget::new(to, placement)?);
    let part = Part {
        name: recorded.start.name.clone(),
        kind: recorded.start.kind,
        offset: 0,
        len: recorded.bytes.len() as u64,
        hash: Digest([0; 32]),
        rows: None,
        file: recorded.end.clone().unwrap().file,
    };
    target.begin(&part)?;
    for bytes in recorded.bytes.chunks(10_000) {
        target.write(bytes)?;
    }
    target.end()?;
    target.check(&|| false)?;
    target.finish()
}

fn change(path: &Path, amount: i64) {
    Connection::open(path).unwrap().execute("UPDATE account SET amount = ?1", [amount]).unwrap();
}

fn sum(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    connection.query_row("SELECT sum(amount) FROM account", [], |row| row.get(0)).unwrap()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const ROLE: &str = "ICECORE_TEST_SQLITE_ROLE";
const ROLE_PATH: &str = "ICECORE_TEST_SQLITE_PATH";

/// Another process that uses a database, since locks are between processes. Killed when dropped.
struct Role(Child);

impl Role {
    /// Starts one, and waits until it has the database open.
    fn start(role: &str, path: &Path) -> Self {
        let ready = companion(path, "-ready");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "sqlite::tests::role_of_another_process"])
            .env(ROLE, role)
            .env(ROLE_PATH, path);
        let started = Self(command.stdout(Stdio::null()).spawn().unwrap());
        while !ready.exists() {
            sleep(Duration::from_millis(5));
        }
        fs::remove_file(ready).unwrap();
        started
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Not a test by itself: what [`Role`] starts.
#[test]
fn role_of_another_process() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(ROLE_PATH)) else { return };
    let connection = Connection::open(&path).unwrap();
    let ready = || fs::write(companion(Path::new(&path), "-ready"), "").unwrap();
    match role.as_str() {
        "transfers" => {
            connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
            for turn in 0..i64::MAX {
                let _ = transfer(&connection, turn);
                if turn == 10 {
                    ready();
                }
            }
        }
        "transaction" => {
            connection.execute_batch("BEGIN IMMEDIATE; UPDATE account SET amount = 0").unwrap();
            ready();
        }
        _ => {
            connection.execute("UPDATE account SET amount = 1", []).unwrap();
            ready();
        }
    }
    sleep(Duration::from_secs(60));
}

#[test]
fn databases_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    assert!(is_sqlite(&path).unwrap());
    let other = folder.path().join("other");
    fs::write(&other, b"").unwrap();
    assert!(!is_sqlite(&other).unwrap());
    fs::write(&other, b"SQLite format 3?and more").unwrap();
    assert!(!is_sqlite(&other).unwrap());
    assert!(!is_sqlite(folder.path()).unwrap());
}

#[test]
fn a_capture_tells_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let (report, recorded) = take(&path);
    assert_eq!((report.page_size, report.tables, report.journal_mode.as_str()), (4096, 1, "delete"));
    assert_eq!(recorded.start.name, b"bank.db");
    assert_eq!((recorded.start.kind, recorded.start.grain), (PartKind::File, Grain::Page(4096)));
    let file = recorded.end.unwrap().file.unwrap();
    assert_eq!((file.mode, file.inode, file.ctime), (0o640, 0, (0, 0)));
    assert_eq!(file.size, recorded.bytes.len() as u64);
    assert_eq!(file.mtime.0, path.metadata().unwrap().mtime());
}

#[test]
fn captures_of_an_unchanged_database_are_the_same_bytes() {
    for journal_mode in ["delete", "wal"] {
        let folder = tempfile::tempdir().unwrap();
        let path = bank(&folder, journal_mode);
        let before = (fs::read(&path).unwrap(), names(&folder));
        let (first, second) = (take(&path).1, take(&path).1);
        assert!(first.bytes == second.bytes, "{journal_mode}");
        assert_eq!(first.end, second.end);
        // All but the header is as in the file itself, which is as it was.
        assert!((fs::read(&path).unwrap(), names(&folder)) == before, "{journal_mode}");
        assert!(first.bytes[100..] == before.0[100..], "{journal_mode}");
    }
}

#[test]
fn a_log_that_is_not_in_the_file_yet_is_captured() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "wal");
    let open = Connection::open(&path).unwrap();
    open.execute("UPDATE account SET amount = 1000 WHERE id = 0", []).unwrap();
    let (report, recorded) = take(&path);
    assert_eq!(report.journal_mode, "wal");
    let copy = folder.path().join("copy.db");
    restore(&recorded, &copy, Placement::CreateNew).unwrap();
    assert_eq!(sum(&copy), SUM + 900);
}

#[test]
fn captures_under_constant_writes_are_of_one_moment() {
    for journal_mode in ["delete", "wal"] {
        let folder = tempfile::tempdir().unwrap();
        let path = bank(&folder, journal_mode);
        let mut writer = Role::start("transfers", &path);
        for round in 0..5 {
            let (_, recorded) = take(&path);
            let copy = folder.path().join(format!("copy{round}.db"));
            restore(&recorded, &copy, Placement::CreateNew).unwrap();
            assert_eq!(sum(&copy), SUM, "{journal_mode}");
        }
        assert!(writer.0.try_wait().unwrap().is_none(), "the writer went on");
        drop(writer);
        assert_eq!(sum(&path), SUM);
    }
}

#[test]
fn a_restore_over_a_wal_database_shows_the_snapshot_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "wal");
    let (_, recorded) = take(&path);
    // A process that died leaves its log behind.
    let saved = tempfile::tempdir().unwrap();
    let writer = Connection::open(&path).unwrap();
    writer.execute("UPDATE account SET amount = 5000", []).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(companion(&path, suffix), companion(&saved.path().join("bank.db"), suffix)).unwrap();
    }
    drop(writer);
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(companion(&saved.path().join("bank.db"), suffix), companion(&path, suffix)).unwrap();
    }
    assert!(companion(&path, "-wal").metadata().unwrap().len() > 0);

    restore(&recorded, &path, Placement::Replace).unwrap();
    assert_eq!(names(&folder), ["bank.db"]);
    assert_eq!(fs::read(&path).unwrap(), recorded.bytes);
    assert_eq!(sum(&path), SUM);
}

#[test]
fn a_restored_database_has_the_access_rights_of_the_captured_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    let (_, recorded) = take(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    restore(&recorded, &path, Placement::Replace).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o664);
    assert_eq!(names(&folder), ["bank.db"]);
}

fn assert_refused_as_busy(path: &Path, recorded: &Recorded) {
    let before = fs::read(path).unwrap();
    let error = restore(recorded, path, Placement::Replace).unwrap_err();
    assert!(error.to_string().ends_with("is in use by another process"), "{error}");
    assert!(fs::read(path).unwrap() == before);
}

#[test]
fn a_database_in_use_is_refused_and_untouched() {
    for (journal_mode, user) in [("delete", "transaction"), ("wal", "transaction"), ("wal", "idle")] {
        let folder = tempfile::tempdir().unwrap();
        let path = bank(&folder, journal_mode);
        let (_, recorded) = take(&path);
        let user = Role::start(user, &path);
        assert_refused_as_busy(&path, &recorded);
        drop(user);
        restore(&recorded, &path, Placement::Replace).unwrap();
        assert_eq!(sum(&path), SUM);
        assert_eq!(names(&folder), ["bank.db"]);
    }
}

#[test]
fn damaged_content_is_refused_and_the_live_database_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let (_, recorded) = take(&path);
    let before = fs::read(&path).unwrap();
    let mut flipped = recorded.clone();
    flipped.bytes[4096..4106].fill(0xff);
    let mut cut = recorded.clone();
    cut.bytes.truncate(40_960);
    let mut empty = recorded;
    empty.bytes.clear();
    for damaged in [flipped, cut, empty] {
        let error = restore(&damaged, &path, Placement::Replace).unwrap_err();
        assert!(matches!(error, RestoreError::Damaged(_)), "{error:?}");
        assert!(fs::read(&path).unwrap() == before);
        assert_eq!(names(&folder), ["bank.db"]);
    }
}

#[test]
fn a_damaged_database_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let (_, recorded) = take(&path);
    fs::write(&path, "no database at all".repeat(1000)).unwrap();
    fs::write(companion(&path, "-journal"), "rest").unwrap();
    restore(&recorded, &path, Placement::Replace).unwrap();
    assert_eq!(sum(&path), SUM);
    assert_eq!(names(&folder), ["bank.db"]);
}

#[test]
fn a_new_database_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let (_, recorded) = take(&path);
    assert!(matches!(SqliteTarget::new(&path, Placement::CreateNew), Err(RestoreError::Write { .. })));
    assert!(matches!(SqliteTarget::new(&path, Placement::InPlace), Err(RestoreError::Refused(_))));
    let other = folder.path().join("a log without a database.db");
    fs::write(companion(&other, "-wal"), "log").unwrap();
    assert!(matches!(restore(&recorded, &other, Placement::CreateNew), Err(RestoreError::Refused(_))));
    assert!(!other.exists());
}

#[test]
fn a_dropped_restore_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut target = SqliteTarget::new(&folder.path().join("new.db"), Placement::Replace).unwrap();
    target.write(b"SQLite format 3\0").unwrap();
    drop(target);
    assert!(names(&folder).is_empty());
}

#[test]
fn what_cannot_be_captured_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let mut sink = RecordingSink::default();
    let missing = capture(&path, folder.path(), &mut sink);
    assert!(matches!(missing, Err(CaptureError::NotFound { .. })), "{missing:?}");
    fs::write(&path, "no database".repeat(1000)).unwrap();
    let other = capture(&path, folder.path(), &mut sink);
    assert!(matches!(other, Err(CaptureError::Source(_))), "{other:?}");
    assert_eq!(names(&folder), ["bank.db"]);
}

fn swap(recorded: &Recorded, path: &Path) -> Result<Option<Kept>, RestoreError> {
    let plan = plan(path, Keep::ForRollback)?;
    assert!(plan.blockers.is_empty(), "{:?}", plan.blockers);
    let mut target = SqliteTarget::of_plan(&plan)?;
    target.write(&recorded.bytes)?;
    target.check(&|| false)?;
    target.swap()
}

#[test]
fn a_database_that_appears_meanwhile_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let (_, recorded) = take(&path);
    for before in [true, false] {
        let planned = if before { path.clone() } else { folder.path().join("new.db") };
        let plan = plan(&planned, Keep::ForRollback).unwrap();
        let mut target = SqliteTarget::of_plan(&plan).unwrap();
        target.write(&recorded.bytes).unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "precious").unwrap();
        fs::rename(other, &planned).unwrap();
        let error = target.swap().unwrap_err();
        assert!(error.to_string().ends_with("is another one than when it was looked at"), "{error}");
        assert_eq!(fs::read(&planned).unwrap(), b"precious");
    }
}

/// A file system may give the number of a removed file to the next one.
#[test]
fn a_database_that_was_removed_and_made_again_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let (_, recorded) = take(&path);
    let before = identity(&path);
    for _ in 0..20 {
        // The clock of a file system has ticks of some milliseconds.
        sleep(Duration::from_millis(20));
        fs::remove_file(&path).unwrap();
        fs::write(&path, &recorded.bytes).unwrap();
        assert_ne!(identity(&path), before);
    }
    // What is only written to stays what it is.
    let before = identity(&path);
    change(&path, 5);
    assert_eq!(identity(&path), before);
}

/// What a stranger may put in the place of a table.
#[test]
fn checks_of_what_has_no_end_are_stopped_and_need_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;
             CREATE VIEW long AS SELECT hex(zeroblob(500000000)) AS text",
        )
        .unwrap();
    drop(connection);
    let begun = Instant::now();
    let stopped = check::objection(&path, "SELECT count(*) FROM endless", &|| begun.elapsed() > STOP_AFTER);
    assert!(matches!(stopped, Err(RestoreError::Cancelled)), "{stopped:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let long = check::objection(&path, "SELECT length(text) FROM long", &|| false).unwrap().unwrap();
    assert!(long.contains("too big"), "{long}");
    assert_eq!(check::objection(&path, "SELECT sum(amount) > 0 FROM account", &|| false).unwrap(), None);
}

#[test]
fn a_look_at_the_integrity_of_a_large_database_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA synchronous = OFF; CREATE TABLE t (a);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) INSERT INTO t SELECT i FROM n;
             CREATE INDEX u ON t (a); CREATE INDEX v ON t (a + 1); CREATE INDEX w ON t (a + 2)",
        )
        .unwrap();
    drop(connection);
    let stopped = check::integrity(&path, &|| true);
    assert!(matches!(stopped, Err(RestoreError::Cancelled)), "{stopped:?}");
}

#[test]
fn what_is_forgotten_is_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "delete");
    let (_, recorded) = take(&path);
    let first = swap(&recorded, &path).unwrap().unwrap();
    let second = swap(&recorded, &path).unwrap().unwrap();
    forget(&path, &first).unwrap();
    assert!(second.path.exists());
    forget(&path, &second).unwrap();
    assert_eq!(names(&folder), ["bank.db"]);
}

#[test]
fn looking_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "wal");
    let look = |path: &Path| {
        let state = || (fs::read(path).unwrap(), fs::read(companion(path, "-wal")).ok(), names(&folder));
        let before = state();
        plan(path, Keep::ForRollback).unwrap();
        assert!(state() == before);
    };
    look(&path);
    // A log that a crash left.
    let user = Role::start("idle", &path);
    drop(user);
    assert!(companion(&path, "-wal").metadata().unwrap().len() > 0);
    look(&path);
    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    look(&empty);
}

#[test]
fn a_log_of_nobody_is_not_left_by_who_looked() {
    let folder = tempfile::tempdir().unwrap();
    let path = bank(&folder, "wal");
    // As if whoever had the database open had closed it since it was looked for.
    fs::write(companion(&path, "-wal"), "").unwrap();
    plan(&path, Keep::ForRollback).unwrap();
    assert_eq!(names(&folder), ["bank.db"]);
}
