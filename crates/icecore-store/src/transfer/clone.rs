//! The same store in another place.

use std::path::PathBuf;
use std::sync::Arc;

use icecore_format::{Config, DecodeError, Epoch, KeyFile, names};
use icecore_storage::{ErrorKind, PutMode, Storage};

use crate::copies::{get_either, put_copy};
use crate::store::{Store, read_config};
use crate::{Result, StoreError};

impl Store {
    /// Makes an empty store with the id, the configuration and the keys of this one in `storage`, and opens it with the same key. If it is there
    /// already, it is opened. `place` names it in errors.
    ///
    /// The configuration is put last, so that this can be repeated after a crash, and done by two machines at once.
    ///
    /// # Errors
    /// If another store lies there, or anything else.
    pub fn clone_to(&self, storage: Arc<dyn Storage>, place: &str, index_path: PathBuf) -> Result<Self> {
        if let Some(found) = read_config(&*storage, place)? {
            // Whoever crashed while making it may not have come to this.
            storage.settle(names::CONFIG)?;
            return self.opened_as(found, storage, index_path);
        }
        let config = self.raw(names::CONFIG, Config::decode)?;
        let mut keys = Vec::new();
        if self.key.is_encrypted() {
            for key in self.keys()? {
                let name = names::key(&key.id);
                let bytes = self.raw(&name, |bytes| KeyFile::decode(&key.id, bytes))?;
                keys.push((name, bytes));
            }
        }
        let mut objects: Vec<String> = storage.list("")?.into_iter().map(|object| object.name).collect();
        objects.retain(|object| {
            let name = object.strip_prefix(names::COPIES).unwrap_or(object);
            object != names::EPOCH && !keys.iter().any(|(key, _)| key == name)
        });
        // Somebody else has made it since.
        if objects.iter().any(|object| object == names::CONFIG)
            && let Some(found) = read_config(&*storage, place)?
        {
            return self.opened_as(found, storage, index_path);
        }
        if objects.iter().any(|object| names::parse_pack(object).is_some()) {
            return Err(StoreError::ConfigMissing { place: place.to_owned() });
        }
        if let Some(object) = objects.into_iter().next() {
            return Err(StoreError::PlaceTaken { place: place.to_owned(), object });
        }
        for (name, bytes) in &keys {
            storage.put(name, bytes, PutMode::Overwrite)?;
            put_copy(&*storage, name, bytes)?;
        }
        match storage.put(names::EPOCH, &Epoch(0).encode(names::EPOCH), PutMode::CreateNew) {
            Err(error) if error.kind != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => (),
        }
        storage.keep_reserve()?;
        match storage.put(names::CONFIG, &config, PutMode::CreateNew) {
            Err(error) if error.kind != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => (),
        }
        // Somebody else may have made another store meanwhile, and not every place heeds conditions.
        let found = storage.get(names::CONFIG)?;
        let found = Config::decode(&found).map_err(StoreError::damaged(names::CONFIG))?;
        let store = self.opened_as(found, Arc::clone(&storage), index_path)?;
        // Without the copy it is less safe, until the next collection makes one.
        let _ = put_copy(&*storage, names::CONFIG, &config);
        Ok(store)
    }

    /// Refuses a store elsewhere, of which this is the configuration, that is not the same as this one. Chunks of different stores are cut, and in
    /// encrypted ones named, differently.
    ///
    /// # Errors
    /// [`StoreError::AnotherStore`], or [`StoreError::OtherwiseEncrypted`].
    pub fn check_same(&self, found: &Config) -> Result<()> {
        let expected = &self.config;
        if found.store_id != expected.store_id {
            return Err(StoreError::AnotherStore { expected: expected.store_id, found: found.store_id });
        }
        if found.crypto != expected.crypto {
            return Err(StoreError::OtherwiseEncrypted { is_encrypted: expected.crypto.is_some() });
        }
        Ok(())
    }

    fn opened_as(&self, found: Config, storage: Arc<dyn Storage>, index_path: PathBuf) -> Result<Self> {
        self.check_same(&found)?;
        Ok(Self::assemble(storage, index_path, found, self.key.clone()))
    }

    /// The bytes of an object that can be read, or of its copy.
    fn raw<T>(
        &self,
        name: &str,
        decode: impl Fn(&[u8]) -> std::result::Result<T, DecodeError>,
    ) -> Result<bytes::Bytes> {
        // Mends the object if only its copy is left.
        get_either(&*self.storage, name, &decode)?;
        for name in [name.to_owned(), names::copy_of(name)] {
            if let Ok(bytes) = self.storage.get(&name)
                && decode(&bytes).is_ok()
            {
                return Ok(bytes);
            }
        }
        Err(StoreError::damaged(name)(DecodeError::Damaged))
    }
}
