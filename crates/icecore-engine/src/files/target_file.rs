//! Restoring into one file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use icecore_format::{Part, PartKind};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fchmod, fchown, openat};
use tempfile::NamedTempFile;

use crate::files::apply::apply;
use crate::files::beside::file_beside;
use crate::files::file_parts::FileParts;
use crate::files::node::Node;
use crate::files::part_file::PartFile;
use crate::files::placement::{Place, Placement};
use crate::files::survey_file::FileSurvey;
use crate::files::target_directory::final_size;
use crate::files::warnings::Warnings;
use crate::files::write_back::WriteBack;
use crate::{RestoreError, Survey, Target};

/// A file that is being restored: the bytes of all parts, one after the other. One that was captured as a file gets its
/// attributes and holes back; any other is readable by its owner alone, or by whom the file it replaces was.
#[derive(Debug)]
pub struct FileTarget {
    place: Place,
    /// None if the target itself is rewritten.
    beside: Option<NamedTempFile>,
    file: PartFile,
    parts: FileParts,
    warnings: Warnings,
    write_back: WriteBack,
}

impl FileTarget {
    /// Prepares to restore to `path`. Symbolic links that lead there are followed. In place, a block device may lie there.
    pub fn new(path: &Path, placement: Placement) -> Result<Self, RestoreError> {
        let place = Place::find(path, placement)?;
        let in_place = placement == Placement::InPlace && place.present.is_some();
        let is_device = place.present.is_some_and(|node| node.kind == FileType::BlockDevice);
        if !(in_place && is_device) {
            place.expect(FileType::RegularFile, "regular file")?;
        }
        let mut device_size = None;
        let (beside, file) = if in_place {
            let (file, size) = open_present(&place)?;
            device_size = is_device.then_some(size);
            (None, PartFile::present(file, size))
        } else {
            let beside = file_beside(&place.parent, &place.name);
            let beside = beside.map_err(RestoreError::write("cannot create a file in", &place.parent))?;
            let file = beside.as_file().try_clone();
            let file = file.map_err(RestoreError::write("cannot write", beside.path()))?;
            (Some(beside), PartFile::new(file))
        };
        Ok(Self {
            place,
            beside,
            file,
            parts: FileParts::new(device_size),
            warnings: Warnings::default(),
            write_back: WriteBack::default(),
        })
    }

    /// What could not be restored as it should be; complete when `finish` has returned.
    pub fn warnings(&self) -> Warnings {
        self.warnings.clone()
    }

    fn path(&self) -> &Path {
        &self.place.path
    }

    /// Attributes for a file that nobody captured as one: those of what it replaces.
    fn take_over(&self, file: &File) -> io::Result<()> {
        if let (Some(old), true) = (self.place.present, self.beside.is_some()) {
            let owner = fchown(file, Some(Uid::from_raw(old.uid)), Some(Gid::from_raw(old.gid)));
            // To give it away takes a privilege; what was open to others only through their ownership stays closed.
            let mode = if owner.is_ok() { old.mode } else { old.mode & 0o700 };
            fchmod(file, Mode::from_raw_mode(mode & 0o777))?;
        }
        Ok(())
    }

    fn put_in_place(self) -> Result<(), RestoreError> {
        let Some(beside) = self.beside else { return Ok(()) };
        let path = &self.place.path;
        let persisted = match self.place.present {
            Some(_) => beside.persist(path),
            None => beside.persist_noclobber(path),
        };
        persisted
            .map_err(|error| RestoreError::write("cannot put the restored file at", path)(error.error))?;
        self.place.sync()
    }
}

impl Target for FileTarget {
    fn survey(&mut self) -> Result<Option<Box<dyn Survey>>, RestoreError> {
        if self.beside.is_some() {
            return Ok(None);
        }
        let file = self.file.try_clone().map_err(RestoreError::write("cannot read", self.path()))?;
        let survey = FileSurvey::new(&self.place, file, self.parts.device_size)?;
        Ok(Some(Box::new(survey)))
    }

    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        let base = self.parts.begin(part, &self.place.path)?;
        // Before it changes by our own hand; of a device no time tells that it did.
        if base == 0 && self.beside.is_none() && self.parts.device_size.is_none() {
            let node =
                Node::of(&self.file.file).map_err(RestoreError::write("cannot look at", self.path()))?;
            self.file.is_as_surveyed = self.place.found.is_after_changes_of(&node);
        }
        self.file.begin(part, base);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        self.file.write(bytes).map_err(RestoreError::write("cannot write", self.path()))?;
        self.write_back.wrote(&self.file.file, bytes.len() as u64);
        Ok(())
    }

    fn existing(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        if self.beside.is_some() {
            return Ok(None);
        }
        self.file.existing(len).map_err(RestoreError::write("cannot read", self.path()))
    }

    fn is_as_surveyed(&self) -> bool {
        self.file.is_as_surveyed
    }

    fn keep(&mut self, len: usize) -> Result<(), RestoreError> {
        self.file.keep(len);
        Ok(())
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        let Some(part) = self.parts.end() else { return Ok(()) };
        if !self.file.is_done() {
            return Err(RestoreError::Damaged(format!("{} is incomplete", self.path().display())));
        }
        if part.kind == PartKind::File {
            let size = self.parts.device_size.unwrap_or(final_size(&part));
            self.file.shape(size).map_err(RestoreError::write("cannot write", self.path()))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), RestoreError> {
        let path = self.place.path.clone();
        if self.parts.is_open() {
            return Err(RestoreError::Damaged(format!("{} is incomplete", path.display())));
        }
        let write = || RestoreError::write("cannot write", &path);
        if self.parts.device_size.is_none() {
            if self.file.file.metadata().map_err(write())?.len() != self.parts.position {
                self.file.file.set_len(self.parts.position).map_err(write())?;
            }
            match &self.parts.whole {
                Some(Some(attributes)) => apply(&self.file.file, attributes, &path, &self.warnings)?,
                Some(None) | None => self.take_over(&self.file.file).map_err(write())?,
            }
        }
        self.write_back.finish().map_err(write())?;
        // Sync before rename: after a crash the name must not point at a file with holes.
        self.file.file.sync_all().map_err(write())?;
        self.put_in_place()
    }
}

fn open_present(place: &Place) -> Result<(File, u64), RestoreError> {
    let path: &PathBuf = &place.path;
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty()).map(File::from).map_err(io::Error::from);
    let mut file = opened.map_err(RestoreError::write("cannot open", path))?;
    let now = Node::of(&file).map_err(RestoreError::write("cannot open", path))?;
    if place.present.map(|node| node.identity()) != Some(now.identity()) {
        return Err(RestoreError::Refused(format!("{} is being replaced by somebody else", path.display())));
    }
    // A device tells its size only this way.
    let size = file.seek(SeekFrom::End(0)).map_err(RestoreError::write("cannot read", path))?;
    Ok((file, size))
}
