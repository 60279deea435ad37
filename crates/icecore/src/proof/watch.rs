//! How much a proof has read.

use std::sync::atomic::{AtomicU64, Ordering};

use icecore_store::{Counter, Monitor};

/// Passes everything on, and counts plain bytes.
pub(super) struct Watch<'a> {
    monitor: &'a dyn Monitor,
    plain_bytes: AtomicU64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(monitor: &'a dyn Monitor) -> Self {
        Self { monitor, plain_bytes: AtomicU64::new(0) }
    }

    pub(super) fn plain_bytes(&self) -> u64 {
        self.plain_bytes.load(Ordering::Relaxed)
    }
}

impl Monitor for Watch<'_> {
    fn count(&self, counter: Counter, n: u64) {
        if counter == Counter::PlainBytes {
            self.plain_bytes.fetch_add(n, Ordering::Relaxed);
        }
        self.monitor.count(counter, n);
    }

    fn expect(&self, total: u64) {
        self.monitor.expect(total);
    }

    fn stage(&self, what: &'static str, done: usize, all: usize) {
        self.monitor.stage(what, done, all);
    }

    fn notice(&self, sentence: &str) {
        self.monitor.notice(sentence);
    }

    fn is_cancelled(&self) -> bool {
        self.monitor.is_cancelled()
    }
}
