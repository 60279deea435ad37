//! What restores of databases have in common, whatever the engine: a snapshot read in any order, a new database beside the one that is
//! there, and the one that was there kept for a rollback.

use std::io::Read;

use icecore_format::{Digest, Part};

use crate::sink::SinkError;
use crate::{Check, RestoreError};

/// A snapshot, from which parts can be read in any order, on several threads.
pub trait Content: Sync {
    /// All parts, in order.
    fn parts(&self) -> &[Part];

    /// The bytes of a part; at the end they are what was captured, or there is an error.
    fn open(&self, part: &Part) -> Result<Box<dyn Read + '_>, SinkError>;

    /// Whether the user wants to stop.
    fn is_cancelled(&self) -> bool;

    /// What is being done with what was read, such as "building indexes", and how much of it is done.
    fn stage(&self, _what: &'static str, _done: usize, _all: usize) {}
}

/// Stops if the user wants to.
pub(crate) fn check_cancelled(content: &dyn Content) -> Result<(), RestoreError> {
    if content.is_cancelled() { Err(RestoreError::Cancelled) } else { Ok(()) }
}

/// What becomes of the database that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Keep {
    /// It is kept for a rollback, until the next restore.
    #[default]
    ForRollback,
    /// It is kept under this name, which no restore touches again.
    As(String),
}

/// What the user wants of a restore.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What becomes of the database that is there.
    pub keep: Keep,
    /// PostgreSQL: make roles that are missing, without a password and without the right to log in.
    pub create_roles: bool,
    /// PostgreSQL: make subscriptions, disabled, and replication slots again.
    pub with_cdc: bool,
    /// MySQL: make who connects the definer of what has one.
    pub without_definers: bool,
    /// What the new database must stand.
    pub checks: Vec<Check>,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Tables whose rows were counted and found all there; of definitions alone, tables that were made.
    pub tables: u64,
    /// And how many rows.
    pub rows: u64,
    /// Under what name the database that was there is kept.
    pub kept: Option<String>,
    /// MySQL: what tells that from what another restore keeps there.
    pub mark: Option<String>,
    /// What is not as it should be, though the database is.
    pub warnings: Vec<String>,
}

/// What a rollback did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// Under what name the database that was there is kept; another rollback brings it back. `None` if there was none.
    pub kept: Option<String>,
    /// MySQL: the last restore had ended before it replaced anything, so that nothing was to be brought back.
    pub was_unfinished: bool,
    /// What is not as it was.
    pub warnings: Vec<String>,
}

/// A name beside that of a database. One that would be longer than `len_max` bytes is cut, and told apart by a hash.
pub fn name_beside(database: &str, suffix: &str, len_max: usize) -> String {
    if database.len() + suffix.len() <= len_max {
        return format!("{database}{suffix}");
    }
    let hash = Digest::of(database.as_bytes()).to_hex();
    let mark = format!("_{}{suffix}", hash.get(..8).unwrap_or(&hash));
    let mut len = len_max.saturating_sub(mark.len());
    while !database.is_char_boundary(len) {
        len -= 1;
    }
    format!("{}{mark}", database.get(..len).unwrap_or_default())
}
