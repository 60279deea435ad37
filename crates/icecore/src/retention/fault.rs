//! What is wrong with a policy as somebody wrote it.

/// One sentence, with the word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyFault(String);

impl PolicyFault {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}
