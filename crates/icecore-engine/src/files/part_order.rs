//! The parts of a directory, as a walk comes to them.

use std::cmp::Ordering;

use icecore_format::{Part, PartKind};

use crate::RestoreError;
use crate::files::beneath::compare;
use crate::files::target_directory::{check_name, unsafe_name};

/// Remembers the last part.
#[derive(Debug, Default)]
pub(super) struct PartOrder {
    last: Option<Vec<u8>>,
}

impl PartOrder {
    /// Refuses what can be no part of a directory, or not the next one.
    pub(super) fn check(&mut self, part: &Part) -> Result<(), RestoreError> {
        let name = part.name.as_slice();
        check_name(name)?;
        if self.last.as_deref().is_some_and(|last| compare(last, name) != Ordering::Less) {
            return Err(RestoreError::Damaged(format!(
                "the snapshot's names are out of order at {}",
                part.display_name()
            )));
        }
        self.last = Some(name.to_vec());
        if part.kind != PartKind::File && part.len > 0 {
            return Err(of_file(part));
        }
        match name.is_empty() && part.kind != PartKind::Directory {
            true => Err(unsafe_name(name)),
            false => Ok(()),
        }
    }
}

/// What a file was taken apart into is no directory.
pub(super) fn of_file(part: &Part) -> RestoreError {
    RestoreError::Damaged(format!(
        "{} is not from a directory; restore the snapshot to a file",
        part.display_name()
    ))
}
