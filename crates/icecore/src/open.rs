//! Making and opening a store in a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_format::Digest;
use icecore_storage::LocalStorage;
use icecore_store::{InitOptions, Store, StoreError, Unlock};

use rustix::fs::{Access, access};

use crate::{Error, Result};

/// The index's name in a store's directory.
const INDEX_FILE: &str = "index.redb";

/// Makes a store in `dir`, which must be empty or not exist.
pub fn init(dir: &Path, options: &InitOptions) -> Result<Arc<Store>> {
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !dir.join("config").exists() && !is_interrupted_init(dir) {
        return Err(Error::Unfitting(format!("{} is not empty, and is no store", dir.display())));
    }
    let storage = Arc::new(LocalStorage::new(dir));
    let made = Store::init(storage, index_path(dir), options).map_err(|error| match error {
        StoreError::StoreExists { .. } => StoreError::StoreExists { place: dir.display().to_string() },
        error => error,
    })?;
    Ok(Arc::new(made))
}

/// Opens the store in `dir`; `ask` gives the password, if one is needed. The index of a store that may only be read lies in `cache`.
pub fn open(
    dir: &Path,
    cache: Option<&Path>,
    ask: &mut dyn FnMut() -> Option<Vec<u8>>,
) -> Result<Arc<Store>> {
    let place = dir.display().to_string();
    if !dir.is_dir() {
        return Err(StoreError::NoStore { place }.into());
    }
    let storage = Arc::new(LocalStorage::new(dir));
    let index = match cache {
        Some(cache) if access(dir, Access::WRITE_OK).is_err() => cached_index(dir, cache),
        _ => index_path(dir),
    };
    Ok(Arc::new(Store::open(storage, &place, index, Unlock::Ask(ask))?))
}

/// A place of its own for the index of each store, by where the store is.
fn cached_index(dir: &Path, cache: &Path) -> PathBuf {
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let hex = Digest::of(real.as_os_str().as_encoded_bytes()).to_hex();
    cache.join(hex.get(..16).unwrap_or(&hex)).join(INDEX_FILE)
}

/// A crash in `init` leaves no configuration, but what comes before it, and nothing else: somebody may keep his own keys in a folder of that
/// name.
fn is_interrupted_init(dir: &Path) -> bool {
    fn is_left(dir: &Path, within: &str) -> bool {
        let entries = std::fs::read_dir(dir.join(within)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).all(|name| {
            let path = format!("{within}{}", name.to_string_lossy());
            match path.as_str() {
                "epoch" => is_ours(&dir.join("epoch")),
                "keys" | "tmp" | "copies" | "copies/keys" => is_left(dir, &format!("{path}/")),
                "tmp/reserve" | "tmp/replace.lock" => true,
                path => match path.rsplit_once('/') {
                    Some(("keys" | "copies/keys", _)) => is_ours(&dir.join(path)),
                    Some(("tmp", name)) => name.parse::<ulid::Ulid>().is_ok(),
                    _ => false,
                },
            }
        })
    }
    is_left(dir, "")
}

fn is_ours(path: &Path) -> bool {
    path.is_file() && std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"ICECORE"))
}

fn index_path(dir: &Path) -> PathBuf {
    dir.join(INDEX_FILE)
}
