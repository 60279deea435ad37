//! The parts that make one file, one after the other.

use std::path::Path;

use icecore_format::{FileAttributes, Part, PartKind};

use crate::RestoreError;
use crate::files::target_directory::final_size;

/// How far a file's parts have come.
#[derive(Debug)]
pub(super) struct FileParts {
    /// Of what is rewritten and is a device, which has the size it has.
    pub(super) device_size: Option<u64>,
    /// Where the next part begins.
    pub(super) position: u64,
    open: Option<Part>,
    /// A captured file is a whole; nothing can come before or after it.
    pub(super) whole: Option<Option<Box<FileAttributes>>>,
}

impl FileParts {
    pub(super) fn new(device_size: Option<u64>) -> Self {
        Self { device_size, position: 0, open: None, whole: None }
    }

    /// Opens a part of the file at `path`. Returns where it begins.
    pub(super) fn begin(&mut self, part: &Part, path: &Path) -> Result<u64, RestoreError> {
        self.check_kind(part)?;
        let end = self.position.saturating_add(final_size(part));
        if self.device_size.is_some_and(|size| end > size) {
            return Err(RestoreError::Refused(format!("{} is too small for the snapshot", path.display())));
        }
        self.open = Some(part.clone());
        Ok(self.position)
    }

    fn check_kind(&mut self, part: &Part) -> Result<(), RestoreError> {
        let alone = self.position == 0 && self.whole.is_none() && self.open.is_none();
        match part.kind {
            // A single file whose bytes were not looked into.
            PartKind::Data if alone && part.file.is_some() => {
                self.whole = Some(part.file.clone());
                Ok(())
            }
            PartKind::Data | PartKind::Schema | PartKind::Table | PartKind::Member
                if self.whole.is_none() =>
            {
                Ok(())
            }
            PartKind::File if alone => {
                self.whole = Some(part.file.clone());
                Ok(())
            }
            _ => Err(RestoreError::Refused(format!(
                "the snapshot holds more than one file, such as {}; restore it to a directory",
                part.display_name()
            ))),
        }
    }

    /// Ends the open part.
    pub(super) fn end(&mut self) -> Option<Part> {
        let part = self.open.take()?;
        self.position += final_size(&part);
        Some(part)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}
