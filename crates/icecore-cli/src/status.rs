//! How the program ends, as far as a script can see.

use std::process::ExitCode;

/// The exit status. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done.
    Success = 0,
    /// Failed, for none of the reasons below.
    Failed = 1,
    /// What was asked makes no sense.
    Usage = 2,
    /// Done, but not everything was as it should be.
    Findings = 3,
    /// No store, or none such snapshot or source.
    NotFound = 10,
    /// Somebody else is at work, or took this writer for dead.
    Busy = 11,
    /// Wrong password, or none to be had.
    Password = 12,
    /// Stored data is damaged.
    Damaged = 13,
    /// The source failed, or a server that is restored to is not there or lets nobody in; nothing was stored or replaced.
    SourceFailed = 14,
    /// Refused for safety: a confirmation is missing.
    Refused = 15,
    /// Interrupted.
    Interrupted = 130,
}

impl ExitStatus {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
