//! Opening a database, each time with no more rights and traces than needed.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{companion, read_head};

/// How long SQLite itself waits for a lock before we look whether the user wants to stop.
pub(super) const BUSY_STEP: Duration = Duration::from_millis(100);

/// Opens a database to read it. Its first transaction is begun, so that everything read is of one moment.
pub(super) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let [first, second] = if is_unused_wal(path) {
        // A read-only connection would create `-wal` and `-shm` and could not remove them.
        [OpenFlags::SQLITE_OPEN_READ_WRITE, OpenFlags::SQLITE_OPEN_READ_ONLY]
    } else {
        [OpenFlags::SQLITE_OPEN_READ_ONLY, OpenFlags::SQLITE_OPEN_READ_WRITE]
    };
    match begin(path, first) {
        // Busy is the same for all; otherwise the other mode may do: only a writer can roll back the journal of a crash,
        // only a reader needs no right to write.
        Err(error) if !is_busy(&error) => {
            begin(path, second).map_err(|other| match other.sqlite_error_code() {
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => error,
                _ => other,
            })
        }
        done => done,
    }
}

fn begin(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_STEP)?;
    connection.execute_batch("BEGIN")?;
    // The lock is taken by the first read. This one also finds out whether the file is a database at all.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Whether a database is in WAL mode, and nobody has it open.
pub(super) fn is_unused_wal(path: &Path) -> bool {
    is_wal(path) && !companion(path, "-wal").exists()
}

/// Whether the header says that changes go to a log.
pub(super) fn is_wal(path: &Path) -> bool {
    matches!(read_head::<20>(path), Ok(Some([.., 2])))
}

/// Opens a file that nobody else knows: without locks, without companions, without a way to change it.
pub(super) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = String::from("file:");
    for byte in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(
        uri,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
    )
}

/// Whether somebody else holds a lock.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
