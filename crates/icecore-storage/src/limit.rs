//! So many bytes a second.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Monitor, Result, StoreError};

/// No wait is longer than this before somebody asks whether to stop.
const NAP_MAX: Duration = Duration::from_millis(100);

/// Tells how much time has passed, and lets some pass.
pub trait Clock: Send + Sync {
    /// Since whenever.
    fn now(&self) -> Duration;

    /// Returns when so much more has passed.
    fn sleep(&self, time: Duration);
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A bucket into which so many bytes run a second, and from which whole packs are taken: on average the rate is kept, while each pack
/// goes as fast as it can.
pub struct RateLimit {
    bytes_a_second: NonZeroU64,
    clock: Arc<dyn Clock>,
    /// When what was taken so far will have run in.
    paid_at: Mutex<Duration>,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("bytes_a_second", &self.bytes_a_second).finish_non_exhaustive()
    }
}

impl RateLimit {
    /// A limit by this clock, for any number of threads.
    pub fn new(bytes_a_second: NonZeroU64, clock: Arc<dyn Clock>) -> Self {
        let paid_at = Mutex::new(clock.now());
        Self { bytes_a_second, clock, paid_at }
    }

    /// Takes `len` bytes, and returns once everything that was taken before has been paid.
    pub(super) fn take(&self, len: u64, monitor: &dyn Monitor) -> Result<()> {
        let start = {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            let start = self.clock.now().max(*paid_at);
            let nanos = u128::from(len) * 1_000_000_000 / u128::from(self.bytes_a_second.get());
            *paid_at = start.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
            start
        };
        loop {
            let left = start.saturating_sub(self.clock.now());
            if left.is_zero() {
                return Ok(());
            }
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            self.clock.sleep(left.min(NAP_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    /// A clock that stands still but for those who sleep by it.
    #[derive(Default)]
    struct Stopped(Mutex<Duration>);

    impl Clock for Stopped {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }
    }

    #[test]
    fn what_is_taken_is_paid_before_the_next_is() {
        let clock = Arc::new(Stopped::default());
        let limit = RateLimit::new(NonZeroU64::new(1000).unwrap(), Arc::clone(&clock) as Arc<dyn Clock>);
        let at = |len| {
            limit.take(len, &Silent).unwrap();
            clock.now().as_millis()
        };
        assert_eq!([at(2000), at(500), at(1), at(0)], [0, 2000, 2500, 2501]);
        // Time in which nothing is taken is not saved up.
        clock.sleep(Duration::from_secs(60));
        limit.take(1000, &Silent).unwrap();
        limit.take(1000, &Silent).unwrap();
        assert_eq!(clock.now().as_millis(), 63_501);
    }
}
