//! A connection that knows which file it is to, so that every error names it.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, OptionalExtension as _, Params, Row};

use super::super::check::{distrust, open_untrusted};
use super::super::companion;
use super::super::open::{BUSY_STEP, is_busy, open_for_reading};
use crate::RestoreError;

/// How long to wait for others: long enough for a writer to end its transaction, short enough for a person.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Fewer pages stay in memory than SQLite itself would keep of a large table, and more than of a small one.
const CACHE: &str = "PRAGMA cache_size = -8000";

pub(super) struct Session {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl Session {
    /// The file may be a stranger's, and nobody else knows it.
    pub(super) fn of_stranger(path: &Path) -> Result<Self, RestoreError> {
        Self::opened(path, open_untrusted(path))
    }

    /// Of one moment, while others write.
    pub(super) fn for_reading(path: &Path, is_cancelled: &dyn Fn() -> bool) -> Result<Self, RestoreError> {
        Self::opened(path, patiently(is_cancelled, || open_for_reading(path))?)
    }

    /// To change one table of it as a stranger's database says. Nothing in it acts on what is done.
    pub(super) fn for_exchange(
        path: &Path,
        stranger: &Path,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, RestoreError> {
        let files = [path.to_owned(), companion(path, "-wal"), stranger.to_owned()];
        let len = files.iter().map(|file| file.metadata().map_or(0, |meta| meta.len()));
        let session = Self::for_writing(path)?;
        distrust(&session.connection, len.sum()).map_err(|error| session.failed(&error))?;
        // For that it reads the schema already.
        session.run_patiently("PRAGMA synchronous = FULL", is_cancelled)?;
        session.run_patiently(CACHE, is_cancelled)?;
        Ok(session)
    }

    /// What is made in an empty file, and thrown away if it is not finished.
    pub(super) fn of_empty(path: &Path) -> Result<Self, RestoreError> {
        let session = Self::for_writing(path)?;
        session.run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
        session.run(CACHE)?;
        Ok(session)
    }

    /// Rows are taken as they are: no trigger, no foreign key and no condition has a say.
    fn for_writing(path: &Path) -> Result<Self, RestoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let session = Self::opened(path, Connection::open_with_flags(path, flags))?;
        session.fires_triggers(false)?;
        session.connection.busy_timeout(BUSY_STEP).map_err(|error| session.failed(&error))?;
        session.run("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")?;
        Ok(session)
    }

    fn opened(path: &Path, connection: rusqlite::Result<Connection>) -> Result<Self, RestoreError> {
        let connection = connection.map_err(|error| failed(path, &error))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    pub(super) fn fires_triggers(&self, fires: bool) -> Result<(), RestoreError> {
        let set = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, fires);
        set.map(drop).map_err(|error| self.failed(&error))
    }

    pub(super) fn interrupt(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// Statements of our own.
    pub(super) fn run(&self, statements: &str) -> Result<(), RestoreError> {
        self.connection.execute_batch(statements).map_err(|error| self.failed(&error))
    }

    pub(super) fn value<T: FromSql>(&self, query: &str, params: impl Params) -> Result<T, RestoreError> {
        self.connection.query_row(query, params, |row| row.get(0)).map_err(|error| self.failed(&error))
    }

    pub(super) fn number(&self, query: &str, params: impl Params) -> Result<u64, RestoreError> {
        Ok(u64::try_from(self.value::<i64>(query, params)?).unwrap_or_default())
    }

    pub(super) fn first<T>(
        &self,
        query: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, RestoreError> {
        let first = self.connection.query_row(query, params, read).optional();
        first.map_err(|error| self.failed(&error))
    }

    pub(super) fn rows<T>(
        &self,
        query: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, RestoreError> {
        let rows = || self.connection.prepare(query)?.query_map(params, read)?.collect();
        let rows: rusqlite::Result<_> = rows();
        rows.map_err(|error| self.failed(&error))
    }

    /// Runs what others may be in the way of.
    pub(super) fn run_patiently(
        &self,
        statement: &str,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), RestoreError> {
        let done = patiently(is_cancelled, || self.connection.execute_batch(statement))?;
        done.map_err(|error| self.failed(&error))
    }

    /// Whether the database has a table of SQLite's own.
    pub(super) fn has(&self, table: &str) -> Result<bool, RestoreError> {
        self.value("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1", [table])
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> RestoreError {
        failed(&self.path, error)
    }
}

/// Does again what others are in the way of.
fn patiently<T>(
    is_cancelled: &dyn Fn() -> bool,
    mut work: impl FnMut() -> rusqlite::Result<T>,
) -> Result<rusqlite::Result<T>, RestoreError> {
    let started = Instant::now();
    loop {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        match work() {
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_LIMIT => sleep(BUSY_PAUSE),
            done => return Ok(done),
        }
    }
}

fn failed(path: &Path, error: &rusqlite::Error) -> RestoreError {
    match error.sqlite_error_code() {
        _ if is_busy(error) => RestoreError::Busy(format!("{} is in use by another process", path.display())),
        Some(ErrorCode::DiskFull) => {
            RestoreError::write("cannot write", path)(io::ErrorKind::StorageFull.into())
        }
        _ => RestoreError::Server(format!("SQLite says of {}: {error}", path.display())),
    }
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
