//! Reading chunks, contents and snapshots back.

mod assembler;
mod content;
mod depths;
mod salvage;
mod snapshot_reader;

pub(crate) use assembler::{Assembler, Origin};
pub(crate) use content::ANY_DEPTH;
pub use content::ContentReader;
pub use depths::Depths;
pub use salvage::{Piece, SalvageReader};
pub use snapshot_reader::{PartReader, SnapshotReader};
