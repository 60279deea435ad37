//! What no snapshot reaches goes; everything else stays.

mod damage;
mod dead;
mod fences;
mod index;
mod links;
mod others;
mod writers;

use std::sync::Arc;

use icecore_format::SnapshotId;
use icecore_store::{GcReport, Monitor, Silent, Store};

use crate::support::{find, gc_options};

fn gc(store: &Arc<Store>) -> GcReport {
    store.gc(&gc_options(), &Silent).unwrap()
}

fn delete(store: &Store, id: SnapshotId) {
    store.delete_snapshot(&find(store, id)).unwrap();
}

/// Starts something when a collection first tells that its plan is made: it is asked whether it is cancelled while it marks.
pub(crate) struct During<F: Fn() + Send + Sync>(pub(crate) std::sync::Once, pub(crate) F);

impl<F: Fn() + Send + Sync> Monitor for During<F> {
    fn count(&self, _: icecore_store::Counter, _: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.call_once(&self.1);
        false
    }
}
