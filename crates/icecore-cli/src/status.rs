//! How the program ends, as far as a script can see.

use std::process::ExitCode;

/// The exit status. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done.
    Success,
    /// Failed, for none of the reasons below.
    Failed,
    /// What was asked makes no sense.
    Usage,
    /// Done, but not everything was as it should be.
    Findings,
    /// No store, or none such snapshot or source.
    NotFound,
    /// Somebody else is at work, or took this writer for dead.
    Busy,
    /// Wrong password, or none to be had.
    Password,
    /// Stored data is damaged.
    Damaged,
    /// The source failed, or a server that is restored to is not there or lets nobody in; nothing was stored or replaced.
    SourceFailed,
    /// Refused for safety: a confirmation is missing.
    Refused,
    /// Interrupted.
    Interrupted,
    /// That of a command that was run for the user.
    OfCommand(u8),
}

impl ExitStatus {
    /// What a command that was run for the user ended with.
    pub(crate) fn of_command(code: u8) -> Self {
        if code == 0 { Self::Success } else { Self::OfCommand(code) }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Findings => 3,
            Self::NotFound => 10,
            Self::Busy => 11,
            Self::Password => 12,
            Self::Damaged => 13,
            Self::SourceFailed => 14,
            Self::Refused => 15,
            Self::Interrupted => 130,
            Self::OfCommand(code) => code,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
