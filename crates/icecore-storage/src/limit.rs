//! So many bytes a second.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// A bucket into which so many bytes run a second, and from which whoever moves bytes takes them. What nobody takes is not saved up.
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
    /// A limit by the machine's clock, for any number of threads.
    pub fn of(bytes_a_second: NonZeroU64) -> Self {
        Self::new(bytes_a_second, Arc::new(SystemClock::default()))
    }

    /// The same by another clock.
    pub fn new(bytes_a_second: NonZeroU64, clock: Arc<dyn Clock>) -> Self {
        let paid_at = Mutex::new(clock.now());
        Self { bytes_a_second, clock, paid_at }
    }

    /// Takes `len` bytes. Returns how long it is until they and all that were taken before have run in: before that they must not move.
    pub fn take(&self, len: u64) -> Duration {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let nanos = u128::from(len) * 1_000_000_000 / u128::from(self.bytes_a_second.get());
        let nanos = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        *paid_at = now.max(*paid_at).saturating_add(nanos);
        paid_at.saturating_sub(now)
    }

    /// Takes `len` bytes and returns when they may move; false if somebody wants it to stop before.
    pub fn wait(&self, len: u64, interrupt: &AtomicBool) -> bool {
        let mut left = self.take(len);
        while !left.is_zero() {
            if interrupt.load(Ordering::SeqCst) {
                return false;
            }
            let nap = left.min(NAP_MAX);
            self.clock.sleep(nap);
            left -= nap;
        }
        true
    }
}

/// What bounds the bytes that go to a place and come from it.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes that go there.
    pub upload: Option<Arc<RateLimit>>,
    /// Bytes that come from there.
    pub download: Option<Arc<RateLimit>>,
}

impl Limits {
    /// Whether nothing is bounded.
    pub fn is_none(&self) -> bool {
        self.upload.is_none() && self.download.is_none()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A clock that stands still but for those who sleep by it.
    #[derive(Debug, Default)]
    pub(crate) struct Stopped(Mutex<Duration>);

    impl Clock for Stopped {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }
    }

    #[test]
    fn what_moves_was_paid_before() {
        let clock = Arc::new(Stopped::default());
        let limit = RateLimit::new(NonZeroU64::new(1000).unwrap(), Arc::clone(&clock) as Arc<dyn Clock>);
        let go = AtomicBool::new(false);
        let at = |len| {
            assert!(limit.wait(len, &go));
            clock.now().as_millis()
        };
        assert_eq!([at(2000), at(500), at(1), at(0)], [2000, 2500, 2501, 2501]);
        // Time in which nothing is taken is not saved up.
        clock.sleep(Duration::from_secs(60));
        assert_eq!(at(1000), 63_501);
    }

    #[test]
    fn who_is_stopped_does_not_wait() {
        let clock = Arc::new(Stopped::default());
        let limit = RateLimit::new(NonZeroU64::MIN, Arc::clone(&clock) as Arc<dyn Clock>);
        assert!(!limit.wait(u64::MAX, &AtomicBool::new(true)));
        assert_eq!(clock.now(), Duration::ZERO);
    }
}
