//! What a restore puts aside of the database that it replaces, so that it can be undone.
//!
//! The live file gets a second name, `NAME__ice_gone`, and `NAME__ice_swap` says what is about to happen; the new one takes the first name; then
//! the second becomes the one under which the old file is kept, and the record goes. Whatever crashes in between, the first name leads to a whole
//! database, and whoever comes next can tell how far it came ([`super::pending`]).

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::companion;
use super::live::{LiveDatabase, remove_companions};
use super::pending::{Identity, Interrupted, Pending, Swap, forget_record, going, identity};
use super::plan::real_path;
use crate::RestoreError;

pub(super) const OLD: &str = "__ice_old";
/// A swap takes milliseconds, but for the wait for a lock.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// What becomes of the database that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// It goes.
    Nothing,
    /// It is put aside until the next restore, for [`super::rollback`].
    ForRollback,
    /// It is kept at this path, beside the database, for good.
    As(PathBuf),
}

/// A database that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    identity: Identity,
}

/// Where the last restore to `path` put what was there.
pub(super) fn old(path: &Path) -> PathBuf {
    companion(path, OLD)
}

/// What the last restore to `path` put aside and [`super::rollback`] brings back, if there is anything.
pub fn put_aside(path: &Path) -> Option<PathBuf> {
    let old = old(&real_path(path).ok()?);
    identity(&old).map(|_| old)
}

/// The right to change what names lead to in a directory, which only one restore has at a time; it ends when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// What a crash had interrupted after the swap, and is complete now.
    pub(super) completed: Option<Completed>,
    _directory: File,
}

/// A swap that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completed {
    pub(super) swap: Swap,
    pub(super) kept: Kept,
}

impl Turn {
    /// Waits for it, and ends what a crash interrupted at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, RestoreError> {
        let directory = hold_names(path)?;
        let completed = settle(path, Pending::find(path)?);
        let completed = completed.map_err(RestoreError::write("cannot put aside", &going(path)))?;
        Ok(Self { completed, _directory: directory })
    }

    /// For a restore, which must not go on from where another one was interrupted: what that put aside would be what this one drops.
    pub(super) fn for_restore(path: &Path) -> Result<Self, RestoreError> {
        let turn = Self::take(path)?;
        let Some(Completed { swap, kept }) = &turn.completed else { return Ok(turn) };
        let swap = match swap {
            Swap::Restore => "restore",
            Swap::Rollback => "rollback",
        };
        Err(RestoreError::Refused(format!(
            "a {swap} of {} was interrupted, and is complete now: what was there is {}; nothing else was done, so look at both, then roll back or restore again",
            path.display(),
            kept.path.display()
        )))
    }
}

/// Waits until no other restore changes names in the directory of `path`; none does until what is returned is dropped.
pub(super) fn hold_names(path: &Path) -> Result<File, RestoreError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = File::open(parent).map_err(RestoreError::write("cannot open", parent))?;
    let started = Instant::now();
    while let Err(TryLockError::WouldBlock) = directory.try_lock() {
        if started.elapsed() > TURN_LIMIT {
            return Err(RestoreError::Busy(format!("somebody else has {} locked", parent.display())));
        }
        sleep(Duration::from_millis(20));
    }
    Ok(directory)
}

/// Undoes what was only begun, and completes what has happened.
fn settle(path: &Path, interrupted: Option<Interrupted>) -> io::Result<Option<Completed>> {
    match interrupted {
        None => Ok(None),
        Some(Interrupted::Before) => forget_swap(path).map(|()| None),
        Some(Interrupted::After(pending)) => {
            let kept = complete(path, &pending)?;
            Ok(kept.map(|kept| Completed { swap: pending.swap, kept }))
        }
    }
}

/// Gives what was replaced the name under which it is kept; `None` if somebody has taken it away since. Whatever of that is done already stays done.
fn complete(path: &Path, pending: &Pending) -> io::Result<Option<Kept>> {
    let (going, old) = (going(path), old(path));
    let kept = pending.kept(path);
    if let Some(gone) = identity(&going) {
        if let Some(name) = &kept {
            // Unlike a rename, this replaces nothing.
            match fs::hard_link(&going, name) {
                Err(_) if identity(name) == Some(gone) => (),
                Err(_) if identity(name).is_some() => return Err(io::Error::other(taken(name))),
                linked => linked?,
            }
            sync(path)?;
            remove_if_present(&old)?;
            fs::remove_file(&going)?;
        } else {
            remove_companions(&old)?;
            fs::rename(&going, &old)?;
        }
        sync(path)?;
    }
    forget_record(path)?;
    sync(path)?;
    let kept = kept.unwrap_or(old);
    Ok(identity(&kept).map(|identity| Kept { path: kept, identity }))
}

/// Takes back the second name of what was not replaced.
fn forget_swap(path: &Path) -> io::Result<()> {
    match fs::remove_file(going(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    forget_record(path)
}

/// A live database on its way aside. Dropped before another one has its place, it stays as it was.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    path: &'a Path,
    pending: Pending,
    /// Whoever has that open would leave a log for what comes to its name.
    _former: LiveDatabase,
}

impl<'a> Aside<'a> {
    /// Gives the locked database at `path` its second name, if it is to be kept, and writes down that the file `comes` takes its place.
    /// `former` is what is there to be rolled back to.
    pub(super) fn begin(
        path: &'a Path,
        live: &LiveDatabase,
        keep: &Keep,
        former: LiveDatabase,
        (swap, comes): (Swap, &Path),
    ) -> Result<Option<Self>, RestoreError> {
        let kept = match keep {
            _ if identity(path).is_none() => return Ok(None),
            Keep::Nothing => return Ok(None),
            Keep::ForRollback => None,
            Keep::As(name) => Some(name.as_path()),
        };
        live.refuse_log()?;
        if let Some(name) = kept {
            if identity(name).is_some() {
                return Err(taken(name));
            }
            if name.parent() != path.parent() {
                let why = format!("{} cannot be kept as {}, not beside it", path.display(), name.display());
                return Err(RestoreError::Refused(why));
            }
        }
        let pending =
            Pending::new(swap, comes, kept).map_err(RestoreError::write("cannot look at", comes))?;
        let going = going(path);
        fs::hard_link(path, &going).map_err(|error| {
            let (path, going) = (path.display(), going.display());
            RestoreError::Refused(format!(
                "{path} cannot be kept as {going}: {error}; move it away yourself, and try again"
            ))
        })?;
        let aside = Self { path, pending, _former: former };
        let recorded = aside.pending.record(path).and_then(|()| sync(path));
        recorded.map_err(RestoreError::write("cannot write down what becomes of", path))?;
        Ok(Some(aside))
    }

    /// Gives it the name under which it is kept, now that another one has its place.
    pub(super) fn complete(self) -> Result<Kept, RestoreError> {
        // Otherwise a crash might keep the second step without the first.
        settled(self.path)?;
        let completed = complete(self.path, &self.pending);
        completed.and_then(|kept| kept.ok_or(io::ErrorKind::NotFound.into())).map_err(|error| {
            RestoreError::Unknown(format!(
                "{} was replaced, but what was there could not get its name, and may be {}: {error}",
                self.path.display(),
                going(self.path).display()
            ))
        })
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // Otherwise nothing has taken its place, and its second name is one too many. If that stays, the next restore removes it.
        if identity(&going(self.path)) == identity(self.path) {
            let _ = forget_swap(self.path);
        }
    }
}

/// Removes what was put aside: it is no longer needed.
///
/// What another restore has put there since stays.
pub fn forget(path: &Path, kept: &Kept) -> Result<(), RestoreError> {
    let _turn = Turn::take(path)?;
    let _lock = LiveDatabase::lock_present(&kept.path)?;
    if identity(&kept.path) != Some(kept.identity) {
        return Ok(());
    }
    remove_if_present(&kept.path)
        .and_then(|()| sync(path))
        .map_err(RestoreError::write("cannot remove", &kept.path))
}

pub(super) fn remove_if_present(path: &Path) -> io::Result<()> {
    remove_companions(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn taken(name: &Path) -> RestoreError {
    RestoreError::Refused(format!("{} is there already", name.display()))
}

/// Makes a swap durable, which has happened, whatever the disk says.
pub(super) fn settled(path: &Path) -> Result<(), RestoreError> {
    sync(path).map_err(|error| {
        RestoreError::Unknown(format!(
            "{} was replaced, but its directory cannot be synced: {error}",
            path.display()
        ))
    })
}

/// Makes the names in the directory of `path` durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
