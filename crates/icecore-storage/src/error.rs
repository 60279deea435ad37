//! What goes wrong with an object, and whose fault it is.

use std::io;

/// What a caller can do about a failure. Kinds exist only where somebody branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such object.
    NotFound,
    /// An object of this name exists, or is of another version than the put asked for.
    AlreadyExists,
    /// The range ends behind the object's end.
    OutOfRange,
    /// The storage refuses us.
    Denied,
    /// No space, quota or inode left.
    Full,
    /// The place does not answer, or does not know us any more: that says nothing about any object in it.
    Unreachable,
    /// The user wants it to stop. No error of the system means that, so that [`Error::new`] never says it.
    Interrupted,
    /// Anything else.
    Other,
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[error("{action} {place}")]
pub struct Error {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What was tried, as in "cannot read".
    pub action: &'static str,
    /// The object, as a path or URL a person can look at.
    pub place: String,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error whose kind follows from `source`.
    pub fn new(action: &'static str, place: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::UnexpectedEof => ErrorKind::OutOfRange,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            // A share whose server is gone.
            io::ErrorKind::StaleNetworkFileHandle
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => ErrorKind::Unreachable,
            _ => ErrorKind::Other,
        };
        Self { kind, action, place: place.into(), source }
    }
}
