//! Database products and file systems, seen from outside: capture out, restore in.
//!
//! A capture drives a [`Sink`]: it opens parts, hands over their bytes, and ends them. A restore drives a [`Target`] with
//! the same parts in the same order. Engines know no store: what happens to the bytes is the sink's business, where they
//! come from is the driver's. Nothing here prints, and every child process dies with its guard.
//!
//! A capture that returns `Ok` says that the source declared itself complete; anything else must not become a snapshot.
#![warn(missing_docs)]

mod check;
mod command;
pub mod database;
mod error;
pub mod files;
pub mod mysql;
mod poll;
mod pool;
pub mod postgres;
#[cfg(test)]
mod recording;
pub mod redis;
pub mod scratch;
mod server_url;
mod sink;
pub mod sqlite;
mod stream;
mod survey;
mod target;
pub mod tls;

pub use check::Check;
pub use command::{CommandSource, kill_running_commands};
pub use error::{CaptureError, RestoreError};
pub use icecore_chunk::Grain;
pub use poll::{PollReader, stdin_reader};
pub use server_url::EndpointError;
pub use sink::{PartEnd, PartStart, Sink, SinkError};
pub use stream::{StreamOptions, StreamReport, capture_stream};
pub use survey::{Shortage, Survey};
pub use target::Target;
