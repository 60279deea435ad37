//! SQLite databases, as files for the moment.

use icecore_engine::scratch::Folder;
use icecore_engine::sqlite::{examine, version};

use super::failure::Failure;
use super::{Found, Job};
use crate::restore::{Destination, RestoreOptions, restore};

impl Job<'_> {
    pub(super) fn restore_sqlite(&self) -> Result<Found, Failure> {
        self.need_room(self.snapshot.info().logical_bytes)?;
        let folder = Folder::make(&[]).map_err(Failure::before)?;
        let path = folder.path().join("restored");
        let options = RestoreOptions {
            to: Destination::Path(path.clone()),
            part: None,
            in_place: false,
            replace: false,
            allow_damaged: false,
            allow_incomplete: true,
            trusted: false,
            store_dir: self.options.store_dir.clone(),
        };
        restore(self.store, self.snapshot, &options, self.watch).map_err(Failure::during)?;
        let examined = examine(&path, &|| self.is_cancelled()).map_err(Failure::during)?;
        Ok(Found {
            engine: Some(format!("SQLite {}", version())),
            examined,
            has_tables: true,
            has_rows: true,
        })
    }
}
