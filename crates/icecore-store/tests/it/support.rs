//! Small stores and snapshots of noise.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use icecore_format::{ChunkSizes, Digest, KdfCost, Part, PartKind, SnapshotId};
use icecore_storage::{LocalStorage, MemoryStorage, PutMode, Storage};
use icecore_store::{
    FencePolicy, GcOptions, Grain, InitOptions, Result, Silent, Snapshot, SnapshotHead, SnapshotReader,
    SnapshotWriter, Store, Unlock, Written,
};
use tempfile::TempDir;

pub(crate) const PASSWORD: &[u8] = b"correct horse";

/// Whether a store is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crypto {
    Plain,
    Encrypted,
}

pub(crate) const BOTH: [Crypto; 2] = [Crypto::Plain, Crypto::Encrypted];

pub(crate) fn options(crypto: Crypto) -> InitOptions {
    InitOptions {
        chunk_sizes: ChunkSizes { min: 256, avg: 1024, max: 4096 },
        pack_len: 64 << 10,
        body_len: 16 << 10,
        zstd_level: 1,
        password: (crypto == Crypto::Encrypted).then(|| (PASSWORD.to_vec(), KdfCost::CHEAPEST)),
        ..InitOptions::new("2026-11-20T10:00:00Z")
    }
}

/// A store, and the directory of its index.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) store: Arc<Store>,
}

impl Fixture {
    pub(crate) fn new(storage: Arc<dyn Storage>, options: &InitOptions) -> Self {
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).expect("a temporary directory");
        let store = Store::init(Arc::clone(&storage), dir.path().join("index.redb"), options).expect("init");
        Self { dir, storage, store: Arc::new(store) }
    }

    pub(crate) fn memory(crypto: Crypto) -> Self {
        Self::new(Arc::new(MemoryStorage::new()), &options(crypto))
    }

    pub(crate) fn local(crypto: Crypto) -> Self {
        let dir = tempfile::tempdir_in(icecore_testkit::memory()).expect("a temporary directory");
        let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(dir.path()));
        let store =
            Store::init(Arc::clone(&storage), dir.path().join("index.redb"), &options(crypto)).expect("init");
        Self { dir, storage, store: Arc::new(store) }
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.dir.path().join("index.redb")
    }

    /// The same store, opened once more, as another process would.
    pub(crate) fn reopen(&self) -> Arc<Store> {
        open(Arc::clone(&self.storage), self.index_path())
    }

    /// The same local directory, through a storage of its own.
    pub(crate) fn another_process(&self) -> Arc<Store> {
        open(Arc::new(LocalStorage::new(self.dir.path())), self.index_path())
    }

    /// Overwrites an object behind the store's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.storage.get(name).expect("the object is there").to_vec();
        change(&mut bytes);
        self.storage.put(name, &bytes, PutMode::Overwrite).expect("put");
    }

    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        self.storage.list(prefix).expect("list").into_iter().map(|object| object.name).collect()
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.storage.list("packs/").expect("list").iter().map(|object| object.len).sum()
    }
}

pub(crate) fn open(storage: Arc<dyn Storage>, index: PathBuf) -> Arc<Store> {
    let mut ask = || Some(PASSWORD.to_vec());
    Arc::new(Store::open(storage, "here", index, Unlock::Ask(&mut ask)).expect("open"))
}

/// Bytes of a fixed pseudo-random sequence: nothing compresses them.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn head(source: &str) -> SnapshotHead {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    SnapshotHead {
        source: source.to_owned(),
        created_at: format!("2026-11-20T10:00:00.{number:09}Z"),
        host: "db3".to_owned(),
        tool_version: "0.1.0".to_owned(),
        parent: None,
        deltas: true,
    }
}

pub(crate) fn begin(store: &Arc<Store>, source: &str) -> Result<SnapshotWriter> {
    SnapshotWriter::begin(Arc::clone(store), head(source), Arc::new(Silent))
}

/// A writer that has all of its one part, and has still to publish.
pub(crate) fn begin_with(store: &Arc<Store>, source: &str, bytes: &[u8]) -> SnapshotWriter {
    let mut writer = begin(store, source).unwrap();
    writer.begin_part(b"a", PartKind::File, Grain::Byte, true).unwrap();
    writer.write(bytes).unwrap();
    writer.end_part(None, None).unwrap();
    writer
}

pub(crate) fn try_write(store: &Arc<Store>, source: &str, parts: &[(&str, &[u8])]) -> Result<Written> {
    let mut writer = begin(store, source)?;
    for (name, bytes) in parts {
        writer.begin_part(name.as_bytes(), PartKind::File, Grain::Byte, true)?;
        writer.write(bytes)?;
        writer.end_part(None, None)?;
    }
    writer.commit(|_| ())
}

pub(crate) fn write(store: &Arc<Store>, source: &str, parts: &[(&str, &[u8])]) -> Written {
    try_write(store, source, parts).expect("the snapshot is written")
}

pub(crate) fn find(store: &Store, id: SnapshotId) -> Snapshot {
    let (snapshots, _) = store.snapshots().expect("list");
    snapshots.into_iter().find(|snapshot| snapshot.id == id).expect("the snapshot is listed")
}

pub(crate) fn reader(store: &Arc<Store>, id: SnapshotId) -> SnapshotReader {
    SnapshotReader::new(Arc::clone(store), find(store, id).manifest)
}

pub(crate) fn read(store: &Arc<Store>, id: SnapshotId) -> Result<Vec<u8>> {
    restore(&reader(store, id))
}

/// The content, its parts checked.
pub(crate) fn restore(reader: &SnapshotReader) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for chunk in reader.content() {
        bytes.extend_from_slice(&chunk?.1);
    }
    let parts = reader.parts().collect::<Result<Vec<Part>>>()?;
    for part in parts {
        let from = usize::try_from(part.offset).expect("small");
        let len = usize::try_from(part.len).expect("small");
        let mut hasher = reader.store().key().part_hasher();
        hasher.update(&bytes[from..from + len]);
        assert_eq!(Digest(*hasher.finalize().as_bytes()), part.hash, "part {}", part.display_name());
    }
    Ok(bytes)
}

/// Every listed snapshot restores to what `expected` says, and nothing else is listed.
pub(crate) fn check_all(store: &Arc<Store>, expected: &BTreeMap<SnapshotId, Vec<u8>>) {
    let (snapshots, damaged) = store.snapshots().expect("list");
    assert!(damaged.is_empty(), "{damaged:?}");
    let listed: Vec<_> = snapshots.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(listed.len(), expected.len());
    for snapshot in snapshots {
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest);
        let bytes = restore(&reader).expect("the snapshot restores");
        assert!(Some(&bytes) == expected.get(&snapshot.id), "the bytes are those that were written");
    }
}

pub(crate) fn gc_options() -> GcOptions {
    let fence = FencePolicy { after: Duration::from_secs(3600), poll: Duration::from_millis(2) };
    GcOptions { fence, ..GcOptions::default() }
}

/// Runs `work`, and panics if it hangs.
pub(crate) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(work());
    });
    match outcome.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the value was sent"),
        },
    }
}
