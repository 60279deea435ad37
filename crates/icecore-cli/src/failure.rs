//! Errors as a person sees them: one sentence with its causes, an exit status, and the next command.

use std::io;

pub(crate) use icecore::sentence;
use icecore::{ConfigFault, Error, StoreError, io_message};
use icecore_engine::{CaptureError, RestoreError};
use icecore_storage::ErrorKind;

use crate::hints::is_of_damage;
use crate::status::ExitStatus;

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// Something to tell.
    Failure(Failure),
    /// Whoever took what was restored has gone before its end. Nobody wants to hear of it, but it was no success.
    StreamClosed,
}

/// What is told.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: ExitStatus,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The result of a command.
pub(crate) type Result<T> = std::result::Result<T, CommandError>;

impl CommandError {
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self::Failure(Failure { status, message: message.into(), hint: None })
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// Replaces the hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Failure(failure) => Self::Failure(Failure { hint: Some(hint.into()), ..failure }),
            Self::StreamClosed => self,
        }
    }

    /// Replaces the hint of one that says that something is not there.
    pub(crate) fn if_not_found(self, hint: impl Into<String>) -> Self {
        match &self {
            Self::Failure(Failure { status: ExitStatus::NotFound, .. }) => self.hint(hint),
            _ => self,
        }
    }

    /// Adds what else helps where stored data is damaged.
    pub(crate) fn if_damaged(self, more: impl FnOnce() -> Option<String>) -> Self {
        match self {
            Self::Failure(Failure { status: ExitStatus::Damaged, message, hint: Some(hint) })
                if is_of_damage(&hint) =>
            {
                let hint = more().map_or_else(|| hint.clone(), |more| format!("{hint}; {more}"));
                Self::Failure(Failure { status: ExitStatus::Damaged, message, hint: Some(hint) })
            }
            other => other,
        }
    }

    /// The same, of a restore that gives back all or nothing: what helps where something is damaged.
    pub(crate) fn of_all_or_nothing(self) -> Self {
        match &self {
            Self::Failure(Failure { status: ExitStatus::Damaged, .. }) => self
                .hint("`icecore repair` heals what it can; an older snapshot in `icecore list` may be whole"),
            _ => self,
        }
    }

    /// An I/O error, with what was tried on what.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::new(ExitStatus::Failed, format!("{what}: {}", io_message(&error)))
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Restore(RestoreError::Closed)) {
            return Self::StreamClosed;
        }
        let (status, hint) = explain(&error);
        Self::Failure(Failure { status, message: sentence(&error), hint })
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

/// What an error means to a script, and what a person can do next.
pub(crate) fn explain(error: &Error) -> (ExitStatus, Option<String>) {
    use ExitStatus as S;
    let (status, hint) = match error {
        Error::Store(error) => return explain_store(error),
        Error::Damaged { .. } => (
            S::Damaged,
            "`icecore verify` tells what else is damaged; `restore --allow-damaged` gives back what can be read",
        ),
        Error::Capture(error) => return explain_capture(error),
        Error::Restore(error) => return explain_restore(error),
        Error::Config { path, .. } if path.ends_with(icecore::REMOTES_FILE) => (
            S::Failed,
            "docs/s3.md shows what stands in it; nothing else stands there, so it may also be removed",
        ),
        Error::Config { source, .. }
            if source.downcast_ref::<ConfigFault>().is_some_and(ConfigFault::is_of_nights) =>
        {
            (S::Failed, "docs/nightly.md shows what stands in [nightly], and how a schedule looks")
        }
        Error::Config { .. } => {
            (S::Failed, "docs/services.md shows what stands in it; --store PATH names a store without it")
        }
        Error::RunPlan { .. } => (S::Usage, "nothing was done; docs/run.md shows what stands in a plan"),
        Error::NoConfig { .. } => (
            S::NotFound,
            "--config and ICECORE_CONFIG name a file; without them it is the nearest icecore.toml upwards, if there is one",
        ),
        Error::Service { .. } => {
            (S::Usage, "`icecore config check` looks at all services; docs/services.md has examples")
        }
        Error::NoPolicy { .. } => (
            S::Usage,
            "say it with --policy '7d all, 30d daily, 1y weekly, then monthly', or with `default` below [retention] in icecore.toml; --dry-run shows what goes",
        ),
        Error::NoStoreFound { .. } => {
            (S::NotFound, "make one here with `icecore init`, or name one with --store PATH or ICECORE_STORE")
        }
        Error::UnknownClass { .. } => {
            (S::Usage, "a server that is not AWS may have classes of its own: say --endpoint, too")
        }
        Error::UnknownPlace { .. } => (S::Usage, "give the path of a directory, or s3://BUCKET/PREFIX"),
        Error::NoRemote { .. } => {
            (S::NotFound, "`icecore remote list` shows them; `icecore remote add NAME URL` names one")
        }
        Error::NoService { .. } => (
            S::NotFound,
            "`icecore config check` shows the services there are; docs/services.md how to write one",
        ),
        Error::NoSource { .. } => {
            (S::NotFound, "give a path, `-` for standard input, or `-- COMMAND` for what a command prints")
        }
        Error::UnknownUrl { .. } => (
            S::NotFound,
            "known are postgres://, mysql://, mariadb:// and redis:// URLs, and sqlite:PATH; a file or directory is named by its path",
        ),
        Error::NoSnapshot { .. } => (S::NotFound, "`icecore list` shows the snapshots there are"),
        Error::Ambiguous { .. } => (
            S::NotFound,
            "give more digits, `#N` from `icecore list`, or `NAME~0` for the newest of a source",
        ),
        Error::NoPart { id, .. } => {
            return (S::NotFound, Some(format!("`icecore show {id}` lists its parts")));
        }
        Error::BadTime { .. } => {
            (S::Usage, "times look like 2026-11-20, 2026-11-20T10:00, \"2 hours ago\", 2h or now")
        }
        Error::Escapes { .. } => (
            S::Refused,
            "nothing was touched; --trusted restores them as they were: give it if you know who made the store",
        ),
        Error::Incomplete { .. } => (
            S::Refused,
            "--to PATH restores elsewhere; --allow-incomplete replaces what is there all the same",
        ),
        Error::WouldDecrypt { .. } => {
            (S::Refused, "--decrypt writes it all the same: whoever has the file can read it then")
        }
        Error::NoArchive { .. } => (
            S::Failed,
            "`icecore export` writes archives; anything else, a tarball too, becomes a snapshot with `icecore create`",
        ),
        Error::ArchiveDamaged { .. } => {
            (S::Damaged, "no snapshot was made of it; export it once more, or take another copy of the file")
        }
        Error::NotWhole { .. } => (
            S::Refused,
            "`icecore import FILE` brings it into the store that has what came before; a store is made of a file that was exported without --since",
        ),
        Error::NothingBefore { .. } => (
            S::NotFound,
            "nothing was imported; import the file first that brings that snapshot, or one that was exported without --since",
        ),
        Error::OtherwiseBefore { .. } => (
            S::Failed,
            "nothing was imported; `icecore verify` tells whether what is here is whole, and a file that was exported without --since builds on nothing",
        ),
        Error::TargetExists { .. } => (S::Refused, "--yes replaces it; --to PATH restores elsewhere"),
        Error::NoRoom { .. } => {
            (S::Failed, "nothing was touched; make room there, or restore elsewhere with --to PATH")
        }
        Error::NotAlone { .. } => (
            S::Refused,
            "if nobody else writes there now, --exclusive goes on; pushing and pulling are safe as they are",
        ),
        Error::NoProof { hint, .. } => return (S::Failed, hint.clone()),
        Error::NoTarget { .. } => (S::Usage, "say where with --to PATH, or --to - for standard output"),
        Error::Unfitting(_) => return (S::Usage, None),
        Error::Cancelled => return (S::Interrupted, None),
        _ => return (S::Failed, None),
    };
    (status, Some(hint.to_owned()))
}

fn explain_store(error: &StoreError) -> (ExitStatus, Option<String>) {
    use ExitStatus as S;
    let (status, hint) = match error {
        StoreError::NoStore { place } => {
            let may_be_made = std::fs::read_dir(place).map_or(true, |mut entries| entries.next().is_none());
            let hint = match may_be_made && !std::path::Path::new(place).is_file() {
                true => {
                    format!("make one with `icecore init --store {place}`, or name another with --store PATH")
                }
                false => "name another place with --store PATH".to_owned(),
            };
            return (S::NotFound, Some(hint));
        }
        StoreError::StoreExists { .. } => (S::Failed, "use it: `icecore create SOURCE`"),
        StoreError::AnotherStore { .. } => (
            S::Refused,
            "a remote is the same store elsewhere: give this one a place of its own, or `icecore init --from` the other one",
        ),
        StoreError::OtherwiseEncrypted { .. } => (
            S::Refused,
            "nothing was read from there or sent; a store never becomes encrypted later, nor the other way round: somebody has put another configuration there",
        ),
        StoreError::PlaceTaken { .. } => (S::Usage, "give a place where nothing lies"),
        StoreError::StoreTooNew { .. } => (S::Failed, "update icecore"),
        StoreError::PasswordNeeded => (
            S::Password,
            "give it with --password-file FILE, ICECORE_PASSWORD_FILE or ICECORE_PASSWORD, or run icecore in a terminal",
        ),
        StoreError::WrongPassword { .. } => {
            (S::Password, "passwords are case-sensitive; any password added with `icecore key add` will do")
        }
        StoreError::LastKey { .. } => {
            (S::Refused, "add another first with `icecore key add`, or change it with `icecore key passwd`")
        }
        StoreError::NoKey { .. } => (S::NotFound, "`icecore key list` shows the keys"),
        StoreError::NotEncrypted => (
            S::Failed,
            "a store is encrypted from the start or never: `icecore init --encrypt` makes a new one",
        ),
        StoreError::ConfigMissing { place } => {
            let back = format!("{place}/config");
            return (S::Damaged, Some(format!("nothing can be read without it: {}", put_back(&back))));
        }
        StoreError::Damaged { object, .. } if object == "config" || object.ends_with(": config") => {
            let back = object.replace(": config", "/config");
            let hint =
                format!("its copy is damaged too, and nothing can be read without it: {}", put_back(&back));
            return (S::Damaged, Some(hint));
        }
        error if error.is_full() => {
            (S::Failed, "make room: `icecore delete` and `icecore gc` work on a full disk too")
        }
        StoreError::Storage(error) => match (icecore::S3Cause::of(error), error.kind) {
            (_, ErrorKind::Interrupted) => return (S::Interrupted, None),
            (Some(cause), _) => return (S::Failed, cause.hint()),
            (None, ErrorKind::Denied) => (S::Failed, "look at the owner and the permissions of the store"),
            (None, ErrorKind::Unreachable) => {
                (S::Failed, "the place where the store lies does not answer: is it still mounted?")
            }
            _ => return (S::Failed, None),
        },
        StoreError::Unread { source, .. } if let Some(cause) = icecore::S3Cause::of_source(source) => {
            return (S::Failed, cause.hint());
        }
        StoreError::Unread { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            (S::Failed, "look at the owner and the permissions of the store")
        }
        StoreError::Index { .. } => (
            S::Failed,
            "the index is only a cache: when nothing else uses the store, it may be deleted and is made anew",
        ),
        StoreError::ClaimGone { .. } => {
            (S::Failed, "nothing was stored; look whether the store is still where it was, then run it again")
        }
        StoreError::IndexLock { source, .. } if source.kind() != io::ErrorKind::PermissionDenied => {
            return (S::Failed, None);
        }
        StoreError::IndexLock { .. } => (S::Failed, "look at the owner and the permissions of the store"),
        StoreError::NoSnapshot { .. } => (S::NotFound, "`icecore list` shows the snapshots there are"),
        StoreError::Fenced => (S::Busy, "run it again: what was stored already is used"),
        StoreError::Busy { .. } => (S::Busy, "try again when it is done"),
        StoreError::Cancelled => return (S::Interrupted, None),
        StoreError::Panicked { .. } => (S::Failed, "this is a bug in icecore; the store is not harmed"),
        StoreError::Damaged { object, .. } if object.starts_with("snapshots/") => {
            (S::Damaged, "`icecore repair` sets what cannot be read aside")
        }
        StoreError::Damaged { object, .. } if object.starts_with("condemned/") => {
            (S::Damaged, "`icecore gc` removes it")
        }
        StoreError::Unresolved { .. } => {
            (S::Damaged, "`icecore repair --drop-broken` gives these snapshots up")
        }
        error if error.is_damage() => (
            S::Damaged,
            "`icecore verify` tells which snapshots are damaged, `restore --allow-damaged` gives back what can be read",
        ),
        _ => return (S::Failed, None),
    };
    (status, Some(hint.to_owned()))
}

fn put_back(config: &str) -> String {
    format!("put `{config}` back from a copy of the store, if there is one")
}

fn explain_capture(error: &CaptureError) -> (ExitStatus, Option<String>) {
    use ExitStatus as S;
    let (status, hint) = match error {
        CaptureError::NotFound { .. } => (S::NotFound, "give the path of a file or a directory"),
        CaptureError::Empty { .. } => {
            (S::SourceFailed, "nothing was stored; --allow-empty stores it nevertheless")
        }
        CaptureError::Incomplete { .. } | CaptureError::Damaged { .. } => {
            (S::SourceFailed, "nothing was stored; --allow-incomplete stores it nevertheless")
        }
        CaptureError::Read { .. } | CaptureError::Source(_) => (S::SourceFailed, "nothing was stored"),
        CaptureError::Cancelled => return (S::Interrupted, None),
        CaptureError::Sink(_) | _ => return (S::Failed, None),
    };
    (status, Some(hint.to_owned()))
}

fn explain_restore(error: &RestoreError) -> (ExitStatus, Option<String>) {
    match error {
        RestoreError::UnsafeName { .. } => (ExitStatus::Refused, None),
        RestoreError::Refused(_) => (ExitStatus::Refused, Some("--to restores elsewhere".to_owned())),
        RestoreError::Check { .. } => (
            ExitStatus::Refused,
            Some("restore it elsewhere with --to and look at it, or take an older snapshot".to_owned()),
        ),
        // As a capture of the same server would end.
        RestoreError::Unreachable(_) => (ExitStatus::SourceFailed, Some("nothing was touched".to_owned())),
        RestoreError::Unknown(_) => (
            ExitStatus::Failed,
            Some("look at what is there; `icecore rollback` brings back what was there before".to_owned()),
        ),
        RestoreError::Busy(_) => (ExitStatus::Busy, Some("try again when that is done".to_owned())),
        RestoreError::Damaged(_) => {
            (ExitStatus::Damaged, Some("`icecore verify` tells which snapshots are damaged".to_owned()))
        }
        RestoreError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            (ExitStatus::Failed, Some("make room there, or restore elsewhere with --to PATH".to_owned()))
        }
        RestoreError::Write { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => (
            ExitStatus::Failed,
            Some("something is mounted there: --in-place rewrites what it holds".to_owned()),
        ),
        RestoreError::Write { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            (ExitStatus::Failed, Some("make the directory for it first".to_owned()))
        }
        RestoreError::Write { .. } | RestoreError::Server(_) | RestoreError::Closed | _ => {
            (ExitStatus::Failed, None)
        }
    }
}
