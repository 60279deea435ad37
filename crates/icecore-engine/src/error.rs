//! What goes wrong between a source and a sink, or between a snapshot and a target.

use std::io;
use std::path::{Path, PathBuf};

use crate::sink::SinkError;

/// A capture that did not end well. Nothing of it may be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The source is not there.
    #[error("there is no {}", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// The source could not be read.
    #[error("{action} {}", path.display())]
    Read {
        /// What was tried, as in "cannot read".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There was nothing to capture.
    #[error("{what} is empty")]
    Empty {
        /// What was read.
        what: String,
    },
    /// A dump, a tarball or a database ends before it should.
    #[error("{what} ends before {expected}: it was cut off")]
    Incomplete {
        /// What was read.
        what: String,
        /// What should have come.
        expected: String,
    },
    /// A dump is not what its own checksum says.
    #[error("{what} is damaged: {how}")]
    Damaged {
        /// What was read.
        what: String,
        /// How it shows.
        how: &'static str,
    },
    /// The source told us that it failed, or that it is not what it should be.
    #[error("{0}")]
    Source(String),
    /// The receiver of the bytes failed; its own error says how.
    #[error(transparent)]
    Sink(SinkError),
    /// The user interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl CaptureError {
    pub(crate) fn read(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { action, path, source }
    }
}

impl From<SinkError> for CaptureError {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// A restore that did not end well. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The target could not be written.
    #[error("{action} {}", path.display())]
    Write {
        /// What was tried, as in "cannot write".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A name in the snapshot that leads out of the target, or cannot exist there.
    #[error("the snapshot holds an unsafe name, {name:?}")]
    UnsafeName {
        /// The name.
        name: String,
    },
    /// What lies at the target must not be replaced, or not in this way.
    #[error("{0}")]
    Refused(String),
    /// What was restored is not what the user wants it to be, and takes no place.
    #[error("what was restored fails the check {check}: {why}; what was there was not touched")]
    Check {
        /// What was asked, in quotes.
        check: String,
        /// What came.
        why: String,
    },
    /// What the snapshot gives is not what it should be.
    #[error("{0}")]
    Damaged(String),
    /// The reader of a pipe went away.
    #[error("the output was closed")]
    Closed,
    /// The server that is restored to is not there, or does not let us in.
    #[error("{0}")]
    Unreachable(String),
    /// The server that is restored to, or the connection to it, says that something is wrong.
    #[error("{0}")]
    Server(String),
    /// The last step may have happened or not: what was there may be elsewhere.
    #[error("{0}")]
    Unknown(String),
    /// Somebody else is at it.
    #[error("{0}")]
    Busy(String),
    /// The giver of the bytes failed; its own error says how.
    #[error(transparent)]
    Content(SinkError),
    /// The user interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl From<SinkError> for RestoreError {
    fn from(error: SinkError) -> Self {
        Self::Content(error)
    }
}

impl RestoreError {
    /// What came through a reader of a snapshot's content.
    pub(crate) fn of_content(error: io::Error) -> Self {
        let kind = error.kind();
        Self::Content(error.into_inner().unwrap_or_else(|| io::Error::from(kind).into()))
    }

    pub(crate) fn write(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { action, path, source }
    }
}
