//! Second copies of the few small objects without which nothing else could be read: the configuration and the keys.
//!
//! They are put after the originals and removed before them, so that a copy alone means that the original was lost.

use icecore_format::{Config, DecodeError, KeyFile, names};
use icecore_storage::{ErrorKind, PutMode, Storage};

use crate::store::Store;
use crate::{Result, StoreError};

/// Puts the copy of an object that has just been put. If the object has been removed meanwhile, its copy must not bring it back.
pub(crate) fn put_copy(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    storage.put(&names::copy_of(name), bytes, PutMode::Overwrite)?;
    match storage.len(name) {
        Err(error) if error.kind == ErrorKind::NotFound => match storage.delete(&names::copy_of(name)) {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Puts the copy if it is missing, as after a crash between the two, or is not what the object is, which can be read.
pub(crate) fn keep_copy<T>(
    storage: &dyn Storage,
    name: &str,
    decode: impl Fn(&[u8]) -> std::result::Result<T, DecodeError>,
) -> Result<()> {
    let bytes = storage.get(name)?;
    // Where both can be read and differ, one of them is from elsewhere, and nobody can tell which.
    let is_copied = storage.get(&names::copy_of(name)).is_ok_and(|copy| decode(&copy).is_ok());
    if is_copied || decode(&bytes).is_err() { Ok(()) } else { put_copy(storage, name, &bytes) }
}

impl Store {
    /// Makes sure that there are copies of what nothing can be read without: a crash, or an older program, may have left none.
    pub(crate) fn keep_copies(&self) -> Result<()> {
        keep_copy(&*self.storage, names::CONFIG, Config::decode)?;
        for object in self.storage.list(names::KEYS)? {
            let id = object.name.strip_prefix(names::KEYS).unwrap_or_default();
            keep_copy(&*self.storage, &object.name, |bytes| KeyFile::decode(id, bytes))?;
        }
        Ok(())
    }
}

/// Reads an object, or its copy where the object itself is missing or damaged; then the object is put again, as far as we may. `None` if
/// neither is there.
pub(crate) fn get_either<T>(
    storage: &dyn Storage,
    name: &str,
    decode: impl Fn(&[u8]) -> std::result::Result<T, DecodeError>,
) -> Result<Option<T>> {
    let failure = match storage.get(name) {
        Ok(bytes) => match decode(&bytes) {
            Ok(value) => return Ok(Some(value)),
            // Sound, only not for us: its copy may be older, and must not take its place.
            Err(error @ DecodeError::TooNew { .. }) => return Err(StoreError::damaged(name)(error)),
            Err(error) => Some(StoreError::damaged(name)(error)),
        },
        Err(error) if error.kind == ErrorKind::NotFound => None,
        Err(error) => Some(error.into()),
    };
    if let Ok(bytes) = storage.get(&names::copy_of(name))
        && let Ok(value) = decode(&bytes)
    {
        // Who may only read the store reads the copy each time.
        let _ = storage.put(name, &bytes, PutMode::Overwrite);
        return Ok(Some(value));
    }
    failure.map_or(Ok(None), Err)
}
