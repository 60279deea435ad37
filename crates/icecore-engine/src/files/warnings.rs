//! What a restore could not do as it should, though the bytes are right.

use std::sync::{Arc, Mutex, PoisonError};

/// Sentences about attributes that could not be restored. A handle: it stays readable after the target has finished.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Takes the sentences out.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, sentence: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sentence);
    }
}
