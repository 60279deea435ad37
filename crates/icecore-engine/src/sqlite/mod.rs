//! SQLite databases: captured by the online backup while others write, restored beside and swapped.
//!
//! SQLite's locks are POSIX locks, which a process loses as soon as it closes *any* descriptor of the file. So while a
//! connection is open, nothing here opens the database file itself, but for looking at it by path.

mod access;
mod aside;
mod capture;
mod check;
mod examine;
mod interrupt;
mod live;
mod open;
mod pending;
mod plan;
mod rollback;
pub mod table;
mod target;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use aside::{Keep, Kept, forget, put_aside};
pub use capture::{SqliteReport, capture};
pub use examine::examine;
pub use plan::{Existing, Plan, plan};
pub use rollback::{Undone, bring_back, rollback};
pub use target::SqliteTarget;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The version of SQLite that is part of this program.
pub fn version() -> &'static str {
    rusqlite::version()
}

/// Whether a regular file begins as a SQLite database does. An empty file, though SQLite would open it, is none.
pub fn is_sqlite(path: &Path) -> io::Result<bool> {
    // A pipe or a device is not opened: that could block, or do something.
    Ok(path.metadata()?.is_file() && read_head::<16>(path)?.is_some_and(|head| head == *MAGIC))
}

/// The first bytes of a file, if it has so many.
fn read_head<const N: usize>(path: &Path) -> io::Result<Option<[u8; N]>> {
    let mut head = [0; N];
    match File::open(path)?.read_exact(&mut head) {
        Ok(()) => Ok(Some(head)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path of a file that SQLite keeps beside a database: `-wal`, `-shm`, `-journal`.
fn companion(database: &Path, suffix: &str) -> std::path::PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
