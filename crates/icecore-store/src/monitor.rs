//! What an operation tells the outside while it runs.

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Plain bytes taken from the source or given to the target.
    PlainBytes,
    /// Stored bytes written to the store.
    StoredBytes,
    /// Stored bytes read from the store.
    ReadBytes,
}

/// Watches an operation, and may stop it. Implementations must be cheap.
pub trait Monitor: Send + Sync {
    /// `n` more of something.
    fn count(&self, counter: Counter, n: u64);

    /// How much there will be of [`Counter::PlainBytes`] or [`Counter::ReadBytes`] in all, once it is known.
    fn expect(&self, _total: u64) {}

    /// What is being done where nothing is counted, such as "building indexes", and how much of it is done.
    fn stage(&self, _what: &'static str, _done: usize, _all: usize) {}

    /// Something worth telling, although nothing is wrong.
    fn notice(&self, _sentence: &str) {}

    /// Whether the operation should stop as soon as it can.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn count(&self, _counter: Counter, _n: u64) {}
}
