//! How much room a restore in place takes beside what is there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::fstatvfs;

use crate::Shortage;

/// What grows and shrinks on each file system, in the order of a restore.
#[derive(Debug, Default)]
pub(super) struct Room(BTreeMap<u64, Growth>);

#[derive(Debug)]
struct Growth {
    directory: File,
    path: PathBuf,
    now: i64,
    most: i64,
}

impl Room {
    /// Learns of a directory on the file system `home`.
    pub(super) fn meet(&mut self, home: u64, directory: &File, path: &Path) -> io::Result<()> {
        if let Entry::Vacant(vacant) = self.0.entry(home) {
            let directory = directory.try_clone()?;
            vacant.insert(Growth { directory, path: path.to_owned(), now: 0, most: 0 });
        }
        Ok(())
    }

    /// So many bytes more.
    pub(super) fn grow(&mut self, home: u64, bytes: u64) {
        if let Some(growth) = self.0.get_mut(&home) {
            growth.now = growth.now.saturating_add_unsigned(bytes);
            growth.most = growth.most.max(growth.now);
        }
    }

    /// So many bytes fewer.
    pub(super) fn shrink(&mut self, home: u64, bytes: u64) {
        if let Some(growth) = self.0.get_mut(&home) {
            growth.now = growth.now.saturating_sub_unsigned(bytes);
        }
    }

    /// The first file system that has not enough.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.0.values().find_map(|growth| {
            let needed = u64::try_from(growth.most).unwrap_or_default();
            // Whoever cannot tell gets to try.
            let room = fstatvfs(&growth.directory).ok()?;
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            (needed > free).then(|| Shortage { path: growth.path.clone(), needed, free })
        })
    }
}
