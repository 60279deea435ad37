//! Objects as files below one directory.
//!
//! A put writes a temporary file, syncs it, gives it its name, and syncs the directory, in this order: after a crash the name
//! points at the whole content or at nothing. Creation conditional on absence is `link(2)`, which fails if the name exists.
//! A held object is a file with an OS lock on it, which the kernel releases when the process dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::{Error, Hold, Holder, ObjectMeta, PutMode, Result, Storage, Version};

/// Folder of what is being written: below the store's directory, so that a rename stays within a file system.
const TEMP: &str = "tmp";
/// The file whose lock makes compare and replace one step. It is never removed: a lock on a file without a name keeps nobody out.
const REPLACE_LOCK: &str = "replace.lock";
/// How many files are kept open for reading.
const OPEN_FILES_MAX: usize = 32;

/// A directory of objects.
#[derive(Debug)]
pub struct LocalStorage {
    root: PathBuf,
    /// Recently read files, the latest last: objects never change, so that an open file stays right.
    open: Mutex<Vec<(String, Arc<File>)>>,
}

impl LocalStorage {
    /// The objects below `root`, which need not exist before the first put.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), open: Mutex::default() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory on the same file system for other temporary files.
    pub fn temp_dir(&self) -> Result<PathBuf> {
        let dir = self.root.join(TEMP);
        create_dirs(&dir).map_err(|error| fail("cannot create", &dir, error))?;
        Ok(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        debug_assert!(name.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{name}");
        self.root.join(name)
    }

    fn open(&self, name: &str) -> Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(found, _)| found == name) {
            let entry = open.remove(at);
            let file = Arc::clone(&entry.1);
            open.push(entry);
            return Ok(file);
        }
        let path = self.path(name);
        let file = Arc::new(File::open(&path).map_err(|error| fail("cannot read", &path, error))?);
        if open.len() == OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push((name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    fn forget(&self, name: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(found, _)| found != name);
    }

    /// A synced temporary file with this content, locked against [`Storage::clear_unfinished`].
    fn write_temp(&self, bytes: &[u8]) -> Result<(PathBuf, File)> {
        let path = self.temp_dir()?.join(ulid::Ulid::generate().to_string().to_lowercase());
        let write = || {
            let mut file = loop {
                let file = private_file().write(true).create_new(true).open(&path)?;
                file.lock()?;
                // Whoever clears leftovers may have taken it between the two: then it has no name any more.
                if file.metadata()?.nlink() > 0 {
                    break file;
                }
            };
            file.write_all(bytes)?;
            file.sync_all()?;
            Ok(file)
        };
        match write() {
            Ok(file) => Ok((path, file)),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(fail("cannot write", &path, error))
            }
        }
    }

    /// Takes the lock that makes compare and replace one step.
    fn replace_lock(&self) -> Result<File> {
        let path = self.temp_dir()?.join(REPLACE_LOCK);
        let open = || {
            let file = private_file().write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(|error| fail("cannot lock", &path, error))
    }
}

fn fail(action: &'static str, path: &Path, error: io::Error) -> Error {
    Error::new(action, path.display().to_string(), error)
}

/// A store holds copies of databases: nobody else reads it unless its owner allows it.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Creates a directory and its parents, each entry durable.
fn create_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dirs(parent)?;
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            other => other?,
        }
        return sync_dir(parent);
    }
    fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Gives a temporary file its name, if nothing has it yet.
fn link_and_unlink(temp: &Path, path: &Path) -> io::Result<()> {
    fs::hard_link(temp, path)?;
    // The object is there: a temporary name that stays is litter, not a failure.
    let _ = fs::remove_file(temp);
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

impl Storage for LocalStorage {
    fn get(&self, name: &str) -> Result<Bytes> {
        let path = self.path(name);
        fs::read(&path).map(Bytes::from).map_err(|error| fail("cannot read", &path, error))
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
        let file_len = file.metadata().map_err(|error| fail("cannot read", &path, error))?.len();
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
        create_dirs(dir).map_err(|error| fail("cannot create", dir, error))?;
        let (temp, _locked) = self.write_temp(bytes)?;
        let placed = match mode {
            PutMode::CreateNew => link_and_unlink(&temp, &path),
            PutMode::Overwrite => fs::rename(&temp, &path),
            PutMode::Replace(version) => {
                let _lock = self.replace_lock()?;
                match fs::read(&path) {
                    Ok(found) if found == version.0 => fs::rename(&temp, &path),
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = placed {
            let _ = fs::remove_file(&temp);
            return Err(fail("cannot write", &path, error));
        }
        self.forget(name);
        sync_dir(dir).map_err(|error| fail("cannot sync", dir, error))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let mut objects = Vec::new();
        let dir = self.root.join(prefix.trim_end_matches('/'));
        list_into(&dir, prefix, &mut objects)?;
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    fn len(&self, name: &str) -> Result<u64> {
        let path = self.path(name);
        fs::metadata(&path).map(|meta| meta.len()).map_err(|error| fail("cannot read", &path, error))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        self.forget(name);
        fs::remove_file(&path).map_err(|error| fail("cannot delete", &path, error))?;
        let dir = parent_of(&path);
        sync_dir(dir).map_err(|error| fail("cannot sync", dir, error))
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        let path = self.path(name);
        let dir = parent_of(&path);
        create_dirs(dir).map_err(|error| fail("cannot create", dir, error))?;
        // Locked under its temporary name, then linked: nobody ever sees it unlocked.
        let (temp, file) = self.write_temp(bytes)?;
        let linked = link_and_unlink(&temp, &path);
        if let Err(error) = linked {
            let _ = fs::remove_file(&temp);
            return Err(fail("cannot write", &path, error));
        }
        sync_dir(dir).map_err(|error| fail("cannot sync", dir, error))?;
        Ok(Box::new(LocalHold { path, file }))
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        let path = self.path(name);
        let file = File::open(&path).map_err(|error| fail("cannot read", &path, error))?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Holder::Dead),
            Err(TryLockError::WouldBlock) => Ok(Holder::Alive),
            Err(TryLockError::Error(_)) => Ok(Holder::Unknown),
        }
    }

    fn settle(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let settle = || {
            File::open(&path)?.sync_all()?;
            path.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root)).try_for_each(sync_dir)
        };
        settle().map_err(|error| fail("cannot sync", &path, error))
    }

    /// Files that somebody still writes are locked.
    fn clear_unfinished(&self) -> Result<u64> {
        let dir = self.root.join(TEMP);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(fail("cannot list", &dir, error)),
        };
        let mut freed = 0;
        for entry in entries {
            let path = entry.map_err(|error| fail("cannot list", &dir, error))?.path();
            if path.ends_with(REPLACE_LOCK) {
                continue;
            }
            // Whoever lost the race for a file that is gone by now lost nothing.
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_ok() {
                freed += file.metadata().map_or(0, |meta| meta.len());
                let _ = fs::remove_file(&path);
            }
        }
        Ok(freed)
    }

    fn concurrency(&self) -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(3)
    }
}

fn list_into(dir: &Path, prefix: &str, objects: &mut Vec<ObjectMeta>) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail("cannot list", dir, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| fail("cannot list", dir, error))?;
        let file_name = entry.file_name();
        let Some(component) = file_name.to_str() else { continue };
        let name = format!("{prefix}{component}");
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // Deleted between the listing and the look at it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(fail("cannot read", &entry.path(), error)),
        };
        if meta.is_dir() {
            if !(prefix.is_empty() && component == TEMP) {
                list_into(&entry.path(), &format!("{name}/"), objects)?;
            }
        } else if meta.is_file() {
            objects.push(ObjectMeta { name, len: meta.len() });
        }
    }
    Ok(())
}

#[derive(Debug)]
struct LocalHold {
    path: PathBuf,
    /// Carries the lock.
    file: File,
}

impl Hold for LocalHold {
    fn update(&mut self, bytes: &[u8]) -> Result<()> {
        // In place, for the lock is on this very file; a reader checks what it reads.
        let write = || {
            self.file.write_all_at(bytes, 0)?;
            self.file.set_len(bytes.len() as u64)
        };
        write().map_err(|error| fail("cannot write", &self.path, error))
    }
}

impl Drop for LocalHold {
    fn drop(&mut self) {
        // Before the lock goes: a dead claim would only wait for a collector to clear it.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
