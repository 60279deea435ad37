//! The same work on several connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::RestoreError;
use crate::database::{Content, check_cancelled};

/// On how many connections rows are read or written: more are no faster, and are missed by others.
pub(crate) fn connections() -> usize {
    const MAX: usize = 4;
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX))
}

/// Does `work` for each item, in order as far as there are connections, which `open` makes, until one fails: that error is returned.
pub(crate) fn for_each<S, T: Sync>(
    open: impl Fn() -> Result<S, RestoreError> + Sync,
    content: &dyn Content,
    connections: usize,
    items: &[T],
    work: impl Fn(&mut S, &T) -> Result<(), RestoreError> + Sync,
) -> Result<(), RestoreError> {
    let queue = Mutex::new(items.iter());
    let failed = AtomicBool::new(false);
    let next = || {
        let item = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        item.filter(|_| !failed.load(Ordering::Relaxed))
    };
    let on_one = || -> Result<(), RestoreError> {
        let mut session = open()?;
        while let Some(item) = next() {
            check_cancelled(content)?;
            work(&mut session, item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let start = || scope.spawn(|| on_one().inspect_err(|_| failed.store(true, Ordering::Relaxed)));
        let started: Vec<_> = (0..connections.min(items.len())).map(|_| start()).collect();
        let lost = |_| Err(RestoreError::Server("a connection was lost".to_owned()));
        started.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(lost))
    })
}
