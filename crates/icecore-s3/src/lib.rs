//! A store's objects in S3, or with any server that speaks its protocol.
//!
//! [`S3Storage`] keeps the contract of [`icecore_storage::Storage`] at an [`S3Location`]; [`S3Options`] say how. What goes wrong is an
//! [`icecore_storage::Error`] whose [`Cause`] knows what a person can do. [`S3Storage::probe`] finds out what a bucket lets us do, and whether
//! its server means it when it takes a condition.
//!
//! Requests that are not answered are made again, with longer and longer waits between. That matters where a request has a condition: if the answer
//! to the one that took effect was lost, the next one is told that somebody else was first. So each such put says in the object's metadata
//! which put it is, and who is told that he came late looks whether he came late after himself.
#![warn(missing_docs)]

mod cause;
mod client;
mod failure;
mod location;
mod options;
mod parts;
mod probe;
mod retry;
mod setup;
mod spare;
mod storage;

pub use cause::{Cause, Said};
pub use location::{LocationError, S3Location};
pub use options::{
    Addressing, Conditions, Credentials, Encryption, Endpoint, OptionError, S3Options, StorageClass,
};
pub use probe::{Condition, Probe};
pub use storage::S3Storage;
