//! A directory that is built beside the target and put into its place in one step.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{RenameFlags, renameat, renameat_with};
use rustix::io::Errno;

use crate::RestoreError;
use crate::files::beside::directory_beside;
use crate::files::placement::Place;
use crate::files::remove::{Protected, remove_tree};
use crate::files::report::cause;
use crate::files::warnings::Warnings;

/// The directory beside the target, removed when dropped: with what was built in it, or with what was replaced by it.
#[derive(Debug)]
pub(super) struct Staging {
    place: Place,
    name: OsString,
    /// Says that this restore runs.
    _lock: File,
}

impl Staging {
    /// Creates the directory, readable by nobody else, and opens it.
    pub(super) fn create(place: Place) -> Result<(Self, File), RestoreError> {
        let made = directory_beside(&place.parent, &place.name);
        let (name, root) =
            made.map_err(RestoreError::write("cannot create a directory in", &place.parent))?;
        let lock =
            root.try_clone().map_err(RestoreError::write("cannot open a directory in", &place.parent))?;
        Ok((Self { place, name, _lock: lock }, root))
    }

    /// The target.
    pub(super) fn path(&self) -> &Path {
        &self.place.path
    }

    /// Whether something lies at the target.
    pub(super) fn replaces(&self) -> bool {
        self.place.present.is_some()
    }

    /// Puts the directory into its place and removes what was there. It must be on disk before, so that after a crash the
    /// name never points at a tree with holes.
    pub(super) fn put_in_place(self, warnings: &Warnings) -> Result<(), RestoreError> {
        let renamed = if self.replaces() { self.exchange() } else { self.rename_new() };
        renamed.map_err(RestoreError::write("cannot put the restored directory at", self.path()))?;
        self.place.sync()?;
        if let Err(error) = self.remove() {
            let old = self.place.parent.join(&self.name);
            warnings.push(format!(
                "cannot remove what was replaced, now {}: {}",
                old.display(),
                cause(&error)
            ));
        }
        Ok(())
    }

    fn rename_new(&self) -> io::Result<()> {
        let Place { directory, name, .. } = &self.place;
        match renameat_with(directory, &self.name, directory, name, RenameFlags::NOREPLACE) {
            // A file system that does not know the flag. A directory replaces nothing but an empty one.
            Err(Errno::INVAL | Errno::NOSYS) => Ok(renameat(directory, &self.name, directory, name)?),
            other => Ok(other?),
        }
    }

    fn exchange(&self) -> io::Result<()> {
        let Place { directory, name, .. } = &self.place;
        match renameat_with(directory, &self.name, directory, name, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => {}
            other => return Ok(other?),
        }
        // Without the exchange, there is an instant at which the target is not there.
        let mut aside = self.name.clone();
        aside.push("-old");
        renameat(directory, name, directory, &aside)?;
        if let Err(error) = renameat(directory, &self.name, directory, name) {
            renameat(directory, &aside, directory, name)?;
            return Err(error.into());
        }
        Ok(renameat(directory, &aside, directory, &self.name)?)
    }

    fn remove(&self) -> io::Result<()> {
        remove_tree(&self.place.directory, self.name.as_bytes(), &Protected::new()).map(drop)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}
