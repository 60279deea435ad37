//! Removing a tree without following symbolic links, and without touching what is protected.

use std::collections::HashSet;
use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, FileType, Mode, fchmod, unlinkat};

use crate::files::beneath::{names, open_to_change};
use crate::files::node::Node;

/// Directories, by file system and inode, that must not be removed.
pub(super) type Protected = HashSet<(u64, u64)>;

/// Removes `name` in `directory`, with all that is in it. Returns whether it is gone: what is protected stays, and so does
/// what leads to it.
pub(super) fn remove_tree(directory: &File, name: &[u8], protected: &Protected) -> io::Result<bool> {
    let node = match Node::at(directory, name) {
        Ok(node) => node,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if protected.contains(&node.identity()) {
        return Ok(false);
    }
    if node.kind != FileType::Directory {
        unlinkat(directory, name, AtFlags::empty())?;
        return Ok(true);
    }
    let inside = open_to_change(directory, name)?;
    let mut gone = true;
    for name in names(&inside)? {
        gone &= match remove_tree(&inside, &name, protected) {
            // A directory that its owner may not write to.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                fchmod(&inside, Mode::from_raw_mode(node.mode | 0o700))?;
                remove_tree(&inside, &name, protected)?
            }
            other => other?,
        };
    }
    if gone {
        unlinkat(directory, name, AtFlags::REMOVEDIR)?;
    }
    Ok(gone)
}
