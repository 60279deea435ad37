//! Making one entry of a restored directory, or taking over what lies in its place.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::path::Path;

use icecore_format::{FileAttributes, Part, PartKind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::fs::{fchmod, linkat, mkdirat, mknodat, openat, readlinkat, symlinkat};
use rustix::io::Errno;

use crate::RestoreError;
use crate::files::apply::apply_at;
use crate::files::beneath::{compare, components, open_path, open_to_change};
use crate::files::node::Node;
use crate::files::part_file::PartFile;
use crate::files::part_order::of_file;
use crate::files::remove::remove_tree;
use crate::files::report::cause;
use crate::files::target_directory::{DirectoryTarget, Level, check_name, split, unsafe_name};

impl DirectoryTarget {
    /// Makes the entry `leaf` of the open directory. Returns a regular file, into which bytes go; the others are complete.
    pub(super) fn make_entry(&mut self, part: &Part, leaf: &[u8]) -> Result<Option<PartFile>, RestoreError> {
        let none = FileAttributes::default();
        let attributes = part.file.as_deref().unwrap_or(&none);
        match part.kind {
            PartKind::File => return self.make_file(part, leaf).map(Some),
            PartKind::Directory => self.make_directory(part, leaf)?,
            PartKind::Symlink => self.make_symlink(part, leaf, &attributes.target)?,
            PartKind::Hardlink => self.make_hard_link(part, leaf, &attributes.target)?,
            PartKind::Fifo => self.make_node(part, leaf, FileType::Fifo, 0)?,
            PartKind::CharDevice => {
                self.make_node(part, leaf, FileType::CharacterDevice, attributes.device)?;
            }
            PartKind::BlockDevice => self.make_node(part, leaf, FileType::BlockDevice, attributes.device)?,
            // Only the server that listens on it can make it; one that does keeps it.
            PartKind::Socket => {
                self.make_way(part, leaf, |node| node.kind == FileType::Socket)?;
            }
            PartKind::Data | PartKind::Schema | PartKind::Table | PartKind::Member => {
                return Err(of_file(part));
            }
        }
        Ok(None)
    }

    fn make_file(&mut self, part: &Part, leaf: &[u8]) -> Result<PartFile, RestoreError> {
        if let Some(node) = self.make_way(part, leaf, can_be_rewritten)? {
            match open_to_rewrite(self.directory(part)?, leaf, &node) {
                Some(file) => {
                    let mut file = PartFile::present(file, node.size);
                    file.is_as_surveyed = self.begun.is_after_changes_of(&node);
                    return Ok(file);
                }
                // It cannot be written to, but replaced.
                None => self.make_way(part, leaf, |_| false)?,
            };
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        let file = openat(self.directory(part)?, leaf, flags, Mode::from_raw_mode(0o600));
        Ok(PartFile::new(File::from(file.map_err(|error| self.error("cannot create", part, error))?)))
    }

    fn make_directory(&mut self, part: &Part, leaf: &[u8]) -> Result<(), RestoreError> {
        let present = self.make_way(part, leaf, |node| node.kind == FileType::Directory)?;
        if present.is_some_and(|node| self.protected.contains(&node.identity())) {
            return Err(self.must_stay(part));
        }
        if present.is_none() {
            let made = mkdirat(self.directory(part)?, leaf, Mode::from_raw_mode(0o700));
            made.map_err(|error| self.error("cannot create", part, error))?;
        }
        let directory = open_to_change(self.directory(part)?, leaf)
            .map_err(|error| self.io_error("cannot open", part, error))?;
        if let Some(node) = present.filter(|node| node.mode & 0o700 != 0o700) {
            let changed = fchmod(&directory, Mode::from_raw_mode(node.mode | 0o700));
            changed.map_err(|error| self.error("cannot open", part, error))?;
        }
        self.open.push(leaf.to_vec(), directory);
        self.levels.push(Level::new(part));
        Ok(())
    }

    fn make_symlink(&mut self, part: &Part, leaf: &[u8], target: &[u8]) -> Result<(), RestoreError> {
        let above = self.directory(part)?;
        let same = readlinkat(above, leaf, Vec::new()).is_ok_and(|found| found.as_bytes() == target);
        if self.make_way(part, leaf, |_| same)?.is_none() {
            let made = symlinkat(target, self.directory(part)?, leaf);
            made.map_err(|error| self.error("cannot create", part, error))?;
        }
        self.apply_special(part, leaf)
    }

    fn make_hard_link(&mut self, part: &Part, leaf: &[u8], target: &[u8]) -> Result<(), RestoreError> {
        check_name(target)?;
        if target.is_empty() || compare(target, &part.name) != Ordering::Less || !self.is_restored(target) {
            return Err(unsafe_name(target));
        }
        let (above, first) = split(target);
        let opened = open_path(self.open.root(), components(above));
        let source = opened.map_err(|error| self.io_error("cannot link", part, error))?;
        let node = Node::at(&source, first).map_err(|error| self.io_error("cannot link", part, error))?;
        if node.kind == FileType::Directory {
            return Err(unsafe_name(target));
        }
        if self.make_way(part, leaf, |present| present.identity() == node.identity())?.is_none() {
            let linked = linkat(&source, first, self.directory(part)?, leaf, AtFlags::empty());
            linked.map_err(|error| self.error("cannot link", part, error))?;
        }
        Ok(())
    }

    fn make_node(
        &mut self,
        part: &Part,
        leaf: &[u8],
        kind: FileType,
        device: u64,
    ) -> Result<(), RestoreError> {
        let same = |node: &Node| node.kind == kind && node.device == device;
        if self.make_way(part, leaf, same)?.is_none() {
            match mknodat(self.directory(part)?, leaf, kind, Mode::from_raw_mode(0o600), device) {
                Ok(()) => {}
                Err(Errno::PERM) if kind != FileType::Fifo => {
                    let cause = cause(&Errno::PERM.into());
                    let path = self.shown(&part.name);
                    self.warnings.push(format!("cannot restore the device {}: {cause}", path.display()));
                    return Ok(());
                }
                Err(error) => return Err(self.error("cannot create", part, error)),
            }
        }
        self.apply_special(part, leaf)
    }

    fn apply_special(&mut self, part: &Part, leaf: &[u8]) -> Result<(), RestoreError> {
        let Some(attributes) = &part.file else { return Ok(()) };
        let shown = self.shown(&part.name);
        let warnings = self.warnings.clone();
        apply_at(self.directory(part)?, leaf, attributes, &shown, &warnings)
    }

    /// Whether a name is one that this restore has made, not one that lies in place and will be removed.
    fn is_restored(&self, name: &[u8]) -> bool {
        if !self.is_in_place() {
            return true;
        }
        let (above, leaf) = split(name);
        if let Some(level) = self.levels.iter().find(|level| level.name == above) {
            return level.restored.contains(leaf);
        }
        // Its directory is complete, or lies in one that is.
        !self.later.iter().any(|later| {
            let mut rest = components(name);
            components(&later.name).all(|component| rest.next() == Some(component))
                && rest.next().is_some_and(|next| later.removals.iter().any(|removal| removal == next))
        })
    }

    /// Removes what lies in place under this name, unless it is usable.
    fn make_way(
        &mut self,
        part: &Part,
        leaf: &[u8],
        usable: impl Fn(&Node) -> bool,
    ) -> Result<Option<Node>, RestoreError> {
        if !self.is_in_place() {
            return Ok(None);
        }
        match Node::at(self.directory(part)?, leaf) {
            Ok(node) if usable(&node) => return Ok(Some(node)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io_error("cannot look at", part, error)),
        }
        let protected = std::mem::take(&mut self.protected);
        let removed = self.directory(part).map(|directory| remove_tree(directory, leaf, &protected));
        self.protected = protected;
        match removed? {
            Ok(true) => Ok(None),
            Ok(false) => Err(self.must_stay(part)),
            Err(error) => Err(self.io_error("cannot remove", part, error)),
        }
    }

    /// The open directory.
    fn directory(&mut self, part: &Part) -> Result<&File, RestoreError> {
        let shown = self.shown(&part.name);
        self.open.current().map_err(RestoreError::write("cannot open the directory of", &shown))
    }

    fn error(&self, action: &'static str, part: &Part, error: Errno) -> RestoreError {
        self.io_error(action, part, error.into())
    }

    fn io_error(&self, action: &'static str, part: &Part, error: io::Error) -> RestoreError {
        RestoreError::write(action, &self.shown(&part.name))(error)
    }

    fn must_stay(&self, part: &Part) -> RestoreError {
        must_stay(&self.shown(&part.name))
    }
}

/// A file with several names may have one outside: it must not be written through this one.
pub(super) fn can_be_rewritten(node: &Node) -> bool {
    node.kind == FileType::RegularFile && node.links == 1
}

/// A file that may be written to, if it is still the one that was looked at.
pub(super) fn open_to_rewrite(directory: &File, leaf: &[u8], node: &Node) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat(directory, leaf, flags, Mode::empty()).ok()?);
    Node::of(&file).is_ok_and(|now| now.identity() == node.identity()).then_some(file)
}

pub(super) fn must_stay(path: &Path) -> RestoreError {
    RestoreError::Refused(format!(
        "{} is protected, and the snapshot has something in its place",
        path.display()
    ))
}
