//! Who owns a file that takes another one's place, and who may use it.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use icecore_format::FileAttributes;

#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Access {
    pub(super) fn give(self, file: &File) -> io::Result<()> {
        let owner = std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid));
        // To give it away takes a privilege; what was open to others only through their ownership stays closed.
        let mode = if owner.is_ok() { self.mode & 0o777 } else { self.mode & 0o700 };
        file.set_permissions(Permissions::from_mode(mode))
    }
}

impl From<&Metadata> for Access {
    fn from(meta: &Metadata) -> Self {
        Self { mode: meta.mode(), uid: meta.uid(), gid: meta.gid() }
    }
}

impl From<&FileAttributes> for Access {
    fn from(file: &FileAttributes) -> Self {
        Self { mode: file.mode, uid: file.uid, gid: file.gid }
    }
}
