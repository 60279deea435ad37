//! Making and opening a store.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use icecore_format::{Digest, names};
use icecore_s3::{Probe, S3Options, S3Storage};
use icecore_storage::{ErrorKind, LimitedStorage, Limits, LocalStorage, MemoryStorage, Storage, Traffic};
use icecore_store::{InitOptions, Store, StoreError, Unlock};

use rustix::fs::{Access, access};

use crate::{Error, Place, Result};

/// The index's name in a store's directory.
const INDEX_FILE: &str = "index.redb";

/// What opening a store needs besides its place.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// For what may be lost: the index of a store that is far away, or that may only be read.
    pub cache: Option<PathBuf>,
    /// Set when the user wants it to stop.
    pub interrupt: Arc<AtomicBool>,
    /// How often a request to a server is tried, if somebody said so.
    pub attempts: Option<NonZeroU32>,
    /// How many bytes may go to the place and come from it a second.
    pub limits: Limits,
    /// Where somebody may see what requests do that take their time.
    pub traffic: Arc<Traffic>,
}

/// Makes a store; in a directory that must be empty or not exist, or in S3 where nothing lies.
pub fn init(place: &Place, around: &Surroundings, options: &InitOptions) -> Result<Arc<Store>> {
    if let Place::Directory(dir) = place {
        must_be_free(dir)?;
    }
    let site = Site::of(place, around)?;
    if let Place::S3(location, _) = place
        && !has_store(&*site.storage)?
        && let Some(object) = site.storage.list("").map_err(StoreError::from)?.first()
    {
        let (place, object) = (location.to_string(), object.name.clone());
        return Err(StoreError::PlaceTaken { place, object }.into());
    }
    let made = Store::init(site.storage, site.index, options).map_err(|error| match error {
        StoreError::StoreExists { .. } => StoreError::StoreExists { place: place.to_string() },
        error => error,
    })?;
    Ok(Arc::new(if site.is_far { made.far_away() } else { made }))
}

/// Opens a store; `ask` gives the password, if one is needed.
pub fn open(
    place: &Place,
    around: &Surroundings,
    ask: &mut dyn FnMut() -> Option<Vec<u8>>,
) -> Result<Arc<Store>> {
    if place.as_directory().is_some_and(|dir| !dir.is_dir()) {
        return Err(StoreError::NoStore { place: place.to_string() }.into());
    }
    let site = Site::of(place, around)?;
    let store = Store::open(site.storage, &place.to_string(), site.index, Unlock::Ask(ask))?;
    Ok(Arc::new(if site.is_far { store.far_away() } else { store }))
}

/// Opens what must be the same store as `store`, at another place. It needs no password.
///
/// # Errors
/// If there is none, or another one.
pub fn open_as(store: &Store, place: &Place, around: &Surroundings) -> Result<Arc<Store>> {
    if place.as_directory().is_some_and(|dir| !dir.is_dir()) {
        return Err(StoreError::NoStore { place: place.to_string() }.into());
    }
    let site = Site::of(place, around)?;
    let unlock = Unlock::Key(store.key().clone());
    let opened = Store::open(site.storage, &place.to_string(), site.index, unlock)?;
    store.check_same(opened.config())?;
    Ok(Arc::new(if site.is_far { opened.far_away() } else { opened }))
}

/// Whether there is a store, were it only the copy of its configuration that is left.
pub fn is_store(place: &Place, around: &Surroundings) -> Result<bool> {
    if place.as_directory().is_some_and(|dir| !dir.is_dir()) {
        return Ok(false);
    }
    Ok(has_config(&*Site::of(place, around)?.storage)?)
}

/// Opens the store at `place`, which is made there if nothing is: empty, with the id, the settings and the keys of `store`. It needs no password, for it is
/// the same store.
///
/// # Errors
/// If another store lies there, or anything else.
pub fn open_same(store: &Store, place: &Place, around: &Surroundings) -> Result<Arc<Store>> {
    let site = Site::of(place, around)?;
    if let Place::Directory(dir) = place
        && !has_config(&*site.storage)?
    {
        must_be_free(dir)?;
    }
    let opened = store.clone_to(site.storage, &place.to_string(), site.index)?;
    Ok(Arc::new(if site.is_far { opened.far_away() } else { opened }))
}

/// An empty store like `store`, in memory: what a place where nothing lies would be.
pub fn empty_same(store: &Store, index: &Path) -> Result<Arc<Store>> {
    let storage = Arc::new(MemoryStorage::new());
    Ok(Arc::new(store.clone_to(storage, "an empty store", index.join(INDEX_FILE))?))
}

/// What a bucket lets us do, and whether its server keeps conditions; `None` of a directory, which does.
pub fn probe_place(place: &Place, around: &Surroundings) -> Result<Option<Probe>> {
    let Place::S3(location, options) = place else { return Ok(None) };
    let storage = S3Storage::open(location.clone(), within(options, around));
    Ok(Some(storage.map_err(StoreError::from)?.probe()))
}

/// Refuses what several machines may do at once only if the server tells them apart.
///
/// # Errors
/// If it does not, or if that cannot be found out: that is no reason to go on as if nobody else wrote.
pub fn check_conditions(place: &Place, around: &Surroundings, what: &'static str) -> Result<()> {
    match probe_place(place, around)?.map_or(Ok(true), Probe::finding).map_err(StoreError::from)? {
        true => Ok(()),
        false => Err(Error::NotAlone { place: place.to_string(), what }),
    }
}

/// Objects, and where the index of what they are lies.
struct Site {
    storage: Arc<dyn Storage>,
    index: PathBuf,
    is_far: bool,
}

impl Site {
    fn of(place: &Place, around: &Surroundings) -> Result<Self> {
        match place {
            Place::Directory(dir) => {
                let index = match &around.cache {
                    Some(cache) if dir.is_dir() && access(dir, Access::WRITE_OK).is_err() => {
                        let real = dir.canonicalize().unwrap_or_else(|_| dir.clone());
                        cached_index(real.as_os_str().as_encoded_bytes(), cache)
                    }
                    _ => dir.join(INDEX_FILE),
                };
                let storage = LocalStorage::new(dir);
                let (interrupt, traffic) = (Arc::clone(&around.interrupt), Arc::clone(&around.traffic));
                let storage: Arc<dyn Storage> = match around.limits.is_none() {
                    true => Arc::new(storage),
                    false => {
                        Arc::new(LimitedStorage::new(storage, around.limits.clone(), interrupt, traffic))
                    }
                };
                Ok(Self { storage, index, is_far: false })
            }
            Place::S3(location, options) => {
                let cache = around.cache.as_deref().ok_or_else(|| {
                    Error::Unfitting(
                        "there is no place for the index of a store in S3: set XDG_CACHE_HOME or HOME"
                            .to_owned(),
                    )
                })?;
                let storage = S3Storage::open(location.clone(), within(options, around));
                let storage = Arc::new(storage.map_err(StoreError::from)?);
                // The same bucket on another server is another one.
                let endpoint = storage.endpoint().map(ToString::to_string).unwrap_or_default();
                let index = cached_index(format!("{endpoint} {location}").as_bytes(), cache);
                Ok(Self { storage, index, is_far: true })
            }
        }
    }
}

fn within(options: &S3Options, around: &Surroundings) -> S3Options {
    let attempts = around.attempts.unwrap_or(options.attempts);
    let (interrupt, traffic) = (Arc::clone(&around.interrupt), Arc::clone(&around.traffic));
    S3Options { interrupt, attempts, limits: around.limits.clone(), traffic, ..options.clone() }
}

fn has_store(storage: &dyn Storage) -> std::result::Result<bool, StoreError> {
    has(storage, names::CONFIG)
}

/// The same, were it only the copy that is left.
fn has_config(storage: &dyn Storage) -> std::result::Result<bool, StoreError> {
    Ok(has_store(storage)? || has(storage, &names::copy_of(names::CONFIG))?)
}

fn has(storage: &dyn Storage, name: &str) -> std::result::Result<bool, StoreError> {
    match storage.len(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn must_be_free(dir: &Path) -> Result<()> {
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !dir.join("config").exists() && !is_interrupted_init(dir) {
        return Err(Error::Unfitting(format!("{} is not empty, and is no store", dir.display())));
    }
    Ok(())
}

/// The directory in the cache that belongs to a place; it may be deleted at any time.
pub fn cache_of(place: &Place, around: &Surroundings) -> Result<PathBuf> {
    Ok(Site::of(place, around)?.index.parent().map(Path::to_owned).unwrap_or_default())
}

/// A place of its own for the index of each store, by where the store is.
fn cached_index(place: &[u8], cache: &Path) -> PathBuf {
    let hex = Digest::of(place).to_hex();
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
