//! Servers of Redis and Valkey: all their data at one moment, as a replica gets it.

mod capture;
mod connection;
mod endpoint;

pub use capture::{capture, version};
pub use endpoint::{Address, Endpoint, EndpointError};
