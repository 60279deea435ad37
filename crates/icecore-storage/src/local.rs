//! Objects as files below one directory.
//!
//! A put writes a temporary file, syncs it, gives it its name, and syncs the directory, in this order: after a crash the name
//! points at the whole content or at nothing. Creation conditional on absence is `link(2)`, which fails if the name exists.
//! A held object is a file with an OS lock on it, which the kernel releases when the process dies.

use std::collections::HashSet;
use std::fs::TryLockError;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::{
    Disk, DiskFile, Entry, Error, Hold, Holder, ObjectMeta, OsDisk, PutMode, Result, Storage, Version,
};

/// Folder of what is being written: below the store's directory, so that a rename stays within a file system.
const TEMP: &str = "tmp";
/// The file whose lock makes compare and replace one step. It is never removed: a lock on a file without a name keeps nobody out.
const REPLACE_LOCK: &str = "replace.lock";
/// The file that takes room for nothing, to be given up when there is no other.
const RESERVE: &str = "reserve";
/// Its length in bytes: a collection's own records are far smaller, even in blocks of 64 KiB.
const RESERVE_LEN: usize = 256 << 10;
/// How many files are kept open for reading.
const OPEN_FILES_MAX: usize = 32;

/// A directory of objects.
#[derive(Debug)]
pub struct LocalStorage<D: Disk = OsDisk> {
    disk: Arc<D>,
    root: PathBuf,
    /// Recently read files, the latest last: objects never change, so that an open file stays right.
    open: Mutex<Vec<(String, Arc<D::File>)>>,
    /// Directories whose entries are known to be durable.
    durable_dirs: Mutex<HashSet<PathBuf>>,
}

impl LocalStorage {
    /// The objects below `root`, which need not exist before the first put.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::on(OsDisk, root)
    }
}

impl<D: Disk> LocalStorage<D> {
    /// The objects below `root` on `disk`.
    pub fn on(disk: D, root: impl Into<PathBuf>) -> Self {
        Self {
            disk: Arc::new(disk),
            root: root.into(),
            open: Mutex::default(),
            durable_dirs: Mutex::default(),
        }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory on the same file system for other temporary files.
    pub fn temp_dir(&self) -> Result<PathBuf> {
        let dir = self.root.join(TEMP);
        self.create_dirs(&dir)?;
        Ok(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        debug_assert!(name.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{name}");
        self.root.join(name)
    }

    fn open(&self, name: &str) -> Result<Arc<D::File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(found, _)| found == name) {
            let entry = open.remove(at);
            let file = Arc::clone(&entry.1);
            open.push(entry);
            return Ok(file);
        }
        let path = self.path(name);
        let file = Arc::new(self.disk.open(&path).map_err(|error| fail("cannot read", &path, error))?);
        if open.len() == OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    fn forget(&self, name: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(found, _)| found != name);
    }

    /// Creates a directory and its parents, each entry durable. One that is there may have been made by somebody who crashed before its
    /// entry was durable, so the first time that this storage needs a directory it makes sure itself.
    fn create_dirs(&self, dir: &Path) -> Result<()> {
        let known =
            |dir: &Path| self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).contains(dir);
        if known(dir) && self.disk.is_dir(dir) {
            return Ok(());
        }
        if dir == self.root && known(dir) {
            // It was there, and was removed or unmounted: whatever lay in it would not be there in a new one.
            return Err(fail("cannot write below", dir, io::Error::other("it is not there any more")));
        }
        if dir == self.root {
            self.create_root()?;
        } else {
            let parent = parent_of(dir);
            self.create_dirs(parent)?;
            self.create_dir(dir)?;
            self.sync_dir(parent)?;
        }
        self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    /// Creates the directory of the objects. Only as long as it has no folder for temporary files, which the first put makes, are
    /// the directories above it looked at, and synced as far as we may.
    fn create_root(&self) -> Result<()> {
        if self.disk.is_dir(&self.root.join(TEMP)) {
            return Ok(());
        }
        let mut dirs: Vec<_> = self.root.ancestors().filter(|dir| dir.parent().is_some()).collect();
        dirs.reverse();
        for dir in dirs {
            let is_new = self.create_dir(dir)?;
            let synced = self.sync_dir(parent_of(dir));
            if is_new {
                synced?;
            }
        }
        Ok(())
    }

    /// Whether it was not there.
    fn create_dir(&self, dir: &Path) -> Result<bool> {
        if self.disk.is_dir(dir) {
            return Ok(false);
        }
        match self.disk.make_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            made => made.map(|()| true).map_err(|error| fail("cannot create", dir, error)),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.disk.sync_dir(dir).map_err(|error| fail("cannot sync", dir, error))
    }

    /// A synced temporary file with this content, locked against [`Storage::clear_unfinished`].
    fn write_temp(&self, bytes: &[u8]) -> Result<(PathBuf, D::File)> {
        let path = self.temp_dir()?.join(ulid::Ulid::generate().to_string().to_lowercase());
        let write = || {
            let file = loop {
                let file = self.disk.create(&path)?;
                file.lock()?;
                // Whoever clears leftovers may have taken it between the two: then it has no name any more.
                if file.is_named()? {
                    break file;
                }
            };
            file.write_all_at(bytes, 0)?;
            file.sync()?;
            Ok(file)
        };
        match write() {
            Ok(file) => Ok((path, file)),
            Err(error) => {
                let _ = self.disk.remove(&path);
                Err(fail("cannot write", &path, self.with_lengths(error, bytes.len())))
            }
        }
    }

    /// If there was no room, the error says how much was wanted and how much there is.
    fn with_lengths(&self, error: io::Error, needed: usize) -> io::Error {
        let kind = error.kind();
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        match kind {
            io::ErrorKind::StorageFull => match self.disk.free(&self.root) {
                Some(free) => io::Error::new(kind, format!("{text}: {needed} bytes needed, {free} free")),
                None => io::Error::new(kind, format!("{text}: {needed} bytes needed")),
            },
            // How much is left of a quota, the file system does not say.
            io::ErrorKind::QuotaExceeded => io::Error::new(kind, format!("{text}: {needed} bytes needed")),
            _ => error,
        }
    }

    /// Takes the lock that makes compare and replace one step.
    fn replace_lock(&self) -> Result<D::File> {
        let path = self.temp_dir()?.join(REPLACE_LOCK);
        let open = || {
            let file = self.disk.open_lock(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(|error| fail("cannot lock", &path, error))
    }

    /// Gives a temporary file its name, if nothing has it yet.
    fn link_and_unlink(&self, temp: &Path, path: &Path) -> io::Result<()> {
        self.disk.link(temp, path)?;
        // The object is there: a temporary name that stays is litter, not a failure.
        let _ = self.disk.remove(temp);
        Ok(())
    }

    fn list_into(&self, dir: &Path, prefix: &str, objects: &mut Vec<ObjectMeta>) -> Result<()> {
        let entries = match self.disk.list(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fail("cannot list", dir, error)),
        };
        for (component, entry) in entries {
            // What file managers and file systems leave: no object is called so.
            if component.starts_with('.') {
                continue;
            }
            let name = format!("{prefix}{component}");
            match entry {
                Entry::File { len } => objects.push(ObjectMeta { name, len }),
                Entry::Dir if prefix.is_empty() && component == TEMP => (),
                Entry::Dir => self.list_into(&dir.join(component), &format!("{name}/"), objects)?,
            }
        }
        Ok(())
    }
}

fn fail(action: &'static str, path: &Path, error: io::Error) -> Error {
    Error::new(action, path.display().to_string(), error)
}

/// Bytes of which no file system makes less.
fn incompressible(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let number = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    number.flatten().take(len).collect()
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

impl<D: Disk> Storage for LocalStorage<D> {
    fn get(&self, name: &str) -> Result<Bytes> {
        let path = self.path(name);
        self.disk.read(&path).map(Bytes::from).map_err(|error| fail("cannot read", &path, error))
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        let bytes = self.get(name)?;
        let version = Version(bytes.to_vec());
        Ok((bytes, version))
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let file = self.open(name)?;
        let path = self.path(name);
        let out_of_range = || fail("cannot read", &path, io::ErrorKind::UnexpectedEof.into());
        let len = range.end.checked_sub(range.start).ok_or_else(out_of_range)?;
        let file_len = file.size().map_err(|error| fail("cannot read", &path, error))?;
        // Checked before the buffer is made: a damaged table must not make us allocate what no file holds.
        if range.end > file_len {
            return Err(out_of_range());
        }
        let mut buf = vec![0; usize::try_from(len).map_err(|_| out_of_range())?];
        file.read_exact_at(&mut buf, range.start).map_err(|error| fail("cannot read", &path, error))?;
        Ok(buf.into())
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        let path = self.path(name);
        let dir = parent_of(&path);
        self.create_dirs(dir)?;
        let (temp, _locked) = self.write_temp(bytes)?;
        let placed = match mode {
            PutMode::CreateNew => self.link_and_unlink(&temp, &path),
            PutMode::Overwrite => self.disk.rename(&temp, &path),
            PutMode::Replace(version) => {
                let _lock = self.replace_lock()?;
                match self.disk.read(&path) {
                    Ok(found) if found == version.0 => self.disk.rename(&temp, &path),
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = placed {
            let _ = self.disk.remove(&temp);
            if error.kind() == io::ErrorKind::AlreadyExists {
                // Who has put it may not have come to this.
                self.sync_dir(dir)?;
            }
            return Err(fail("cannot write", &path, error));
        }
        self.forget(name);
        self.sync_dir(dir)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let mut objects = Vec::new();
        let dir = self.root.join(prefix.trim_end_matches('/'));
        self.list_into(&dir, prefix, &mut objects)?;
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    fn len(&self, name: &str) -> Result<u64> {
        let path = self.path(name);
        self.disk.len(&path).map_err(|error| fail("cannot read", &path, error))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        self.forget(name);
        let removed = self.disk.remove(&path);
        let gone = removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let dir = parent_of(&path);
        // Who has removed it may not have come to this.
        if removed.is_ok() || (gone && self.disk.is_dir(dir)) {
            self.sync_dir(dir)?;
        }
        removed.map_err(|error| fail("cannot delete", &path, error))
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        let path = self.path(name);
        let dir = parent_of(&path);
        self.create_dirs(dir)?;
        // Locked under its temporary name, then linked: nobody ever sees it unlocked.
        let (temp, file) = self.write_temp(bytes)?;
        let linked = self.link_and_unlink(&temp, &path);
        if let Err(error) = linked {
            let _ = self.disk.remove(&temp);
            return Err(fail("cannot write", &path, error));
        }
        self.sync_dir(dir)?;
        Ok(Box::new(LocalHold { disk: Arc::clone(&self.disk), path, file }))
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        let path = self.path(name);
        let file = self.disk.open(&path).map_err(|error| fail("cannot read", &path, error))?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Holder::Dead),
            Err(TryLockError::WouldBlock) => Ok(Holder::Alive),
            Err(TryLockError::Error(_)) => Ok(Holder::Unknown),
        }
    }

    fn settle(&self, name: &str) -> Result<()> {
        let path = self.path(name.trim_end_matches('/'));
        let settle = || {
            if !name.ends_with('/') {
                self.disk.open(&path)?.sync()?;
            } else if self.disk.is_dir(&path) {
                self.disk.sync_dir(&path)?;
            }
            let mut dirs = path.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root));
            dirs.try_for_each(|dir| self.disk.sync_dir(dir))
        };
        settle().map_err(|error| fail("cannot sync", &path, error))
    }

    /// Files that somebody still writes are locked.
    fn clear_unfinished(&self) -> Result<u64> {
        let dir = self.root.join(TEMP);
        let entries = match self.disk.list(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(fail("cannot list", &dir, error)),
        };
        let mut freed = 0;
        // Only what we have named: somebody's own folder may lie where this one should.
        let is_ours = |name: &str| name.parse::<ulid::Ulid>().is_ok() || name.starts_with("sqlite-");
        for (name, _) in entries.iter().filter(|(name, _)| is_ours(name)) {
            let path = dir.join(name);
            // Whoever lost the race for a file that is gone by now lost nothing.
            let Ok(file) = self.disk.open(&path) else { continue };
            if file.try_lock().is_ok() {
                freed += file.size().unwrap_or(0);
                let _ = self.disk.remove(&path);
            }
        }
        Ok(freed)
    }

    fn free(&self) -> Option<u64> {
        self.disk.free(&self.root)
    }

    fn keep_reserve(&self) -> Result<()> {
        let path = self.temp_dir()?.join(RESERVE);
        if self.disk.len(&path).is_ok() {
            return Ok(());
        }
        let (temp, _locked) = self.write_temp(&incompressible(RESERVE_LEN))?;
        self.disk.rename(&temp, &path).map_err(|error| fail("cannot write", &path, error))
    }

    fn release_reserve(&self) -> Result<bool> {
        let path = self.root.join(TEMP).join(RESERVE);
        match self.disk.remove(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(fail("cannot delete", &path, error)),
        }
    }

    /// A rename: it works on a full disk too.
    fn set_aside(&self, name: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(name), self.path(to));
        self.create_dirs(parent_of(&to))?;
        self.forget(name);
        self.disk.rename(&from, &to).map_err(|error| fail("cannot move", &from, error))?;
        // The new name first: a crash leaves one of the two, or both.
        self.sync_dir(parent_of(&to))?;
        self.sync_dir(parent_of(&from))
    }

    fn concurrency(&self) -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(3)
    }
}

#[derive(Debug)]
struct LocalHold<D: Disk> {
    disk: Arc<D>,
    path: PathBuf,
    /// Carries the lock.
    file: D::File,
}

impl<D: Disk> Hold for LocalHold<D> {
    fn update(&mut self, bytes: &[u8]) -> Result<()> {
        // In place, for the lock is on this very file; a reader checks what it reads.
        let write = || {
            self.file.write_all_at(bytes, 0)?;
            self.file.set_len(bytes.len() as u64)
        };
        write().map_err(|error| fail("cannot write", &self.path, error))
    }
}

impl<D: Disk> Drop for LocalHold<D> {
    fn drop(&mut self) {
        // Before the lock goes: a dead claim would only wait for a collector to clear it.
        let _ = self.disk.remove(&self.path);
    }
}

#[cfg(test)]
mod tests;
