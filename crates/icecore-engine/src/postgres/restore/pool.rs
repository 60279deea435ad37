//! The same work on several connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::super::endpoint::Endpoint;
use super::super::session::Session;
use super::Content;
use super::load::{check_cancelled, open};
use crate::RestoreError;

/// Does `work` for each item, in order as far as there are connections, until one fails: that error is returned.
pub(super) fn for_each<T: Sync>(
    endpoint: &Endpoint,
    content: &dyn Content,
    connections: usize,
    items: &[T],
    work: impl Fn(&mut Session, &T) -> Result<(), RestoreError> + Sync,
) -> Result<(), RestoreError> {
    let queue = Mutex::new(items.iter());
    let failed = AtomicBool::new(false);
    let next = || {
        let item = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        item.filter(|_| !failed.load(Ordering::Relaxed))
    };
    let on_one = || -> Result<(), RestoreError> {
        let mut session = open(endpoint)?;
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
