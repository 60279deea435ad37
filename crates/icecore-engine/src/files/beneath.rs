//! Moving about beneath a root directory without ever following a symbolic link.
//!
//! Every step opens one component relative to the directory above it, so that neither a link in a snapshot nor one that
//! somebody puts there meanwhile leads anywhere else.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{Dir, Mode, OFlags, chmod, openat};
use rustix::io::Errno;
use rustix::path::Arg;

/// How many directories of a path are held open at once. Deeper trees reopen the upper ones on the way back.
const OPEN_MAX: usize = 64;

/// Opens a directory; a symbolic link is refused.
pub(super) fn open_directory(above: impl AsFd, name: impl Arg) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(above, name, flags, Mode::empty())?))
}

/// Opens a directory to change what is in it. One that its owner closed even to himself is opened up first.
pub(super) fn open_to_change(above: impl AsFd, name: impl Arg + Copy) -> io::Result<File> {
    match open_directory(above.as_fd(), name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        other => return other,
    }
    // By way of a descriptor, since a change of mode by name would follow a link that lies there by now.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let closed = openat(above.as_fd(), name, flags, Mode::empty())?;
    chmod(format!("/proc/self/fd/{}", closed.as_raw_fd()), Mode::RWXU)?;
    open_directory(above, name)
}

/// Opens a file for reading without waiting for anybody, and without a trace in its access time where that is permitted.
pub(super) fn open_to_read(above: impl AsFd, name: impl Arg + Copy) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match openat(above.as_fd(), name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may ask for this.
        Err(Errno::PERM) => Ok(File::from(openat(above, name, flags, Mode::empty())?)),
        other => Ok(File::from(other?)),
    }
}

/// Opens the directory that `path` names beneath `root`, component by component.
pub(super) fn open_path<'a>(root: &File, path: impl Iterator<Item = &'a [u8]>) -> io::Result<File> {
    let mut directory = root.try_clone()?;
    for name in path {
        directory = open_directory(&directory, name)?;
    }
    Ok(directory)
}

/// The names in a directory, in the order of their bytes.
pub(super) fn names(directory: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The components of a part's name; none for the root.
pub(super) fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
}

/// The order in which a walk meets two names: a directory before what is in it, and that before its next neighbour.
pub fn compare(one: &[u8], other: &[u8]) -> Ordering {
    components(one).cmp(components(other))
}

/// Joins a directory's name, empty for the root, and the name of something in it.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The directories from a root down to where a walk stands.
#[derive(Debug)]
pub(super) struct OpenDirectories {
    root: File,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    name: Vec<u8>,
    /// None while too many others are open.
    directory: Option<File>,
}

impl OpenDirectories {
    pub(super) fn new(root: File) -> Self {
        Self { root, levels: Vec::new() }
    }

    pub(super) fn root(&self) -> &File {
        &self.root
    }

    /// Steps down into `name`, which was opened as `directory`.
    pub(super) fn push(&mut self, name: Vec<u8>, directory: File) {
        if let Some(index) = self.levels.len().checked_sub(OPEN_MAX) {
            self.levels[index].directory = None;
        }
        self.levels.push(Level { name, directory: Some(directory) });
    }

    /// Steps up.
    pub(super) fn pop(&mut self) {
        self.levels.pop();
    }

    /// The directory in which the walk stands.
    pub(super) fn current(&mut self) -> io::Result<&File> {
        let reopened = match self.levels.last() {
            Some(Level { directory: None, .. }) => {
                Some(open_path(&self.root, self.levels.iter().map(|level| level.name.as_slice()))?)
            }
            Some(_) | None => None,
        };
        let Some(level) = self.levels.last_mut() else { return Ok(&self.root) };
        if reopened.is_some() {
            level.directory = reopened;
        }
        level.directory.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_sorts_before_its_content_and_that_before_its_neighbours() {
        let mut names: Vec<&[u8]> = vec![b"a!b", b"a/b", b"a", b"b", b"", b"a/b/c", b"a/b!"];
        names.sort_by(|one, other| compare(one, other));
        assert_eq!(names, [b"".as_slice(), b"a", b"a/b", b"a/b/c", b"a/b!", b"a!b", b"b"]);
    }

    #[test]
    fn a_reopened_directory_is_the_same_one() {
        let top = tempfile::tempdir().unwrap();
        let mut walk = OpenDirectories::new(File::open(top.path()).unwrap());
        let mut inodes = Vec::new();
        for _ in 0..200 {
            rustix::fs::mkdirat(walk.current().unwrap(), "d", Mode::from_raw_mode(0o700)).unwrap();
            let next = open_directory(walk.current().unwrap(), "d").unwrap();
            inodes.push(super::super::node::Node::of(&next).unwrap().inode);
            walk.push(b"d".to_vec(), next);
        }
        while let Some(inode) = inodes.pop() {
            assert_eq!(super::super::node::Node::of(walk.current().unwrap()).unwrap().inode, inode);
            walk.pop();
        }
    }
}
