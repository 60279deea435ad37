//! A storage that fails where it is told to.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use icecore_storage::{Error, ErrorKind, Hold, Holder, ObjectMeta, PutMode, Result, Storage, Version};

use crate::Call;

/// Every kind of error that a storage can answer with.
pub const ERROR_KINDS: [ErrorKind; 7] = [
    ErrorKind::NotFound,
    ErrorKind::AlreadyExists,
    ErrorKind::OutOfRange,
    ErrorKind::Denied,
    ErrorKind::Full,
    ErrorKind::Unreachable,
    ErrorKind::Other,
];

/// Which calls can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// All of them.
    Any,
    /// Those that change which objects there are: put, hold, delete.
    Change,
    /// Those that look at objects: get, get_range, list, len, holder.
    Look,
    /// Those of one kind.
    Only(Call),
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Which calls it can hit.
    pub calls: Calls,
    /// Only objects whose names start so; `""` for all.
    pub prefix: &'static str,
    /// So many of these calls succeed before.
    pub after: usize,
    /// What the call answers.
    pub kind: ErrorKind,
    /// Whether all later ones fail too, as after a crash.
    pub for_good: bool,
}

/// A storage over another one.
#[derive(Debug)]
pub struct FaultyStorage<S> {
    inner: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    hit: bool,
}

impl<S: Storage> FaultyStorage<S> {
    /// Answers as `inner` does, until it is told to fail.
    pub fn new(inner: S) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// Fails from now on as `fault` says.
    pub fn fail(&self, fault: Fault) {
        *self.state() = State { fault: Some(fault), hit: false };
    }

    /// Fails no more; whether it ever did.
    pub fn heal(&self) -> bool {
        let mut state = self.state();
        state.fault = None;
        state.hit
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, call: Call, name: &str) -> Result<()> {
        let mut state = self.state();
        let Some(fault) = state.fault.as_mut().filter(|fault| fault.hits(call, name)) else { return Ok(()) };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let fault = *fault;
        state.hit = true;
        if !fault.for_good {
            state.fault = None;
        }
        let source = io::Error::other("injected");
        // As the real ones say it: callers tell what was not read from what was not written.
        let action = if call.changes() { "cannot write" } else { "cannot read" };
        Err(Error { kind: fault.kind, action, place: name.to_owned(), source })
    }
}

impl Fault {
    fn hits(&self, call: Call, name: &str) -> bool {
        let of_this_kind = match self.calls {
            Calls::Any => true,
            Calls::Change => call.changes(),
            Calls::Look => !call.changes() && !matches!(call, Call::Settle | Call::Clear),
            Calls::Only(only) => call == only,
        };
        of_this_kind && name.starts_with(self.prefix)
    }
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn get(&self, name: &str) -> Result<Bytes> {
        self.pass(Call::Get, name)?;
        self.inner.get(name)
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        self.pass(Call::Get, name)?;
        self.inner.get_versioned(name)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.pass(Call::GetRange, name)?;
        self.inner.get_range(name, range)
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        self.pass(Call::Put, name)?;
        self.inner.put(name, bytes, mode)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.pass(Call::List, prefix)?;
        self.inner.list(prefix)
    }

    fn len(&self, name: &str) -> Result<u64> {
        self.pass(Call::Len, name)?;
        self.inner.len(name)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.pass(Call::Delete, name)?;
        self.inner.delete(name)
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        self.pass(Call::Hold, name)?;
        self.inner.hold(name, bytes)
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        self.pass(Call::Holder, name)?;
        self.inner.holder(name)
    }

    fn settle(&self, name: &str) -> Result<()> {
        self.pass(Call::Settle, name)?;
        self.inner.settle(name)
    }

    fn clear_unfinished(&self) -> Result<u64> {
        self.pass(Call::Clear, "")?;
        self.inner.clear_unfinished()
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
    fn it_fails_with_every_kind_once_or_for_good_and_then_no_more() {
        for (kind, for_good) in ERROR_KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let storage = FaultyStorage::new(MemoryStorage::new());
            storage.put("a/1", b"1", PutMode::CreateNew).unwrap();
            storage.fail(Fault { calls: Calls::Only(Call::Get), prefix: "a/", after: 1, kind, for_good });
            storage.get("b").unwrap_err();
            storage.len("a/1").unwrap();
            storage.get("a/1").unwrap();
            assert_eq!(storage.get("a/1").unwrap_err().kind, kind);
            assert_eq!(storage.get("a/1").is_err(), for_good);
            assert!(storage.heal());
            storage.get("a/1").unwrap();
        }
    }

    #[test]
    fn without_a_fault_it_keeps_the_contract() {
        icecore_storage::conformance::run(&FaultyStorage::new(MemoryStorage::new()));
    }
}
