//! Undoing a restore: what it put aside and what is there change places.

use std::fs;
use std::path::Path;

use super::aside::{Aside, Completed, Keep, Kept, Turn, old, sync};
use super::live::LiveDatabase;
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
    let turn = Turn::take(path)?;
    // What was asked for had happened, but for its end.
    if let Some(Completed { swap: Swap::Rollback, kept }) = turn.completed {
        return Ok(Some(Undone { kept: Some(kept) }));
    }
    let old = old(path);
    if identity(&old).is_none() {
        return Ok(None);
    }
    let live = LiveDatabase::lock_present(path)?;
    if identity(path).is_none() {
        live.refuse_leftover()?;
    }
    let back = LiveDatabase::lock(&old)?;
    back.refuse_log()?;
    // Nothing has both names, so neither lock is lost when the other is released.
    let aside = Aside::begin(path, &live, &Keep::ForRollback, back, (Swap::Rollback, &old))?;
    live.remove_companions()?;
    sync(path).map_err(RestoreError::write("cannot sync the directory of", path))?;
    fs::rename(&old, path).map_err(RestoreError::write("cannot put what was there back at", path))?;
    Ok(Some(Undone { kept: aside.map(Aside::complete).transpose()? }))
}
