//! A disk and an index, and the store on them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use icecore_storage::{LocalStorage, Storage};
use icecore_store::{InitOptions, Result, Store, StoreError, Unlock};
use icecore_testkit::SimDisk;
use tempfile::TempDir;

use crate::support::{Crypto, PASSWORD, options};

const ROOT: &str = "/backup/store";

/// Another password than the first.
pub(super) const SECOND: &[u8] = b"battery staple";

/// A disk and an index: what a process finds.
pub(super) struct Site {
    pub(super) disk: SimDisk,
    pub(super) storage: Arc<dyn Storage>,
    dir: TempDir,
    pub(super) crypto: Crypto,
}

impl Site {
    pub(super) fn new(disk: &SimDisk, index: Option<&[u8]>, crypto: Crypto) -> Self {
        // The index is a real file, whose syncs would take most of the time.
        let dir = TempDir::new_in(icecore_testkit::memory()).expect("a temporary directory");
        let storage = Arc::new(LocalStorage::on(disk.clone(), ROOT));
        let site = Self { disk: disk.clone(), storage, dir, crypto };
        if let Some(index) = index {
            fs::write(site.index_path(), index).expect("the index is written");
        }
        site
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.dir.path().join("index.redb")
    }

    pub(super) fn index(&self) -> Option<Vec<u8>> {
        fs::read(self.index_path()).ok()
    }

    pub(super) fn init(&self) -> Result<Store> {
        self.init_with_parity(0)
    }

    pub(super) fn init_with_parity(&self, parity: u8) -> Result<Store> {
        let options = InitOptions { parity, ..options(self.crypto) };
        Store::init(Arc::clone(&self.storage), self.index_path(), &options)
    }

    pub(super) fn open_with(&self, password: &[u8]) -> Result<Arc<Store>> {
        let mut ask = || Some(password.to_vec());
        Store::open(Arc::clone(&self.storage), "here", self.index_path(), Unlock::Ask(&mut ask)).map(Arc::new)
    }

    /// With whichever password there is.
    pub(super) fn open(&self) -> Result<Arc<Store>> {
        match self.open_with(PASSWORD) {
            Err(StoreError::WrongPassword { .. }) => self.open_with(SECOND),
            opened => opened,
        }
    }

    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        self.storage.list(prefix).expect("list").into_iter().map(|object| object.name).collect()
    }
}
