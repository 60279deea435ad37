//! What a swap is about to do, written down beside the database before it is done: whoever comes after a crash completes it, and can say what
//! it was.
//!
//! A crash leaves the second name that what goes had been given, or this record, or both. If the name leads to what was to come, the swap has
//! happened; if both names lead to the same file, or there is no second one, it has not. Anything else somebody else has done.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::companion;
use crate::RestoreError;
use crate::files::file_beside;

pub(super) const GOING: &str = "__ice_gone";
const RECORD: &str = "__ice_swap";
/// It holds three numbers and a name.
const RECORD_MAX: u64 = 64 << 10;

/// Why one database takes another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Swap {
    /// A snapshot is restored.
    Restore,
    /// A restore is undone.
    Rollback,
}

/// A file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    /// The numbers are given to another file at once when it is removed. `None` where the file system does not tell.
    created: Option<SystemTime>,
}

impl Identity {
    pub(super) fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino(), created: meta.created().ok() }
    }
}

pub(super) fn identity(path: &Path) -> Option<Identity> {
    path.symlink_metadata().ok().map(|meta| Identity::of(&meta))
}

/// The second name of what is at `path`, while another one takes the first.
pub(super) fn going(path: &Path) -> PathBuf {
    companion(path, GOING)
}

/// A swap that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) swap: Swap,
    comes: Identity,
    /// In the same directory, the bytes of the name that what goes is to keep; `None` if it is put aside for a rollback.
    kept_name: Option<Vec<u8>>,
}

/// How far a swap came that nobody is at any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// Nothing was replaced.
    Before,
    /// What was to come is there; what went may lack its name.
    After(Pending),
}

impl Pending {
    /// A swap by which the file `comes` takes the place of another; that keeps the name `kept`, if it is to keep one.
    pub(super) fn new(swap: Swap, comes: &Path, kept: Option<&Path>) -> io::Result<Self> {
        let comes = identity(comes).ok_or(io::ErrorKind::NotFound)?;
        let kept_name = kept.and_then(Path::file_name).map(|name| name.as_bytes().to_vec());
        Ok(Self { swap, comes, kept_name })
    }

    /// The name for good of what was at `path`, if it is to have one.
    pub(super) fn kept(&self, path: &Path) -> Option<PathBuf> {
        self.kept_name.as_deref().map(|name| path.with_file_name(OsStr::from_bytes(name)))
    }

    /// Writes it down; the caller makes the name of the record durable.
    pub(super) fn record(&self, path: &Path) -> io::Result<()> {
        let record = companion(path, RECORD);
        let (Some(parent), Some(name)) = (record.parent(), record.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut file = file_beside(parent, name)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().sync_all()?;
        file.persist(&record)?;
        Ok(())
    }

    /// What a crash interrupted at `path`, if it did. Changes nothing.
    pub(super) fn find(path: &Path) -> Result<Option<Interrupted>, RestoreError> {
        let record = read(&companion(path, RECORD));
        let record = record.map_err(RestoreError::write("cannot read", &companion(path, RECORD)))?;
        let (there, gone) = (identity(path), identity(&going(path)));
        match (record, gone) {
            (None, None) => Ok(None),
            (Some(pending), _) if there == Some(pending.comes) => Ok(Some(Interrupted::After(pending))),
            (_, gone) if gone.is_none() || gone == there => Ok(Some(Interrupted::Before)),
            _ => Err(RestoreError::Refused(format!(
                "a restore of {} was interrupted, and somebody has changed what is there since: what it replaced is {}, which must be moved to where it belongs first",
                path.display(),
                going(path).display()
            ))),
        }
    }
}

/// Forgets the swap, if there is one.
pub(super) fn forget_record(path: &Path) -> io::Result<()> {
    match fs::remove_file(companion(path, RECORD)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read(record: &Path) -> io::Result<Option<Pending>> {
    match record.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if !meta.is_file() => return Err(io::ErrorKind::InvalidData.into()),
        looked => looked?,
    };
    let mut text = Vec::new();
    File::open(record)?.take(RECORD_MAX).read_to_end(&mut text)?;
    let pending: Pending = serde_json::from_slice(&text)?;
    // It leads nowhere else, whoever wrote it.
    match pending.kept_name.as_deref().map(OsStr::from_bytes) {
        Some(name) if Path::new(name).file_name() != Some(name) => Err(io::ErrorKind::InvalidData.into()),
        _ => Ok(Some(pending)),
    }
}
