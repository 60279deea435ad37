//! For tests and benchmarks only.
//!
//! [`write_dump`] writes what a [`DumpSpec`] describes: a dump of any size, as real as we could make it,
//! with nights of changes between one dump and the next ([`Night`]).
//!
//! ```
//! # use icecore_testkit::{Change, Dialect, DumpSpec, Night, write_dump};
//! let spec = DumpSpec {
//!     seed: 1,
//!     bytes: 1_000_000,
//!     dialect: Dialect::Postgres,
//!     nights: vec![Night { changed: 0.01, how: Change::Moved }],
//! };
//! let mut dump = Vec::new();
//! write_dump(&spec, &mut dump)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! [`SimDisk`] is a disk that crashes before any step it is told to, and afterwards holds what a real one might have kept
//! ([`Survival`]). [`FaultyStorage`] fails with any error at any call; [`RecordingStorage`] remembers what it was asked. On a [`Schedule`] machines
//! take turns at one [`SharedStorage`], stand still, fail and die, all as a seed decides.
//!
//! A [`PostgresServer`](postgres::PostgresServer) and a [`MariaDbServer`](mariadb::MariaDbServer) are real ones that a test has for itself; an
//! [`Authority`](certificates::Authority) signs certificates for them. With the feature `s3` there is a server for S3 (`s3::S3Server`), whose connections break and
//! whose answers are wrong when a test wants it.

pub use call::Call;
pub use dump::{Change, Dialect, DumpSpec, Night, write_dump};
pub use far::FarStorage;
pub use faulty::{Calls, ERROR_KINDS, Fault, FaultyStorage};
pub use memory::memory;
pub use recording::{Recorded, RecordingStorage};
pub use schedule::{
    Fate, Fates, Line, MACHINE_THREAD, REQUEST_TIME, Schedule, ScheduledStorage, SharedStorage, Weather,
};
pub use sim::{SimDisk, SimFile, Survival};

mod call;
pub mod certificates;
mod dump;
mod far;
mod faulty;
pub mod mariadb;
mod memory;
pub mod postgres;
mod recording;
#[cfg(feature = "s3")]
pub mod s3;
mod schedule;
mod sim;
mod template;
