//! Whether all goes as it should, without anybody watching: of each service the newest good snapshot against the schedule, what is known of it, and what
//! failed last.
//!
//! [`examine`] makes it of what the store lists, what the [`Journal`](crate::Journal) remembers and what `icecore.toml` wants; [`metrics`] is the same for
//! Prometheus.

mod judge;
mod metrics;
mod shrunk;

pub use judge::{Good, Growth, Health, State, StoreHealth, examine, is_yet_to_come};
pub(crate) use judge::{is_done_still, shrinkage};
pub use metrics::metrics;
pub use shrunk::Shrunk;
