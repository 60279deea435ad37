//! Where each chunk lies: a cache in redb, always rebuildable from the packs.
//!
//! redb admits one writing process at a time, so the file is opened only for the length of one short transaction, under a
//! lock of its own by which processes queue instead of failing. Nothing here is ever the only copy of a fact.

mod refresh;
mod tables;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use icecore_format::{ChunkId, PackId, PackToc};
use redb::{Builder, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

pub use tables::PackRecord;
use tables::{CHUNKS, PACK_NUMBERS, PACKS};

use crate::{Result, StoreError};

/// What redb may keep in memory.
const CACHE_BYTES: usize = 16 << 20;

/// A chunk's place: which pack, and the how many-th chunk of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkPlace {
    /// The pack's number in this index.
    pub pack: u32,
    /// The chunk's ordinal in the pack's table of contents.
    pub ordinal: u32,
}

/// A pack to be added: its id, its stored length, its table.
pub(crate) type NewPack<'a> = (PackId, u64, &'a PackToc);

/// The index file. Opened for each transaction.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
}

impl Index {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a consistent view. Other readers run at the same time; writers wait: keep it short.
    pub fn read<T>(&self, work: impl FnOnce(&IndexReader) -> Result<T>) -> Result<T> {
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(|error| self.lock_error(error))?;
        let opened = Builder::new().set_cache_size(CACHE_BYTES).open_read_only(&self.path);
        let database = match opened {
            Ok(database) => database,
            // Not there yet, or a crash left it to be repaired: a writer's work.
            Err(_) => {
                lock.unlock().map_err(|error| self.lock_error(error))?;
                self.write(|_| Ok(()))?;
                lock.lock_shared().map_err(|error| self.lock_error(error))?;
                Builder::new().set_cache_size(CACHE_BYTES).open_read_only(&self.path).map_err(|e| self.error(e))?
            }
        };
        let reader = IndexReader::new(&database).map_err(|error| self.error(error))?;
        let outcome = work(&reader);
        drop(reader);
        drop(database);
        // The lock goes with the file, after the database.
        drop(lock);
        outcome
    }

    /// Runs `work` in a transaction that nobody else's overlaps: keep it short.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut IndexWriter<'_>) -> Result<T>) -> Result<T> {
        let lock = self.lock_file()?;
        lock.lock().map_err(|error| self.lock_error(error))?;
        let database = self.open_or_replace()?;
        let mut transaction = database.begin_write().map_err(|error| self.error(error))?;
        // A crash in here must not make the next process walk the whole tree.
        transaction.set_quick_repair(true);
        let outcome = {
            let mut writer = IndexWriter::new(&transaction).map_err(|error| self.error(error))?;
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

    /// Opens the file; what is no readable database is set aside, for it is only a cache.
    fn open_or_replace(&self) -> Result<Database> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        match builder.create(&self.path) {
            Ok(database) => Ok(database),
            Err(DatabaseError::Storage(redb::StorageError::Corrupted(_))) | Err(DatabaseError::UpgradeRequired(_)) => {
                self.set_aside()?;
                builder.create(&self.path).map_err(|error| self.error(error))
            }
            Err(DatabaseError::Storage(redb::StorageError::Io(error)))
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                self.set_aside()?;
                builder.create(&self.path).map_err(|error| self.error(error))
            }
            Err(error) => Err(self.error(error)),
        }
    }

    fn set_aside(&self) -> Result<()> {
        let damaged = self.path.with_extension("redb.damaged");
        fs::rename(&self.path, damaged).map_err(|error| self.lock_error(error))
    }

    fn lock_file(&self) -> Result<File> {
        let path = self.path.with_extension("lock");
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|error| self.lock_error(error))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&path).map_err(|error| self.lock_error(error))
    }

    fn error(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::Index { path: self.path.clone(), source: Box::new(error.into()) }
    }

    fn lock_error(&self, source: io::Error) -> StoreError {
        StoreError::IndexLock { path: self.path.with_extension("lock"), source }
    }
}

/// A consistent view of the index.
pub struct IndexReader {
    chunks: Option<redb::ReadOnlyTable<&'static [u8; 32], u64>>,
    packs: Option<redb::ReadOnlyTable<u32, &'static [u8]>>,
    numbers: Option<redb::ReadOnlyTable<&'static [u8; 32], u32>>,
}

impl std::fmt::Debug for IndexReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexReader(..)")
    }
}

impl IndexReader {
    fn new(database: &ReadOnlyDatabase) -> std::result::Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        // A table that nobody wrote to yet does not exist.
        let absent = |error: redb::TableError| match error {
            redb::TableError::TableDoesNotExist(_) => Ok(None),
            error => Err(redb::Error::from(error)),
        };
        Ok(Self {
            chunks: transaction.open_table(CHUNKS).map(Some).or_else(absent)?,
            packs: transaction.open_table(PACKS).map(Some).or_else(|error| match error {
                redb::TableError::TableDoesNotExist(_) => Ok(None),
                error => Err(redb::Error::from(error)),
            })?,
            numbers: transaction.open_table(PACK_NUMBERS).map(Some).or_else(|error| match error {
                redb::TableError::TableDoesNotExist(_) => Ok(None),
                error => Err(redb::Error::from(error)),
            })?,
        })
    }

    /// Where a chunk lies.
    pub fn find(&self, id: &ChunkId) -> Result<Option<ChunkPlace>> {
        let Some(chunks) = &self.chunks else { return Ok(None) };
        let found = chunks.get(id.as_bytes()).map_err(read_error)?;
        Ok(found.map(|place| tables::unpack_place(place.value())))
    }

    /// A pack by its number.
    pub fn pack(&self, number: u32) -> Result<Option<PackRecord>> {
        let Some(packs) = &self.packs else { return Ok(None) };
        let found = packs.get(number).map_err(read_error)?;
        Ok(found.and_then(|record| PackRecord::decode(record.value())))
    }

    /// A pack's number.
    pub fn number(&self, id: &PackId) -> Result<Option<u32>> {
        let Some(numbers) = &self.numbers else { return Ok(None) };
        Ok(numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value()))
    }

    /// All packs with their numbers.
    pub fn packs(&self) -> Result<Vec<(u32, PackRecord)>> {
        let Some(packs) = &self.packs else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for entry in packs.iter().map_err(read_error)? {
            let (number, record) = entry.map_err(read_error)?;
            if let Some(record) = PackRecord::decode(record.value()) {
                all.push((number.value(), record));
            }
        }
        Ok(all)
    }

    /// How many chunks the index knows.
    pub fn chunk_count(&self) -> Result<u64> {
        self.chunks.as_ref().map_or(Ok(0), |chunks| chunks.len().map_err(read_error))
    }
}

fn read_error(error: redb::StorageError) -> StoreError {
    StoreError::Index { path: PathBuf::from("index.redb"), source: Box::new(error.into()) }
}

/// The index inside a write transaction.
pub(crate) struct IndexWriter<'a> {
    chunks: redb::Table<'a, &'static [u8; 32], u64>,
    packs: redb::Table<'a, u32, &'static [u8]>,
    numbers: redb::Table<'a, &'static [u8; 32], u32>,
}

impl<'a> IndexWriter<'a> {
    fn new(transaction: &'a redb::WriteTransaction) -> std::result::Result<Self, redb::TableError> {
        Ok(Self {
            chunks: transaction.open_table(CHUNKS)?,
            packs: transaction.open_table(PACKS)?,
            numbers: transaction.open_table(PACK_NUMBERS)?,
        })
    }

    /// Adds a pack and its chunks. A chunk that is known already is from now on found here.
    pub(crate) fn add_pack(&mut self, (id, len, toc): NewPack<'_>) -> Result<u32> {
        if let Some(number) = self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value()) {
            return Ok(number);
        }
        let last = self.packs.last().map_err(read_error)?.map(|(number, _)| number.value());
        let number = last.map_or(0, |last| last + 1);
        let record = PackRecord {
            id,
            len,
            chunks: u32::try_from(toc.chunk_count()).unwrap_or(u32::MAX),
            verified_at: 0,
        };
        self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
        self.numbers.insert(id.as_bytes(), number).map_err(read_error)?;
        // In the order of the keys: neighbours in the tree share pages.
        let mut places: Vec<_> = toc
            .bodies
            .iter()
            .flat_map(|body| &body.chunks)
            .zip(0u32..)
            .map(|(chunk, ordinal)| (chunk.id, tables::pack_place(ChunkPlace { pack: number, ordinal })))
            .collect();
        places.sort_unstable();
        for (id, place) in places {
            self.chunks.insert(id.as_bytes(), place).map_err(read_error)?;
        }
        Ok(number)
    }

    /// Forgets a pack and what was found in it; `toc` is its table, where it can be read.
    pub(crate) fn remove_pack(&mut self, id: &PackId, toc: Option<&PackToc>) -> Result<()> {
        let Some(number) = self.numbers.remove(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
        else {
            return Ok(());
        };
        self.packs.remove(number).map_err(read_error)?;
        let here = |place: u64| tables::unpack_place(place).pack == number;
        match toc {
            Some(toc) => {
                for chunk in toc.bodies.iter().flat_map(|body| &body.chunks) {
                    let key = chunk.id.as_bytes();
                    let found = self.chunks.get(key).map_err(read_error)?.map(|place| place.value());
                    if found.is_some_and(here) {
                        self.chunks.remove(key).map_err(read_error)?;
                    }
                }
            }
            None => self.chunks.retain(|_, place| !here(place)).map_err(read_error)?,
        }
        Ok(())
    }

    /// Remembers when packs were last read and found right, in seconds since 1970.
    pub(crate) fn set_verified(&mut self, ids: &[PackId], at: u64) -> Result<()> {
        for id in ids {
            let Some(number) = self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
            else {
                continue;
            };
            let record = self.packs.get(number).map_err(read_error)?.and_then(|r| PackRecord::decode(r.value()));
            if let Some(record) = record {
                let record = PackRecord { verified_at: at, ..record };
                self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
            }
        }
        Ok(())
    }
}
