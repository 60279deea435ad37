//! What a restored database must stand before it takes its place.

use std::ffi::OsString;
use std::fmt;
use std::io;

use crate::{CaptureError, CommandSource, RestoreError};

/// What the user asks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A query that must succeed and give a row, whose first value must be neither null nor false nor 0.
    Query(String),
    /// A command for `sh` that must succeed.
    Command(String),
}

/// Where a database is that is checked, as a command is told.
pub(crate) struct Checked<'a> {
    /// Its name, or its file.
    pub(crate) database: &'a str,
    /// Without a password.
    pub(crate) url: String,
    /// What the programs of its engine are told by their environment.
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
}

impl From<&str> for Check {
    /// A command begins with `!`.
    fn from(text: &str) -> Self {
        match text.strip_prefix('!') {
            Some(command) => Self::Command(command.trim().to_owned()),
            None => Self::Query(text.to_owned()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Query(text) | Self::Command(text)) = self;
        write!(f, "{text:?}")
    }
}

impl Check {
    /// Asks all of them, one after the other; `query` says why what a query says is no confirmation.
    pub(crate) fn ask_all(
        checks: &[Self],
        checked: &Checked<'_>,
        mut query: impl FnMut(&str) -> Result<Option<String>, RestoreError>,
    ) -> Result<(), RestoreError> {
        checks.iter().try_for_each(|check| {
            let objection = match check {
                Self::Query(text) => query(text)?,
                Self::Command(command) => match run(command, checked) {
                    Err(CaptureError::Cancelled) => return Err(RestoreError::Cancelled),
                    run => run.err().map(|error| error.to_string()),
                },
            };
            check.judge(objection)
        })
    }

    /// Refuses what there is an objection to.
    pub(crate) fn judge(&self, objection: Option<String>) -> Result<(), RestoreError> {
        objection.map_or(Ok(()), |why| Err(RestoreError::Check { check: self.to_string(), why }))
    }
}

/// Why what a query says is no confirmation, whatever the engine. `first` is the first value of its first row, as text.
pub(crate) fn objection(first: Option<Option<&str>>) -> Option<String> {
    match first {
        None => Some("it gives no row".to_owned()),
        Some(None) => Some("it is null".to_owned()),
        Some(Some("f")) => Some("it is false".to_owned()),
        Some(Some(value)) => (value.parse() == Ok(0.0)).then(|| format!("it is false ({value})")),
    }
}

/// What it prints is nobody's business here; what it complains of goes where ours goes.
fn run(command: &str, checked: &Checked<'_>) -> Result<(), CaptureError> {
    let Checked { database, url, variables, is_cancelled } = checked;
    let ours = [("ICECORE_DATABASE", (*database).to_owned()), ("ICECORE_URL", url.clone())];
    let variables: Vec<_> = variables.iter().cloned().chain(ours).collect();
    let argv = ["sh", "-c", command].map(OsString::from);
    let mut source = CommandSource::spawn_with(&argv, &variables)?;
    let drained = io::copy(&mut source.reader(is_cancelled), &mut io::sink());
    if is_cancelled() {
        return Err(CaptureError::Cancelled);
    }
    source.finish(is_cancelled)?;
    drained.map(drop).map_err(|error| CaptureError::Source(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_confirms_by_a_row_that_says_something_true() {
        for yes in ["t", "1", "-1", "0.5", "yes", "00:00", ""] {
            assert_eq!(objection(Some(Some(yes))), None, "{yes}");
        }
        for no in ["f", "0", "0.00", "-0", "0e0"] {
            assert!(objection(Some(Some(no))).is_some(), "{no}");
        }
        assert!(objection(Some(None)).unwrap().contains("null"));
        assert!(objection(None).unwrap().contains("no row"));
    }
}
