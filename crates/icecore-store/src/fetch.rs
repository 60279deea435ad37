//! Reading much at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use icecore_storage::{self as storage, Storage};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::machine::Hands;
use crate::store::Store;

/// Fewer requests for each thread are made by the caller's.
const REQUESTS_A_THREAD: usize = 4;

/// The objects of these names, in this order.
pub(crate) fn get_all(storage: &dyn Storage, names: &[&str]) -> Vec<storage::Result<Bytes>> {
    in_parallel(storage, names, |name| storage.get(name))
}

/// What `ask` answers for each of `items`, in this order, with as many requests at once as the storage handles well.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    storage: &dyn Storage,
    items: &[T],
    ask: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    by_workers(storage.concurrency().get().min(items.len() / REQUESTS_A_THREAD), items, ask)
}

/// What `ask` answers for each of `items`, in this order; so many threads ask, the caller's among them.
pub(crate) fn by_workers<T: Sync, R: Send>(
    workers: usize,
    items: &[T],
    ask: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if workers < 2 {
        return items.iter().map(ask).collect();
    }
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let answer = ask(item);
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((at, answer));
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            // Those that there are do the work of those that there are not.
            let _ = thread::Builder::new().name("fetcher".into()).spawn_scoped(scope, work);
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_unstable_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

impl Store {
    /// Has something fetched and decoded beside others. Far away most of that is waiting, which takes more threads than there are processors.
    pub(crate) fn spawn_fetch(&self, job: impl FnOnce() + Send + 'static) {
        match (self.machine.hands(), self.fetchers()) {
            (Hands::Many, Some(pool)) => pool.spawn(job),
            (hands, _) => hands.spawn(job),
        }
    }

    fn fetchers(&self) -> Option<&ThreadPool> {
        self.manifests.as_ref()?;
        let make = || {
            let threads = self.storage.concurrency().get();
            // Without them it takes longer.
            ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "fetcher".to_owned()).build().ok()
        };
        self.fetchers.get_or_init(make).as_ref()
    }
}
