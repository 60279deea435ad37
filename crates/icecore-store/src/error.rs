//! What goes wrong with a store.

use std::path::PathBuf;

use icecore_format::{ChunkId, DecodeError, PackId, ShortId, SnapshotId, StoreId};
use icecore_storage as storage;

/// A failed operation on a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store where one was expected.
    #[error("there is no icecore store at {place}")]
    NoStore {
        /// Where it was looked for.
        place: String,
    },
    /// There are packs or snapshots, but what says how to read them is gone.
    #[error("the configuration of the store at {place} is missing, and so is its copy")]
    ConfigMissing {
        /// Where the store is.
        place: String,
    },
    /// There is a store already where one should be made.
    #[error("there is a store at {place} already")]
    StoreExists {
        /// Where.
        place: String,
    },
    /// Snapshots go only from a store to the same store elsewhere.
    #[error("the other store is another one: its id is {found}, and that of this one is {expected}")]
    AnotherStore {
        /// The id of the store at hand.
        expected: StoreId,
        /// The id of the other one.
        found: StoreId,
    },
    /// The other store has the id of this one, and is not encrypted as this one is.
    #[error("{}, and the other one, which has its id, says otherwise", if *is_encrypted { "this store is encrypted" } else { "this store is not encrypted" })]
    OtherwiseEncrypted {
        /// Whether the store at hand is encrypted.
        is_encrypted: bool,
    },
    /// A store should be made where something else lies.
    #[error("{place} is not empty: {object} lies there, but no configuration of a store")]
    PlaceTaken {
        /// Where.
        place: String,
        /// The first object that does not belong there.
        object: String,
    },
    /// The store was written by a newer program.
    #[error("{place} has format {found}, newer than {supported}, the newest this program reads")]
    StoreTooNew {
        /// Where.
        place: String,
        /// Its format version.
        found: u16,
        /// The newest version this program reads.
        supported: u16,
    },
    /// The store is encrypted, and no password was given.
    #[error("the store is encrypted and needs a password")]
    PasswordNeeded,
    /// None of the store's keys opens with the password.
    #[error("the password opens none of the store's keys ({keys} tried)")]
    WrongPassword {
        /// How many were tried.
        keys: usize,
    },
    /// The last key of a store must stay.
    #[error("{id} is the store's only key: without it nothing could be read again")]
    LastKey {
        /// The key.
        id: String,
    },
    /// There is no such key.
    #[error("the store has no key {id:?}")]
    NoKey {
        /// What was asked for.
        id: String,
    },
    /// The store is not encrypted, so that it has no keys.
    #[error("the store is not encrypted: it has no passwords")]
    NotEncrypted,
    /// A request to the storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// An object could not be read, which says nothing about what it is: a bad sector, a right that is missing, a cable.
    #[error("cannot read {place}")]
    Unread {
        /// The object's name in the store.
        object: String,
        /// The object, as a person can look at it.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The index could not be used, although it is only a cache.
    #[error("cannot use the index {}", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The index's lock could not be taken.
    #[error("cannot lock {}", path.display())]
    IndexLock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An object is not what it should be.
    #[error("{object} is damaged")]
    Damaged {
        /// The object's name in the store.
        object: String,
        /// In which way.
        #[source]
        source: DecodeError,
    },
    /// A body in a pack does not decode to its chunks.
    #[error("chunk {chunk} in pack {pack} is damaged")]
    ChunkDamaged {
        /// Where it lies.
        pack: PackId,
        /// The chunk.
        chunk: ChunkId,
    },
    /// No pack holds a chunk that something refers to.
    #[error("chunk {chunk} is missing from the store")]
    ChunkMissing {
        /// The chunk.
        chunk: ShortId,
    },
    /// A part's bytes are not those that were captured.
    #[error("part {part:?} does not have the hash that was recorded")]
    PartDamaged {
        /// The part's name.
        part: String,
    },
    /// A snapshot that was there is not there any more.
    #[error("there is no snapshot {id}")]
    NoSnapshot {
        /// Its id.
        id: SnapshotId,
    },
    /// Lists of references cannot be read: what they lead to is unknown, so that nothing may be deleted.
    #[error("{nodes} {} of chunks cannot be read, so nothing was deleted; affected: {snapshots}",
        if *nodes == 1 { "list" } else { "lists" })]
    Unresolved {
        /// How many lists.
        nodes: u64,
        /// The snapshots' short ids.
        snapshots: String,
    },
    /// A collection took this writer's place.
    #[error("a collection fenced this writer, which it took for dead; what was stored is kept")]
    Fenced,
    /// This writer's claim is not there any more, which protects what it refers to: somebody removed it, or all of the store.
    #[error("{claim} is gone, without which nothing can be published")]
    ClaimGone {
        /// The claim, as a person can look at it.
        claim: String,
    },
    /// Somebody else does what must be done by one at a time.
    #[error("{what} is running on this store")]
    Busy {
        /// What.
        what: &'static str,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Cancelled,
    /// The operating system gives us no more threads.
    #[error("cannot start a thread")]
    Thread {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread of a pipeline died: a bug.
    #[error("internal error: the {thread} thread panicked")]
    Panicked {
        /// Which.
        thread: &'static str,
    },
}

/// The result of an operation on a store.
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    pub(crate) fn damaged(object: impl Into<String>) -> impl FnOnce(DecodeError) -> Self {
        let object = object.into();
        |source| match source {
            DecodeError::TooNew { found, supported } => Self::StoreTooNew { place: object, found, supported },
            source => Self::Damaged { object, source },
        }
    }

    /// Whether an object cannot be read, ever, by this program: damage, or a version of which it knows nothing.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.is_damage() || matches!(self, Self::StoreTooNew { .. })
    }

    /// Whether an object's bytes cannot be had: for ever, or for now.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        self.is_unreadable() || matches!(self, Self::Unread { .. })
    }

    /// Whether what was to be read is not there.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind == storage::ErrorKind::NotFound)
    }

    /// What a failed read of an object means.
    pub(crate) fn unread(object: &str) -> impl FnOnce(storage::Error) -> Self {
        move |error| match error.kind {
            storage::ErrorKind::Other | storage::ErrorKind::Denied => {
                Self::Unread { object: object.to_owned(), place: error.place, source: error.source }
            }
            _ => error.into(),
        }
    }

    /// What went wrong and why, as one sentence.
    pub(crate) fn sentence(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// Whether there is no room left to write.
    pub fn is_full(&self) -> bool {
        let full = |kind| matches!(kind, std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        match self {
            Self::Storage(error) => error.kind == storage::ErrorKind::Full,
            Self::IndexLock { source, .. } => full(source.kind()),
            Self::Index { source, .. } => matches!(&**source, redb::Error::Io(error) if full(error.kind())),
            _ => false,
        }
    }

    /// Whether the system does not let us write.
    pub(crate) fn is_denied(&self) -> bool {
        let denied = |kind| {
            matches!(kind, std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
        };
        match self {
            Self::Storage(error) => error.kind == storage::ErrorKind::Denied,
            Self::IndexLock { source, .. } => denied(source.kind()),
            Self::Index { source, .. } => matches!(&**source, redb::Error::Io(error) if denied(error.kind())),
            _ => false,
        }
    }

    /// Whether stored data, rather than the world around it, is at fault.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::ConfigMissing { .. }
                | Self::ChunkDamaged { .. }
                | Self::ChunkMissing { .. }
                | Self::PartDamaged { .. }
                | Self::Unresolved { .. }
        )
    }
}
