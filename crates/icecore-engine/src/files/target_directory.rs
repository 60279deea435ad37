//! Restoring into a directory.
//!
//! Parts come in the order in which a capture walks, so the directories from the root to the open part are all that must be
//! remembered: a directory gets its attributes when the parts leave it. Every entry is made relative to its open directory,
//! by its last component alone; a part whose directory was not restored right before has an unsafe name. So nothing that a
//! snapshot holds, and nothing that lies at the target, can lead a write outside of it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use icecore_format::{FileAttributes, Part};
use rustix::fs::{CWD, FileType, syncfs};

use crate::files::apply::apply;
use crate::files::beneath::{OpenDirectories, components, names, open_directory, open_path};
use crate::files::node::Node;
use crate::files::part_file::PartFile;
use crate::files::part_order::PartOrder;
use crate::files::placement::{Moment, Place, Placement};
use crate::files::remove::{Protected, remove_tree};
use crate::files::staging::Staging;
use crate::files::survey_directory::DirectorySurvey;
use crate::files::warnings::Warnings;
use crate::files::write_back::WriteBack;
use crate::{RestoreError, Survey, Target};

/// A directory that is being restored.
#[derive(Debug)]
pub struct DirectoryTarget {
    /// For messages.
    pub(super) path: PathBuf,
    /// None if the target itself is rewritten.
    staging: Option<Staging>,
    pub(super) open: OpenDirectories,
    /// The root, and the directories down to the last part.
    pub(super) levels: Vec<Level>,
    order: PartOrder,
    /// When the restore began.
    pub(super) begun: Moment,
    file: Option<(PartFile, Part)>,
    pub(super) later: Vec<Later>,
    pub(super) protected: Protected,
    /// Where these directories are.
    protected_paths: Vec<PathBuf>,
    pub(super) warnings: Warnings,
    write_back: WriteBack,
}

/// A directory into which parts are being restored.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) name: Vec<u8>,
    attributes: Option<Box<FileAttributes>>,
    /// In place, what the snapshot holds in it.
    pub(super) restored: HashSet<Vec<u8>>,
    /// Whether something beneath waits for the end.
    waits: bool,
}

impl Level {
    pub(super) fn new(part: &Part) -> Self {
        Self {
            name: part.name.clone(),
            attributes: part.file.clone(),
            restored: HashSet::new(),
            waits: false,
        }
    }
}

/// What is done at the end in one directory.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) name: Vec<u8>,
    attributes: Option<Box<FileAttributes>>,
    /// What lies there and not in the snapshot.
    pub(super) removals: Vec<Vec<u8>>,
}

impl DirectoryTarget {
    /// Prepares to restore to `path`. Symbolic links that lead there are followed, none is afterwards.
    pub fn new(path: &Path, placement: Placement) -> Result<Self, RestoreError> {
        let place = Place::find(path, placement)?;
        place.expect(FileType::Directory, "directory")?;
        let (path, begun) = (place.path.clone(), place.found);
        let (staging, root) = if placement == Placement::InPlace && place.present.is_some() {
            let root = open_directory(CWD, &path).map_err(RestoreError::write("cannot open", &path))?;
            (None, root)
        } else {
            let (staging, root) = Staging::create(place)?;
            (Some(staging), root)
        };
        Ok(Self {
            path,
            staging,
            open: OpenDirectories::new(root),
            levels: Vec::new(),
            order: PartOrder::default(),
            begun,
            file: None,
            later: Vec::new(),
            protected: Protected::new(),
            protected_paths: Vec::new(),
            warnings: Warnings::default(),
            write_back: WriteBack::default(),
        })
    }

    /// Never removes or enters these directories, such as a store that lies in the target: what lies in place stays, and
    /// a directory that holds one is not replaced.
    pub fn protect(mut self, directories: &[PathBuf]) -> Result<Self, RestoreError> {
        for directory in directories {
            let Ok(node) = Node::at(CWD, directory) else { continue };
            self.protected.insert(node.identity());
            let replaces = self.staging.as_ref().is_some_and(Staging::replaces);
            let real = directory.canonicalize().unwrap_or_else(|_| directory.clone());
            let within = real.starts_with(&self.path);
            if (replaces && within) || real == self.path {
                let (path, directory) = (self.path.display(), directory.display());
                return Err(RestoreError::Refused(format!(
                    "{path} holds {directory} and cannot be replaced; restore elsewhere, or in place, which keeps only that and what the \
                     snapshot has"
                )));
            }
            self.protected_paths.push(real);
        }
        Ok(self)
    }

    /// What could not be restored as it should be; complete when `finish` has returned.
    pub fn warnings(&self) -> Warnings {
        self.warnings.clone()
    }

    pub(super) fn is_in_place(&self) -> bool {
        self.staging.is_none()
    }

    /// The path by which the user knows a part.
    pub(super) fn shown(&self, name: &[u8]) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(OsStr::from_bytes(name)) }
    }

    /// Goes up to the directory `above`, and finishes those that are left.
    fn ascend(&mut self, above: &[u8], name: &[u8]) -> Result<(), RestoreError> {
        while self.levels.last().is_some_and(|level| level.name != above) {
            if self.levels.len() == 1 {
                return Err(unsafe_name(name));
            }
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), RestoreError> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        let shown = self.shown(&level.name);
        let directory = self.open.current().map_err(RestoreError::write("cannot open", &shown))?;
        let mut removals = Vec::new();
        if self.staging.is_none() {
            removals = names(directory).map_err(RestoreError::write("cannot read", &shown))?;
            removals.retain(|name| !level.restored.contains(name));
        }
        if level.waits || !removals.is_empty() {
            // The directories above must stay open to us until then.
            if let Some(above) = self.levels.last_mut() {
                above.waits = true;
            }
            self.later.push(Later { name: level.name, attributes: level.attributes, removals });
        } else if let Some(attributes) = level.attributes {
            apply(directory, &attributes, &shown, &self.warnings)?;
        }
        self.open.pop();
        Ok(())
    }

    fn clean_up(&self, later: &Later) -> Result<(), RestoreError> {
        let shown = self.shown(&later.name);
        let directory = open_path(self.open.root(), components(&later.name))
            .map_err(RestoreError::write("cannot open", &shown))?;
        for name in &later.removals {
            let removed = shown.join(OsStr::from_bytes(name));
            remove_tree(&directory, name, &self.protected)
                .map_err(RestoreError::write("cannot remove", &removed))?;
        }
        match &later.attributes {
            Some(attributes) => apply(&directory, attributes, &shown, &self.warnings),
            None => Ok(()),
        }
    }
}

impl Target for DirectoryTarget {
    fn survey(&mut self) -> Result<Option<Box<dyn Survey>>, RestoreError> {
        if !self.is_in_place() {
            return Ok(None);
        }
        let survey = DirectorySurvey::new(&self.path, self.open.root(), &self.protected_paths)?;
        Ok(Some(Box::new(survey)))
    }

    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        let name = part.name.as_slice();
        self.order.check(part)?;
        if name.is_empty() {
            self.levels.push(Level::new(part));
            return Ok(());
        }
        if self.levels.is_empty() {
            // Whoever rewrites a directory must know that it gets a whole one.
            if self.is_in_place() {
                return Err(no_directory(&self.path));
            }
            self.levels.push(Level {
                name: Vec::new(),
                attributes: None,
                restored: HashSet::new(),
                waits: false,
            });
        }
        let (above, leaf) = split(name);
        self.ascend(above, name)?;
        if self.is_in_place()
            && let Some(level) = self.levels.last_mut()
        {
            level.restored.insert(leaf.to_vec());
        }
        self.file = self.make_entry(part, leaf)?.map(|mut file| {
            file.begin(part, 0);
            (file, part.clone())
        });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some((file, part)) = &mut self.file else { return Err(outside()) };
        if let Err(error) = file.write(bytes) {
            let name = part.name.clone();
            return Err(RestoreError::write("cannot write", &self.shown(&name))(error));
        }
        self.write_back.wrote(&file.file, bytes.len() as u64);
        Ok(())
    }

    fn existing(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        let Some((file, part)) = &self.file else { return Err(outside()) };
        if !self.is_in_place() {
            return Ok(None);
        }
        file.existing(len).map_err(|error| RestoreError::write("cannot read", &self.shown(&part.name))(error))
    }

    fn is_as_surveyed(&self) -> bool {
        self.file.as_ref().is_some_and(|(file, _)| file.is_as_surveyed)
    }

    fn keep(&mut self, len: usize) -> Result<(), RestoreError> {
        self.file.as_mut().ok_or_else(outside)?.0.keep(len);
        Ok(())
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        let Some((file, part)) = self.file.take() else { return Ok(()) };
        let shown = self.shown(&part.name);
        if !file.is_done() {
            return Err(RestoreError::Damaged(format!("{} is incomplete", shown.display())));
        }
        file.shape(final_size(&part)).map_err(RestoreError::write("cannot write", &shown))?;
        match &part.file {
            Some(attributes) => apply(&file.file, attributes, &shown, &self.warnings),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), RestoreError> {
        if self.file.is_some() || (self.is_in_place() && self.levels.is_empty()) {
            return Err(RestoreError::Damaged("the snapshot is incomplete".to_owned()));
        }
        while !self.levels.is_empty() {
            self.leave()?;
        }
        for later in std::mem::take(&mut self.later) {
            self.clean_up(&later)?;
        }
        self.write_back.finish().map_err(RestoreError::write("cannot sync", &self.path))?;
        sync(self.open.root()).map_err(RestoreError::write("cannot sync", &self.path))?;
        match self.staging {
            Some(staging) => staging.put_in_place(&self.warnings),
            None => Ok(()),
        }
    }
}

/// A directory is not made like something else.
pub(super) fn no_directory(path: &Path) -> RestoreError {
    RestoreError::Refused(format!(
        "the snapshot is not one of a directory; {} was not touched",
        path.display()
    ))
}

fn outside() -> RestoreError {
    RestoreError::Damaged("there are bytes outside of a file".to_owned())
}

/// Makes the whole file system durable: one call, however many files were written.
fn sync(root: &File) -> std::io::Result<()> {
    Ok(syncfs(root)?)
}

/// How long the file of a part is.
pub(super) fn final_size(part: &Part) -> u64 {
    match &part.file {
        Some(file) if !file.extents.is_empty() => file.size,
        Some(_) | None => part.len,
    }
}

/// Refuses a name that is absolute, leads upwards, or says nothing. The empty name is the root's.
pub fn check_name(name: &[u8]) -> Result<(), RestoreError> {
    let is_odd = |component: &[u8]| matches!(component, b"" | b"." | b"..");
    if name.contains(&0) || (!name.is_empty() && name.split(|byte| *byte == b'/').any(is_odd)) {
        return Err(unsafe_name(name));
    }
    Ok(())
}

pub(super) fn unsafe_name(name: &[u8]) -> RestoreError {
    RestoreError::UnsafeName { name: String::from_utf8_lossy(name).into_owned() }
}

/// The directory and the last component of a name.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|byte| *byte == b'/') {
        Some(index) => (name.get(..index).unwrap_or_default(), name.get(index + 1..).unwrap_or_default()),
        None => (b"", name),
    }
}
