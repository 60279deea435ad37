//! The `files` engine from outside: what is captured, and that it comes back.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod capture;
mod hostile;
mod in_place;
mod ordinary_user;
mod placement;
mod recording;
mod round_trip;
mod single_file;
mod tree;
