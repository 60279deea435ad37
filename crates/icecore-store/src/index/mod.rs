//! Where each chunk lies: a cache in redb, always rebuildable from the packs.
//!
//! redb admits one writing process at a time, so the file is opened only for the length of one short transaction, under a
//! lock of its own by which processes queue instead of failing. Nothing here is ever the only copy of a fact.

mod refresh;
mod tables;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecore_format::{ChunkId, PackId, PackToc, Run, ShortId};
use redb::{
    Builder, Database, ReadableDatabase, ReadableMultimapTable as _, ReadableTable as _,
    ReadableTableMetadata as _,
};

pub(crate) use refresh::IndexBirth;
pub use tables::PackRecord;
use tables::{
    BIRTH, CHUNKS, META, NEXT_NUMBER, Namesake, Namesakes, OLD_MULTIMAP, OLD_TABLES, PACK_NUMBERS, PACKS,
    REMOVALS, SKETCHES, SPARES,
};

use crate::{Result, StoreError, random};

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

/// For each base of a run the pack it lies in, and its ordinal there.
pub(crate) type BasePlaces = Vec<Option<(PackId, u32)>>;

/// A consistent view of the index.
pub struct IndexReader {
    chunks: Option<redb::ReadOnlyTable<&'static [u8; 32], u64>>,
    packs: Option<redb::ReadOnlyTable<u32, &'static [u8]>>,
    numbers: Option<redb::ReadOnlyTable<&'static [u8; 32], u32>>,
    spares: Option<redb::ReadOnlyMultimapTable<&'static [u8; 32], u64>>,
    sketches: Option<redb::ReadOnlyTable<u64, (u64, u64)>>,
    meta: Option<redb::ReadOnlyTable<&'static str, u64>>,
}

impl std::fmt::Debug for IndexReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexReader(..)")
    }
}

fn absent<T>(error: redb::TableError) -> std::result::Result<Option<T>, redb::Error> {
    match error {
        redb::TableError::TableDoesNotExist(_) => Ok(None),
        error => Err(error.into()),
    }
}

impl IndexReader {
    fn new(database: &impl ReadableDatabase) -> std::result::Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        // A table that nobody wrote to yet does not exist.
        Ok(Self {
            chunks: transaction.open_table(CHUNKS).map(Some).or_else(absent)?,
            packs: transaction.open_table(PACKS).map(Some).or_else(absent)?,
            numbers: transaction.open_table(PACK_NUMBERS).map(Some).or_else(absent)?,
            spares: transaction.open_multimap_table(SPARES).map(Some).or_else(absent)?,
            sketches: transaction.open_table(SKETCHES).map(Some).or_else(absent)?,
            meta: transaction.open_table(META).map(Some).or_else(absent)?,
        })
    }

    /// A number that another index does not have: one that was made anew, by whomever, may not know yet what this one knew.
    pub(crate) fn birth(&self) -> Result<u64> {
        let Some(meta) = &self.meta else { return Ok(0) };
        Ok(meta.get(BIRTH).map_err(read_error)?.map_or(0, |birth| birth.value()))
    }

    /// How often packs were taken out.
    pub(crate) fn removals(&self) -> Result<u64> {
        let Some(meta) = &self.meta else { return Ok(0) };
        Ok(meta.get(REMOVALS).map_err(read_error)?.map_or(0, |removals| removals.value()))
    }

    /// Where a chunk lies.
    pub fn find(&self, id: &ChunkId) -> Result<Option<ChunkPlace>> {
        let Some(chunks) = &self.chunks else { return Ok(None) };
        let found = chunks.get(id.as_bytes()).map_err(read_error)?;
        Ok(found.map(|place| tables::unpack_place(place.value())))
    }

    /// Where a chunk lies that is to be a base of a run that lies at `depth`: less deep than that, which is what keeps deltas from going in
    /// circles. A chunk that lies in several packs may be a base in one of them only.
    pub(crate) fn find_base(&self, id: &ShortId, depth: u8) -> Result<Option<ChunkPlace>> {
        let (Some(chunks), (from, to)) = (&self.chunks, id.bounds()) else { return Ok(None) };
        let mut found = chunks.range::<&[u8; 32]>(from.as_bytes()..=to.as_bytes()).map_err(read_error)?;
        let Some(found) = found.next() else { return Ok(None) };
        let (id, place) = found.map_err(read_error)?;
        let place = tables::unpack_place(place.value());
        if place.depth < depth {
            return Ok(Some(place));
        }
        let Some(spares) = &self.spares else { return Ok(None) };
        for spare in spares.get(id.value()).map_err(read_error)? {
            let spare = tables::unpack_place(spare.map_err(read_error)?.value());
            if spare.depth < depth {
                return Ok(Some(spare));
            }
        }
        Ok(None)
    }

    /// Where the chunks lie that have this number in their sketches, as far as they are known: the one that was stored last, then the one
    /// that its chain started from.
    pub(crate) fn namesakes(&self, number: u64) -> Result<[Option<ChunkPlace>; 2]> {
        let Some(sketches) = &self.sketches else { return Ok([None; 2]) };
        let Some(found) = sketches.get(number).map_err(read_error)? else { return Ok([None; 2]) };
        let Namesakes { newest, anchor } = Namesakes::unpack(found.value());
        let found = self.by_name(newest)?;
        Ok([found, if anchor == newest { found } else { self.by_name(anchor)? }])
    }

    /// The first chunk whose id begins like this.
    fn by_name(&self, name: Namesake) -> Result<Option<ChunkPlace>> {
        let Some(chunks) = &self.chunks else { return Ok(None) };
        let (from, to) = name.range();
        let Some(found) = chunks.range::<&[u8; 32]>(&from..=&to).map_err(read_error)?.next() else {
            return Ok(None);
        };
        let (_, place) = found.map_err(read_error)?;
        Ok(Some(tables::unpack_place(place.value())))
    }

    /// For each chunk the pack it lies in, and its ordinal there.
    pub(crate) fn places(&self, ids: &[ChunkId]) -> Result<Vec<Option<(PackId, u32)>>> {
        self.places_of(ids, |id| self.find(id))
    }

    /// As [`IndexReader::places`], of the bases of a run that lies at `depth`.
    pub(crate) fn base_places(&self, ids: &[ShortId], depth: u8) -> Result<BasePlaces> {
        self.places_of(ids, |id| self.find_base(id, depth))
    }

    /// As [`IndexReader::base_places`], of the bases of several runs.
    pub(crate) fn run_base_places<'r>(&self, runs: impl Iterator<Item = &'r Run>) -> Result<Vec<BasePlaces>> {
        runs.map(|run| self.base_places(&run.base_ids(), run.depth)).collect()
    }

    fn places_of<I>(
        &self,
        ids: &[I],
        find: impl Fn(&I) -> Result<Option<ChunkPlace>>,
    ) -> Result<Vec<Option<(PackId, u32)>>> {
        let mut last: Option<(u32, PackId)> = None;
        let place = |id: &I| {
            let Some(place) = find(id)? else { return Ok(None) };
            let pack = match last {
                Some((number, pack)) if number == place.pack => pack,
                _ => match self.pack(place.pack)? {
                    Some(record) => record.id,
                    None => return Ok(None),
                },
            };
            last = Some((place.pack, pack));
            Ok(Some((pack, place.ordinal)))
        };
        ids.iter().map(place).collect()
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

    /// The chunks that are found in these packs. Walks the whole index.
    pub(crate) fn chunks_in(&self, packs: &HashSet<u32>) -> Result<Vec<(ChunkId, u32)>> {
        let Some(chunks) = &self.chunks else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in chunks.iter().map_err(read_error)? {
            let (id, place) = entry.map_err(read_error)?;
            let pack = tables::unpack_place(place.value()).pack;
            if packs.contains(&pack) {
                found.push((ChunkId::from_bytes(*id.value()), pack));
            }
        }
        Ok(found)
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
    spares: redb::MultimapTable<'a, &'static [u8; 32], u64>,
    sketches: redb::Table<'a, u64, (u64, u64)>,
    meta: redb::Table<'a, &'static str, u64>,
}

impl<'a> IndexWriter<'a> {
    fn new(transaction: &'a redb::WriteTransaction) -> std::result::Result<Self, redb::TableError> {
        Ok(Self {
            chunks: transaction.open_table(CHUNKS)?,
            packs: transaction.open_table(PACKS)?,
            numbers: transaction.open_table(PACK_NUMBERS)?,
            spares: transaction.open_multimap_table(SPARES)?,
            sketches: transaction.open_table(SKETCHES)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// Draws the number of a new index. False if it is not new.
    fn be_born(&mut self) -> Result<bool> {
        let is_new = self.meta.get(BIRTH).map_err(read_error)?.is_none();
        if is_new {
            self.meta.insert(BIRTH, random::number()).map_err(read_error)?;
        }
        Ok(is_new)
    }

    /// Adds a pack and its chunks. A chunk that is known already is from now on found here, and its place before becomes a spare.
    pub(crate) fn add_pack(&mut self, (id, len, toc): NewPack<'_>) -> Result<u32> {
        if let Some(number) =
            self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
        {
            return Ok(number);
        }
        let next = self.meta.get(NEXT_NUMBER).map_err(read_error)?.map_or(0, |next| next.value());
        let number = u32::try_from(next).map_err(|_| {
            read_error(redb::StorageError::Corrupted("the index has run out of pack numbers".to_owned()))
        })?;
        self.meta.insert(NEXT_NUMBER, next + 1).map_err(read_error)?;
        let record = PackRecord::new(id, len, toc);
        self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
        self.numbers.insert(id.as_bytes(), number).map_err(read_error)?;
        // In the order of the keys: neighbours in the tree share pages.
        let chunks = toc.runs().flat_map(|run| run.chunks.iter().map(|chunk| (chunk.id, run.depth)));
        let place = |ordinal, depth| tables::pack_place(ChunkPlace { pack: number, ordinal, depth });
        let mut places: Vec<_> =
            chunks.zip(0u32..).map(|((id, depth), ordinal)| (id, place(ordinal, depth))).collect();
        places.sort_unstable();
        for (id, place) in places {
            let before =
                self.chunks.insert(id.as_bytes(), place).map_err(read_error)?.map(|before| before.value());
            if let Some(before) = before {
                self.spares.insert(id.as_bytes(), before).map_err(read_error)?;
            }
        }
        self.add_sketches(toc.runs())?;
        Ok(number)
    }

    /// Lets the chunks of runs be found by what they look like.
    fn add_sketches<'r>(&mut self, runs: impl Iterator<Item = &'r Run>) -> Result<()> {
        let mut entries: Vec<(u64, Namesake)> = Vec::new();
        for run in runs {
            for (chunk, sketch) in run.chunks.iter().zip(&run.sketches) {
                let name = Namesake::new(&chunk.id, run.depth);
                entries.extend(sketch.numbers().iter().map(|number| (*number, name)));
            }
        }
        entries.sort_unstable();
        for (number, name) in entries {
            let known = self.sketches.get(number).map_err(read_error)?.map(|known| known.value());
            let namesakes =
                known.map_or(Namesakes::only(name), |known| Namesakes::unpack(known).followed_by(name));
            self.sketches.insert(number, namesakes.pack()).map_err(read_error)?;
        }
        Ok(())
    }

    /// Forgets what chunks look like that are in no pack any more, as far as a table tells.
    fn forget_sketches(&mut self, toc: &PackToc) -> Result<()> {
        for run in toc.runs() {
            for (chunk, sketch) in run.chunks.iter().zip(&run.sketches) {
                if self.chunks.get(chunk.id.as_bytes()).map_err(read_error)?.is_some() {
                    continue;
                }
                for number in sketch.numbers() {
                    let known = self.sketches.get(number).map_err(read_error)?.map(|known| known.value());
                    let Some(known) = known else { continue };
                    match Namesakes::unpack(known).without(&chunk.id) {
                        None => drop(self.sketches.remove(number).map_err(read_error)?),
                        Some(left) => drop(self.sketches.insert(number, left.pack()).map_err(read_error)?),
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets packs and what was found in them. Each comes with its table, where that can be read: for those without, the whole index is
    /// walked, once for all.
    pub(crate) fn remove_packs<'p>(
        &mut self,
        packs: impl IntoIterator<Item = (&'p PackId, Option<&'p PackToc>)>,
    ) -> Result<()> {
        let mut without = HashSet::new();
        let removals = self.removals()?;
        for (id, toc) in packs {
            let Some(number) =
                self.numbers.remove(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
            else {
                continue;
            };
            self.packs.remove(number).map_err(read_error)?;
            self.meta.insert(REMOVALS, removals + 1).map_err(read_error)?;
            match toc {
                Some(toc) => self.forget_listed(number, toc)?,
                None => drop(without.insert(number)),
            }
        }
        if without.is_empty() { Ok(()) } else { self.forget_places(&without) }
    }

    /// Forgets the places in a pack that its table lists.
    fn forget_listed(&mut self, number: u32, toc: &PackToc) -> Result<()> {
        let here = |place: u64| tables::unpack_place(place).pack == number;
        let mut removed = Vec::new();
        let mut spares = Vec::new();
        for chunk in toc.chunks() {
            let key = chunk.id.as_bytes();
            let found = self.chunks.get(key).map_err(read_error)?.map(|place| place.value());
            if found.is_some_and(here) {
                self.chunks.remove(key).map_err(read_error)?;
                removed.push(*key);
            }
            for spare in self.spares.get(key).map_err(read_error)? {
                let spare = spare.map_err(read_error)?.value();
                if here(spare) {
                    spares.push((*key, spare));
                }
            }
        }
        self.replace_removed(&removed, spares)?;
        self.forget_sketches(toc)
    }

    /// Forgets all places in these packs.
    fn forget_places(&mut self, numbers: &HashSet<u32>) -> Result<()> {
        let here = |place: u64| numbers.contains(&tables::unpack_place(place).pack);
        let mut removed = Vec::new();
        let mut spares = Vec::new();
        let mut stays = |id: &[u8; 32], place| {
            if here(place) {
                removed.push(*id);
            }
            !here(place)
        };
        self.chunks.retain(|id, place| stays(id, place)).map_err(read_error)?;
        for entry in self.spares.iter().map_err(read_error)? {
            let (id, places) = entry.map_err(read_error)?;
            for spare in places {
                let spare = spare.map_err(read_error)?.value();
                if here(spare) {
                    spares.push((*id.value(), spare));
                }
            }
        }
        self.replace_removed(&removed, spares)
    }

    /// Removes spares, then gives chunks whose places are gone those that are left.
    fn replace_removed(&mut self, removed: &[[u8; 32]], spares: Vec<([u8; 32], u64)>) -> Result<()> {
        for (id, spare) in spares {
            self.spares.remove(&id, spare).map_err(read_error)?;
        }
        removed.iter().try_for_each(|id| self.use_spare(id))
    }

    /// A chunk whose place is gone may lie elsewhere too.
    fn use_spare(&mut self, id: &[u8; 32]) -> Result<()> {
        let spare = match self.spares.get(id).map_err(read_error)?.next() {
            Some(spare) => spare.map_err(read_error)?.value(),
            None => return Ok(()),
        };
        self.spares.remove(id, spare).map_err(read_error)?;
        self.chunks.insert(id, spare).map_err(read_error)?;
        Ok(())
    }

    fn removals(&self) -> Result<u64> {
        Ok(self.meta.get(REMOVALS).map_err(read_error)?.map_or(0, |removals| removals.value()))
    }

    /// Remembers that all bases of these packs' runs were found, if no pack was taken out since.
    pub(crate) fn set_sound(&mut self, ids: &[PackId], removals: u64) -> Result<()> {
        if self.removals()? != removals {
            return Ok(());
        }
        self.change_records(ids, |record| record.sound_at = removals + 1)
    }

    /// Remembers when packs were last read and found right, in seconds since 1970.
    pub(crate) fn set_verified(&mut self, ids: &[PackId], at: u64) -> Result<()> {
        self.change_records(ids, |record| record.verified_at = at)
    }

    fn change_records(&mut self, ids: &[PackId], change: impl Fn(&mut PackRecord)) -> Result<()> {
        for id in ids {
            let Some(number) =
                self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
            else {
                continue;
            };
            let record =
                self.packs.get(number).map_err(read_error)?.and_then(|r| PackRecord::decode(r.value()));
            if let Some(mut record) = record {
                change(&mut record);
                self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
            }
        }
        Ok(())
    }
}
