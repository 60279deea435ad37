//! Objects in memory: a real implementation of the contract, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{Error, Hold, Holder, ObjectMeta, PutMode, Result, Storage, Version};

/// A storage that is gone with its last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    held: BTreeSet<String>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fail(action: &'static str, name: &str, kind: io::ErrorKind) -> Error {
    Error::new(action, format!("memory:{name}"), kind.into())
}

impl Storage for MemoryStorage {
    fn get(&self, name: &str) -> Result<Bytes> {
        let object = self.state().objects.get(name).cloned();
        object.ok_or_else(|| fail("cannot read", name, io::ErrorKind::NotFound))
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        let bytes = self.get(name)?;
        let version = Version(bytes.to_vec());
        Ok((bytes, version))
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.get(name)?;
        let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        match range {
            Some((start, end)) if start <= end && end <= bytes.len() => Ok(bytes.slice(start..end)),
            _ => Err(fail("cannot read", name, io::ErrorKind::UnexpectedEof)),
        }
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        let mut state = self.state();
        let found = state.objects.get(name);
        let allowed = match mode {
            PutMode::CreateNew => found.is_none(),
            PutMode::Replace(version) => found.is_some_and(|bytes| bytes[..] == version.0[..]),
            PutMode::Overwrite => true,
        };
        if !allowed {
            return Err(fail("cannot write", name, io::ErrorKind::AlreadyExists));
        }
        state.objects.insert(name.to_owned(), Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let state = self.state();
        let from = state.objects.range(prefix.to_owned()..);
        Ok(from
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, bytes)| ObjectMeta { name: name.clone(), len: bytes.len() as u64 })
            .collect())
    }

    fn len(&self, name: &str) -> Result<u64> {
        self.get(name).map(|bytes| bytes.len() as u64)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let removed = self.state().objects.remove(name);
        removed.map(drop).ok_or_else(|| fail("cannot delete", name, io::ErrorKind::NotFound))
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        let mut state = self.state();
        // In one step: a collector must not see the object before it is held, and take its maker for dead.
        if state.objects.contains_key(name) {
            return Err(fail("cannot write", name, io::ErrorKind::AlreadyExists));
        }
        state.objects.insert(name.to_owned(), Bytes::copy_from_slice(bytes));
        state.held.insert(name.to_owned());
        drop(state);
        Ok(Box::new(MemoryHold { storage: self.clone(), name: name.to_owned() }))
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        let state = self.state();
        if !state.objects.contains_key(name) {
            return Err(fail("cannot read", name, io::ErrorKind::NotFound));
        }
        Ok(if state.held.contains(name) { Holder::Alive } else { Holder::Dead })
    }

    fn concurrency(&self) -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(3)
    }
}

#[derive(Debug)]
struct MemoryHold {
    storage: MemoryStorage,
    name: String,
}

impl Hold for MemoryHold {
    fn update(&mut self, bytes: &[u8]) -> Result<()> {
        self.storage.put(&self.name, bytes, PutMode::Overwrite)
    }
}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        let mut state = self.storage.state();
        state.held.remove(&self.name);
        state.objects.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_keeps_the_contract() {
        crate::conformance::run(&super::MemoryStorage::new());
    }
}
