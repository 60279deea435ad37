//! Snapshots outside of a store: one file that the tools of its database restore, and the way back.
//!
//! An archive is a tarball: `README.md` with the commands that restore it, `manifest.json`, `cuts.bin`, the content, and `b3sums`, in this order. It is
//! written and read from front to back, with a bounded memory. [`export`] knows all lengths before it writes them: of the content from the
//! snapshot, of the manifest by writing it twice. [`import`] accepts what [`export`] writes, byte for byte: headers are made anew and
//! compared, so that nothing in them has to be judged. `docs/export.md` says what lies in it.

mod carry;
mod cuts;
mod entry;
mod export;
mod import;
mod layout;
mod manifest;
mod output;
mod packing;
mod readme;
mod store_file;
mod unpacked;

pub use carry::{Brought, Carried, CarriedStore, export_store, import_store, is_store_file, open_store_file};
pub use export::{ExportOptions, Exported, export};
pub use import::{ImportOptions, Imported, import};
pub use packing::Packing;

/// The names of what is no content, in the order of their coming.
const README: &str = "README.md";
const MANIFEST: &str = "manifest.json";
const CUTS: &str = "cuts.bin";
const SUMS: &str = "b3sums";
/// The version of all this.
const ARCHIVE_VERSION: u32 = 1;
