//! What goes on between us and a place, for somebody who watches.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What goes to places and comes from them at this moment. Whoever opens them looks at it while a request takes its time.
#[derive(Debug, Default)]
pub struct Traffic {
    under_way: AtomicU64,
    silence: Mutex<Option<Silence>>,
}

/// A place from which no answer comes.
#[derive(Debug)]
struct Silence {
    place: String,
    since: Instant,
}

impl Traffic {
    /// Bytes that requests have moved so far which have not ended.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Counts what one request moves.
    pub fn request(&self) -> Moving<'_> {
        Moving { traffic: self, bytes: Cell::new(0) }
    }

    /// A request got no answer that could be used, and is made again; or it has waited for long.
    pub fn no_answer(&self, place: &str) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.get_or_insert_with(|| Silence { place: place.to_owned(), since: Instant::now() });
    }

    /// The place has answered.
    pub fn answer(&self, place: &str) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.take_if(|silence| silence.place == place);
    }

    /// The place of which no request has had an answer for this long.
    pub fn silent_for(&self, time: Duration) -> Option<String> {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.as_ref().filter(|it| it.since.elapsed() >= time).map(|it| it.place.clone())
    }
}

/// What one request has moved. When it has ended, whoever made it counts what came of it: so nothing counts twice that was tried twice.
#[derive(Debug)]
pub struct Moving<'a> {
    traffic: &'a Traffic,
    bytes: Cell<u64>,
}

impl Moving<'_> {
    /// So many bytes more.
    pub fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.bytes.set(self.bytes.get() + bytes);
        self.traffic.under_way.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.traffic.under_way.fetch_sub(self.bytes.get(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_has_moved_is_under_way_until_it_ends() {
        let traffic = Traffic::default();
        let (one, other) = (traffic.request(), traffic.request());
        one.add(5);
        other.add(7);
        one.add(1);
        assert_eq!(traffic.under_way(), 13);
        drop(one);
        assert_eq!(traffic.under_way(), 7);
        drop(other);
        assert_eq!(traffic.under_way(), 0);
    }

    #[test]
    fn a_place_is_silent_until_it_answers_itself() {
        let traffic = Traffic::default();
        let silent = || traffic.silent_for(Duration::ZERO);
        assert_eq!(silent(), None);
        traffic.no_answer("s3://a");
        traffic.answer("s3://b");
        assert_eq!(silent().as_deref(), Some("s3://a"));
        assert_eq!(traffic.silent_for(Duration::from_secs(60)), None);
        traffic.answer("s3://a");
        assert_eq!(silent(), None);
    }
}
