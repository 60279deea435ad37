//! The passwords of an encrypted store.

use icecore_format::{KdfCost, KeyFile, StoreId, StoreKey, names};
use icecore_storage::{PutMode, Storage};

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
    let mut files = Vec::new();
    let mut damage = None;
    for object in storage.list(names::KEYS)? {
        let id = object.name.strip_prefix(names::KEYS).unwrap_or_default();
        match KeyFile::decode(id, &storage.get(&object.name)?) {
            Ok(file) => files.push(file),
            // One damaged key must not keep the others from opening the store.
            Err(error) => damage = Some(StoreError::damaged(&object.name)(error)),
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
        Ok(file)
    }

    /// Takes a key away. The store key itself stays the same: who has copied it can still read the store.
    pub fn remove_key(&self, id: &str) -> Result<()> {
        let keys = self.keys()?;
        if !keys.iter().any(|key| key.id == id) {
            return Err(StoreError::NoKey { id: id.to_owned() });
        }
        if keys.len() == 1 {
            return Err(StoreError::LastKey { id: id.to_owned() });
        }
        Ok(self.storage.delete(&names::key(id))?)
    }

    /// The key that `password` opens.
    pub fn key_of(&self, password: &[u8]) -> Result<KeyFile> {
        self.keys()?;
        unlock(&*self.storage, self.config.store_id, password).map(|(_, file)| file)
    }
}
