//! Looking at a directory that is to be rewritten in place.
//!
//! It goes the way that [`DirectoryTarget`](super::DirectoryTarget) will go, and opens files as that will, but changes nothing. What cannot be
//! opened counts as not there: then more is read and checked than will be written.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use icecore_format::{FileAttributes, Part, PartKind};
use rustix::fs::{Access, AtFlags, FileType, accessat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::files::beneath::{OpenDirectories, names, open_directory};
use crate::files::make_entry::{can_be_rewritten, must_stay, open_to_rewrite};
use crate::files::node::Node;
use crate::files::part_file::PartFile;
use crate::files::part_order::{PartOrder, of_file};
use crate::files::room::Room;
use crate::files::target_directory::{final_size, no_directory, split, unsafe_name};
use crate::{RestoreError, Shortage, Survey};

/// What lies in a directory.
#[derive(Debug)]
pub(super) struct DirectorySurvey {
    /// For messages.
    path: PathBuf,
    /// Those of the levels that are there.
    open: OpenDirectories,
    levels: Vec<Level>,
    order: PartOrder,
    file: Option<OpenFile>,
    protected: Vec<PathBuf>,
    room: Room,
}

/// A directory on the way to the open part.
#[derive(Debug)]
struct Level {
    name: Vec<u8>,
    /// Its file system: of one that is not there yet, that of the directory above it.
    home: u64,
    is_there: bool,
    /// What the snapshot holds in it.
    restored: HashSet<Vec<u8>>,
    /// Whether it was found that its entries can be changed.
    is_open_to_change: bool,
}

/// The file of the open part.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// None if it is to be made anew.
    present: Option<(PartFile, Node)>,
    size: u64,
}

impl DirectorySurvey {
    /// Prepares to look at the open directory `root`. The `protected` ones may not be replaced.
    pub(super) fn new(path: &Path, root: &File, protected: &[PathBuf]) -> Result<Self, RestoreError> {
        let root = root.try_clone().map_err(RestoreError::write("cannot open", path))?;
        Ok(Self {
            path: path.to_owned(),
            open: OpenDirectories::new(root),
            levels: Vec::new(),
            order: PartOrder::default(),
            file: None,
            protected: protected.to_vec(),
            room: Room::default(),
        })
    }

    fn shown(&self, name: &[u8]) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(OsStr::from_bytes(name)) }
    }

    /// Steps down into a directory.
    fn enter(&mut self, name: &[u8], found: Option<(File, Node)>) -> Result<(), RestoreError> {
        let above = self.levels.last().map_or(0, |level| level.home);
        let (home, is_there) = (found.as_ref().map_or(above, |(_, node)| node.home), found.is_some());
        if let Some((directory, node)) = found {
            let shown = self.shown(name);
            let met = self.room.meet(node.home, &directory, &shown);
            met.map_err(RestoreError::write("cannot open", &shown))?;
            if !name.is_empty() {
                self.open.push(split(name).1.to_vec(), directory);
            }
        }
        let (restored, is_open_to_change) = (HashSet::new(), false);
        self.levels.push(Level { name: name.to_vec(), home, is_there, restored, is_open_to_change });
        Ok(())
    }

    /// Steps up, once it is known what else lies in the directory.
    fn leave(&mut self) -> Result<(), RestoreError> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        if level.is_there {
            let shown = self.shown(&level.name);
            let directory = self.open.current().map_err(RestoreError::write("cannot open", &shown))?;
            let names = names(directory).map_err(RestoreError::write("cannot read", &shown))?;
            for stray in names.iter().filter(|name| !level.restored.contains(*name)) {
                let stray = shown.join(OsStr::from_bytes(stray));
                if !self.protected.iter().any(|path| path.starts_with(&stray)) {
                    self.expect_changeable()?;
                    break;
                }
            }
            self.open.pop();
        }
        self.levels.pop();
        Ok(())
    }

    /// Entries of the last level will be made or removed.
    fn expect_changeable(&mut self) -> Result<(), RestoreError> {
        let Some(level) = self.levels.last_mut().filter(|level| level.is_there && !level.is_open_to_change)
        else {
            return Ok(());
        };
        level.is_open_to_change = true;
        let is_root = level.name.is_empty();
        let name = level.name.clone();
        let directory = self.open.current().map_err(RestoreError::write("cannot open", &self.path))?;
        match accessat(directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty()) {
            // Its owner is let in.
            Err(Errno::ACCESS) if !is_root && Node::of(directory).is_ok_and(|node| is_own(&node)) => Ok(()),
            changeable => changeable.map_err(|error| {
                RestoreError::write("cannot change what is in", &self.shown(&name))(error.into())
            }),
        }
    }

    /// What lies there under the part's name.
    fn present(&mut self, part: &Part, leaf: &[u8]) -> Result<Option<Node>, RestoreError> {
        if !self.levels.last().is_some_and(|level| level.is_there) {
            return Ok(None);
        }
        let shown = self.shown(&part.name);
        let found = self.open.current().and_then(|directory| Node::at(directory, leaf));
        match found {
            Ok(node) => Ok(Some(node)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RestoreError::write("cannot look at", &shown)(error)),
        }
    }

    fn look_at_directory(
        &mut self,
        part: &Part,
        leaf: &[u8],
        node: Option<Node>,
    ) -> Result<(), RestoreError> {
        let shown = self.shown(&part.name);
        let Some(node) = node.filter(|node| node.kind == FileType::Directory) else {
            self.expect_changeable()?;
            return self.enter(&part.name, None);
        };
        if self.protected.contains(&shown) {
            return Err(must_stay(&shown));
        }
        expect_own(part, &node, &shown)?;
        match self.open.current().and_then(|above| open_directory(above, leaf)) {
            Ok(directory) => self.enter(&part.name, Some((directory, node))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_own(&node) => {
                self.enter(&part.name, None)
            }
            Err(error) => Err(RestoreError::write("cannot open", &shown)(error)),
        }
    }

    fn look_at_file(&mut self, part: &Part, leaf: &[u8], node: Option<Node>) -> Result<(), RestoreError> {
        let shown = self.shown(&part.name);
        let size = final_size(part);
        self.file = Some(OpenFile { path: shown.clone(), present: None, size });
        let Some(node) = node.filter(can_be_rewritten) else { return self.expect_changeable() };
        let above =
            self.open.current().map_err(RestoreError::write("cannot open the directory of", &shown))?;
        let Some(file) = open_to_rewrite(above, leaf, &node) else { return self.expect_changeable() };
        expect_own(part, &node, &shown)?;
        let mut file = PartFile::present(file, node.size);
        file.begin(part, 0);
        self.file = Some(OpenFile { path: shown, present: Some((file, node)), size });
        Ok(())
    }
}

impl Survey for DirectorySurvey {
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        let name = part.name.as_slice();
        self.order.check(part)?;
        if name.is_empty() {
            let root =
                self.open.root().try_clone().map_err(RestoreError::write("cannot open", &self.path))?;
            let node = Node::of(&root).map_err(RestoreError::write("cannot look at", &self.path))?;
            expect_own(part, &node, &self.path)?;
            return self.enter(name, Some((root, node)));
        }
        let (above, leaf) = split(name);
        while self.levels.last().is_some_and(|level| level.name != above) {
            if self.levels.len() == 1 {
                return Err(unsafe_name(name));
            }
            self.leave()?;
        }
        let Some(level) = self.levels.last_mut() else { return Err(no_directory(&self.path)) };
        level.restored.insert(leaf.to_vec());
        let shown = self.shown(name);
        if part.kind != PartKind::Directory && self.protected.iter().any(|path| path.starts_with(&shown)) {
            return Err(must_stay(&shown));
        }
        let node = self.present(part, leaf)?;
        if node.is_some_and(|node| node.is_fixed && node.kind == FileType::RegularFile) {
            let fixed = io::Error::from(Errno::PERM);
            return Err(RestoreError::write("cannot change", &shown)(fixed));
        }
        match part.kind {
            PartKind::Directory => self.look_at_directory(part, leaf, node),
            PartKind::File => self.look_at_file(part, leaf, node),
            PartKind::Data | PartKind::Schema | PartKind::Table | PartKind::Member => Err(of_file(part)),
            // What is there may be right; if it is not, it is made anew.
            _ if node.is_some() => Ok(()),
            _ => self.expect_changeable(),
        }
    }

    fn next(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        let there = match &mut self.file {
            Some(OpenFile { path, present: Some((file, _)), .. }) => {
                let there = file.existing(len).map_err(RestoreError::write("cannot read", path))?;
                file.keep(len);
                there
            }
            _ => None,
        };
        if let (None, Some(level)) = (&there, self.levels.last()) {
            self.room.grow(level.home, len as u64);
        }
        Ok(there)
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        if let (Some(OpenFile { present: Some((_, node)), size, .. }), Some(level)) =
            (self.file.take(), self.levels.last())
        {
            self.room.shrink(level.home, node.size.saturating_sub(size).min(node.allocated));
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Option<Shortage>, RestoreError> {
        while !self.levels.is_empty() {
            self.leave()?;
        }
        Ok(self.room.shortage())
    }
}

/// Whether it is ours, as everything is to root.
fn is_own(node: &Node) -> bool {
    geteuid().is_root() || node.uid == geteuid().as_raw()
}

/// Only an owner may set modes and times.
fn expect_own(part: &Part, node: &Node, shown: &Path) -> Result<(), RestoreError> {
    let none = FileAttributes::default();
    let wanted = part.file.as_deref().unwrap_or(&none);
    let differs = (wanted.mode & 0o7777, wanted.mtime) != (node.mode, node.mtime);
    match part.file.is_some() && differs && !is_own(node) {
        true => Err(RestoreError::write("cannot set the mode and times of", shown)(Errno::PERM.into())),
        false => Ok(()),
    }
}
