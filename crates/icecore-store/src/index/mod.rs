//! Where each chunk lies: a cache in redb, always rebuildable from the packs.
//!
//! redb admits one writing process at a time, so the file is opened only for the length of one short transaction, under a
//! lock of its own by which processes queue instead of failing. Nothing here is ever the only copy of a fact.

mod reader;
mod refresh;
mod tables;
mod writer;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecore_format::{PackId, PackToc};
use redb::{Builder, Database};

pub use reader::IndexReader;
pub(crate) use refresh::IndexBirth;
pub use tables::PackRecord;
use tables::{OLD_MULTIMAP, OLD_TABLES};
pub(crate) use writer::IndexWriter;

use crate::{Result, StoreError};

/// What redb may keep in memory.
const CACHE_BYTES: usize = 16 << 20;
/// How often a reader mends what it finds before it says that the index cannot be used.
const MENDS_MAX: u32 = 20;

/// How long a process that was killed may take to die.
const DYING_MAX: Duration = Duration::from_secs(30);

/// A chunk's place: which pack, and the how many-th chunk of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkPlace {
    /// The pack's number in this index.
    pub pack: u32,
    /// The chunk's ordinal in the pack's table of contents.
    pub ordinal: u32,
    /// How deep the run lies that holds it there: see [`Run::depth`].
    pub depth: u8,
}

/// A pack to be added: its id, its stored length, its table.
pub(crate) type NewPack<'a> = (PackId, u64, &'a PackToc);

/// The index file. Opened for each transaction.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    /// Set when a transaction found the file damaged: the next one begins with an empty index.
    damaged: AtomicBool,
    /// Set once it was made anew because it did not know what it should.
    doubted: AtomicBool,
    /// Takes the file's place where none can be written: on a full disk, or in a store that may only be read.
    in_memory: OnceLock<Database>,
}

impl Index {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            damaged: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            in_memory: OnceLock::new(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a consistent view. Other readers run at the same time; writers wait: keep it short.
    pub fn read<T>(&self, work: impl FnOnce(&IndexReader) -> Result<T>) -> Result<T> {
        let mut work = Some(work);
        let mut outcome = self.try_read(&mut work);
        let mut mended = 0;
        while work.is_some() && mended < MENDS_MAX {
            // Not there yet, damaged, or a crash left it to be repaired: a writer's work. Somebody else may crash, or delete it, right after.
            match self.write(|_| Ok(())) {
                Err(error) if error.is_full() || error.is_denied() => {
                    self.use_memory()?;
                }
                done => done?,
            }
            outcome = self.try_read(&mut work);
            mended += 1;
        }
        if outcome.is_err() && self.damaged.load(Ordering::Relaxed) {
            // Whoever comes next, in this process or another, finds an empty one. The error to tell is the first.
            let _ = self.write(|_| Ok(()));
        }
        outcome
    }

    /// Takes `work` if it could begin.
    fn try_read<T, W: FnOnce(&IndexReader) -> Result<T>>(&self, work: &mut Option<W>) -> Result<T> {
        if let Some(database) = self.in_memory.get() {
            let reader = IndexReader::new(database).map_err(|error| self.error(error))?;
            let work = work.take().expect("it is tried again only if it did not begin");
            return work(&reader);
        }
        // Declared first, dropped last: the lock outlives the database.
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(|error| self.lock_error(error))?;
        if self.damaged.load(Ordering::Relaxed) {
            return Err(
                self.error(redb::StorageError::Corrupted("the index is about to be made anew".to_owned()))
            );
        }
        self.guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            let opened = patiently(|| builder.open_read_only(&self.path));
            let database = opened.map_err(|error| self.error(error))?;
            let reader = IndexReader::new(&database).map_err(|error| self.error(error))?;
            let work = work.take().expect("it is tried again only if it did not begin");
            work(&reader)
        })
    }

    /// Runs `work` in a transaction that nobody else's overlaps: keep it short.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut IndexWriter<'_>) -> Result<T>) -> Result<T> {
        let mut work = Some(work);
        if let Some(database) = self.in_memory.get() {
            return self.transact(database, &mut work);
        }
        let lock = self.lock_file()?;
        lock.lock().map_err(|error| self.lock_error(error))?;
        self.set_aside_if_damaged()?;
        let mut outcome = self.guarded(|| self.transact(&self.open_or_replace()?, &mut work));
        // `redb` finds some damage only when it opens the tables, and panics on some.
        if self.set_aside_if_damaged()? && work.is_some() {
            outcome = self.guarded(|| self.transact(&self.open_or_replace()?, &mut work));
            self.set_aside_if_damaged()?;
        }
        outcome
    }

    /// Takes `work` if it could begin.
    fn transact<T, W: FnOnce(&mut IndexWriter<'_>) -> Result<T>>(
        &self,
        database: &Database,
        work: &mut Option<W>,
    ) -> Result<T> {
        let mut transaction = database.begin_write().map_err(|error| self.error(error))?;
        // A crash in here must not make the next process walk the whole tree.
        transaction.set_quick_repair(true);
        let outcome = {
            let mut writer = IndexWriter::new(&transaction).map_err(|error| self.error(error))?;
            if writer.be_born()? {
                remove_old_tables(&transaction).map_err(|error| self.error(error))?;
            }
            let work = work.take().expect("it is tried again only if it did not begin");
            work(&mut writer)
        };
        match outcome {
            Ok(value) => {
                transaction.commit().map_err(|error| self.error(error))?;
                Ok(value)
            }
            Err(error) => {
                let _ = transaction.abort();
                Err(error)
            }
        }
    }

    /// Under the lock only.
    fn set_aside_if_damaged(&self) -> Result<bool> {
        let damaged = self.damaged.swap(false, Ordering::Relaxed);
        if damaged {
            self.set_aside()?;
        }
        Ok(damaged)
    }

    /// Opens the file; what is no readable database is set aside, for it is only a cache.
    fn open_or_replace(&self) -> Result<Database> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        self.make_private()?;
        match patiently(|| builder.create(&self.path)) {
            Ok(database) => Ok(database),
            Err(error) => {
                let error = redb::Error::from(error);
                if !is_damage(&error) {
                    return Err(self.not_made(error));
                }
                self.set_aside()?;
                self.make_private()?;
                builder.create(&self.path).map_err(|error| self.not_made(error.into()))
            }
        }
    }

    /// An index that could not be made for want of room must not keep what room there is.
    fn not_made(&self, error: redb::Error) -> StoreError {
        let error = self.error(error);
        if error.is_full() {
            let _ = fs::remove_file(&self.path);
        }
        error
    }

    /// From now on this process keeps its index in memory, where it is empty at first. False if it does so already.
    pub(crate) fn use_memory(&self) -> Result<bool> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create_with_backend(redb::backends::InMemoryBackend::new());
        let fresh = self.in_memory.set(database.map_err(|error| self.error(error))?).is_ok();
        if fresh {
            // There is none yet that could be damaged.
            self.damaged.store(false, Ordering::Relaxed);
            self.write(|_| Ok(()))?;
        }
        Ok(fresh)
    }

    /// Makes sure that there is a file, which nobody else can read; `redb` takes an empty one for a new database.
    fn make_private(&self) -> Result<()> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.open(&self.path).map(drop).map_err(|error| self.lock_error(error))
    }

    fn set_aside(&self) -> Result<()> {
        match fs::rename(&self.path, self.set_aside_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.lock_error(error)),
            _ => Ok(()),
        }
    }

    /// Removes the file at once, to make room. Readers that have it open go on with what they see.
    pub(crate) fn remove(&self) -> Result<()> {
        let lock = self.lock_file()?;
        lock.lock().map_err(|error| self.lock_error(error))?;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.lock_error(error)),
            _ => Ok(()),
        }
    }

    /// Removes the file and whatever was set aside, to make room, and goes on in memory. False if there was nothing to remove.
    pub(crate) fn give_up(&self) -> Result<bool> {
        let there = self.path.exists();
        self.remove()?;
        let aside = fs::remove_file(self.set_aside_path()).is_ok();
        self.use_memory()?;
        Ok(there || aside)
    }

    /// Removes what was set aside: a cache that nobody looked into until now.
    pub(crate) fn forget_set_aside(&self) {
        let _ = fs::remove_file(self.set_aside_path());
    }

    fn set_aside_path(&self) -> PathBuf {
        self.path.with_extension("redb.damaged")
    }

    /// Gives the index up: the next transaction begins with an empty one.
    pub(crate) fn discard(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Gives the index up because something is missing from it; once, for what is still missing then is missing from the store.
    pub(crate) fn doubt(&self) -> bool {
        let first = !self.doubted.swap(true, Ordering::Relaxed);
        if first {
            self.discard();
        }
        first
    }

    /// Runs `work`, and remembers if it finds the file damaged, which `redb` sometimes tells by a panic.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(self.error(redb::StorageError::Corrupted("reading the index panicked".to_owned())))
        });
        if let Err(StoreError::Index { source, .. }) = &outcome
            && is_damage(source)
        {
            self.discard();
        }
        outcome
    }

    fn lock_file(&self) -> Result<File> {
        let path = self.path.with_extension("lock");
        if let Some(dir) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|error| self.lock_error(error))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // On a store that may only be read, readers share the lock of a file that they cannot write.
        let read_only = |error: io::Error| match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                File::open(&path).or(Err(error))
            }
            _ => Err(error),
        };
        options.open(&path).or_else(read_only).map_err(|error| self.lock_error(error))
    }

    fn error(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::Index { path: self.path.clone(), source: Box::new(error.into()) }
    }

    fn lock_error(&self, source: io::Error) -> StoreError {
        StoreError::IndexLock { path: self.path.with_extension("lock"), source }
    }
}

/// Opens the file under its lock, where nobody else has it open; but for a process that was killed, which may lose our lock a little before
/// it loses that of `redb`.
fn patiently<T>(
    mut open: impl FnMut() -> std::result::Result<T, redb::DatabaseError>,
) -> std::result::Result<T, redb::DatabaseError> {
    let started = Instant::now();
    loop {
        match open() {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if started.elapsed() < DYING_MAX => {
                std::thread::sleep(Duration::from_millis(2));
            }
            opened => return opened,
        }
    }
}

/// An index of an older make becomes this one's: nothing in it is needed.
fn remove_old_tables(transaction: &redb::WriteTransaction) -> std::result::Result<(), redb::TableError> {
    let gone = |removed: std::result::Result<bool, redb::TableError>| match removed {
        // A name is enough to remove it; what it holds need not be as it says here.
        Err(redb::TableError::TableTypeMismatch { .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    for table in OLD_TABLES {
        gone(transaction.delete_table(table))?;
    }
    gone(transaction.delete_multimap_table(OLD_MULTIMAP))
}

/// Whether the file itself, rather than the disk or the system, is at fault.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => true,
        redb::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

fn read_error(error: redb::StorageError) -> StoreError {
    StoreError::Index { path: PathBuf::from("index.redb"), source: Box::new(error.into()) }
}
