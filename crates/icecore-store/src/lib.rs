//! A store of snapshots over any [`Storage`](icecore_storage::Storage).
//!
//! A [`Store`] holds packs of chunks, an [index](Index) that says where each chunk lies, and manifests. A [`SnapshotWriter`] takes the
//! parts of one capture and publishes them as a snapshot; a [`SnapshotReader`] gives parts and bytes back, each chunk checked by
//! its id. What deletes is planned first: see [`GcPlan`].
//!
//! The order of writes is the promise: a pack is durable before the index knows it, and all packs are before the manifest is.
//! A snapshot that can be listed can be read, whatever crashed. The store knows no SQL and prints nothing.
#![warn(missing_docs)]

mod absent;
mod beside;
mod claim;
mod copies;
mod delta;
mod error;
mod fetch;
mod gc;
mod index;
mod keys;
mod labels;
mod machine;
mod manifests;
mod monitor;
mod pack;
mod parity;
mod random;
mod read;
mod remembered;
mod repair;
mod snapshots;
mod stats;
mod store;
mod transfer;
mod tree;
mod verify;
mod write;

pub use blake3::Hasher as PartHasher;
pub use claim::FencePolicy;
pub use error::{Result, StoreError};
pub use gc::{GcOptions, GcPlan, GcReport, PackUse, PackVerdict};
pub use icecore_chunk::Grain;
pub use index::{Index, IndexReader, PackRecord};
pub use machine::{Hands, Machine};
pub use monitor::{Counter, Monitor, Silent};
pub use read::{ContentReader, Depths, PartReader, Piece, SalvageReader, SnapshotReader};
pub use repair::{
    BrokenSnapshot, DamagedPack, FetchPlan, NotFetched, RepairOptions, RepairPlan, RepairReport,
};
pub use snapshots::{Snapshot, SnapshotLabels};
pub use stats::Stats;
pub use store::{InitOptions, Store, Unlock};
pub use transfer::{FailedSnapshot, PlannedSnapshot, Sent, Transfer, TransferOptions, TransferPlan};
pub use tree::TreeReader;
pub use verify::{Extent as VerifyExtent, Finding, FindingKind, VerifyReport};
pub use write::{Again, SnapshotHead, SnapshotWriter, Written};
