//! The steps of a file system that [`LocalStorage`](crate::LocalStorage) takes, as a seam: tests put a disk below it that crashes
//! between any two of them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Objects that are read whole are not longer: a pack, whose length is a setting of at most 1 GiB, and its last body.
const READ_LEN_MAX: u64 = 2 << 30;
/// How much one system call writes, in bytes. For a pack at once ext4 looks for large pieces of memory, and a pull took twice as long.
const WRITE_LEN: usize = 128 << 10;
/// `O_NONBLOCK`: opening a pipe does not wait for its other end.
#[expect(clippy::cast_possible_wrap, reason = "a flag")]
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// A file system. What it makes is for its owner only: a store holds copies of databases.
///
/// As POSIX promises, and no more: a file's bytes survive a crash of the machine once the file was synced, a change of a directory's
/// entries once the directory was.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile + 'static;

    /// Creates a file to write; `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file to read or lock it.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file only to lock it, and creates it if it is not there.
    fn open_lock(&self, path: &Path) -> io::Result<Self::File>;

    /// A file's whole content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// A file's length in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Gives a file a second name; `AlreadyExists` if that is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name in one step, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a name away; without the last one the file is gone.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates one directory; `AlreadyExists` if the name is taken.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a directory of this name.
    fn is_dir(&self, path: &Path) -> bool;

    /// Makes a directory's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// How many bytes are left for us on the file system of `path`, if that can be told.
    fn free(&self, path: &Path) -> Option<u64>;

    /// The directories and files in a directory, in any order. What is neither, and names that are not text, are left out.
    fn list(&self, path: &Path) -> io::Result<Vec<(String, Entry)>>;
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Its length in bytes.
        len: u64,
    },
}

/// An open file of a [`Disk`]. Its locks end when it is dropped, or with the process.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Fills `buf` from `offset` on.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or fills it up with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Makes its content durable.
    fn sync(&self) -> io::Result<()>;

    /// Whether it still has a name.
    fn is_named(&self) -> io::Result<bool>;

    /// Waits until nobody else has a lock on the file, and takes it.
    fn lock(&self) -> io::Result<()>;

    /// Takes the lock if nobody else has one.
    fn try_lock(&self) -> Result<(), TryLockError>;

    /// Takes a lock that others may share.
    fn try_lock_shared(&self) -> Result<(), TryLockError>;
}

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().mode(0o600).write(true).create_new(true).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().mode(0o600).write(true).create(true).truncate(false).open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A stranger's store may have a pipe or a device where a file belongs: neither is waited for, nor read without end.
        let mut file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if meta.len() > READ_LEN_MAX {
            return Err(io::Error::other("it is far longer than anything that is stored"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|meta| meta.len())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free(&self, path: &Path) -> Option<u64> {
        let found = rustix::fs::statvfs(path).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, Entry)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => found.push((name, Entry::Dir)),
                Ok(meta) if meta.is_file() => found.push((name, Entry::File { len: meta.len() })),
                Ok(_) => (),
                // Deleted between the listing and the look at it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

impl DiskFile for File {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        for piece in bytes.chunks(WRITE_LEN) {
            FileExt::write_all_at(self, piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn is_named(&self) -> io::Result<bool> {
        Ok(self.metadata()?.nlink() > 0)
    }

    fn lock(&self) -> io::Result<()> {
        File::lock(self)
    }

    fn try_lock(&self) -> Result<(), TryLockError> {
        File::try_lock(self)
    }

    fn try_lock_shared(&self) -> Result<(), TryLockError> {
        File::try_lock_shared(self)
    }
}
