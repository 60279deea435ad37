//! Giving a snapshot back.

mod database;
mod deliver;
mod in_place;
mod part_reader;
mod present;
mod read;
mod redis;
mod refuse;
mod sqlite;
mod sqlite_table;
mod table;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_engine::files::{DirectoryTarget, Escapes, FileTarget, Placement, StreamTarget, Warnings};
use icecore_engine::postgres::physical::{self, DataDirectory};
use icecore_engine::sqlite::SqliteTarget;
use icecore_engine::{RestoreError, Target};
use icecore_format::{Part, PartKind};
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store, StoreError};

pub use database::{Database, DatabasePlan, ExistingDatabase, plan_database, restore_database};
pub(crate) use deliver::Progress;
pub(crate) use read::{read_whole, whole_content};
pub use redis::{RestoredKeys, plan_redis, restore_redis};
pub(crate) use refuse::store as refuse_inside;
pub use sqlite::{RestoredFile, SqliteOptions, plan_sqlite, restore_sqlite};
pub use sqlite_table::{plan_sqlite_table, restore_sqlite_table, rollback_sqlite_table};
pub use table::{TablePlan, plan_table, restore_table};

use crate::create::BASE_BACKUP;
use crate::{Error, Result, is_url};

/// Where a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Back to where it came from.
    Origin,
    /// To this path.
    Path(PathBuf),
    /// To standard output.
    Stdout,
}

/// What the user wants of a restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Where it goes.
    pub to: Destination,
    /// Only this part.
    pub part: Option<String>,
    /// Rewrite only what differs.
    pub in_place: bool,
    /// Replace what is there.
    pub replace: bool,
    /// Give back what can be read of a damaged snapshot, with zeros in place of the rest.
    pub allow_damaged: bool,
    /// Replace what is there even if the snapshot was not taken whole.
    pub allow_incomplete: bool,
    /// Restore what reaches out of the target too: links that lead elsewhere, devices, programs that run with rights of others.
    pub trusted: bool,
    /// The store's own directory, which no restore may harm.
    pub store_dir: PathBuf,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// The path, if it was not standard output.
    pub target: Option<PathBuf>,
    /// Parts given back.
    pub parts: u64,
    /// Plain bytes given back.
    pub bytes: u64,
    /// Bytes that had to be written; fewer than `bytes` only in place.
    pub written_bytes: u64,
    /// What could not be restored as it should be.
    pub warnings: Vec<String>,
}

/// Restores a snapshot, or one part of it.
pub fn restore(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    monitor: &dyn Monitor,
) -> Result<Restored> {
    let mut part = None;
    let restored = restore_listed(store, snapshot, options, monitor, &mut part);
    restored.map_err(|error| blame(store, snapshot, part, error))
}

/// What is wrong with the store, told of the snapshot and the part that it shows in.
pub(crate) fn blame(store: &Store, snapshot: &Snapshot, part: Option<String>, error: Error) -> Error {
    match error {
        Error::Store(error) => match store.unless_deleted(snapshot, error) {
            source if source.is_damage() => Error::Damaged { id: snapshot.id.brief(), part, source },
            error => error.into(),
        },
        Error::HalfDone { path, source } => {
            let source = Box::new(blame(store, snapshot, part, *source));
            Error::HalfDone { path, source }
        }
        error => error,
    }
}

fn restore_listed(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    monitor: &dyn Monitor,
    current: &mut Option<String>,
) -> Result<Restored> {
    let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
    let part = options.part.as_deref().map(|name| find_part(&reader, snapshot, name)).transpose()?;
    let path = target_path(snapshot, options, part.is_some())?;
    let needed = part.as_ref().map_or(snapshot.info().logical_bytes, |part| part.len);
    if let Some(path) = &path {
        check(&reader, snapshot, options, part.as_ref(), path, needed, monitor)?;
    }
    let (mut target, warnings) = open_target(snapshot, options, path.as_deref(), part.as_ref())?;
    let survey = if options.in_place { target.survey()? } else { None };
    let restored = Restored { target: path, ..Restored::default() };
    let is_path = restored.target.is_some();
    let mut progress = Progress::new(&reader, monitor, restored, current);
    progress.allow_damaged = options.allow_damaged;
    // Looked at once more as they come: a catalog that could not be read to its end before may be readable now.
    progress.escapes = (!options.trusted && is_path).then(Escapes::default);
    monitor.expect(needed);
    let delivered = match (survey, &part) {
        (Some(survey), part) => progress.in_place(part.as_ref(), survey, &mut *target),
        (None, Some(part)) => progress.one(part, &mut *target),
        (None, None) => progress.all(&mut *target),
    };
    let Progress { mut restored, has_begun, .. } = progress;
    let finished = delivered.and_then(|()| {
        target.check(&|| monitor.is_cancelled())?;
        // That may take a while.
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(target.finish()?)
    });
    finished.map_err(|error| match &restored.target {
        Some(path) if has_begun => Error::HalfDone { path: path.clone(), source: Box::new(error) },
        _ => error,
    })?;
    if part.is_none()
        && let Some((finding, more)) = first_finding(snapshot)
    {
        let more = if more == 0 { String::new() } else { format!("; `icecore show` tells {more} more") };
        restored.warnings.push(format!("the snapshot was not taken whole: {finding}{more}"));
    }
    restored.warnings.extend(warnings.map(|warnings| warnings.take()).unwrap_or_default());
    Ok(restored)
}

/// Finds out before anything is written, or anybody is asked, what would not do.
fn check(
    reader: &SnapshotReader,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    part: Option<&Part>,
    path: &Path,
    needed: u64,
    monitor: &dyn Monitor,
) -> Result<()> {
    // A bare name has no directory above it to look at.
    let absolute = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    refuse::store(absolute, &options.store_dir)?;
    let wants_directory = is_directory(snapshot) && part.is_none();
    refuse::other_kind(absolute, wants_directory, options.in_place)?;
    if wants_directory {
        physical::refuse_server(absolute)?;
    }
    if is_base_backup(snapshot)
        && part.is_none()
        && let Some(elsewhere) = physical::lies_elsewhere(absolute)
    {
        let error = format!("{elsewhere}, which is not restored yet: give --to another directory");
        return Err(RestoreError::Refused(error).into());
    }
    if !options.trusted {
        refuse::escapes(snapshot, reader, part, options, monitor)?;
    }
    let is_there = path.symlink_metadata().is_ok();
    if is_there && part.is_none() && !options.allow_incomplete {
        refuse::incomplete(snapshot, path)?;
    }
    if snapshot.info().form != "sqlite" {
        refuse::companions(reader, part, path)?;
    }
    if !(options.in_place && is_there) {
        refuse::without_room(absolute, needed)?;
    }
    match is_there && !options.replace {
        true => Err(Error::TargetExists { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// The first thing that was not captured as it was, and how many more the snapshot tells of.
fn first_finding(snapshot: &Snapshot) -> Option<(&str, usize)> {
    let (first, more) = snapshot.info().findings.split_first()?;
    Some((first, more.len()))
}

/// Whether a snapshot goes to a directory, as files in it.
fn is_directory(snapshot: &Snapshot) -> bool {
    matches!(snapshot.info().form.as_str(), "directory" | BASE_BACKUP)
}

/// Whether a snapshot is one of a whole cluster of PostgreSQL, which goes to a data directory.
pub fn is_base_backup(snapshot: &Snapshot) -> bool {
    snapshot.info().form == BASE_BACKUP
}

/// `None` is standard output.
fn target_path(snapshot: &Snapshot, options: &RestoreOptions, is_part: bool) -> Result<Option<PathBuf>> {
    match &options.to {
        Destination::Stdout if options.in_place => {
            Err(Error::Unfitting("standard output cannot be rewritten in place".to_owned()))
        }
        Destination::Stdout => Ok(None),
        Destination::Path(path) => Ok(Some(path.clone())),
        // A part alone must not take the place of the whole.
        Destination::Origin if is_part => Err(Error::Unfitting(
            "a single part needs a target of its own: give --to PATH, or --to -".to_owned(),
        )),
        Destination::Origin => match &snapshot.info().origin {
            Some(origin) if !is_url(origin) => Ok(Some(PathBuf::from(origin))),
            _ => {
                let id = snapshot.id.brief();
                Err(Error::NoTarget { id, source_name: snapshot.info().source.clone() })
            }
        },
    }
}

fn open_target(
    snapshot: &Snapshot,
    options: &RestoreOptions,
    path: Option<&Path>,
    part: Option<&Part>,
) -> Result<(Box<dyn Target>, Option<Warnings>)> {
    let form = snapshot.info().form.as_str();
    let Some(path) = path else {
        if is_directory(snapshot) && part.is_none() {
            let advice =
                "a directory cannot go to standard output: give --to PATH, or one file with --part NAME";
            return Err(Error::Unfitting(advice.to_owned()));
        }
        return Ok((Box::new(StreamTarget::new(io::stdout())), None));
    };
    let placement = match (options.in_place, options.replace) {
        (true, _) => Placement::InPlace,
        (false, true) => Placement::Replace,
        (false, false) => Placement::CreateNew,
    };
    let protected = std::slice::from_ref(&options.store_dir);
    if part.is_none() && form == BASE_BACKUP {
        let target = DataDirectory::new(path, placement, protected)?;
        let warnings = target.warnings();
        return Ok((Box::new(target), Some(warnings)));
    }
    if part.is_none() && form == "directory" {
        let target = DirectoryTarget::new(path, placement)?.protect(protected)?;
        let warnings = target.warnings();
        return Ok((Box::new(target), Some(warnings)));
    }
    if form == "sqlite" {
        if options.in_place {
            let advice =
                "a SQLite database is not rewritten in place: without --in-place it is replaced safely";
            return Err(Error::Unfitting(advice.to_owned()));
        }
        let target = SqliteTarget::new(path, placement)?;
        return Ok(match options.allow_damaged {
            true => (Box::new(target.accept_unsound()), None),
            false => (Box::new(target), None),
        });
    }
    let target = FileTarget::new(path, placement)?;
    let warnings = target.warnings();
    Ok((Box::new(target), Some(warnings)))
}

fn find_part(reader: &SnapshotReader, snapshot: &Snapshot, name: &str) -> Result<Part> {
    let mut similar = Vec::new();
    for part in reader.parts() {
        let part = part?;
        if part.name == name.as_bytes() {
            return match part.kind {
                PartKind::Directory => {
                    Err(Error::Unfitting(format!("{name} is a directory; name one of its files")))
                }
                PartKind::Symlink
                | PartKind::Fifo
                | PartKind::CharDevice
                | PartKind::BlockDevice
                | PartKind::Socket => Err(Error::Unfitting(format!(
                    "{name} is a {}: only what has bytes is restored alone",
                    part.kind.as_str()
                ))),
                // The earlier name has the content. One step: what a stranger's catalog links in a circle is not followed.
                PartKind::Hardlink => {
                    let target = part.file.map(|file| file.target).unwrap_or_default();
                    let found = reader.parts().find(|part| {
                        part.as_ref().map_or(true, |part| part.name == target && part.kind == PartKind::File)
                    });
                    found
                        .unwrap_or_else(|| Err(StoreError::PartDamaged { part: name.to_owned() }))
                        .map_err(Error::from)
                }
                _ => Ok(part),
            };
        }
        let shown = part.display_name();
        if similar.len() < 5 && !shown.is_empty() && (shown.contains(name) || name.contains(&shown)) {
            similar.push(shown);
        }
    }
    let hint = if similar.is_empty() { String::new() } else { format!("; it has {}", similar.join(", ")) };
    let id = snapshot.id.brief();
    Err(Error::NoPart { id, part: name.to_owned(), hint })
}
