//! Trying again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::cause::Cause;
use crate::options::S3Options;

/// How long a wait lasts before the user's wish to stop is looked at again.
const TICK: Duration = Duration::from_millis(100);
/// How often a server is tried at most that cannot be reached, and never could.
const STRANGER_TRIES_MAX: u32 = 4;

/// How often a server is tried that has never answered, and does not end the connection.
const SILENT_TRIES_MAX: u32 = 2;

/// How often one request was tried. Between two tries lies a wait that doubles, less up to a half: many who were refused at once do not come back
/// at once.
#[derive(Debug)]
pub(crate) struct Tries {
    made: u32,
    max: u32,
    is_stranger: bool,
    backoff: Duration,
    backoff_max: Duration,
    interrupt: Arc<AtomicBool>,
}

impl Tries {
    pub(crate) fn new(options: &S3Options) -> Self {
        Self {
            made: 0,
            max: options.attempts.get(),
            is_stranger: false,
            backoff: options.backoff,
            backoff_max: options.backoff_max,
            interrupt: Arc::clone(&options.interrupt),
        }
    }

    /// Of a server that has not answered yet.
    pub(crate) fn of_a_stranger(self) -> Self {
        Self { is_stranger: true, ..self }
    }

    /// Waits until it is time to try again what failed for this reason; gives the reason back if that would help nothing.
    pub(crate) fn again_after(&mut self, cause: Cause) -> Result<(), Cause> {
        self.made += 1;
        let max = match cause {
            Cause::Unreachable(_) if self.is_stranger => self.max.min(STRANGER_TRIES_MAX),
            // One that accepts and says nothing takes a minute each time.
            Cause::Silent(_) if self.is_stranger => self.max.min(SILENT_TRIES_MAX),
            _ => self.max,
        };
        if !cause.is_transient() || self.made >= max {
            return Err(cause);
        }
        let mut rest = self.wait().mul_f64(0.5 + fastrand::f64() / 2.0);
        while !rest.is_zero() {
            if self.interrupt.load(Ordering::SeqCst) {
                return Err(Cause::Interrupted);
            }
            let nap = rest.min(TICK);
            thread::sleep(nap);
            rest -= nap;
        }
        Ok(())
    }

    /// Part of it has been done: what comes is a request of its own.
    pub(crate) fn forget(&mut self) {
        self.made = 0;
    }

    fn wait(&self) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << (self.made.saturating_sub(1)).min(16));
        doubled.min(self.backoff_max)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Instant;

    use super::*;

    fn options(attempts: u32, backoff: Duration) -> S3Options {
        let attempts = NonZeroU32::new(attempts).unwrap();
        S3Options { attempts, backoff, ..S3Options::default() }
    }

    fn broken() -> Cause {
        Cause::Broken("pulled".to_owned())
    }

    #[test]
    fn what_may_get_better_is_tried_so_many_times() {
        let mut tries = Tries::new(&options(3, Duration::ZERO));
        assert_eq!(tries.again_after(broken()), Ok(()));
        assert_eq!(tries.again_after(broken()), Ok(()));
        assert_eq!(tries.again_after(broken()), Err(broken()));
        tries.forget();
        assert_eq!(tries.again_after(broken()), Ok(()));
    }

    #[test]
    fn what_will_not_get_better_is_not_tried_again() {
        let mut tries = Tries::new(&options(3, Duration::ZERO));
        assert_eq!(tries.again_after(Cause::NoBucket), Err(Cause::NoBucket));
    }

    #[test]
    fn what_was_never_reached_is_given_up_sooner_than_what_breaks() {
        let mut tries = Tries::new(&options(100, Duration::ZERO)).of_a_stranger();
        let unreachable = || Cause::Unreachable("refused".to_owned());
        (1..STRANGER_TRIES_MAX).for_each(|_| assert_eq!(tries.again_after(unreachable()), Ok(())));
        assert_eq!(tries.again_after(broken()), Ok(()));
        assert_eq!(tries.again_after(unreachable()), Err(unreachable()));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut tries = Tries::new(&options(30, Duration::from_millis(100)));
        let mut waits = (1..30).map(|made| {
            tries.made = made;
            tries.wait().as_millis()
        });
        assert_eq!([0; 3].map(|_| waits.next().unwrap()), [100, 200, 400]);
        assert_eq!(waits.last(), Some(10_000));
    }

    #[test]
    fn a_wait_ends_when_the_user_wants_it() {
        let options = options(3, Duration::from_secs(60));
        let mut tries = Tries::new(&options);
        options.interrupt.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        assert_eq!(tries.again_after(broken()), Err(Cause::Interrupted));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
