//! Reading many small objects at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use icecore_storage::{self as storage, Storage};

/// Fewer objects for each thread are read by the caller's.
const OBJECTS_A_THREAD: usize = 8;

/// The objects of these names, in this order.
pub(crate) fn get_all(storage: &dyn Storage, names: &[&str]) -> Vec<storage::Result<Bytes>> {
    let workers = storage.concurrency().get().min(names.len() / OBJECTS_A_THREAD);
    if workers < 2 {
        return names.iter().map(|name| storage.get(name)).collect();
    }
    let next = AtomicUsize::new(0);
    let read = Mutex::new(Vec::with_capacity(names.len()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = names.get(at) else { break };
            let object = storage.get(name);
            read.lock().unwrap_or_else(PoisonError::into_inner).push((at, object));
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            // Those that there are do the work of those that there are not.
            let _ = thread::Builder::new().name("fetcher".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let mut read = read.into_inner().unwrap_or_else(PoisonError::into_inner);
    read.sort_unstable_by_key(|(at, _)| *at);
    read.into_iter().map(|(_, object)| object).collect()
}
