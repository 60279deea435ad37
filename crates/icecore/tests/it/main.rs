//! The use cases over real directories and a real store.

mod round_trip;
mod same_again;
mod support;
