//! Giving a restored entry the attributes that were recorded.
//!
//! Only what differs is changed, so that an entry that is right keeps its change time. The owner comes first, because
//! changing it takes away setuid bits and capabilities; then extended attributes, while the mode still lets us; the mode;
//! and the times at last.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use icecore_format::FileAttributes;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::fs::{chmodat, chownat, fchmod, fchown, futimens, utimensat};
use rustix::io::Errno;
use xattr::FileExt;

use crate::RestoreError;
use crate::files::attributes::{Xattrs, path_at, xattrs_at, xattrs_of};
use crate::files::node::Node;
use crate::files::report::cause;
use crate::files::warnings::Warnings;

/// Sets an extended attribute, or removes it if there is no value.
type Change<'a> = &'a mut dyn FnMut(&OsStr, Option<&[u8]>) -> io::Result<()>;

/// The bits that make a program run as its owner or group.
const SETID: u32 = 0o6000;

/// Applies attributes to an open file or directory, `shown` in messages.
pub(super) fn apply(
    file: &File,
    wanted: &FileAttributes,
    shown: &Path,
    warnings: &Warnings,
) -> Result<(), RestoreError> {
    let write = |action| move |error| RestoreError::write(action, shown)(io::Error::from(error));
    let before = Node::of(file).map_err(RestoreError::write("cannot look at", shown))?;
    let mut mode = wanted.mode & 0o7777;
    if (before.uid, before.gid) != (wanted.uid, wanted.gid) {
        match fchown(file, Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid))) {
            Ok(()) => {}
            // It stays ours, and must not run as us for others.
            Err(Errno::PERM) => mode &= !SETID,
            Err(error) => {
                mode &= !SETID;
                warn(warnings, "owner", shown, &error.into());
            }
        }
    }
    let is_there = xattrs_of(file);
    change_xattrs(is_there, wanted, shown, warnings, &mut |name, value| match value {
        Some(value) => file.set_xattr(name, value),
        None => file.remove_xattr(name),
    });
    let now = Node::of(file).map_err(RestoreError::write("cannot look at", shown))?;
    if now.mode != mode {
        fchmod(file, Mode::from_raw_mode(mode)).map_err(write("cannot set the mode of"))?;
    }
    if now.mtime != wanted.mtime {
        futimens(file, &times(wanted)).map_err(write("cannot set the times of"))?;
    }
    Ok(())
}

/// Applies attributes to what cannot be opened, or should not be: a link, a pipe, a device.
pub(super) fn apply_at(
    directory: &File,
    name: &[u8],
    wanted: &FileAttributes,
    shown: &Path,
    warnings: &Warnings,
) -> Result<(), RestoreError> {
    let write = |action| move |error| RestoreError::write(action, shown)(io::Error::from(error));
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let now = Node::at(directory, name).map_err(RestoreError::write("cannot look at", shown))?;
    let mut mode = wanted.mode & 0o7777;
    if (now.uid, now.gid) != (wanted.uid, wanted.gid) {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        match chownat(directory, name, Some(uid), Some(gid), nofollow) {
            Ok(()) => {}
            Err(Errno::PERM) => mode &= !SETID,
            Err(error) => warn(warnings, "owner", shown, &error.into()),
        }
    }
    let path = path_at(directory, name);
    change_xattrs(xattrs_at(directory, name), wanted, shown, warnings, &mut |name, value| match value {
        Some(value) => xattr::set(&path, name, value),
        None => xattr::remove(&path, name),
    });
    if now.kind != FileType::Symlink && now.mode != mode {
        chmodat(directory, name, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(write("cannot set the mode of"))?;
    }
    if now.mtime != wanted.mtime {
        utimensat(directory, name, &times(wanted), nofollow).map_err(write("cannot set the times of"))?;
    }
    Ok(())
}

fn change_xattrs(
    is_there: io::Result<Xattrs>,
    wanted: &FileAttributes,
    shown: &Path,
    warnings: &Warnings,
    change: Change<'_>,
) {
    let is_there = is_there.unwrap_or_default();
    for (name, _) in &is_there {
        // Labels that the system gives by itself cannot always be taken away.
        let stays = name.starts_with(b"security.") || wanted.xattrs.iter().any(|(other, _)| other == name);
        if !stays && let Err(error) = change(OsStr::from_bytes(name), None) {
            warn(warnings, "extended attributes", shown, &error);
        }
    }
    for entry in &wanted.xattrs {
        let stays = is_there.contains(entry);
        if !stays && let Err(error) = change(OsStr::from_bytes(&entry.0), Some(&entry.1)) {
            let what = format!("extended attribute {}", String::from_utf8_lossy(&entry.0));
            warn(warnings, &what, shown, &error);
        }
    }
}

fn warn(warnings: &Warnings, what: &str, shown: &Path, error: &io::Error) {
    warnings.push(format!("cannot restore the {what} of {}: {}", shown.display(), cause(error)));
}

fn times(wanted: &FileAttributes) -> Timestamps {
    let (seconds, nanos) = wanted.mtime;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}
