//! Reading chunks, contents and snapshots back.

mod content;
mod snapshot_reader;

pub use content::ContentReader;
pub use snapshot_reader::{PartReader, SnapshotReader};
