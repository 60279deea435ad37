//! Reading chunks, contents and snapshots back.

mod content;
mod salvage;
mod snapshot_reader;

pub use content::ContentReader;
pub use salvage::{Piece, SalvageReader};
pub use snapshot_reader::{PartReader, SnapshotReader};
