//! Waiting for a request, and for the bytes that a limit allows.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecore_storage::RateLimit;

use crate::cause::Cause;

/// How long a wait lasts before the user's wish to stop is looked at again.
const TICK: Duration = Duration::from_millis(100);
/// After this time without anything that moves, the place counts as silent, though the request is not given up yet.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Waits for a request, but not in vain.
pub(super) struct Watch {
    moved: Cell<Instant>,
    silence_max: Duration,
    interrupt: Option<Arc<AtomicBool>>,
}

impl Watch {
    pub(super) fn new(silence_max: Duration, interrupt: Option<Arc<AtomicBool>>) -> Self {
        Self { moved: Cell::new(Instant::now()), silence_max, interrupt }
    }

    /// Something has moved.
    pub(super) fn touch(&self) {
        self.moved.set(Instant::now());
    }

    /// `is_quiet` is called again and again while nothing has moved for some time.
    pub(super) async fn over<T>(
        &self,
        request: impl Future<Output = Result<T, Cause>>,
        is_quiet: impl Fn(),
    ) -> Result<T, Cause> {
        let mut request = pin!(request);
        loop {
            if self.interrupt.as_ref().is_some_and(|interrupt| interrupt.load(Ordering::SeqCst)) {
                return Err(Cause::Interrupted);
            }
            // The request first: what has been answered has been answered.
            if let Ok(answer) = tokio::time::timeout(TICK, request.as_mut()).await {
                return answer;
            }
            let silence = self.moved.get().elapsed();
            if silence > self.silence_max {
                return Err(Cause::Silent(silence.as_secs()));
            }
            if silence > QUIET_MAX {
                is_quiet();
            }
        }
    }
}

/// Waits until so many bytes may move. That is no silence of the server's.
pub(super) async fn pay(limit: Option<&RateLimit>, len: usize, watch: &Watch) {
    let Some(limit) = limit else { return };
    let mut left = limit.take(len as u64);
    while !left.is_zero() {
        let nap = left.min(TICK);
        tokio::time::sleep(nap).await;
        left -= nap;
        watch.touch();
    }
}
