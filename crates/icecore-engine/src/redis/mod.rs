//! Servers of Redis and Valkey: all their data at one moment, as a replica gets it, and given back as a master gives it.

mod capture;
mod connection;
mod endpoint;
pub mod restore;
pub mod scratch;
mod server;

pub use capture::{capture, version};
pub use endpoint::{Address, Endpoint, PORT};
