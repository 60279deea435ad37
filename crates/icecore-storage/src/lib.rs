//! Where a store's objects live.
//!
//! [`Storage`] is the contract: a flat set of named objects, each put whole and durable, with creation conditional on absence
//! and replacement conditional on a version. [`LocalStorage`] keeps them in a directory of a
//! [`Disk`], [`MemoryStorage`] in memory for tests.
//! [`conformance`] is the suite that every implementation passes.
//!
//! Blocking by design: callers bring threads. An implementation may be asynchronous inside.
#![warn(missing_docs)]

pub mod conformance;
mod disk;
mod error;
mod limit;
mod limited;
mod local;
mod memory;
mod secret;
mod storage;
mod traffic;

pub use disk::{Disk, DiskFile, Entry, OsDisk};
pub use error::{Error, ErrorKind, Result};
pub use limit::{Clock, Limits, RateLimit, SystemClock};
pub use limited::LimitedStorage;
pub use local::LocalStorage;
pub use memory::MemoryStorage;
pub use secret::without_secret;
pub use storage::{Hold, Holder, ObjectMeta, PutMode, Storage, Version};
pub use traffic::{Moving, Traffic};
