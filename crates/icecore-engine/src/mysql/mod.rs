//! Databases of MySQL and MariaDB servers: captured at one moment by the server's own dump program.

mod capture;
mod endpoint;

pub use capture::{Server, capture, server};
pub use endpoint::Endpoint;
