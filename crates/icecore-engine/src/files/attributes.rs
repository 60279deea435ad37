//! Reading what a file system knows about a file besides its bytes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use icecore_format::FileAttributes;
use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use xattr::{FileExt, XAttrs};

use crate::files::node::Node;

/// Extended attributes by name, in the order of the names.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The attributes of what lies at `path`; a symbolic link's own, not those of what it points to.
///
/// They are as fresh as can be: whoever compares change times later must know when this was called.
pub fn attributes_of(path: &Path) -> io::Result<FileAttributes> {
    let node = Node::at(CWD, path)?;
    let mut attributes = node.attributes();
    if node.kind == FileType::Symlink {
        attributes.target = rustix::fs::readlink(path, Vec::new())?.into_bytes();
    }
    attributes.xattrs = collect(xattr::list(path), |name| xattr::get(path, name))?;
    Ok(attributes)
}

/// The extended attributes of an open file or directory.
pub(super) fn xattrs_of(file: &File) -> io::Result<Xattrs> {
    collect(file.list_xattr(), |name| file.get_xattr(name))
}

/// The extended attributes of what cannot be opened: a link, a pipe, a device.
pub(super) fn xattrs_at(directory: &File, name: &[u8]) -> io::Result<Xattrs> {
    let path = path_at(directory, name);
    collect(xattr::list(&path), |name| xattr::get(&path, name))
}

/// A path to an entry of an open directory, for calls that take no directory: the kernel resolves all but the last
/// component to the very directory that is open.
pub(super) fn path_at(directory: &File, name: &[u8]) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    path.push(OsStr::from_bytes(name));
    path
}

fn collect(
    names: io::Result<XAttrs>,
    get: impl Fn(&OsStr) -> io::Result<Option<Vec<u8>>>,
) -> io::Result<Xattrs> {
    let names = match names {
        Ok(names) => names,
        Err(error) if is_without_xattrs(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        match get(&name) {
            Ok(Some(value)) => found.push((name.into_vec(), value)),
            // Removed since it was listed.
            Ok(None) => {}
            // Some namespaces can be listed by all but read by few.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is_without_xattrs(&error) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn is_without_xattrs(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| errno == Errno::NOTSUP || errno == Errno::NOSYS)
}
