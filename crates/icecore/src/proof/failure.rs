//! Whose fault it is that a restore did not come about.

use std::error::Error as StdError;
use std::io;

use icecore_engine::RestoreError;

use crate::Error;

/// What an engine says, in whatever words, when its disk is full.
const NO_SPACE: &str = "No space left on device";
/// And when this machine lacks what the one had that was captured.
const LACKS: [&str; 4] = [
    "locale name",
    "shared_preload_libraries",
    "could not open extension control file",
    "could not access file \"$libdir",
];

/// Why a snapshot was not proved.
pub(super) enum Failure {
    /// It cannot be restored.
    Fault {
        why: String,
        /// Whether what is stored of it is damaged, and not what was captured, or how it was restored.
        is_damage: bool,
    },
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
            Self::Fault { why, .. } => Self::Impossible { why, hint: None },
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
        let is_damage = match &error {
            Error::Damaged { .. } => true,
            Error::Store(store) => store.is_damage(),
            _ => false,
        };
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
                match why.contains(NO_SPACE) {
                    true => Self::no_room(why),
                    false if LACKS.iter().any(|lacks| why.contains(lacks)) => {
                        let hint = "install here what its server has, or name that server: --scratch URL";
                        Self::Impossible { why, hint: Some(hint.to_owned()) }
                    }
                    false => Self::Fault { why, is_damage },
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_no_fault_of_the_snapshot() {
        let failure = |why: &str| Failure::during(RestoreError::Server(why.to_owned()));
        let is_fault = |why| matches!(failure(why), Failure::Fault { is_damage: false, .. });
        assert!(is_fault("duplicate key value violates unique constraint"));
        assert!(!is_fault("invalid LC_COLLATE locale name: \"de_DE.utf8\""));
        assert!(!is_fault("could not extend file: No space left on device"));
        assert!(!is_fault("pg_cron can only be loaded via shared_preload_libraries"));
        assert!(matches!(Failure::before(RestoreError::Server(String::new())), Failure::Impossible { .. }));
        assert!(matches!(Failure::during(RestoreError::Cancelled), Failure::Other(Error::Cancelled)));
    }
}
