//! Whole clusters as files: taken while the server runs, restored to the data directory of one that is stopped.

mod backup_manifest;
mod base_backup;
mod data_directory;
mod server;

pub use base_backup::capture;
pub use data_directory::{DataDirectory, ServerLock, lies_elsewhere, refuse_server};

pub use server::{Server, server};

/// What keeps a server from starting on a directory that is not whole, and each other from starting twice.
pub const CONTROL: &str = "global/pg_control";
