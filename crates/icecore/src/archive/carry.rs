//! Snapshots from store to store by a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{
    Monitor, Sent, Snapshot, Store, StoreError, Transfer, TransferOptions, TransferPlan, Unlock,
};

use super::output::Output;
use super::store_file::{LATER, STORE, StoreFile};
use crate::restore::refuse_inside;
use crate::{Error, Result};

/// A store that lies in a file, open, or what came later in one. Its index is gone with it.
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
    /// Packs in the file that are damaged, whatever of them was needed; an error if that was not found out.
    pub damaged: Result<Vec<String>>,
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
    /// The snapshots that must be where it is imported, newest first. None if it is a whole store.
    pub earlier: Vec<SnapshotId>,
}

/// Whether a file is a store, or what came later in one, by how it begins.
pub fn is_store_file(head: &[u8]) -> bool {
    let begins =
        |name: &&str| head.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0));
    [STORE, LATER].iter().any(begins)
}

/// Opens the store in a file, which goes into `to`, if that is there already. `unlock` gives the password, if one is needed.
///
/// # Errors
/// If there is no such store, and the file has only what came later.
pub fn open_store_file(path: &Path, unlock: Unlock<'_>, to: Option<&Arc<Store>>) -> Result<CarriedStore> {
    let file = Arc::new(StoreFile::open(path)?);
    if let (Some(id), None) = (file.earlier().first(), to) {
        return Err(Error::NotWhole { name: path.display().to_string(), id: id.brief() });
    }
    let index = tempfile::tempdir().map_err(Error::scratch)?;
    let place = path.display().to_string();
    let store = Store::open(Arc::clone(&file) as _, &place, index.path().join("index.redb"), unlock)?;
    let store = match to.filter(|_| !file.earlier().is_empty()) {
        Some(to) => store.beside(Arc::clone(to)),
        None => store,
    };
    Ok(CarriedStore { store: Arc::new(store), file, _index: index })
}

/// Writes a store with these snapshots to a file: the same store, with the same keys, so that what is encrypted stays so. All of them, or no file. What
/// `earlier` snapshots need, newest first, is left out, for it is there where the file goes.
pub fn export_store(
    store: &Arc<Store>,
    ids: &[SnapshotId],
    earlier: &[Snapshot],
    (path, replace): (&Path, bool),
    (host, store_dir): (String, &Path),
    monitor: &dyn Monitor,
) -> Result<Carried> {
    let target = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    refuse_inside(&target, store_dir)?;
    let output = Output::file(path, replace)?;
    let earlier_ids: Vec<SnapshotId> = earlier.iter().map(|snapshot| snapshot.id).collect();
    let storage = Arc::new(StoreFile::create(output.unbuffered()?, path, earlier_ids.clone())?);
    let index = tempfile::tempdir().map_err(Error::scratch)?;
    let place = path.display().to_string();
    let made = store.clone_to(Arc::clone(&storage) as _, &place, index.path().join("index.redb"))?;
    let transfer = Transfer::push(Arc::clone(store), Arc::new(made), TransferOptions { host })?;
    let transfer = transfer.without(earlier, monitor)?;
    let plan = transfer.plan(ids, monitor)?;
    let mut sent = transfer.carry_out(plan, monitor)?;
    if let Some(failed) = sent.failed.pop() {
        let id = failed.id.brief();
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
    Ok(Carried { target, sent, written_bytes, earlier: earlier_ids })
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
    refuse_later(store, carried, &plan)?;
    let sent = pull.carry_out(plan, monitor)?;
    Ok(Brought { sent, present, damaged: carried.file.damaged_packs(monitor) })
}

/// Refuses what came later where something is not that came before. Otherwise what is damaged is told like that of any store.
fn refuse_later(store: &Store, carried: &CarriedStore, plan: &TransferPlan) -> Result<()> {
    let earlier = carried.file.earlier();
    let missing = plan.damaged.iter().find_map(|(_, error)| match error {
        StoreError::ChunkMissing { chunk } => Some(chunk),
        _ => None,
    });
    let Some(chunk) = missing.filter(|_| !earlier.is_empty()) else { return Ok(()) };
    let name = carried.file.place().to_owned();
    let there: BTreeSet<SnapshotId> = store.snapshots()?.0.iter().map(|snapshot| snapshot.id).collect();
    Err(match earlier.iter().find(|id| !there.contains(id)) {
        Some(lacking) if !store.has_chunk(chunk)? => Error::NothingBefore { name, id: lacking.brief() },
        _ => Error::OtherwiseBefore { name },
    })
}
