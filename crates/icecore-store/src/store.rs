//! Making and opening a store.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use icecore_chunk::{Cutter, Sketcher};
use icecore_format::{
    ChunkSizes, Config, CryptoSuite, DecodeError, Epoch, KdfCost, KeyFile, SecretBytes, StoreId, StoreKey,
    names,
};
use icecore_storage::{ErrorKind, PutMode, Storage};
use rayon::ThreadPool;

use crate::copies::{get_either, put_copy};
use crate::index::Index;
use crate::machine::{Machine, ThisMachine};
use crate::manifests::ManifestCache;
use crate::pack::PackReader;
use crate::{Result, StoreError, random};

/// How a new store is made.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The time, RFC 3339.
    pub now: String,
    /// Where chunks are cut.
    pub chunk_sizes: ChunkSizes,
    /// Stored bytes of a pack.
    pub pack_len: u32,
    /// Plain bytes of a body.
    pub body_len: u32,
    /// The zstd level.
    pub zstd_level: i32,
    /// Parity beside each pack, in percent of its bytes, up to 100; 0 is none.
    pub parity: u8,
    /// Whether what is new may be coded on what it resembles.
    pub deltas: bool,
    /// The first password and what it costs to try one; `None` makes a plain store.
    pub password: Option<(Vec<u8>, KdfCost)>,
}

impl InitOptions {
    /// The measured defaults (`docs/performance.md`), without encryption.
    pub fn new(now: impl Into<String>) -> Self {
        Self {
            now: now.into(),
            chunk_sizes: ChunkSizes::default(),
            pack_len: 32 << 20,
            body_len: 1 << 20,
            zstd_level: 3,
            parity: 0,
            deltas: true,
            password: None,
        }
    }
}

/// What opens an encrypted store.
pub enum Unlock<'a> {
    /// Ask for the password only if the store needs one; `None` means there is none to be had.
    Ask(&'a mut dyn FnMut() -> Option<Vec<u8>>),
    /// A key that is known already.
    Key(StoreKey),
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unlock(..)")
    }
}

/// An open store. Cheap to share between threads.
#[derive(Debug)]
pub struct Store {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) config: Config,
    pub(crate) key: StoreKey,
    pub(crate) cutter: Cutter,
    pub(crate) sketcher: Sketcher,
    pub(crate) index: Index,
    pub(crate) packs: PackReader,
    /// Where the storage is far away.
    pub(crate) manifests: Option<ManifestCache>,
    /// Threads that wait for what is far away.
    pub(crate) fetchers: OnceLock<Option<ThreadPool>>,
    pub(crate) machine: Arc<dyn Machine>,
    /// Where what runs are coded on is looked for that is not here.
    pub(crate) beside: Option<Arc<Self>>,
}

impl Store {
    /// Makes a store in an empty storage, whose index will lie at `index_path`.
    pub fn init(storage: Arc<dyn Storage>, index_path: PathBuf, options: &InitOptions) -> Result<Self> {
        let place = format!("{storage:?}");
        let config = Config {
            store_id: StoreId::from_bytes(random::salt()),
            created_at: options.now.clone(),
            chunk_sizes: options.chunk_sizes,
            pack_len: options.pack_len,
            body_len: options.body_len,
            zstd_level: options.zstd_level,
            crypto: options.password.as_ref().map(|_| CryptoSuite::Aes256Gcm),
            parity: options.parity,
            deltas: options.deltas,
        };
        // What nobody could open again must not be written.
        Config::decode(&config.encode()).map_err(StoreError::damaged("the new store's configuration"))?;
        match storage.get(names::CONFIG) {
            Ok(_) => {
                // Whoever crashed while making it may not have come to this.
                storage.settle(names::CONFIG)?;
                return Err(StoreError::StoreExists { place });
            }
            Err(error) if error.kind == ErrorKind::NotFound => (),
            Err(error) => return Err(error.into()),
        }
        // A crashed init may have left a key of another store: it would count as one, and open nothing.
        for folder in [names::copy_of(names::KEYS), names::KEYS.to_owned()] {
            for object in storage.list(&folder)? {
                storage.delete(&object.name)?;
            }
        }
        let key = match &options.password {
            None => StoreKey::Plain,
            Some((password, cost)) => {
                let root = SecretBytes(random::salt());
                let file = KeyFile::wrap(
                    &root,
                    config.store_id,
                    password,
                    "first",
                    &options.now,
                    *cost,
                    random::salt(),
                );
                storage.put(&names::key(&file.id), &file.encode(), PutMode::CreateNew)?;
                put_copy(&*storage, &names::key(&file.id), &file.encode())?;
                StoreKey::secret(root)
            }
        };
        match storage.put(names::EPOCH, &Epoch(0).encode(names::EPOCH), PutMode::CreateNew) {
            Ok(()) => (),
            // A crashed init left it.
            Err(error) if error.kind == ErrorKind::AlreadyExists => (),
            Err(error) => return Err(error.into()),
        }
        storage.keep_reserve()?;
        // Last: where there is a configuration, there is a store.
        storage.put(names::CONFIG, &config.encode(), PutMode::CreateNew).map_err(|error| {
            match error.kind {
                ErrorKind::AlreadyExists => StoreError::StoreExists { place },
                _ => error.into(),
            }
        })?;
        // The store is there: without the copy it is less safe, until the next collection makes one.
        let _ = put_copy(&*storage, names::CONFIG, &config.encode());
        Ok(Self::assemble(storage, index_path, config, key))
    }

    /// Opens the store in `storage`; `place` names it in errors.
    pub fn open(
        storage: Arc<dyn Storage>,
        place: &str,
        index_path: PathBuf,
        unlock: Unlock<'_>,
    ) -> Result<Self> {
        let no_store = || StoreError::NoStore { place: place.to_owned() };
        let config = match read_config(&*storage, place) {
            Ok(Some(config)) => config,
            // A crashed init leaves other things behind, but no pack and no snapshot.
            Ok(None) => {
                let is_store =
                    !storage.list(names::SNAPSHOTS)?.is_empty() || !storage.list(names::PACKS)?.is_empty();
                return Err(if is_store {
                    StoreError::ConfigMissing { place: place.to_owned() }
                } else {
                    no_store()
                });
            }
            Err(StoreError::PlaceTaken { .. }) => return Err(no_store()),
            Err(error) => return Err(error),
        };
        let key = match (&config.crypto, unlock) {
            (None, _) => StoreKey::Plain,
            (Some(_), Unlock::Key(key)) => key,
            (Some(CryptoSuite::Aes256Gcm), Unlock::Ask(ask)) => {
                let password = ask().ok_or(StoreError::PasswordNeeded)?;
                crate::keys::unlock(&*storage, config.store_id, &password)?.0
            }
        };
        Ok(Self::assemble(storage, index_path, config, key))
    }

    pub(crate) fn assemble(
        storage: Arc<dyn Storage>,
        index_path: PathBuf,
        config: Config,
        key: StoreKey,
    ) -> Self {
        let seed = key.gear_seed();
        let cutter = Cutter::new(config.chunk_sizes, seed.as_ref().map(|seed| &seed.0));
        let packs = PackReader::new(Arc::clone(&storage), key.clone());
        let sketcher = Sketcher::new(config.chunk_sizes, seed.as_ref().map(|seed| &seed.0));
        let (index, machine) = (Index::new(index_path), Arc::new(ThisMachine::default()));
        let fetchers = OnceLock::new();
        Self {
            storage,
            config,
            key,
            cutter,
            sketcher,
            index,
            packs,
            manifests: None,
            fetchers,
            machine,
            beside: None,
        }
    }

    /// Keeps manifests that were read beside the index, where reading them costs more than a file: of a store that is far away.
    #[must_use]
    pub fn far_away(mut self) -> Self {
        self.manifests = Some(ManifestCache::beside(self.index.path()));
        self
    }

    /// The same store, used on another machine than the one the process runs on.
    #[must_use]
    pub fn on(self, machine: Arc<dyn Machine>) -> Self {
        Self { machine, ..self }
    }

    /// An object that could not be read may be the only one of that kind; but if the place does not answer for another one either, it is the
    /// place that cannot be reached, and that is the error.
    pub(crate) fn check_reach(&self, error: &StoreError) -> Result<()> {
        if !matches!(error, StoreError::Unread { .. }) {
            return Ok(());
        }
        match self.storage.len(names::CONFIG) {
            // There is a copy, or the store would not have been opened.
            Err(error) if error.kind != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// What the store is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The store's key, to open it again without a password.
    pub fn key(&self) -> &StoreKey {
        &self.key
    }

    /// Where chunks lie.
    pub fn index(&self) -> &Index {
        &self.index
    }
}

/// What says how the store is read; `None` if nothing does. `place` names it in errors.
pub(crate) fn read_config(storage: &dyn Storage, place: &str) -> Result<Option<Config>> {
    let place = || place.to_owned();
    get_either(storage, names::CONFIG, Config::decode).map_err(|error| match error {
        // Something else that is called so; in a store, where an epoch lies beside, it is the configuration after all.
        StoreError::Damaged { source: DecodeError::NotIcecore, .. } if storage.len(names::EPOCH).is_err() => {
            StoreError::PlaceTaken { place: place(), object: names::CONFIG.to_owned() }
        }
        StoreError::StoreTooNew { found, supported, .. } => {
            StoreError::StoreTooNew { place: place(), found, supported }
        }
        StoreError::Damaged { source, .. } => {
            StoreError::Damaged { object: format!("{}: {}", place(), names::CONFIG), source }
        }
        error => error,
    })
}
