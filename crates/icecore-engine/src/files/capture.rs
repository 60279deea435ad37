//! Capturing a directory, or one file, as parts with attributes.
//!
//! A directory is walked depth first, names in the order of their bytes, a directory before what is in it: the order is
//! the same on every machine, and a parent snapshot can be walked along with it. What cannot be read is reported and left
//! out. Symbolic links are recorded, never followed; pipes, sockets and devices are recorded, never opened.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use icecore_format::{FileAttributes, Part, PartKind};
use rustix::fs::{CWD, FileType, readlinkat};
use rustix::io::Errno;

use crate::files::attributes::{xattrs_at, xattrs_of};
use crate::files::beneath::{OpenDirectories, join, names, open_directory, open_to_read};
use crate::files::grain::grain_of;
use crate::files::node::Node;
use crate::files::parent::{ParentParts, ParentWalk, trusted_ctime, unchanged};
use crate::files::read_file::{end_file, file_start, read_open_part};
use crate::files::report::cause;
use crate::{CaptureError, Grain, PartStart, Sink};

/// Sockets named in the note about them.
const SOCKETS_TOLD: usize = 3;

/// Captures the directory `root` and all that is in it, across mounted file systems.
///
/// Directories in `exclude`, such as the store itself, are left out. Files that have not changed since the snapshot whose
/// parts `parent` gives are not read again. `now` is the time at the start, in seconds since 1970 and nanoseconds, by the
/// clock that gives files their change times.
pub fn capture_directory(
    root: &Path,
    exclude: &[PathBuf],
    parent: Option<ParentParts<'_>>,
    sink: &mut dyn Sink,
    now: (i64, u32),
) -> Result<(), CaptureError> {
    let real = resolve(root)?;
    let directory = open_directory(CWD, &real).map_err(CaptureError::read("cannot read", root))?;
    let node = Node::of(&directory).map_err(CaptureError::read("cannot read", root))?;
    let list = names(&directory).map_err(CaptureError::read("cannot read", root))?;
    let excluded = exclude.iter().filter_map(|path| Some(Node::at(CWD, path).ok()?.identity())).collect();
    let mut capture = Capture {
        root: real,
        sink,
        parent: ParentWalk::new(parent),
        links: HashMap::new(),
        sockets: Vec::new(),
        excluded,
        now,
    };
    if capture.excluded.contains(&node.identity()) {
        return Err(CaptureError::Source(format!("{} is left out by its own exclusion", root.display())));
    }
    capture.put_directory(b"", &directory, &node)?;
    capture.walk(directory, list)?;
    capture.tell_of_sockets();
    Ok(())
}

/// Captures one regular file as one part, named as the file is. Not read again if it has not changed since `parent`.
pub fn capture_file(
    path: &Path,
    parent: Option<&[Part]>,
    sink: &mut dyn Sink,
    now: (i64, u32),
) -> Result<(), CaptureError> {
    let real = resolve(path)?;
    let name = path.file_name().or(real.file_name()).unwrap_or_default().as_bytes();
    let node = Node::at(CWD, &real).map_err(CaptureError::read("cannot read", path))?;
    let known = parent.unwrap_or_default();
    if let Some((part, attributes)) = known.iter().find_map(|part| Some((part, unchanged(part, &node)?))) {
        sink.begin(file_start(name, Grain::Byte))?;
        if sink.reuse(part)? {
            return end_file(sink, attributes.clone());
        }
        let (file, node) = open_file(CWD, &real).map_err(CaptureError::read("cannot read", path))?;
        return read_open_part(&file, &node, path, sink, now);
    }
    if node.kind != FileType::RegularFile {
        return Err(CaptureError::Source(format!("{} is not a regular file", path.display())));
    }
    let (file, node) = open_file(CWD, &real).map_err(CaptureError::read("cannot read", path))?;
    sink.begin(file_start(name, grain_of(name, &file)))?;
    read_open_part(&file, &node, path, sink, now)
}

/// Follows the links that the user named; nothing beneath is followed.
fn resolve(path: &Path) -> Result<PathBuf, CaptureError> {
    path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CaptureError::NotFound { path: path.to_owned() },
        _ => CaptureError::read("cannot read", path)(error),
    })
}

/// Opens a regular file, and only that: between the look and the opening it may have become something else.
fn open_file(
    directory: impl std::os::fd::AsFd,
    name: impl rustix::path::Arg + Copy,
) -> io::Result<(File, Node)> {
    let file = open_to_read(directory, name)?;
    let node = Node::of(&file)?;
    if node.kind == FileType::RegularFile {
        Ok((file, node))
    } else {
        Err(io::Error::other("it is no regular file any more"))
    }
}

struct Capture<'a> {
    root: PathBuf,
    sink: &'a mut dyn Sink,
    parent: ParentWalk<'a>,
    /// The first name of every file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// The first few sockets.
    sockets: Vec<PathBuf>,
    excluded: HashSet<(u64, u64)>,
    now: (i64, u32),
}

/// An open directory, and the names in it.
type Listed = (File, Vec<Vec<u8>>);

/// A directory whose names are being gone through.
struct Level {
    name: Vec<u8>,
    left: std::vec::IntoIter<Vec<u8>>,
}

impl Capture<'_> {
    fn walk(&mut self, root: File, list: Vec<Vec<u8>>) -> Result<(), CaptureError> {
        let mut open = OpenDirectories::new(root);
        let mut levels = vec![Level { name: Vec::new(), left: list.into_iter() }];
        while let Some(level) = levels.last_mut() {
            self.sink.check_cancelled()?;
            let Some(leaf) = level.left.next() else {
                levels.pop();
                open.pop();
                continue;
            };
            let name = join(&level.name, &leaf);
            let entered = match open.current() {
                Ok(directory) => self.entry(directory, &leaf, &name)?,
                Err(error) => {
                    self.unreadable(&name, error)?;
                    None
                }
            };
            if let Some((directory, list)) = entered {
                open.push(leaf, directory);
                levels.push(Level { name, left: list.into_iter() });
            }
        }
        Ok(())
    }

    /// Captures one entry. Returns a directory that must be gone through next.
    fn entry(&mut self, above: &File, leaf: &[u8], name: &[u8]) -> Result<Option<Listed>, CaptureError> {
        let node = match Node::at(above, leaf) {
            Ok(node) => node,
            Err(error) => {
                self.unreadable(name, error)?;
                return Ok(None);
            }
        };
        if node.kind == FileType::Directory {
            return self.directory(above, leaf, name, &node);
        }
        if node.links > 1
            && let Some(first) = self.links.get(&node.identity())
        {
            let attributes = FileAttributes { target: first.clone(), ..self.attributes(&node) };
            self.put_empty(name, PartKind::Hardlink, attributes)?;
            return Ok(None);
        }
        let stored = match special_kind(node.kind) {
            None => self.file(above, leaf, name, &node)?,
            Some(kind) => self.special(above, leaf, name, &node, kind)?,
        };
        if stored && node.links > 1 {
            self.links.insert(node.identity(), name.to_vec());
        }
        Ok(None)
    }

    fn directory(
        &mut self,
        above: &File,
        leaf: &[u8],
        name: &[u8],
        node: &Node,
    ) -> Result<Option<Listed>, CaptureError> {
        if self.excluded.contains(&node.identity()) {
            let sentence = format!("{} is left out", self.shown(name).display());
            self.sink.notice(sentence);
            return Ok(None);
        }
        match open_directory(above, leaf).and_then(|directory| Ok((names(&directory)?, directory))) {
            Ok((list, directory)) => {
                self.put_directory(name, &directory, node)?;
                Ok(Some((directory, list)))
            }
            Err(error) => {
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                self.unreadable(name, error)?;
                // It exists, and its attributes are known: only what is in it is missing.
                if denied {
                    self.put_empty(name, PartKind::Directory, self.attributes(node))?;
                }
                Ok(None)
            }
        }
    }

    fn put_directory(&mut self, name: &[u8], directory: &File, node: &Node) -> Result<(), CaptureError> {
        let mut attributes = self.attributes(node);
        attributes.xattrs = self.or_finding(name, xattrs_of(directory))?;
        self.put_empty(name, PartKind::Directory, attributes)
    }

    /// Captures a regular file. Returns whether it was stored.
    fn file(&mut self, above: &File, leaf: &[u8], name: &[u8], node: &Node) -> Result<bool, CaptureError> {
        self.tell_of_log(above, leaf, name, node);
        let known = self.parent.find(name);
        if let Some((part, attributes)) = known.as_ref().and_then(|part| Some((part, unchanged(part, node)?)))
        {
            self.sink.begin(file_start(name, Grain::Byte))?;
            if self.sink.reuse(part)? {
                end_file(self.sink, attributes.clone())?;
                return Ok(true);
            }
            match open_file(above, leaf) {
                Ok((file, node)) => self.read(&file, &node, name)?,
                Err(error) => {
                    self.unreadable(name, error)?;
                    let attributes = FileAttributes { size: 0, ctime: (0, 0), ..node.attributes() };
                    end_file(self.sink, attributes)?;
                }
            }
            return Ok(true);
        }
        match open_file(above, leaf) {
            Ok((file, node)) => {
                self.sink.begin(file_start(name, grain_of(name, &file)))?;
                self.read(&file, &node, name)?;
                Ok(true)
            }
            Err(error) => {
                self.unreadable(name, error)?;
                Ok(false)
            }
        }
    }

    fn read(&mut self, file: &File, node: &Node, name: &[u8]) -> Result<(), CaptureError> {
        read_open_part(file, node, &self.shown(name), self.sink, self.now)
    }

    /// Captures what has no bytes. Returns whether it was stored.
    fn special(
        &mut self,
        above: &File,
        leaf: &[u8],
        name: &[u8],
        node: &Node,
        kind: PartKind,
    ) -> Result<bool, CaptureError> {
        let mut attributes = self.attributes(node);
        if kind == PartKind::Socket && self.sockets.len() < SOCKETS_TOLD {
            self.sockets.push(self.shown(name));
        }
        if kind == PartKind::Symlink {
            match readlinkat(above, leaf, Vec::new()) {
                Ok(target) => attributes.target = target.into_bytes(),
                Err(error) => {
                    self.unreadable(name, error.into())?;
                    return Ok(false);
                }
            }
        }
        attributes.xattrs = self.or_finding(name, xattrs_at(above, leaf))?;
        self.put_empty(name, kind, attributes)?;
        Ok(true)
    }

    /// A database and its log are read one after the other: what is written between the two is torn.
    fn tell_of_log(&mut self, above: &File, leaf: &[u8], name: &[u8], node: &Node) {
        let (Some(database), Some(name)) = (leaf.strip_suffix(b"-wal"), name.strip_suffix(b"-wal")) else {
            return;
        };
        if node.size == 0
            || !open_file(above, database).is_ok_and(|(file, _)| grain_of(name, &file) != Grain::Byte)
        {
            return;
        }
        let path = self.shown(name);
        self.sink.notice(format!(
            "{} is a SQLite database with a log beside it; if it is in use, take it by itself, which is safe at any time",
            path.display()
        ));
    }

    fn tell_of_sockets(&mut self) {
        if self.sockets.is_empty() {
            return;
        }
        let more = if self.sockets.len() == SOCKETS_TOLD { " and others" } else { "" };
        let names = self.sockets.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let (noun, verb) = if self.sockets.len() == 1 { ("a socket", "is") } else { ("sockets", "are") };
        self.sink
            .notice(format!("{names}{more}: {noun}, which {verb} recorded, but made anew only by a server"));
    }

    fn put_empty(
        &mut self,
        name: &[u8],
        kind: PartKind,
        attributes: FileAttributes,
    ) -> Result<(), CaptureError> {
        let start = PartStart { name: name.to_vec(), kind, grain: Grain::Byte, own_chunks: false };
        self.sink.begin(start)?;
        end_file(self.sink, attributes)
    }

    fn attributes(&self, node: &Node) -> FileAttributes {
        FileAttributes { ctime: trusted_ctime(node.ctime, self.now), ..node.attributes() }
    }

    fn or_finding<T: Default>(&mut self, name: &[u8], read: io::Result<T>) -> Result<T, CaptureError> {
        read.or_else(|error| {
            let shown = self.shown(name);
            if is_our_own(&error) {
                return Err(CaptureError::read("cannot read", &shown)(error));
            }
            self.sink.finding(format!(
                "cannot read the extended attributes of {}: {}",
                shown.display(),
                cause(&error)
            ));
            Ok(T::default())
        })
    }

    /// What cannot be read is left out; unless it is we who cannot read, for then most would be left out.
    fn unreadable(&mut self, name: &[u8], error: io::Error) -> Result<(), CaptureError> {
        let shown = self.shown(name);
        if is_our_own(&error) {
            return Err(CaptureError::read("cannot read", &shown)(error));
        }
        self.sink.finding(format!("cannot read {}: {}", shown.display(), cause(&error)));
        Ok(())
    }

    /// The path by which the user knows a part.
    fn shown(&self, name: &[u8]) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(OsStr::from_bytes(name)) }
    }
}

/// Whether the fault lies with this process, or with the machine, rather than with what is read.
fn is_our_own(error: &io::Error) -> bool {
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

/// What is recorded of a kind of entry that is not read; none for a regular file.
fn special_kind(kind: FileType) -> Option<PartKind> {
    match kind {
        FileType::Symlink => Some(PartKind::Symlink),
        FileType::Fifo => Some(PartKind::Fifo),
        FileType::Socket => Some(PartKind::Socket),
        FileType::CharacterDevice => Some(PartKind::CharDevice),
        FileType::BlockDevice => Some(PartKind::BlockDevice),
        FileType::RegularFile | FileType::Directory | FileType::Unknown => None,
    }
}
