//! Whole clusters: the files alone, and a server of the same version that starts on them.

use icecore_engine::RestoreError;
use icecore_engine::postgres::{self, scratch};
use icecore_store::Monitor as _;

use super::database::{found, or_death};
use super::failure::Failure;
use super::{Found, Job};
use crate::restore::{Destination, RestoreOptions, restore};

/// What the server writes besides.
const SERVER_BYTES: u64 = 64 << 20;

impl Job<'_> {
    pub(super) fn restore_cluster(&self) -> Result<Found, Failure> {
        let info = self.snapshot.info();
        let Some(major) = self.major() else {
            return Err(Failure::Impossible {
                why: "nothing says of which version the cluster is".to_owned(),
                hint: None,
            });
        };
        let installed = scratch::Installed::find_exactly(major).map_err(Failure::before)?;
        self.need_room(info.logical_bytes.saturating_add(SERVER_BYTES))?;
        let folder = scratch::folder().map_err(Failure::before)?;
        let data = scratch::data_folder(&folder).map_err(Failure::before)?;
        let options = RestoreOptions {
            to: Destination::Path(data),
            part: None,
            in_place: false,
            // Of an empty folder, which says whose the files are to be.
            replace: true,
            allow_damaged: false,
            allow_incomplete: true,
            trusted: true,
            store_dir: self.options.store_dir.clone(),
        };
        restore(self.store, self.snapshot, &options, self.watch).map_err(Failure::during)?;
        self.watch.stage("starting the server", 0, 1);
        let origin = info.origin.as_deref().and_then(postgres::Spelled::parse).and_then(Result::ok);
        let user = origin.and_then(|origin| origin.user);
        let users: Vec<&str> = user.as_deref().into_iter().collect();
        let is_cancelled = || self.is_cancelled();
        let server = scratch::Server::recover(&installed, folder, &users, &is_cancelled);
        let mut server = server.map_err(|error| match error {
            // It runs, only that nobody knows whom it lets in.
            RestoreError::Unreachable(_) => Failure::before(error),
            error => Failure::during(error),
        })?;
        let looked = server.examine_all(&is_cancelled).map_err(Failure::during);
        let (version, mut examined) = looked.map_err(|failure| or_death(failure, server.death()))?;
        examined.unproved.push("the settings of its own server were not used".to_owned());
        Ok(found("PostgreSQL", &version, examined))
    }
}
