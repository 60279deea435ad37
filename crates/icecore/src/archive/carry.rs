//! Snapshots from store to store by a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{Monitor, Sent, Store, StoreError, Transfer, TransferOptions, Unlock};

use super::output::Output;
use super::store_file::{STORE, StoreFile};
use crate::restore::refuse_inside;
use crate::{Error, Result};

/// A store that lies in a file, open. Its index is gone with it.
#[derive(Debug)]
pub struct CarriedStore {
    /// The store.
    pub store: Arc<Store>,
    file: Arc<StoreFile>,
    _index: tempfile::TempDir,
}

/// What came of an import from a file.
#[derive(Debug)]
pub struct Brought {
    /// What has come.
    pub sent: Sent,
    /// How many snapshots were there before.
    pub present: usize,
    /// Packs in the file that are damaged, but for those that were needed whole: they are why a snapshot has not come, if they are.
    pub damaged: Vec<String>,
}

/// What was written to a file.
#[derive(Debug)]
pub struct Carried {
    /// The file.
    pub target: PathBuf,
    /// What went into it.
    pub sent: Sent,
    /// Its length.
    pub written_bytes: u64,
}

/// Whether a file is a store, by how it begins.
pub fn is_store_file(head: &[u8]) -> bool {
    head.strip_prefix(STORE.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// Opens the store in a file; `ask` gives the password, if one is needed.
pub fn open_store_file(path: &Path, unlock: Unlock<'_>) -> Result<CarriedStore> {
    let file = Arc::new(StoreFile::open(path)?);
    let index = tempfile::tempdir().map_err(Error::scratch)?;
    let place = path.display().to_string();
    let store = Store::open(Arc::clone(&file) as _, &place, index.path().join("index.redb"), unlock)?;
    Ok(CarriedStore { store: Arc::new(store), file, _index: index })
}

/// Writes a store with these snapshots to a file: the same store, with the same keys, so that what is encrypted stays so. All of them, or no file.
pub fn export_store(
    store: &Arc<Store>,
    ids: &[SnapshotId],
    (path, replace): (&Path, bool),
    (host, store_dir): (String, &Path),
    monitor: &dyn Monitor,
) -> Result<Carried> {
    let target = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    refuse_inside(&target, store_dir)?;
    let output = Output::file(path, replace)?;
    let storage = Arc::new(StoreFile::create(output.unbuffered()?, path)?);
    let index = tempfile::tempdir().map_err(Error::scratch)?;
    let place = path.display().to_string();
    let made = store.clone_to(Arc::clone(&storage) as _, &place, index.path().join("index.redb"))?;
    let transfer = Transfer::push(Arc::clone(store), Arc::new(made), TransferOptions { host })?;
    let plan = transfer.plan(ids, monitor)?;
    let mut sent = transfer.carry_out(plan, monitor)?;
    if let Some(failed) = sent.failed.pop() {
        let id = failed.id.to_string().get(..8).unwrap_or_default().to_owned();
        return Err(match failed.error.is_damage() {
            true => Error::Damaged { id, part: None, source: failed.error },
            false => failed.error.into(),
        });
    }
    if monitor.is_cancelled() {
        return Err(StoreError::Cancelled.into());
    }
    drop(transfer);
    let written_bytes = storage.finish()?;
    output.finish()?;
    Ok(Carried { target, sent, written_bytes })
}

/// Brings all snapshots of a store in a file into the same store here, and checks them before they count. What is not needed is read as well: whoever
/// imports a file wants to know that it is whole.
pub fn import_store(
    store: &Arc<Store>,
    carried: &CarriedStore,
    host: String,
    monitor: &dyn Monitor,
) -> Result<Brought> {
    let (snapshots, damaged) = carried.store.snapshots()?;
    if let Some(error) = damaged.into_iter().next() {
        return Err(error.into());
    }
    let ids: Vec<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();
    let pull = Transfer::pull(Arc::clone(store), Arc::clone(&carried.store), TransferOptions { host })?;
    let plan = pull.plan(&ids, monitor)?;
    let present = plan.present.len();
    let sent = pull.carry_out(plan, monitor)?;
    Ok(Brought { sent, present, damaged: carried.file.damaged_unread(monitor)? })
}
