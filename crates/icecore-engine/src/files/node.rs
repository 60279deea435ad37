//! What the kernel says about one entry of a file system, without following symbolic links.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use icecore_format::FileAttributes;
use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::path::Arg;

/// An entry, as it was when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: FileType,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    pub(super) ctime: (i64, u32),
    pub(super) inode: u64,
    pub(super) links: u32,
    pub(super) size: u64,
    /// How many bytes the file system gave to it: fewer than its size if it has holes.
    pub(super) allocated: u64,
    /// A device's own number; zero for anything else.
    pub(super) device: u64,
    /// The file system it lies on.
    pub(super) home: u64,
    /// Whether it was marked as one that nobody may change, root among them.
    pub(super) is_fixed: bool,
}

impl Node {
    /// Looks at `name` in `directory`; a symbolic link is looked at itself.
    pub(super) fn at(directory: impl AsFd, name: impl Arg) -> io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Ok(Self::new(&statx(directory, name, flags, StatxFlags::BASIC_STATS)?))
    }

    /// Looks at an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::new(&statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?))
    }

    fn new(stat: &Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        Self {
            kind: FileType::from_raw_mode(mode),
            mode: mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            inode: stat.stx_ino,
            links: stat.stx_nlink,
            size: stat.stx_size,
            allocated: stat.stx_blocks.saturating_mul(512),
            device: makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
            home: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            is_fixed: stat.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
        }
    }

    /// What makes it this entry and no other, under whatever name.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.home, self.inode)
    }

    /// What is recorded of it, but for what must be read: link targets, extended attributes, extents.
    pub(super) fn attributes(&self) -> FileAttributes {
        FileAttributes {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            ctime: self.ctime,
            inode: self.inode,
            size: self.size,
            device: self.device,
            ..FileAttributes::default()
        }
    }
}

fn time(stamp: StatxTimestamp) -> (i64, u32) {
    (stamp.tv_sec, stamp.tv_nsec)
}
