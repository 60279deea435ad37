//! The passwords of an encrypted store.

use std::collections::BTreeSet;

use icecore_format::{KdfCost, KeyFile, StoreId, StoreKey, names};
use icecore_storage::{ErrorKind, PutMode, Storage};

use crate::copies::{get_either, put_copy};
use crate::store::Store;
use crate::{Result, StoreError, random};

/// The store key that `password` opens, and the key file it opened.
pub(crate) fn unlock(storage: &dyn Storage, store: StoreId, password: &[u8]) -> Result<(StoreKey, KeyFile)> {
    let files = key_files(storage)?;
    for file in &files {
        if let Ok(root) = file.unwrap(store, password) {
            return Ok((StoreKey::secret(root), file.clone()));
        }
    }
    Err(StoreError::WrongPassword { keys: files.len() })
}

fn key_files(storage: &dyn Storage) -> Result<Vec<KeyFile>> {
    let mut names = BTreeSet::new();
    for object in storage.list(names::KEYS)? {
        names.insert(object.name);
    }
    for object in storage.list(&names::copy_of(names::KEYS))? {
        names.extend(object.name.strip_prefix(names::COPIES).map(str::to_owned));
    }
    let mut files = Vec::new();
    let mut damage = None;
    for name in names {
        let id = name.strip_prefix(names::KEYS).unwrap_or_default();
        match get_either(storage, &name, |bytes| KeyFile::decode(id, bytes)) {
            Ok(file) => files.extend(file),
            // One damaged key must not keep the others from opening the store.
            Err(error) if error.is_unreadable() => damage = Some(error),
            Err(error) => return Err(error),
        }
    }
    match damage {
        Some(damage) if files.is_empty() => Err(damage),
        _ => Ok(files),
    }
}

impl Store {
    /// The keys, in the order of their ids.
    pub fn keys(&self) -> Result<Vec<KeyFile>> {
        if self.key.is_encrypted() { key_files(&*self.storage) } else { Err(StoreError::NotEncrypted) }
    }

    /// Lets `password` open the store too. Returns the new key.
    pub fn add_key(&self, password: &[u8], label: &str, now: &str, cost: KdfCost) -> Result<KeyFile> {
        let root = self.key.root().ok_or(StoreError::NotEncrypted)?;
        let file = KeyFile::wrap(root, self.config.store_id, password, label, now, cost, random::salt());
        self.storage.put(&names::key(&file.id), &file.encode(), PutMode::CreateNew)?;
        put_copy(&*self.storage, &names::key(&file.id), &file.encode())?;
        Ok(file)
    }

    /// Takes a key away. The store key itself stays the same: who has copied it can still read the store.
    pub fn remove_key(&self, id: &str) -> Result<()> {
        let keys = self.keys()?;
        let no_key = || StoreError::NoKey { id: id.to_owned() };
        let Some(file) = keys.iter().find(|key| key.id == id) else {
            // Nor will it come back, if whoever took it away crashed.
            self.storage.settle(&names::copy_of(names::KEYS))?;
            self.storage.settle(names::KEYS)?;
            return Err(no_key());
        };
        if keys.len() == 1 {
            return Err(StoreError::LastKey { id: id.to_owned() });
        }
        self.delete_if_there(&names::copy_of(&names::key(id)))?;
        self.storage.delete(&names::key(id)).map_err(|error| match error.kind {
            ErrorKind::NotFound => no_key(),
            _ => error.into(),
        })?;
        // Somebody may have taken the other ones away at the same time: no store is left without a key.
        if self.keys().is_ok_and(|keys| !keys.is_empty()) {
            return Ok(());
        }
        self.storage.put(&names::key(id), &file.encode(), PutMode::CreateNew)?;
        put_copy(&*self.storage, &names::key(id), &file.encode())?;
        Err(StoreError::LastKey { id: id.to_owned() })
    }

    /// The key that `password` opens.
    pub fn key_of(&self, password: &[u8]) -> Result<KeyFile> {
        self.keys()?;
        unlock(&*self.storage, self.config.store_id, password).map(|(_, file)| file)
    }
}
