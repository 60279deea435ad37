//! Undoing a restore: what it put aside and what is there change places.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::aside::{Aside, Completed, Keep, Kept, Turn, old, sync};
use super::live::{LiveDatabase, remove_companions};
use super::pending::{Swap, identity};
use super::plan::real_path;
use crate::RestoreError;

/// A restore that was undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// What was there until now, if anything was; another rollback brings it back.
    pub kept: Option<Kept>,
}

/// Undoes the last restore to `path`; `None` if it put nothing aside.
pub fn rollback(path: &Path) -> Result<Option<Undone>, RestoreError> {
    let path = &real_path(path)?;
    exchange(path, &old(path))
}

/// The same with what a restore to `path` kept for good, as the file `name` beside it, which has that name no more afterwards; `None` if there is
/// no such file.
///
/// # Errors
/// Refuses if something is put aside, which would have to go for it.
pub fn bring_back(path: &Path, name: &OsStr) -> Result<Option<Undone>, RestoreError> {
    let path = &real_path(path)?;
    exchange(path, &path.with_file_name(name))
}

/// What is at `comes`, beside `path`, takes its place; what is there is put aside.
fn exchange(path: &Path, comes: &Path) -> Result<Option<Undone>, RestoreError> {
    let turn = Turn::take(path)?;
    // What was asked for had happened, but for its end.
    if let Some(Completed { swap: Swap::Rollback, kept }) = turn.completed {
        return Ok(Some(Undone { kept: Some(kept) }));
    }
    let old = old(path);
    if comes != old && identity(&old).is_some() {
        return Err(RestoreError::Refused(format!(
            "{} is put aside meanwhile, and would be lost: roll back to that, or move it away",
            old.display()
        )));
    }
    if identity(comes).is_none() {
        return Ok(None);
    }
    let live = LiveDatabase::lock_present(path)?;
    if identity(path).is_none() {
        live.refuse_leftover()?;
    }
    let back = LiveDatabase::lock(comes)?;
    back.refuse_log()?;
    // Nothing has both names, so neither lock is lost when the other is released.
    let aside = Aside::begin(path, &live, &Keep::ForRollback, back, (Swap::Rollback, comes))?;
    live.remove_companions()?;
    sync(path).map_err(RestoreError::write("cannot sync the directory of", path))?;
    fs::rename(comes, path).map_err(RestoreError::write("cannot put what was there back at", path))?;
    // SQLite removes no log of a database that has moved. It is empty, and may stay.
    let _ = remove_companions(comes);
    Ok(Some(Undone { kept: aside.map(Aside::complete).transpose()? }))
}
