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

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::companion;
use super::open::is_busy;
use crate::RestoreError;

const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Long enough for a writer to end its transaction, short enough for a person.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// The lock on the old database; holds until dropped.
#[derive(Debug)]
pub(super) struct LiveDatabase {
    path: PathBuf,
    /// None if there is no database, or one so damaged that SQLite cannot lock it.
    _lock: Option<Connection>,
}

impl LiveDatabase {
    /// Locks what lies at `path`, and moves all of its log into it. Refuses a database that anybody else has open for
    /// writing or, in WAL mode, at all.
    pub(super) fn lock(path: &Path) -> Result<Self, RestoreError> {
        let lock = match lock_exclusively(path) {
            Ok(connection) => Some(connection),
            Err(error) if is_busy(&error) => {
                return Err(RestoreError::Refused(format!(
                    "{} is in use by another process",
                    path.display()
                )));
            }
            Err(error) if is_replaceable(&error) => None,
            Err(error) => {
                return Err(RestoreError::Refused(format!("cannot lock {}: {error}", path.display())));
            }
        };
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// There is no database here, though there may be companions of one that was removed.
    pub(super) fn absent(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }

    /// The first companion that lies there.
    pub(super) fn leftover(&self) -> Option<PathBuf> {
        COMPANIONS
            .iter()
            .map(|suffix| companion(&self.path, suffix))
            .find(|path| path.symlink_metadata().is_ok())
    }

    /// Removes the companions; the caller makes that durable before the swap.
    pub(super) fn remove_companions(&self) -> Result<(), RestoreError> {
        for suffix in COMPANIONS {
            let path = companion(&self.path, suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RestoreError::write("cannot remove", &path)(error));
                }
                _ => (),
            }
        }
        Ok(())
    }
}

fn lock_exclusively(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_LIMIT)?;
    // Before the first access: in WAL mode this makes the connection lock the file itself, which every other user of the
    // log holds a share of, even an idle one. A plain BEGIN EXCLUSIVE would see writers only.
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")?;
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
