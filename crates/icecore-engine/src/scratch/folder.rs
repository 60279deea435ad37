//! A folder for the moment.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::RestoreError;

/// What the names of all of them begin with.
const PREFIX: &str = "icecore-scratch-";
/// Held by whom it belongs to.
const LOCK: &str = "lock";
/// A socket's path has at most 107 bytes, and its name is not longer than that of PostgreSQL's.
const PATH_LEN_MAX: usize = 85;
/// Whose files they are if the engine has no user of its own: PostgreSQL does not serve root, and others should not.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// A folder below the directory for temporary files, which goes when this does.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whom a server is that works here, if not ourselves.
    pub(crate) user: Option<(u32, u32)>,
    _lock: File,
}

impl Folder {
    /// Makes one, for a server that is one of `users`. If root does, it belongs to the first of them that the machine knows, or to nobody; if none is said, to ourselves.
    pub fn make(users: &[&str]) -> Result<Self, RestoreError> {
        let above = std::env::temp_dir();
        let above = above.canonicalize().unwrap_or(above);
        clear_abandoned(&above);
        let made = || -> io::Result<Self> {
            let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&above)?.keep();
            let lock = File::create_new(path.join(LOCK))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            let user = (geteuid().is_root() && !users.is_empty()).then(|| user_of(users));
            let folder = Self { path, user, _lock: lock };
            folder.give_away(&folder.path)?;
            Ok(folder)
        };
        let folder = made().map_err(RestoreError::write("cannot make a folder in", &above))?;
        if !users.is_empty() && folder.path.as_os_str().len() > PATH_LEN_MAX {
            return Err(RestoreError::Unreachable(format!(
                "the path of {} is too long for the socket of a server: set TMPDIR to a shorter one",
                above.display()
            )));
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new empty folder in it, which belongs to the server alone.
    pub(crate) fn sub(&self, name: &str) -> Result<PathBuf, RestoreError> {
        let path = self.path.join(name);
        let made = fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
            .and_then(|()| self.give_away(&path));
        made.map_err(RestoreError::write("cannot make", &path))?;
        Ok(path)
    }

    /// A new file in it.
    pub(crate) fn put(&self, name: &str, text: &str) -> Result<PathBuf, RestoreError> {
        let path = self.path.join(name);
        let written = fs::write(&path, text).and_then(|()| self.give_away(&path));
        written.map_err(RestoreError::write("cannot write", &path))?;
        Ok(path)
    }

    fn give_away(&self, path: &Path) -> io::Result<()> {
        match self.user {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// More than once: a server that ends at the same time may still write.
fn remove(path: &Path) {
    for _ in 0..20 {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => sleep(Duration::from_millis(100)),
            _ => return,
        }
    }
}

/// Removes the folders of ours in `above` that nobody holds any more, and ends what still works there.
fn clear_abandoned(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let lock = entry.path().join(LOCK);
        // Who has no lock yet is just being made.
        let Ok(found) = lock.symlink_metadata() else { continue };
        if !is_ours || !found.is_file() || found.uid() != geteuid().as_raw() {
            continue;
        }
        let free = File::open(&lock)
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            end_all_in(&entry.path());
            remove(&entry.path());
        }
    }
}

/// A server that nothing has ended with its maker.
fn end_all_in(folder: &Path) {
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name().to_str().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        let works_there = fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if let Some(pid) = pid.filter(|_| works_there) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The first of these users that there is, and his group.
fn user_of(names: &[&str]) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &&str| {
        let line = users.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'))?;
        let mut numbers = line.split(':').skip(1).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    names.iter().find_map(find).unwrap_or(NOBODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_maker_or_after_him() {
        let folder = Folder::make(&[]).unwrap();
        let path = folder.path().to_owned();
        // Whoever makes another one leaves this alone.
        drop(Folder::make(&[]).unwrap());
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());

        let above = tempfile::tempdir().unwrap();
        let left = above.path().join(format!("{PREFIX}x"));
        let other = above.path().join("icecore-scratc");
        for path in [&left, &other] {
            fs::create_dir(path).unwrap();
            fs::write(path.join(LOCK), "").unwrap();
        }
        clear_abandoned(above.path());
        assert!(!left.exists() && other.exists());
    }
}
