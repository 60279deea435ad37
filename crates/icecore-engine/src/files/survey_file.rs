//! Looking at a file or a device that is to be rewritten in place.

use std::path::PathBuf;

use icecore_format::Part;

use crate::files::file_parts::FileParts;
use crate::files::node::Node;
use crate::files::part_file::PartFile;
use crate::files::placement::Place;
use crate::files::room::Room;
use crate::{RestoreError, Shortage, Survey};

/// What lies in a file.
#[derive(Debug)]
pub(super) struct FileSurvey {
    /// For messages.
    path: PathBuf,
    file: PartFile,
    parts: FileParts,
    room: Room,
    home: u64,
}

impl FileSurvey {
    /// Prepares to look at the open `file`.
    pub(super) fn new(place: &Place, file: PartFile, device_size: Option<u64>) -> Result<Self, RestoreError> {
        let path = place.path.clone();
        let node = Node::of(&file.file).map_err(RestoreError::write("cannot look at", &path))?;
        let mut room = Room::default();
        room.meet(node.home, &place.directory, &place.parent)
            .map_err(RestoreError::write("cannot open", &place.parent))?;
        Ok(Self { path, file, parts: FileParts::new(device_size), room, home: node.home })
    }
}

impl Survey for FileSurvey {
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        let base = self.parts.begin(part, &self.path)?;
        self.file.begin(part, base);
        Ok(())
    }

    fn next(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        let there = self.file.existing(len).map_err(RestoreError::write("cannot read", &self.path))?;
        self.file.keep(len);
        if there.is_none() {
            self.room.grow(self.home, len as u64);
        }
        Ok(there)
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        self.parts.end();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<Shortage>, RestoreError> {
        Ok(self.room.shortage())
    }
}
