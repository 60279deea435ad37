//! A storage like one that is far away: it cannot tell whether somebody lives.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use icecore_storage::{
    Error, ErrorKind, Hold, Holder, MemoryStorage, ObjectMeta, PutMode, Result, Storage, Version,
};

/// One machine's way to objects that others see as well.
#[derive(Debug, Clone)]
pub struct FarStorage {
    inner: MemoryStorage,
    /// Whether a put takes effect whatever it is conditional on, and says so.
    ignores_conditions: bool,
    is_dead: Arc<AtomicBool>,
    last_put: Arc<Mutex<LastPut>>,
}

/// The put at which a machine dies.
#[derive(Debug, Default)]
struct LastPut {
    /// How the object's name begins, if the machine is to die.
    prefix: Option<String>,
    /// What was sent and has not arrived.
    late: Option<(String, Vec<u8>)>,
}

impl FarStorage {
    /// An empty place that heeds conditions.
    pub fn new() -> Self {
        Self {
            inner: MemoryStorage::new(),
            ignores_conditions: false,
            is_dead: Arc::default(),
            last_put: Arc::default(),
        }
    }

    /// An empty place that answers to conditional puts as to others.
    pub fn ignoring_conditions() -> Self {
        Self { ignores_conditions: true, ..Self::new() }
    }

    /// Another machine's way to the same objects.
    #[must_use]
    pub fn another_machine(&self) -> Self {
        Self { is_dead: Arc::default(), last_put: Arc::default(), ..self.clone() }
    }

    /// This machine dies: from now on it reaches nothing, and what it holds stays.
    pub fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    /// This machine dies right after it has sent an object whose name begins so: it has not arrived yet.
    ///
    /// # Panics
    ///
    /// If another thread did.
    pub fn die_at_put_of(&self, prefix: &str) {
        self.last_put.lock().expect("nobody panics").prefix = Some(prefix.to_owned());
    }

    /// The name and the bytes of what was sent and has not arrived.
    ///
    /// # Panics
    ///
    /// If another thread did.
    pub fn take_late(&self) -> Option<(String, Vec<u8>)> {
        self.last_put.lock().expect("nobody panics").late.take()
    }

    fn alive(&self, name: &str) -> Result<&MemoryStorage> {
        if !self.is_dead.load(Ordering::SeqCst) {
            return Ok(&self.inner);
        }
        Err(Error::new("cannot reach", format!("far:{name}"), io::Error::other("the machine is dead")))
    }
}

impl Default for FarStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl Storage for FarStorage {
    fn get(&self, name: &str) -> Result<Bytes> {
        self.alive(name)?.get(name)
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        self.alive(name)?.get_versioned(name)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.alive(name)?.get_range(name, range)
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        let mode = if self.ignores_conditions { PutMode::Overwrite } else { mode };
        let mut last = self.last_put.lock().unwrap_or_else(PoisonError::into_inner);
        if last.prefix.as_ref().is_some_and(|prefix| name.starts_with(prefix)) {
            *last = LastPut { prefix: None, late: Some((name.to_owned(), bytes.to_vec())) };
            self.die();
        }
        drop(last);
        self.alive(name)?.put(name, bytes, mode)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.alive(prefix)?.list(prefix)
    }

    fn len(&self, name: &str) -> Result<u64> {
        self.alive(name)?.len(name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.alive(name)?.delete(name)
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        self.put(name, bytes, PutMode::CreateNew)?;
        Ok(Box::new(FarHold { storage: self.clone(), name: name.to_owned(), is_held: true }))
    }

    fn knows_holders(&self) -> bool {
        false
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        self.len(name).map(|_| Holder::Unknown)
    }

    fn concurrency(&self) -> NonZeroUsize {
        self.inner.concurrency()
    }
}

#[derive(Debug)]
struct FarHold {
    storage: FarStorage,
    name: String,
    is_held: bool,
}

impl Hold for FarHold {
    fn update(&mut self, bytes: &[u8]) -> Result<()> {
        self.storage.put(&self.name, bytes, PutMode::Overwrite)
    }

    fn release(mut self: Box<Self>) -> Result<()> {
        self.is_held = false;
        match self.storage.delete(&self.name) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for FarHold {
    fn drop(&mut self) {
        if self.is_held {
            let _ = self.storage.delete(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_contract() {
        icecore_storage::conformance::run(&FarStorage::new());
    }

    #[test]
    fn what_a_dead_machine_holds_stays() {
        let storage = FarStorage::new();
        let hold = storage.hold("a", b"1").unwrap();
        storage.die();
        hold.release().unwrap_err();
        storage.get("a").unwrap_err();
        assert_eq!(storage.another_machine().get("a").unwrap(), "1");
    }
}
