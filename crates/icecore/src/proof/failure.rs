//! Whose fault it is that a restore did not come about.

use std::error::Error as StdError;
use std::io;

use icecore_engine::RestoreError;

use crate::Error;

/// What an engine says, in whatever words, when its disk is full.
const NO_SPACE: &str = "No space left on device";

/// Why a snapshot was not proved.
pub(super) enum Failure {
    /// It cannot be restored.
    Fault(String),
    /// Nobody knows, for it could not be tried.
    Impossible {
        why: String,
        /// What helps.
        hint: Option<String>,
    },
    /// The user interrupted, or the store cannot be read now.
    Other(Error),
}

impl Failure {
    /// Before anything was restored: nothing is known of the snapshot, unless it is its own bytes that are wrong.
    pub(super) fn before(error: impl Into<Error>) -> Self {
        match Self::during(error) {
            Self::Fault(why) => Self::Impossible { why, hint: None },
            failure => failure,
        }
    }

    /// The same, where another place would do.
    pub(super) fn without_server(hint: &str) -> impl FnOnce(RestoreError) -> Self {
        move |error| match Self::before(error) {
            Self::Impossible { why, .. } => Self::Impossible { why, hint: Some(hint.to_owned()) },
            failure => failure,
        }
    }

    /// While it was restored.
    pub(super) fn during(error: impl Into<Error>) -> Self {
        let error = error.into();
        match &error {
            Error::Cancelled => Self::Other(error),
            Error::Store(store) if !store.is_damage() => Self::Other(error),
            Error::NoRoom { .. } => Self::Impossible { why: sentence(&error), hint: None },
            Error::Restore(RestoreError::Write { source, .. })
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                Self::no_room(sentence(&error))
            }
            _ => {
                let why = sentence(&error);
                if why.contains(NO_SPACE) { Self::no_room(why) } else { Self::Fault(why) }
            }
        }
    }

    fn no_room(why: String) -> Self {
        Self::Impossible { why, hint: Some("make room, or name a larger place with TMPDIR=DIR".to_owned()) }
    }
}

/// An error and its causes.
fn sentence(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
