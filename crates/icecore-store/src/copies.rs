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

/// Puts the copy if it is missing, as after a crash between the two, or is not what the object is, which can be read. Returns whether it did.
pub(crate) fn keep_copy<T>(
    storage: &dyn Storage,
    name: &str,
    decode: impl Fn(&[u8]) -> std::result::Result<T, DecodeError>,
) -> Result<bool> {
    let bytes = storage.get(name)?;
    // Where both can be read and differ, one of them is from elsewhere, and nobody can tell which.
    let is_copied = storage.get(&names::copy_of(name)).is_ok_and(|copy| decode(&copy).is_ok());
    if is_copied || decode(&bytes).is_err() {
        return Ok(false);
    }
    put_copy(storage, name, &bytes)?;
    Ok(true)
}

fn decode(name: &str, bytes: &[u8]) -> std::result::Result<(), DecodeError> {
    match name.strip_prefix(names::KEYS) {
        Some(id) => KeyFile::decode(id, bytes).map(drop),
        None => Config::decode(bytes).map(drop),
    }
}

impl Store {
    /// Makes sure that there are copies of what nothing can be read without: a crash, or an older program, may have left none. Returns how many
    /// were put.
    pub(crate) fn keep_copies(&self) -> Result<u64> {
        let mut put = 0;
        for name in self.copied()? {
            match keep_copy(&*self.storage, &name, |bytes| decode(&name, bytes)) {
                Ok(is_put) => put += u64::from(is_put),
                // Removed since it was listed.
                Err(error) if error.is_gone() => (),
                Err(error) => return Err(error),
            }
        }
        Ok(put)
    }

    /// The objects of which there are copies.
    fn copied(&self) -> Result<Vec<String>> {
        let keys = self.storage.list(names::KEYS)?.into_iter().map(|object| object.name);
        Ok(std::iter::once(names::CONFIG.to_owned()).chain(keys).collect())
    }

    /// The originals whose copies are missing or cannot be read, with what is wrong. An original that cannot be read itself is another matter.
    pub(crate) fn check_copies(&self) -> Result<Vec<(String, StoreError)>> {
        let mut lacking = Vec::new();
        for name in self.copied()? {
            if !self.storage.get(&name).is_ok_and(|bytes| decode(&name, &bytes).is_ok()) {
                continue;
            }
            let copy = names::copy_of(&name);
            let outcome = match self.storage.get(&copy) {
                Ok(bytes) => decode(&name, &bytes).map_err(StoreError::damaged(&copy)),
                Err(error) => Err(StoreError::unread(&copy)(error)),
            };
            match outcome {
                Ok(()) => (),
                Err(error) if error.is_gone() => lacking.push((name, error)),
                Err(error) => lacking.push((name, self.still_listed(error)?)),
            }
        }
        Ok(lacking)
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
