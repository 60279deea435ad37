//! Restoring a database: written beside the live one, checked by SQLite, and swapped in under the live one's lock.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use icecore_format::{Part, PartKind};
use tempfile::NamedTempFile;

use super::access::Access;
use super::aside::{Aside, Keep, Kept, Turn, old, settled, sync};
use super::check::{integrity, objection};
use super::is_sqlite;
use super::live::LiveDatabase;
use super::pending::{Identity, Swap, identity};
use super::plan::Plan;
use crate::check::Checked;
use crate::files::{Placement, file_beside};
use crate::{Check, RestoreError, Target};

/// A SQLite database that is being restored. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct SqliteTarget {
    /// The file itself, not a link to it.
    path: PathBuf,
    placement: Placement,
    beside: NamedTempFile,
    begun: bool,
    /// As captured, or as of what is replaced.
    access: Option<Access>,
    accept_unsound: bool,
    keep: Keep,
    /// What must be there when it is replaced, if anybody looked before.
    expected: Option<Option<Identity>>,
    checks: Vec<Check>,
}

impl SqliteTarget {
    /// Prepares to carry out a plan.
    pub fn of_plan(plan: &Plan) -> Result<Self, RestoreError> {
        let placement = if plan.existing.is_some() { Placement::Replace } else { Placement::CreateNew };
        let target = Self::new(&plan.path, placement)?;
        drop(Turn::for_restore(&plan.path)?);
        let expected = plan.existing.as_ref().map(|existing| existing.identity);
        Ok(Self { keep: plan.keep.clone(), expected: Some(expected), ..target })
    }

    /// What the restored database must stand before it takes its place.
    pub fn ask(mut self, checks: &[Check]) -> Self {
        self.checks = checks.to_vec();
        self
    }

    /// Prepares to restore to `path`. A symbolic link there is followed.
    pub fn new(path: &Path, placement: Placement) -> Result<Self, RestoreError> {
        let write = |error| RestoreError::write("cannot restore to", path)(error);
        if placement == Placement::InPlace {
            let why =
                format!("{} is a database, which is replaced as a whole and not in place", path.display());
            return Err(RestoreError::Refused(why));
        }
        let present = path.symlink_metadata().is_ok();
        if placement == Placement::CreateNew && present {
            return Err(write(io::ErrorKind::AlreadyExists.into()));
        }
        let path = if present { path.canonicalize() } else { std::path::absolute(path) }.map_err(write)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(RestoreError::Refused(format!("{} cannot be replaced", path.display())));
        };
        let beside = file_beside(parent, name);
        let beside = beside.map_err(RestoreError::write("cannot write in", parent))?;
        let access = path.metadata().ok().map(|old| Access::from(&old));
        Ok(Self {
            path,
            placement,
            beside,
            begun: false,
            access,
            accept_unsound: false,
            keep: Keep::Nothing,
            expected: (placement == Placement::CreateNew).then_some(None),
            checks: Vec::new(),
        })
    }

    /// Goes on even if SQLite finds the database unsound: half a database may be better than none.
    pub fn accept_unsound(mut self) -> Self {
        self.accept_unsound = true;
        self
    }

    fn check_content(&self, is_cancelled: &dyn Fn() -> bool) -> Result<(), RestoreError> {
        let beside = self.beside.path();
        let refuse = |why: &str| {
            let path = self.path.display();
            Err(RestoreError::Damaged(format!("what was restored for {path} is no sound database: {why}")))
        };
        if !is_sqlite(beside).map_err(RestoreError::write("cannot read", beside))? {
            return refuse("it does not begin as one");
        }
        match integrity(beside, is_cancelled)? {
            Ok(None) => Ok(()),
            Ok(Some(finding)) => refuse(&finding),
            Err(error) => refuse(&error.to_string()),
        }
    }

    /// What was written.
    pub(super) fn beside(&self) -> &Path {
        self.beside.path()
    }

    /// The path that it is for, and what was written, which is gone when dropped.
    pub(super) fn into_beside(self) -> (PathBuf, NamedTempFile) {
        (self.path, self.beside)
    }

    /// Puts what was checked in place. Returns what was put aside.
    pub fn swap(self) -> Result<Option<Kept>, RestoreError> {
        let file = self.beside.as_file();
        let prepared = self.access.map_or(Ok(()), |access| access.give(file)).and_then(|()| file.sync_all());
        prepared.map_err(RestoreError::write("cannot write", self.beside.path()))?;
        self.put_in_place()
    }

    fn put_in_place(self) -> Result<Option<Kept>, RestoreError> {
        let path = &self.path;
        let _turn = Turn::for_restore(path)?;
        let there = identity(path);
        if self.expected.is_some_and(|expected| expected != there) {
            let why = format!("{} is another one than when it was looked at", path.display());
            return Err(RestoreError::Refused(why));
        }
        let live = LiveDatabase::lock_present(path)?;
        if self.placement == Placement::CreateNew {
            live.refuse_leftover()?;
        }
        let former = match &self.keep {
            Keep::Nothing => LiveDatabase::absent(&old(path)),
            Keep::ForRollback | Keep::As(_) => LiveDatabase::lock_present(&old(path))?,
        };
        let aside = Aside::begin(path, &live, &self.keep, former, (Swap::Restore, self.beside.path()))?;
        live.remove_companions()?;
        sync(path).map_err(RestoreError::write("cannot sync the directory of", path))?;
        let persisted = match there {
            Some(_) => self.beside.persist(path),
            None => self.beside.persist_noclobber(path),
        };
        let placed = persisted
            .map_err(|error| RestoreError::write("cannot put the restored database at", path)(error.error))?;
        // The locks of the old file and of the new one are apart, so closing this one is harmless.
        drop(placed);
        match aside {
            Some(aside) => aside.complete().map(Some),
            None => settled(path).map(|()| None),
        }
    }
}

impl Target for SqliteTarget {
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        if self.begun || !matches!(part.kind, PartKind::File | PartKind::Data) {
            let name = part.display_name();
            return Err(RestoreError::Damaged(format!(
                "the snapshot is not of one database: it also holds {name}"
            )));
        }
        self.begun = true;
        if let Some(file) = &part.file {
            self.access = Some(Access::from(&**file));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let written = self.beside.as_file_mut().write_all(bytes);
        written.map_err(RestoreError::write("cannot write", self.beside.path()))
    }

    fn existing(&mut self, _len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        Ok(None)
    }

    fn keep(&mut self, _len: usize) -> Result<(), RestoreError> {
        Err(RestoreError::Refused("a database that is written beside has nothing to keep".to_owned()))
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Holds what was written to what SQLite finds, and to the user's queries.
    fn check(&self, is_cancelled: &dyn Fn() -> bool) -> Result<(), RestoreError> {
        if !self.accept_unsound {
            self.check_content(is_cancelled)?;
        }
        let path = self.beside.path();
        let shown = path.display().to_string();
        let url = format!("sqlite:{shown}");
        let checked = Checked { database: &shown, url, variables: Vec::new(), is_cancelled };
        Check::ask_all(&self.checks, &checked, |query| objection(path, query, is_cancelled))
    }

    fn finish(self: Box<Self>) -> Result<(), RestoreError> {
        self.swap().map(drop)
    }
}
