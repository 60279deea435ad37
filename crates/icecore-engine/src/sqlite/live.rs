//! The database that a restore replaces: locked against everybody, and left without a log that could be replayed onto
//! the file that takes its place.
//!
//! The order matters. The log is emptied into the old file first, so the companions can go while the old
//! file is still in place and complete: a crash at any point leaves either the old database or the new one. They go before
//! the swap, since afterwards they might belong to somebody who has opened the new file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::companion;
use super::open::{is_busy, is_unused_wal};
use crate::RestoreError;

const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Long enough for a writer to end its transaction, short enough for a person.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// The lock on the old database; holds until dropped.
#[derive(Debug)]
pub(super) struct LiveDatabase {
    path: PathBuf,
    /// None if there is no database, or one so damaged that SQLite cannot lock it.
    lock: Option<Connection>,
}

impl LiveDatabase {
    /// Locks what lies at `path`, and moves all of its log into it. Refuses a database that anybody else has open for
    /// writing or, in WAL mode, at all.
    pub(super) fn lock(path: &Path) -> Result<Self, RestoreError> {
        Ok(Self { path: path.to_owned(), lock: unless_damaged(path, lock_exclusively(path))? })
    }

    /// There is no database here, though there may be companions of one that was removed.
    pub(super) fn absent(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// Locks what lies at `path`, if anything does.
    pub(super) fn lock_present(path: &Path) -> Result<Self, RestoreError> {
        match path.symlink_metadata().is_ok() {
            true => Self::lock(path),
            false => Ok(Self::absent(path)),
        }
    }

    /// Whether a database could be locked now. Moves nothing, and leaves nothing that was not there.
    ///
    /// Returns false for what SQLite cannot read: damaged, encrypted, or no database.
    pub(super) fn try_lock(path: &Path) -> Result<bool, RestoreError> {
        // Whoever has such a database open has made its log.
        if is_unused_wal(path) {
            return Ok(true);
        }
        let tried = open_for_locking(path).and_then(|connection| {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            take_lock(&connection)?;
            // Whoever had made the log may have removed it meanwhile, so that this one is ours. Nobody else has it open under the lock.
            if companion(path, "-wal").metadata().is_ok_and(|log| log.len() == 0) {
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
            }
            Ok(())
        });
        Ok(unless_damaged(path, tried)?.is_some())
    }

    /// Refuses what is not all in the file: SQLite could not read it, and so could not move its log into it.
    pub(super) fn refuse_log(&self) -> Result<(), RestoreError> {
        let log = ["-wal", "-journal"].iter().map(|suffix| companion(&self.path, suffix));
        let mut log = log.filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.len() > 0));
        match (&self.lock, log.next()) {
            (None, Some(log)) => Err(RestoreError::Refused(format!(
                "SQLite cannot read {}, of which {} may hold a part: end what uses it, and move the two away",
                self.path.display(),
                log.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a place in which no database lies, but something that was one's.
    pub(super) fn refuse_leftover(&self) -> Result<(), RestoreError> {
        let mut companions = COMPANIONS.iter().map(|suffix| companion(&self.path, suffix));
        match companions.find(|path| path.symlink_metadata().is_ok()) {
            Some(leftover) => Err(RestoreError::Refused(format!(
                "{} belongs to another database of this name; move it away first",
                leftover.display()
            ))),
            None => Ok(()),
        }
    }

    /// Removes the companions; the caller makes that durable before the swap.
    pub(super) fn remove_companions(&self) -> Result<(), RestoreError> {
        remove_companions(&self.path).map_err(RestoreError::write("cannot remove the log of", &self.path))
    }
}

/// Removes what lies beside a database, or would apply to another one that takes its name.
pub(super) fn remove_companions(path: &Path) -> io::Result<()> {
    for suffix in COMPANIONS {
        match fs::remove_file(companion(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(())
}

/// What was locked; nothing if that cannot be, and is no reason not to replace it.
fn unless_damaged<T>(path: &Path, locked: rusqlite::Result<T>) -> Result<Option<T>, RestoreError> {
    match locked {
        Ok(locked) => Ok(Some(locked)),
        Err(error) if is_replaceable(&error) => Ok(None),
        Err(error) if is_busy(&error) => {
            Err(RestoreError::Refused(format!("{} is in use by another process", path.display())))
        }
        Err(error) => Err(RestoreError::Refused(format!("cannot lock {}: {error}", path.display()))),
    }
}

fn open_for_locking(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_LIMIT)?;
    Ok(connection)
}

fn take_lock(connection: &Connection) -> rusqlite::Result<()> {
    // Before the first access: in WAL mode this makes the connection lock the file itself, which every other user of the
    // log holds a share of, even an idle one. A plain BEGIN EXCLUSIVE would see writers only. A COMMIT would write to an empty file.
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; ROLLBACK")
}

fn lock_exclusively(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_for_locking(path)?;
    take_lock(&connection)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
    if busy != 0 {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ));
    }
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    Ok(connection)
}

/// Whether the old database is past locking: replacing it is what a restore is for.
fn is_replaceable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}
