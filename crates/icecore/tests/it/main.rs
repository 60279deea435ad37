//! The use cases over real directories and a real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod prune;
mod round_trip;
mod same_again;
mod support;
