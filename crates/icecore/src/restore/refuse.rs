//! What no restore does, found out before anything is written.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use icecore_engine::RestoreError;
use icecore_engine::files::Escapes;
use icecore_format::Part;
use icecore_store::{Monitor, Snapshot, SnapshotReader};
use rustix::fs::statvfs;

use super::{RestoreOptions, first_finding};
use crate::{Error, Result};

/// Entries of a snapshot that an error names.
const NAMED_MAX: usize = 3;

/// Nothing is restored over or into the store itself.
pub(crate) fn store(target: &Path, store_dir: &Path) -> Result<()> {
    let Ok(store_dir) = store_dir.canonicalize() else { return Ok(()) };
    // What does not exist yet lies where its nearest existing ancestor does.
    let existing = target.ancestors().find_map(|path| path.canonicalize().ok());
    if existing.is_some_and(|path| path.starts_with(&store_dir)) {
        return Err(Error::Unfitting(format!("{} lies in the store itself", target.display())));
    }
    Ok(())
}

/// Refuses what could not take the snapshot's place, before anybody is asked to confirm it.
pub(super) fn other_kind(target: &Path, wants_directory: bool, in_place: bool) -> Result<()> {
    let there = match target.metadata() {
        Ok(there) => there,
        Err(error) if target.is_symlink() && error.kind() == std::io::ErrorKind::NotFound => {
            let error = format!("{} is a link that leads nowhere", target.display());
            return Err(RestoreError::Refused(error).into());
        }
        Err(_) => return Ok(()),
    };
    let (fits, wanted) = match wants_directory {
        true => (there.is_dir(), "directory"),
        false => (there.is_file() || (in_place && there.file_type().is_block_device()), "regular file"),
    };
    match fits {
        true => Ok(()),
        false => {
            Err(RestoreError::Refused(format!("{} is there, and is no {wanted}", target.display())).into())
        }
    }
}

/// Refuses what cannot fit beside what is there, before a disk is filled. A stranger's snapshot may say that it has exabytes.
pub(super) fn without_room(target: &Path, needed: u64) -> Result<()> {
    let Some(existing) = target.ancestors().skip(1).find(|dir| dir.is_dir()) else { return Ok(()) };
    // Whoever cannot tell gets to try.
    let Ok(room) = statvfs(existing) else { return Ok(()) };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    match needed <= free {
        true => Ok(()),
        false => Err(Error::NoRoom { path: target.to_owned(), needed, free }),
    }
}

/// Refuses to put the bytes of a SQLite database where another one's log lies beside: SQLite would replay it onto them.
pub(super) fn companions(reader: &SnapshotReader, part: Option<&Part>, path: &Path) -> Result<()> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let (offset, len) = match part {
        Some(part) => (part.offset, part.len),
        None => (0, reader.manifest().content.len()),
    };
    let mut head = Vec::new();
    for piece in reader.range(offset, len.min(MAGIC.len() as u64))? {
        match piece {
            Ok(piece) => head.extend_from_slice(&piece),
            // The restore itself says so, or goes on without it.
            Err(error) if error.is_damage() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    if head != MAGIC {
        return Ok(());
    }
    for suffix in ["-wal", "-journal"] {
        let mut companion = path.as_os_str().to_owned();
        companion.push(suffix);
        let companion = PathBuf::from(companion);
        if companion.symlink_metadata().is_ok() {
            return Err(Error::Unfitting(format!(
                "{} belongs to the database that is there, and SQLite would apply it to what is restored",
                companion.display()
            )));
        }
    }
    Ok(())
}

/// Refuses to replace what is there by a snapshot that may lack some of it.
pub(super) fn incomplete(snapshot: &Snapshot, target: &Path) -> Result<()> {
    let Some((finding, more)) = first_finding(snapshot) else { return Ok(()) };
    let (id, path) = (snapshot.id.brief(), target.to_owned());
    Err(Error::Incomplete { id, finding: shown(finding), more, path })
}

/// Refuses what would reach out of the target once it is restored: a store may be a stranger's.
pub(super) fn escapes(
    snapshot: &Snapshot,
    reader: &SnapshotReader,
    part: Option<&Part>,
    options: &RestoreOptions,
    monitor: &dyn Monitor,
) -> Result<()> {
    let mut escapes = Escapes::default();
    let mut named = Vec::new();
    let mut look = |part: &Part| {
        let what = escapes.look(part);
        named.extend(what.map(|what| shown(&format!("{} ({what})", part.display_name()))));
        named.len() <= NAMED_MAX
    };
    match part {
        Some(part) => drop(look(part)),
        None => {
            for part in reader.parts() {
                match part {
                    _ if monitor.is_cancelled() => return Err(Error::Cancelled),
                    Ok(part) if look(&part) => (),
                    Ok(_) => break,
                    // The restore goes on without what comes behind.
                    Err(error) if error.is_damage() && options.allow_damaged => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    if named.len() > NAMED_MAX {
        named.truncate(NAMED_MAX);
        named.push("and more".to_owned());
    }
    match named.is_empty() {
        true => Ok(()),
        false => Err(Error::Escapes { id: snapshot.id.brief(), named }),
    }
}

/// What a stranger may have written, for an error: not too long, and nothing that a terminal would act on.
fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 200;
    text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
