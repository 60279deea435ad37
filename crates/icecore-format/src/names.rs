//! The names of objects in a store: the same locally and on S3.

use crate::{PackId, SnapshotId};

/// The store's configuration.
pub const CONFIG: &str = "config";
/// The epoch counter of the concurrency protocol.
pub const EPOCH: &str = "epoch";
/// Folder of the wrapped store keys.
pub const KEYS: &str = "keys/";
/// Folder of the packs.
pub const PACKS: &str = "packs/";
/// Folder of the packs' parity.
pub const PARITY: &str = "parity/";
/// Folder of the manifests.
pub const SNAPSHOTS: &str = "snapshots/";
/// Folder of tags and notes.
pub const LABELS: &str = "labels/";
/// Folder of the running writers' claims.
pub const CLAIMS: &str = "claims/";
/// Folder of the lists of packs that are about to be deleted.
pub const CONDEMNED: &str = "condemned/";

/// Folder of second copies of what nothing can be read without.
pub const COPIES: &str = "copies/";
/// Folder of what a repair found damaged.
pub const DAMAGED: &str = "damaged/";

/// `copies/<name>`
pub fn copy_of(name: &str) -> String {
    format!("{COPIES}{name}")
}

/// `damaged/<name>`
pub fn damaged(name: &str) -> String {
    format!("{DAMAGED}{name}")
}

/// `packs/<2 hex>/<pack id>`
pub fn pack(id: &PackId) -> String {
    spread(PACKS, id)
}

/// The pack that an object name below `packs/` stands for: only the one name that [`pack`] gives.
pub fn parse_pack(name: &str) -> Option<PackId> {
    let (_, file) = name.strip_prefix(PACKS)?.split_once('/')?;
    file.parse().ok().filter(|id| pack(id) == name)
}

/// `parity/<2 hex>/<pack id>`
pub fn parity(id: &PackId) -> String {
    spread(PARITY, id)
}

/// The pack whose parity an object name below `parity/` stands for: only the one name that [`parity`] gives.
pub fn parse_parity(name: &str) -> Option<PackId> {
    let (_, file) = name.strip_prefix(PARITY)?.split_once('/')?;
    file.parse().ok().filter(|id| parity(id) == name)
}

/// Some folders with some files each, instead of one with all.
fn spread(folder: &str, id: &PackId) -> String {
    let hex = id.0.to_hex();
    format!("{folder}{}/{hex}", hex.get(..2).unwrap_or_default())
}

/// `snapshots/<claim id>`
pub fn snapshot(claim: &str) -> String {
    format!("{SNAPSHOTS}{claim}")
}

/// `claims/<claim id>`
pub fn claim(claim: &str) -> String {
    format!("{CLAIMS}{claim}")
}

/// `keys/<key id>`
pub fn key(id: &str) -> String {
    format!("{KEYS}{id}")
}

/// `condemned/<epoch>`, the number padded so that names sort by it.
pub fn condemned(epoch: u64) -> String {
    format!("{CONDEMNED}{epoch:020}")
}

/// `labels/<snapshot id>/`
pub fn labels_of(id: &SnapshotId) -> String {
    format!("{LABELS}{id}/")
}

/// `labels/<snapshot id>/<label name>`
pub fn label(id: &SnapshotId, label: &str) -> String {
    format!("{LABELS}{id}/{label}")
}

/// The snapshot and the label that an object name below `labels/` stands for.
pub fn parse_label(name: &str) -> Option<(SnapshotId, &str)> {
    let (id, _) = name.strip_prefix(LABELS)?.split_once('/')?;
    let id = id.parse().ok()?;
    let label = name.strip_prefix(&labels_of(&id))?;
    is_component(label).then_some((id, label))
}

/// Whether a stranger's text may be the last component of a name. A name may become a path, and must lead nowhere else.
pub(crate) fn is_component(text: &str) -> bool {
    !["", ".", ".."].contains(&text) && !text.contains(['/', '\0'])
}
