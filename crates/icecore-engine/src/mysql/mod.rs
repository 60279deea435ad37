//! Databases of MySQL and MariaDB servers: captured at one moment by the server's own dump program, and restored over connections of our own.

mod auth;
mod capture;
mod complaint;
mod endpoint;
mod facts;
mod keys;
mod objects;
mod programs;
pub mod restore;
mod saved;
pub mod scratch;
mod session;
mod tls;
mod wire;

pub use capture::{Dump, Server, capture, server};
pub use endpoint::Endpoint;
pub use facts::{Annotated, Facts};
