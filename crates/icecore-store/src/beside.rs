//! A store of which some was left out, read together with the one that has it.
//!
//! What was left out may be what something is coded on. Nothing of the other store is listed or indexed here: only who looks for a chunk that is not here
//! finds it there.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use icecore_format::{ShortId, names};
use icecore_storage::{self as storage, ErrorKind, Hold, Holder, ObjectMeta, PutMode, Storage, Version};

use crate::Result;
use crate::pack::PackReader;
use crate::read::ANY_DEPTH;
use crate::store::Store;

impl Store {
    /// The same store, which finds in `other`, a store of the same id, what it does not have itself.
    #[must_use]
    pub fn beside(mut self, other: Arc<Self>) -> Self {
        let both = Both { own: Arc::clone(&self.storage), there: Arc::clone(&other.storage) };
        self.storage = Arc::new(both);
        self.packs = PackReader::new(Arc::clone(&self.storage), self.key.clone());
        self.beside = Some(other);
        self
    }

    /// Whether a pack holds a chunk, however it is coded there.
    pub fn has_chunk(&self, id: &ShortId) -> Result<bool> {
        self.index.read(|index| Ok(index.find_base(id, ANY_DEPTH)?.is_some()))
    }
}

/// One's own objects, and another one's packs.
#[derive(Debug)]
struct Both {
    own: Arc<dyn Storage>,
    there: Arc<dyn Storage>,
}

impl Both {
    fn read<T>(&self, name: &str, read: impl Fn(&dyn Storage) -> storage::Result<T>) -> storage::Result<T> {
        match read(&*self.own) {
            Err(error) if error.kind == ErrorKind::NotFound && names::parse_pack(name).is_some() => {
                read(&*self.there)
            }
            read => read,
        }
    }
}

impl Storage for Both {
    fn get(&self, name: &str) -> storage::Result<Bytes> {
        self.read(name, |storage| storage.get(name))
    }

    fn get_versioned(&self, name: &str) -> storage::Result<(Bytes, Version)> {
        self.own.get_versioned(name)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> storage::Result<Bytes> {
        self.read(name, |storage| storage.get_range(name, range.clone()))
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> storage::Result<()> {
        self.own.put(name, bytes, mode)
    }

    fn list(&self, prefix: &str) -> storage::Result<Vec<ObjectMeta>> {
        self.own.list(prefix)
    }

    fn len(&self, name: &str) -> storage::Result<u64> {
        self.read(name, |storage| storage.len(name))
    }

    fn delete(&self, name: &str) -> storage::Result<()> {
        self.own.delete(name)
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> storage::Result<Box<dyn Hold>> {
        self.own.hold(name, bytes)
    }

    fn holder(&self, name: &str) -> storage::Result<Holder> {
        self.own.holder(name)
    }

    fn concurrency(&self) -> NonZeroUsize {
        self.own.concurrency()
    }
}
