//! Connections that nobody else reads: what is said of them, and how they come about. Nothing else here knows rustls.
//!
//! [`Settings`] are what a URL, a file or the environment says, in the words ([`Dialect`]) of each database; a [`Connector`] is what is made of them.

mod binding;
mod blocking;
mod connector;
mod dialect;
mod fault;
mod postgres;
mod settings;
mod verifier;

pub(crate) use blocking::Encrypted;
pub(crate) use connector::Connector;
pub(crate) use dialect::{Dialect, MYSQL, POSTGRES, REDIS, WEB};
pub use fault::explain_web;
pub(crate) use fault::{NoTls, explain};
pub use settings::{Mode, Roots, Settings};
