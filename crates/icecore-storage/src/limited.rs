//! A storage that is not used faster than it may be.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::{
    Error, ErrorKind, Hold, Holder, Limits, Moving, ObjectMeta, PutMode, RateLimit, Result, Storage, Traffic,
    Version,
};

/// What is waited for at a time.
const PIECE_LEN: usize = 128 << 10;

/// A storage whose objects move whole, so that of each one the time is waited for before it moves on.
#[derive(Debug)]
pub struct LimitedStorage<S> {
    inner: S,
    limits: Limits,
    interrupt: Arc<AtomicBool>,
    traffic: Arc<Traffic>,
}

impl<S: Storage> LimitedStorage<S> {
    /// The same within limits; `interrupt` is set when the user wants it to stop, and `traffic` shows what has been paid for.
    pub fn new(inner: S, limits: Limits, interrupt: Arc<AtomicBool>, traffic: Arc<Traffic>) -> Self {
        Self { inner, limits, interrupt, traffic }
    }

    fn pay(
        &self,
        limit: Option<&Arc<RateLimit>>,
        bytes: &[u8],
        action: &'static str,
        name: &str,
    ) -> Result<Moving<'_>> {
        let moving = self.traffic.request();
        let Some(limit) = limit else { return Ok(moving) };
        for piece in bytes.chunks(PIECE_LEN) {
            if !limit.wait(piece.len() as u64, &self.interrupt) {
                let source = io::Error::other("interrupted");
                return Err(Error { kind: ErrorKind::Interrupted, action, place: name.to_owned(), source });
            }
            moving.add(piece.len());
        }
        Ok(moving)
    }

    fn received(&self, bytes: &Bytes, name: &str) -> Result<()> {
        self.pay(self.limits.download.as_ref(), bytes, "cannot read", name).map(drop)
    }

    /// What is returned is under way until it is dropped.
    fn send(&self, bytes: &[u8], name: &str) -> Result<Moving<'_>> {
        self.pay(self.limits.upload.as_ref(), bytes, "cannot write", name)
    }
}

impl<S: Storage> Storage for LimitedStorage<S> {
    fn get(&self, name: &str) -> Result<Bytes> {
        let bytes = self.inner.get(name)?;
        self.received(&bytes, name)?;
        Ok(bytes)
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        let (bytes, version) = self.inner.get_versioned(name)?;
        self.received(&bytes, name)?;
        Ok((bytes, version))
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.inner.get_range(name, range)?;
        self.received(&bytes, name)?;
        Ok(bytes)
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        let _moving = self.send(bytes, name)?;
        self.inner.put(name, bytes, mode)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn len(&self, name: &str) -> Result<u64> {
        self.inner.len(name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn delete_all(&self, names: &[String]) -> Result<()> {
        self.inner.delete_all(names)
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        let _moving = self.send(bytes, name)?;
        self.inner.hold(name, bytes)
    }

    fn knows_holders(&self) -> bool {
        self.inner.knows_holders()
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        self.inner.holder(name)
    }

    fn settle(&self, name: &str) -> Result<()> {
        self.inner.settle(name)
    }

    fn clear_unfinished(&self) -> Result<u64> {
        self.inner.clear_unfinished()
    }

    fn free(&self) -> Option<u64> {
        self.inner.free()
    }

    fn keep_reserve(&self) -> Result<()> {
        self.inner.keep_reserve()
    }

    fn release_reserve(&self) -> Result<bool> {
        self.inner.release_reserve()
    }

    fn set_aside(&self, name: &str, to: &str) -> Result<()> {
        self.inner.set_aside(name, to)
    }

    fn concurrency(&self) -> NonZeroUsize {
        self.inner.concurrency()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;
    use crate::limit::tests::Stopped;
    use crate::{Clock, MemoryStorage};

    #[test]
    fn it_keeps_the_contract() {
        crate::conformance::run(&LimitedStorage::new(
            MemoryStorage::new(),
            Limits::default(),
            Arc::default(),
            Arc::default(),
        ));
    }

    #[test]
    fn each_byte_takes_its_time_in_its_direction() {
        let clock = Arc::new(Stopped::default());
        let limit = |rate| {
            let clock = Arc::clone(&clock) as Arc<dyn Clock>;
            Some(Arc::new(RateLimit::new(NonZeroU64::new(rate).unwrap(), clock)))
        };
        let limits = Limits { upload: limit(1000), download: limit(100) };
        let storage = LimitedStorage::new(MemoryStorage::new(), limits, Arc::default(), Arc::default());
        storage.put("a", &[1; 3000], PutMode::CreateNew).unwrap();
        assert_eq!(clock.now(), Duration::from_secs(3));
        storage.get_range("a", 0..500).unwrap();
        assert_eq!(clock.now(), Duration::from_secs(8));
        assert_eq!(storage.traffic.under_way(), 0);
        storage.interrupt.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(storage.get("a").unwrap_err().kind, ErrorKind::Interrupted);
        assert_eq!(clock.now(), Duration::from_secs(8));
    }
}
