//! The `files` engine: directories and single files, captured with all that a file system knows of them, and restored.

mod apply;
mod attributes;
mod beneath;
mod beside;
mod capture;
mod escape;
mod grain;
mod make_entry;
mod node;
mod parent;
mod part_file;
mod placement;
mod read_file;
mod remove;
mod report;
mod runs;
mod sparse;
mod staging;
mod target_directory;
mod target_file;
mod target_stdout;
mod warnings;
mod write_back;

pub use attributes::attributes_of;
pub use beneath::compare;
pub(crate) use beside::file_beside;
pub use capture::{capture_directory, capture_file};
pub use escape::Escapes;
pub(crate) use grain::grain_of_name;
pub use parent::ParentParts;
pub use placement::Placement;
pub use target_directory::{DirectoryTarget, check_name};
pub use target_file::FileTarget;
pub use target_stdout::StreamTarget;
pub use warnings::Warnings;
