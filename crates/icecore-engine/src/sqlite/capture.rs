//! Capturing a database: one moment of it is copied by SQLite's own online backup, then handed over.
//!
//! Copying holds a read transaction: in WAL mode writers go on, otherwise they wait, and it ends either way. The copy of an
//! unchanged database is the same, byte for byte: the backup takes the pages as they are, and in the header
//! writes a change counter of 1 and the version of the library.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use icecore_format::{FileAttributes, PartKind};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::NamedTempFile;

use super::open::{is_busy, is_wal, open_for_reading, open_immutable};
use crate::files::attributes_of;
use crate::{CaptureError, Grain, PartEnd, PartStart, Sink};

/// How long to try for a read lock; a writer holds its own for milliseconds.
const BUSY_LIMIT: Duration = Duration::from_secs(30);
/// A wait that is worth telling.
const BUSY_TOLD_AFTER: Duration = Duration::from_secs(1);
/// How many pages are copied before the user may stop.
const PAGES_PER_STEP: i32 = 4096;
const COPY_LEN: u64 = 16 << 20;

/// What a database turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteReport {
    /// Of the library that read it; the file does not name one.
    pub version: String,
    /// Its page size in bytes.
    pub page_size: u32,
    /// `wal`, or how it undoes: `delete`, `truncate`, ...
    pub journal_mode: String,
    /// How many tables it has, SQLite's own not counted.
    pub tables: u64,
}

/// Hands the database at `path` to `sink` as one part. The copy lies in `scratch` meanwhile, which needs room for it.
pub fn capture(path: &Path, scratch: &Path, sink: &mut dyn Sink) -> Result<SqliteReport, CaptureError> {
    // SQLite follows links, and looks for the log beside the file itself.
    let path = &path.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CaptureError::NotFound { path: path.to_owned() },
        _ => CaptureError::read("cannot read", path)(error),
    })?;
    let attributes = attributes_of(path).map_err(CaptureError::read("cannot read", path))?;
    let copy =
        locked_file(scratch).map_err(CaptureError::read("cannot make a temporary copy in", scratch))?;
    let journal_mode = copy_moment(path, copy.path(), sink)?;
    let report = describe(copy.path(), journal_mode).map_err(|error| failed(path, &error))?;
    // From here on the copy has no name that a crash could leave behind.
    let (mut copy, name) = copy.into_parts();
    name.close().map_err(CaptureError::read("cannot remove the temporary copy in", scratch))?;
    hand_over(path, &mut copy, attributes, &report, sink)?;
    Ok(report)
}

/// A temporary file with a lock on it, which tells whoever clears leftovers of crashed processes that it is in use.
fn locked_file(scratch: &Path) -> std::io::Result<NamedTempFile> {
    loop {
        let file = NamedTempFile::with_prefix_in("sqlite-", scratch)?;
        file.as_file().lock()?;
        // It may have been cleared between the two: then it has no name any more.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Copies one moment of the database at `path` into the empty file `copy`; returns the journal mode.
fn copy_moment(path: &Path, copy: &Path, sink: &mut dyn Sink) -> Result<String, CaptureError> {
    let source = wait_for_reading(path, sink)?;
    let report = |error| failed(path, &error);
    let journal_mode = source.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(report)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(copy, flags).map_err(report)?;
    // A copy that is not finished is thrown away: it needs no journal, nor to reach the disk.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(report)?;
    let backup = Backup::new(&source, &mut target).map_err(report)?;
    loop {
        sink.check_cancelled()?;
        // The read lock is ours since the transaction began, so nobody can make us start over or wait.
        match backup.step(PAGES_PER_STEP).map_err(report)? {
            StepResult::Done => return Ok(journal_mode),
            StepResult::More => (),
            _ => return Err(busy(path)),
        }
    }
}

/// Opens the database as soon as no writer locks it.
fn wait_for_reading(path: &Path, sink: &mut dyn Sink) -> Result<Connection, CaptureError> {
    let started = Instant::now();
    let mut told = false;
    loop {
        sink.check_cancelled()?;
        match open_for_reading(path) {
            Ok(connection) => return Ok(connection),
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_LIMIT => {
                if !told && started.elapsed() > BUSY_TOLD_AFTER {
                    sink.notice(format!("waiting for another process that has {} locked", path.display()));
                    told = true;
                }
                sleep(Duration::from_millis(3));
            }
            Err(error) if is_busy(&error) => return Err(busy(path)),
            Err(error) => return Err(failed(path, &error)),
        }
    }
}

fn describe(copy: &Path, journal_mode: String) -> rusqlite::Result<SqliteReport> {
    let copy = open_immutable(copy)?;
    let tables =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    Ok(SqliteReport {
        version: rusqlite::version().to_owned(),
        page_size: copy.query_row("PRAGMA page_size", [], |row| row.get(0))?,
        journal_mode,
        tables: u64::from(copy.query_row(tables, [], |row| row.get::<_, u32>(0))?),
    })
}

fn hand_over(
    path: &Path,
    copy: &mut File,
    attributes: FileAttributes,
    report: &SqliteReport,
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let name = path.file_name().unwrap_or_default().as_bytes().to_vec();
    let grain = Grain::Page(report.page_size);
    sink.begin(PartStart { name, kind: PartKind::File, grain, own_chunks: true })?;
    copy.seek(SeekFrom::Start(0)).map_err(CaptureError::read("cannot read the copy of", path))?;
    let mut size = 0;
    loop {
        sink.check_cancelled()?;
        let copied =
            sink.copy(copy, COPY_LEN)?.map_err(CaptureError::read("cannot read the copy of", path))?;
        size += copied;
        if copied < COPY_LEN {
            break;
        }
    }
    // Inode and change time are not those of what was stored, and must not make it look unchanged.
    let file = FileAttributes { size, inode: 0, ctime: (0, 0), extents: Vec::new(), ..attributes };
    Ok(sink.end(PartEnd { rows: None, file: Some(Box::new(file)) })?)
}

fn busy(path: &Path) -> CaptureError {
    let seconds = BUSY_LIMIT.as_secs();
    CaptureError::Source(format!("{} was locked by another process for {seconds} seconds", path.display()))
}

fn failed(path: &Path, error: &rusqlite::Error) -> CaptureError {
    // In WAL mode even a reader makes files beside the database, unless somebody has it open.
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if is_wal(path) => {
            "; a database in WAL mode needs a directory in which files can be made"
        }
        _ => "",
    };
    CaptureError::Source(format!("SQLite cannot copy {}: {error}{advice}", path.display()))
}
