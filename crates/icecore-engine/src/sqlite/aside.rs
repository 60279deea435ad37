//! What a restore puts aside of the database that it replaces, so that it can be undone.
//!
//! The live file gets a second name, `NAME__ice_gone`; the new one takes the first; then the second becomes the one under which it is kept.
//! Whatever crashes in between, the first name leads to a whole database, and what the second one leads to tells how far it came:
//! the live file itself, or what was there before.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::companion;
use super::live::{LiveDatabase, remove_companions};
use crate::RestoreError;

const OLD: &str = "__ice_old";
const GOING: &str = "__ice_gone";
/// A swap takes milliseconds, but for the wait for a lock.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// What becomes of the database that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// It goes.
    Nothing,
    /// It is put aside until the next restore, for [`super::rollback`].
    ForRollback,
    /// It is kept at this path, for good.
    As(PathBuf),
}

/// A database that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    identity: Identity,
}

/// A file, whatever it is called: its device and its number there.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(path: &Path) -> Option<Identity> {
    path.symlink_metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Where the last restore to `path` put what was there.
pub(super) fn old(path: &Path) -> PathBuf {
    companion(path, OLD)
}

/// The right to change what names lead to in a directory, which only one restore has at a time; it ends when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _directory: File,
}

impl Turn {
    /// Waits for it, and ends what a crash interrupted at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, RestoreError> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let directory = File::open(parent).map_err(RestoreError::write("cannot open", parent))?;
        let started = Instant::now();
        while let Err(TryLockError::WouldBlock) = directory.try_lock() {
            if started.elapsed() > TURN_LIMIT {
                let why = format!("somebody else has {} locked", parent.display());
                return Err(RestoreError::Busy(why));
            }
            sleep(Duration::from_millis(20));
        }
        settle(path).map_err(RestoreError::write("cannot put aside", &companion(path, GOING)))?;
        Ok(Self { _directory: directory })
    }
}

fn settle(path: &Path) -> io::Result<()> {
    let going = companion(path, GOING);
    match identity(&going) {
        None => Ok(()),
        // Nothing had changed yet.
        found if found == identity(path) => fs::remove_file(&going),
        Some(_) => {
            let old = old(path);
            remove_companions(&old)?;
            fs::rename(&going, old)
        }
    }
}

/// A live database on its way aside. Dropped before another one has its place, it stays as it was.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    path: &'a Path,
    going: PathBuf,
    keep: &'a Keep,
    /// Whoever has that open would leave a log for what comes to its name.
    _former: LiveDatabase,
}

impl<'a> Aside<'a> {
    /// Gives the locked database at `path` its second name, if it is to be kept. `former` is what is there to be rolled back to.
    pub(super) fn begin(
        path: &'a Path,
        live: &LiveDatabase,
        keep: &'a Keep,
        former: LiveDatabase,
    ) -> Result<Option<Self>, RestoreError> {
        if *keep == Keep::Nothing || identity(path).is_none() {
            return Ok(None);
        }
        live.refuse_log()?;
        if let Keep::As(name) = keep
            && identity(name).is_some()
        {
            return Err(taken(name));
        }
        let going = companion(path, GOING);
        fs::hard_link(path, &going).map_err(|error| {
            let (path, going) = (path.display(), going.display());
            RestoreError::Refused(format!(
                "{path} cannot be kept as {going}: {error}; a restore --to {path} keeps nothing"
            ))
        })?;
        let aside = Self { path, going, keep, _former: former };
        sync(path).map_err(RestoreError::write("cannot sync the directory of", path))?;
        Ok(Some(aside))
    }

    /// Gives it the name under which it is kept, now that another one has its place.
    pub(super) fn complete(self) -> Result<Kept, RestoreError> {
        // Otherwise a crash might keep the second step without the first.
        settled(self.path)?;
        let named = || -> io::Result<Kept> {
            let identity = identity(&self.going).ok_or(io::ErrorKind::NotFound)?;
            let old = old(self.path);
            let path = match self.keep {
                Keep::As(name) => {
                    // Unlike a rename, this replaces nothing.
                    fs::hard_link(&self.going, name)?;
                    fs::remove_file(&self.going)?;
                    remove_if_present(&old)?;
                    name.clone()
                }
                Keep::ForRollback | Keep::Nothing => {
                    remove_companions(&old)?;
                    fs::rename(&self.going, &old)?;
                    old
                }
            };
            sync(self.path)?;
            Ok(Kept { path, identity })
        };
        named().map_err(|error| {
            RestoreError::Unknown(format!(
                "{} was replaced, but what was there could not get its name, and may be {}: {error}",
                self.path.display(),
                self.going.display()
            ))
        })
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // Otherwise nothing has taken its place, and its second name is one too many. If that stays, the next restore removes it.
        if identity(&self.going) == identity(self.path) {
            let _ = fs::remove_file(&self.going);
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

fn remove_if_present(path: &Path) -> io::Result<()> {
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
