//! A storage that remembers what it was asked.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use icecore_storage::{Hold, Holder, ObjectMeta, PutMode, Result, Storage, Version};

use crate::Call;

/// A call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What was asked.
    pub call: Call,
    /// The object, or the prefix of a listing.
    pub name: String,
    /// Bytes that were read or written, objects that were listed; 0 for calls that move nothing.
    pub count: u64,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.call.as_str(), self.name)
    }
}

/// Told of each call, before its caller is.
type Watcher = Box<dyn Fn(&Recorded) + Send + Sync>;

/// A storage over another one.
pub struct RecordingStorage<S> {
    inner: S,
    calls: Mutex<Vec<Recorded>>,
    watcher: Watcher,
}

impl<S: fmt::Debug> fmt::Debug for RecordingStorage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingStorage").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S: Storage> RecordingStorage<S> {
    /// Answers as `inner` does.
    pub fn new(inner: S) -> Self {
        Self::watched(inner, |_| ())
    }

    /// Answers as `inner` does, but lets `watcher` do something between each call that succeeds and its caller's next step.
    pub fn watched(inner: S, watcher: impl Fn(&Recorded) + Send + Sync + 'static) -> Self {
        Self { inner, calls: Mutex::default(), watcher: Box::new(watcher) }
    }

    /// The storage below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The calls since the last time, in the order in which they ended.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of them that changed something, as `put NAME`, `hold NAME`, `delete NAME`.
    pub fn take_changes(&self) -> Vec<String> {
        let calls = self.take().into_iter();
        calls.filter(|recorded| recorded.call.changes()).map(|recorded| recorded.to_string()).collect()
    }

    fn note<T>(&self, call: Call, name: &str, answer: Result<T>, count: impl FnOnce(&T) -> u64) -> Result<T> {
        if let Ok(value) = &answer {
            let recorded = Recorded { call, name: name.to_owned(), count: count(value) };
            (self.watcher)(&recorded);
            self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
        }
        answer
    }
}

impl<S: Storage> Storage for RecordingStorage<S> {
    fn get(&self, name: &str) -> Result<Bytes> {
        self.note(Call::Get, name, self.inner.get(name), |bytes| bytes.len() as u64)
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        self.note(Call::Get, name, self.inner.get_versioned(name), |(bytes, _)| bytes.len() as u64)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.note(Call::GetRange, name, self.inner.get_range(name, range), |bytes| bytes.len() as u64)
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        self.note(Call::Put, name, self.inner.put(name, bytes, mode), |()| bytes.len() as u64)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.note(Call::List, prefix, self.inner.list(prefix), |objects| objects.len() as u64)
    }

    fn len(&self, name: &str) -> Result<u64> {
        self.note(Call::Len, name, self.inner.len(name), |_| 0)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.note(Call::Delete, name, self.inner.delete(name), |()| 0)
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        self.note(Call::Hold, name, self.inner.hold(name, bytes), |_| bytes.len() as u64)
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        self.note(Call::Holder, name, self.inner.holder(name), |_| 0)
    }

    fn settle(&self, name: &str) -> Result<()> {
        self.note(Call::Settle, name, self.inner.settle(name), |()| 0)
    }

    fn clear_unfinished(&self) -> Result<u64> {
        self.note(Call::Clear, "", self.inner.clear_unfinished(), |freed| *freed)
    }

    fn knows_holders(&self) -> bool {
        self.inner.knows_holders()
    }

    fn concurrency(&self) -> NonZeroUsize {
        self.inner.concurrency()
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::MemoryStorage;

    use super::*;

    #[test]
    fn it_remembers_what_succeeded_with_names_and_bytes() {
        let storage = RecordingStorage::new(MemoryStorage::new());
        storage.put("a", b"123", PutMode::CreateNew).unwrap();
        storage.put("a", b"123", PutMode::CreateNew).unwrap_err();
        storage.get_range("a", 1..3).unwrap();
        storage.delete("a").unwrap();
        let calls: Vec<_> = storage.take().into_iter().map(|r| (r.to_string(), r.count)).collect();
        assert_eq!(calls, [("put a".into(), 3), ("get_range a".into(), 2), ("delete a".into(), 0)]);
        assert_eq!(storage.take_changes(), [""; 0]);
    }

    #[test]
    fn it_keeps_the_contract() {
        icecore_storage::conformance::run(&RecordingStorage::new(MemoryStorage::new()));
    }
}
