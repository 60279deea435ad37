//! What goes wrong, by what a person can do about it.

use std::path::PathBuf;

use icecore_engine::{CaptureError, RestoreError};
use icecore_store::StoreError;

/// A use case that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store's side.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source's side; nothing was stored.
    #[error(transparent)]
    Capture(CaptureError),
    /// The target's side; what was there is untouched.
    #[error(transparent)]
    Restore(RestoreError),
    /// `icecore.toml` cannot be used.
    #[error("cannot use {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A plan of steps cannot be used.
    #[error("cannot use the plan {}", path.display())]
    RunPlan {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The configuration that was named is not there.
    #[error("there is no configuration {}", path.display())]
    NoConfig {
        /// The file.
        path: PathBuf,
    },
    /// A service is not what one must be.
    #[error("the service {name}: {what}")]
    Service {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing says what to keep.
    #[error("no policy says what to keep{}; nothing was deleted", of_which(name.as_deref()))]
    NoPolicy {
        /// Of which source, if one was named.
        name: Option<String>,
    },
    /// No store was named and none was found.
    #[error("no store was named, and there is no .icecore directory in {} or above it", from.display())]
    NoStoreFound {
        /// Where the search began.
        from: PathBuf,
    },
    /// The place of the store is of a kind that this program does not know.
    #[error(
        "{place:?} is not a place for a store that this version knows: directories, file:///PATH and s3://BUCKET/PREFIX are"
    )]
    UnknownPlace {
        /// What was given.
        place: String,
    },
    /// AWS has no such class of storage.
    #[error("AWS knows no class of storage {class:?}{}", meant(near.as_deref()))]
    UnknownClass {
        /// What was given.
        class: String,
        /// The one that may have been meant.
        near: Option<String>,
    },
    /// There is no such remote.
    #[error("there is no remote {name:?}{}", meant(near.as_deref()))]
    NoRemote {
        /// What was asked for.
        name: String,
        /// The one that may have been meant.
        near: Option<String>,
    },
    /// There is no such service.
    #[error("icecore.toml has no service {name:?}{}", meant(near.as_deref()))]
    NoService {
        /// What was asked for.
        name: String,
        /// The one that may have been meant.
        near: Option<String>,
    },
    /// There is no such source.
    #[error("there is no file, directory or service {name:?}{}", meant(near.as_deref()))]
    NoSource {
        /// What was asked for.
        name: String,
        /// The service that may have been meant.
        near: Option<String>,
    },
    /// A URL is of nothing that can be captured or restored to.
    #[error("{url:?} is no URL of a kind that is known here{}", meant(*near))]
    UnknownUrl {
        /// What was given, without what may be a password.
        url: String,
        /// How it may have been meant to begin.
        near: Option<&'static str>,
    },
    /// No snapshot is what the selector says.
    #[error("there is no snapshot {selector:?}{}", reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default())]
    NoSnapshot {
        /// What was asked for.
        selector: String,
        /// Why it selects none, if there is more to say.
        reason: Option<String>,
    },
    /// Several snapshots are what the selector says.
    #[error("{selector:?} is ambiguous: {candidates}")]
    Ambiguous {
        /// What was asked for.
        selector: String,
        /// What it may mean.
        candidates: String,
    },
    /// The snapshot has no such part.
    #[error("snapshot {id} has no part {part:?}{hint}")]
    NoPart {
        /// The snapshot's short id.
        id: String,
        /// What was asked for.
        part: String,
        /// What it may have meant, with a leading separator.
        hint: String,
    },
    /// A text is not a time.
    #[error("{text:?} is not a time")]
    BadTime {
        /// The text.
        text: String,
    },
    /// The target is there already.
    #[error("{} exists already", path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The snapshot holds what would reach out of the target.
    #[error("snapshot {id} holds what reaches out of the target: {}", named.join(", "))]
    Escapes {
        /// The snapshot's short id.
        id: String,
        /// The first entries that do, and what they are.
        named: Vec<String>,
    },
    /// A snapshot that was not taken whole would take the place of what is there.
    #[error("snapshot {id} was not taken whole ({finding}{}), and what it lacks may be in {}",
        if *more == 0 { String::new() } else { format!(", and {more} more") }, path.display())]
    Incomplete {
        /// The snapshot's short id.
        id: String,
        /// The first thing that was not captured as it was.
        finding: String,
        /// How many more there are.
        more: usize,
        /// The target.
        path: PathBuf,
    },
    /// What is stored of a snapshot is damaged.
    #[error("snapshot {id} is damaged{}", part.as_deref().map(|part| format!(" in {part}")).unwrap_or_default())]
    Damaged {
        /// The snapshot's short id.
        id: String,
        /// The part that was being restored, if it had come to one.
        part: Option<String>,
        /// In which way.
        #[source]
        source: StoreError,
    },
    /// A restore in place ended after it had begun to write.
    #[error("{} may be a mixture of what was there and what was to be restored", path.display())]
    HalfDone {
        /// The target.
        path: PathBuf,
        /// Why it ended.
        source: Box<Self>,
    },
    /// What is to be restored cannot fit.
    #[error("cannot restore to {}: {needed} bytes are needed, and {free} are free", path.display())]
    NoRoom {
        /// The target.
        path: PathBuf,
        /// Bytes that will be written.
        needed: u64,
        /// Bytes that are free there.
        free: u64,
    },
    /// What an encrypted store hides would be written for everybody to read.
    #[error("snapshot {id} is in an encrypted store, and what is exported is not encrypted")]
    WouldDecrypt {
        /// The snapshot's short id.
        id: String,
    },
    /// A file is nothing that an export wrote.
    #[error("{name} is no archive of icecore: {why}")]
    NoArchive {
        /// The file, or `standard input`.
        name: String,
        /// In which way.
        why: String,
    },
    /// An archive is not what was exported: it was cut off, or changed.
    #[error("{name} is damaged: {why}")]
    ArchiveDamaged {
        /// The file, or `standard input`.
        name: String,
        /// In which way.
        why: String,
    },
    /// A file has only what came later in a store, and is needed whole.
    #[error("{name} is not a whole store: it has what came after snapshot {id}")]
    NotWhole {
        /// The file.
        name: String,
        /// The snapshot's short id.
        id: String,
    },
    /// A file has only what came later in a store, and here is not what came before.
    #[error("{name} has what came after snapshot {id}, which this store does not have")]
    NothingBefore {
        /// The file.
        name: String,
        /// The snapshot's short id.
        id: String,
    },
    /// A file has only what came later in a store, coded on what is not here, or not as it was there.
    #[error(
        "{name} builds on what came before, and this store does not hold that as it was where the file was made"
    )]
    OtherwiseBefore {
        /// The file.
        name: String,
    },
    /// An archive, or what waits on disk of it, cannot be read.
    #[error("cannot read {name}")]
    ArchiveUnread {
        /// The file, or `standard input`.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no room for what waits on disk, or it cannot be read.
    #[error("cannot use the store's folder for temporary files")]
    Scratch {
        /// Why.
        source: std::io::Error,
    },
    /// It is not known where to restore to.
    #[error("snapshot {id} of {source_name} has no place of its own to go back to")]
    NoTarget {
        /// The snapshot's short id.
        id: String,
        /// The source's name.
        source_name: String,
    },
    /// Whether the snapshot can be restored could not be tried here.
    #[error("whether snapshot {id} of {source_name} can be restored cannot be tried here: {why}")]
    NoProof {
        /// The snapshot's short id.
        id: String,
        /// The source's name.
        source_name: String,
        /// What is in the way.
        why: String,
        /// What helps.
        hint: Option<String>,
    },
    /// The request does not make sense for this snapshot.
    #[error("{0}")]
    Unfitting(String),
    /// A program of the user's failed that is told of each step of a night.
    #[error("the hook {when} it, {program}, failed: {why}")]
    Hook {
        /// `before` or `after`.
        when: &'static str,
        /// The program.
        program: String,
        /// How it ended.
        why: String,
    },
    /// Somebody elsewhere was not told of a night.
    #[error("the {what} at {host} was not told: {why}")]
    Call {
        /// `webhook` or `ping`.
        what: &'static str,
        /// The machine.
        host: String,
        /// What came of it.
        why: String,
    },
    /// It is not known where a webhook is.
    #[error("the webhook's URL cannot be read from {}", path.display())]
    WebhookFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record of what happened last cannot be written.
    #[error("cannot write {}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A server does not keep conditions, and nobody said that nobody else writes.
    #[error(
        "the server of {place} does not keep conditions, by which machines that write at the same time notice each other: {what} there could take what another one needs"
    )]
    NotAlone {
        /// The store.
        place: String,
        /// What was to be done.
        what: &'static str,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    pub(crate) fn scratch(source: std::io::Error) -> Self {
        Self::Scratch { source }
    }
}

fn of_which(name: Option<&str>) -> String {
    name.map(|name| format!(" of {name}")).unwrap_or_default()
}

/// The end of a sentence that says what may have been meant.
fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

impl From<CaptureError> for Error {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Cancelled => Self::Cancelled,
            // The sink is ours: what it says is the store's error.
            CaptureError::Sink(error) => match error.downcast::<StoreError>() {
                Ok(error) => Self::Store(*error),
                Err(error) => Self::Capture(CaptureError::Sink(error)),
            },
            error => Self::Capture(error),
        }
    }
}

impl From<RestoreError> for Error {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Cancelled => Self::Cancelled,
            // The content is ours: what it says is our error.
            RestoreError::Content(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => match error.downcast::<StoreError>() {
                    Ok(error) => Self::Store(*error),
                    Err(error) => Self::Restore(RestoreError::Content(error)),
                },
            },
            error => Self::Restore(error),
        }
    }
}
