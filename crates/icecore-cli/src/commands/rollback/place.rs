//! Where something may be put aside, whatever the engine.

use std::ffi::OsStr;
use std::path::PathBuf;

use icecore::{Database, Result, Source};
use icecore_engine::database::Undone;
use icecore_engine::sqlite;

use crate::commands::restore::files::is_cluster;
use crate::commands::restore::sqlite::path_of;

/// A database beside which a restore puts aside what it replaces.
#[derive(Debug)]
pub(super) enum Place {
    Server(Database),
    /// The file of a SQLite database, or where it was.
    File(PathBuf),
}

impl Place {
    /// That of a source, if it has one: of a server of Redis and of a cluster there are snapshots alone.
    pub(super) fn of(source: &Source) -> Option<Self> {
        let file =
            || path_of(source).filter(|path| !is_cluster(path)).map(|path| Self::File(path.to_owned()));
        Database::of(source).map(Self::Server).or_else(file)
    }

    /// As people call it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Server(database) => database.to_string(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// As documents have it: a URL, or a path.
    pub(super) fn target(&self) -> String {
        match self {
            Self::Server(database) => database.url(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// What the last restore put aside, if it did.
    pub(super) fn put_aside(&self) -> Result<Option<String>> {
        match self {
            Self::Server(database) => database.put_aside(),
            Self::File(path) => Ok(sqlite::put_aside(path).map(|path| path.display().to_string())),
        }
    }

    /// Brings that back; `None` if there is nothing.
    pub(super) fn rollback(&self) -> Result<Option<Undone>> {
        match self {
            Self::Server(database) => database.rollback(),
            Self::File(path) => of_file(sqlite::rollback(path)?),
        }
    }

    /// Brings back what a restore kept under a name of its own; `None` if that is not there.
    pub(super) fn bring_back(&self, kept: &str) -> Result<Option<Undone>> {
        match self {
            Self::Server(database) => database.bring_back(kept),
            Self::File(path) => of_file(sqlite::bring_back(path, OsStr::new(kept))?),
        }
    }
}

fn of_file(undone: Option<sqlite::Undone>) -> Result<Option<Undone>> {
    Ok(undone.map(|undone| Undone {
        kept: undone.kept.map(|kept| kept.path.display().to_string()),
        ..Undone::default()
    }))
}
