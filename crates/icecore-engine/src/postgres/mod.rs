//! Databases of PostgreSQL servers: captured at one moment while they are in use, and restored beside what is there.

mod aside;
mod capture;
mod connect;
mod conninfo;
mod copy;
mod endpoint;
mod facts;
mod passfile;
pub mod physical;
mod programs;
pub mod restore;
pub mod scratch;
mod session;
mod tables;
mod unreached;

pub use capture::{Options, Report, capture, version};
pub use endpoint::{Defaults, Endpoint, Host, Spelled, needs_binding};

use crate::CaptureError;
use session::Trouble;

use crate::pool::connections;

impl From<Trouble> for CaptureError {
    fn from(trouble: Trouble) -> Self {
        Self::Source(trouble.what)
    }
}
