//! The remotes of a night, and what goes there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{Monitor, Snapshot, Store, Transfer, TransferOptions};

use super::night::Night;
use super::step::Outcome;
use crate::{Result, is_safety, open_as};

/// Those that were opened: each once in a night.
pub(super) struct OpenRemotes<'a> {
    night: &'a Night<'a>,
    open: BTreeMap<&'a str, Arc<Store>>,
}

impl<'a> OpenRemotes<'a> {
    /// None yet.
    pub(super) fn of(night: &'a Night<'a>) -> Self {
        Self { night, open: BTreeMap::new() }
    }

    /// One that must be there.
    pub(super) fn get(&mut self, remote: &'a str) -> Result<Arc<Store>> {
        let night = self.night;
        self.known_or(remote, || open_as(night.store, &night.place_of(remote)?, night.around))
    }

    /// Sends what a remote lacks of a service: all since the oldest that it has, so that a night without it is made up for.
    pub(super) fn push(&mut self, service: &str, remote: &'a str, monitor: &dyn Monitor) -> Result<Outcome> {
        let night = self.night;
        let there = self.known_or(remote, || night.open_remote(remote))?;
        let of_service = |snapshot: &Snapshot| snapshot.info().source == service && !is_safety(snapshot);
        let present: BTreeSet<SnapshotId> = there.snapshots()?.0.iter().map(|snapshot| snapshot.id).collect();
        let (own, _) = night.store.snapshots()?;
        let own: Vec<&Snapshot> = own.iter().filter(|snapshot| of_service(snapshot)).collect();
        // What is there already may have been named since; and what is lacking between two that are there failed some other night.
        let oldest = own.iter().rposition(|snapshot| present.contains(&snapshot.id));
        let wanted = own.iter().take(oldest.map_or(own.len(), |oldest| oldest + 1));
        let ids: Vec<SnapshotId> = wanted.map(|snapshot| snapshot.id).collect();
        let options = TransferOptions { host: night.host.to_owned() };
        let transfer = Transfer::push(Arc::clone(night.store), there, options)?;
        let plan = transfer.plan(&ids, monitor)?;
        Ok(Outcome::Pushed(transfer.carry_out(plan, monitor)?))
    }

    fn known_or(&mut self, remote: &'a str, open: impl FnOnce() -> Result<Arc<Store>>) -> Result<Arc<Store>> {
        if let Some(there) = self.open.get(remote) {
            return Ok(Arc::clone(there));
        }
        let there = open()?;
        self.open.insert(remote, Arc::clone(&there));
        Ok(there)
    }
}
