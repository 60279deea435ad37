//! How a restored file or directory gets into its place.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType};
use rustix::time::{ClockId, clock_gettime};

use crate::RestoreError;
use crate::files::node::Node;

/// What may happen to what lies at the target now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Nothing lies there.
    CreateNew,
    /// It is replaced in one step, by what was built beside it.
    Replace,
    /// It is rewritten where it differs. A restore that fails half-way leaves a mixture.
    InPlace,
}

/// A target's place: a directory, and a name in it.
#[derive(Debug)]
pub(super) struct Place {
    /// For messages, and to find the old content.
    pub(super) path: PathBuf,
    /// The directory, as a path and held open.
    pub(super) parent: PathBuf,
    pub(super) directory: File,
    pub(super) name: OsString,
    /// What lies there now.
    pub(super) present: Option<Node>,
    /// When it was looked at.
    pub(super) found: Moment,
}

/// A moment by the clock that change times are taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment((i64, u32));

impl Moment {
    fn now() -> Self {
        // The exact one is ahead of it by some milliseconds.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Self((now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    /// Whether an entry has been left alone since.
    pub(super) fn is_after_changes_of(self, node: &Node) -> bool {
        node.ctime < self.0
    }
}

impl Place {
    /// Finds the place that `path` names, following the links that the user named, and refuses one that is taken.
    pub(super) fn find(path: &Path, placement: Placement) -> Result<Self, RestoreError> {
        let found = Moment::now();
        let write = |error| RestoreError::write("cannot restore to", path)(error);
        let named = Node::at(CWD, path).map(Some).or_else(absent).map_err(write)?;
        if placement == Placement::CreateNew && named.is_some() {
            return Err(write(io::ErrorKind::AlreadyExists.into()));
        }
        let path = match named {
            Some(_) => path.canonicalize().map_err(write)?,
            None => std::path::absolute(path).map_err(write)?,
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(RestoreError::Refused(format!("{} cannot be replaced", path.display())));
        };
        let parent = parent.canonicalize().map_err(write)?;
        let directory = File::open(&parent).map_err(write)?;
        let present = Node::at(&directory, name).map(Some).or_else(absent).map_err(write)?;
        let (path, name) = (parent.join(name), name.to_owned());
        Ok(Self { path, parent, directory, name, present, found })
    }

    /// Refuses what is there if it is not of this kind.
    pub(super) fn expect(&self, kind: FileType, called: &str) -> Result<(), RestoreError> {
        match self.present {
            Some(node) if node.kind != kind => {
                Err(RestoreError::Refused(format!("{} is not a {called}", self.path.display())))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the name in the directory durable.
    pub(super) fn sync(&self) -> Result<(), RestoreError> {
        self.directory.sync_all().map_err(RestoreError::write("cannot sync", &self.parent))
    }
}

fn absent(error: io::Error) -> io::Result<Option<Node>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
}
