//! The contract that every place for objects keeps.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;

use bytes::Bytes;

use crate::{ErrorKind, Result};

/// When a put may take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode<'a> {
    /// Only if there is no object of this name; of several such puts exactly one wins, the others get `AlreadyExists`.
    CreateNew,
    /// Only if the object is still of this version; otherwise `AlreadyExists`.
    Replace(&'a Version),
    /// In any case.
    Overwrite,
}

/// What an object's content was when it was read; opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub(crate) Vec<u8>);

impl Version {
    /// What an implementation tells versions by, such as a tag that the server gave.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The same again.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

/// An object that says that its maker is alive, for as long as this value lives. Dropping it deletes the object.
pub trait Hold: Send + Sync + fmt::Debug {
    /// Replaces the object's content.
    fn update(&mut self, bytes: &[u8]) -> Result<()>;

    /// Drops it, and says whether the object is gone for sure, where dropping it would not tell.
    fn release(self: Box<Self>) -> Result<()> {
        drop(self);
        Ok(())
    }
}

/// What can be told of the maker of a held object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The process that holds it runs.
    Alive,
    /// Nobody holds it: its maker crashed.
    Dead,
    /// This storage cannot tell.
    Unknown,
}

/// A flat set of named objects. Names are made of lower-case letters, digits, `-`, `.` and `_`, in components separated by `/`.
///
/// What `put` and `delete` have returned from is durable: it survives a crash of the machine. That somebody else was there first is an
/// answer as durable. An object appears whole or not at all.
pub trait Storage: Send + Sync + fmt::Debug {
    /// The whole object, or `NotFound`.
    fn get(&self, name: &str) -> Result<Bytes>;

    /// The whole object with its version, or `NotFound`.
    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)>;

    /// Exactly `range` of the object; `NotFound`, or `OutOfRange` if it is shorter.
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes>;

    /// Makes `bytes` the object's content, all at once, durable before it returns.
    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()>;

    /// The objects whose names start with `prefix`, which ends with `/` or is empty, in the order of their names.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>>;

    /// The object's length in bytes, or `NotFound`.
    fn len(&self, name: &str) -> Result<u64>;

    /// Removes the object, or `NotFound`. Durable before it returns, either way.
    fn delete(&self, name: &str) -> Result<()>;

    /// Removes all of these objects, in no particular order, and is content if some are not there. Durable before it returns.
    fn delete_all(&self, names: &[String]) -> Result<()> {
        names.iter().try_for_each(|name| match self.delete(name) {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        })
    }

    /// Creates an object that [`Storage::holder`] knows as alive until the returned value is dropped.
    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>>;

    /// Whether [`Storage::holder`] can tell the dead from the living here. Where it cannot, whoever holds an object remembers it.
    fn knows_holders(&self) -> bool {
        true
    }

    /// Whether the maker of a held object still lives.
    fn holder(&self, name: &str) -> Result<Holder>;

    /// Makes an object that somebody else put as durable as one of our own: its writer may have crashed between the two. Of a prefix,
    /// which ends with `/`, it makes durable which objects are directly below it, and which are not there any more.
    fn settle(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Removes what crashed writers left unfinished, and returns how many bytes that was. What somebody still writes stays.
    fn clear_unfinished(&self) -> Result<u64> {
        Ok(0)
    }

    /// How many bytes there is room for, if that can be told.
    fn free(&self) -> Option<u64> {
        None
    }

    /// Sets some room aside for a time when there is none: a collection needs a little to free much.
    fn keep_reserve(&self) -> Result<()> {
        Ok(())
    }

    /// Gives that room back. False if there is none.
    fn release_reserve(&self) -> Result<bool> {
        Ok(false)
    }

    /// Moves an object that is damaged to another name, for somebody to look at. Durable before it returns.
    fn set_aside(&self, name: &str, to: &str) -> Result<()> {
        self.put(to, &self.get(name)?, PutMode::Overwrite)?;
        self.delete(name)
    }

    /// How many requests at once this storage handles well.
    fn concurrency(&self) -> NonZeroUsize;
}
