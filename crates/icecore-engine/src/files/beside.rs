//! What is built beside a target until it takes its place, and what crashed restores left of it.
//!
//! Names are `.NAME.icecore-restore-` and twelve random characters. Each is locked for as long as its restore runs, so that the next
//! restore to the same place can tell what nobody needs any more.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use tempfile::NamedTempFile;

use crate::files::beneath::{names, open_directory};
use crate::files::remove::{Protected, remove_tree};

const MARK: &str = ".icecore-restore-";
const RANDOM_LEN: usize = 12;
/// A name is cut so that what is added to it has room.
const NAME_LEN_MAX: usize = 200;

/// A file beside `name` in `parent`, readable by nobody else. What killed runs left of such files goes.
pub fn file_beside(parent: &Path, name: &OsStr) -> io::Result<NamedTempFile> {
    sweep(parent, name);
    loop {
        let mut builder = tempfile::Builder::new();
        builder.rand_bytes(RANDOM_LEN).permissions(Permissions::from_mode(0o600));
        let file = builder.prefix(&prefix(name)).tempfile_in(parent)?;
        lock(file.as_file());
        // Another restore may have swept it away between the two: then it has no name any more.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// A directory beside `name`, its name and itself, open. Entered by nobody else.
pub(super) fn directory_beside(parent: &Path, name: &OsStr) -> io::Result<(OsString, File)> {
    sweep(parent, name);
    let above = File::open(parent)?;
    loop {
        let mut builder = tempfile::Builder::new();
        builder.rand_bytes(RANDOM_LEN).permissions(Permissions::from_mode(0o700));
        let path = builder.prefix(&prefix(name)).tempdir_in(parent)?.keep();
        let made = path.file_name().unwrap_or_default().to_owned();
        match open_directory(&above, made.as_os_str()) {
            Ok(directory) => {
                lock(&directory);
                if path.symlink_metadata().is_ok() {
                    return Ok((made, directory));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
    }
}

/// A file system without locks has no sweeping either.
fn lock(file: &File) {
    let _ = file.lock();
}

/// Removes what restores to `name` left behind that were killed. Nothing is lost if that fails.
fn sweep(parent: &Path, name: &OsStr) {
    let Ok(above) = File::open(parent) else { return };
    let prefix = prefix(name);
    for found in names(&above).unwrap_or_default() {
        let random = found.strip_prefix(prefix.as_bytes());
        if !random
            .is_some_and(|random| random.len() == RANDOM_LEN && random.iter().all(u8::is_ascii_alphanumeric))
        {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(leftover) = openat(&above, found.as_slice(), flags, Mode::empty()).map(File::from) else {
            continue;
        };
        if leftover.try_lock().is_ok() {
            let _ = remove_tree(&above, &found, &Protected::new());
        }
    }
}

fn prefix(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    let mut prefix = b".".to_vec();
    prefix.extend_from_slice(name.get(..NAME_LEN_MAX).unwrap_or(name));
    prefix.extend_from_slice(MARK.as_bytes());
    OsString::from_vec(prefix)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_killed_restores_left_goes_and_all_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at(".a.icecore-restore-abcDEF123456/sub")).unwrap();
        fs::write(at(".a.icecore-restore-abcDEF123456/sub/f"), "left").unwrap();
        fs::write(at(".a.icecore-restore-AAAAAAAAAAAA"), "left").unwrap();
        let stay = [
            ".a.icecore-restore-mine",
            ".a.icecore-restore-abcDEF123456-old",
            ".b.icecore-restore-AAAAAAAAAAAA",
            "a",
        ];
        stay.iter().for_each(|name| fs::write(at(name), "kept").unwrap());
        let (busy, _directory) = directory_beside(dir.path(), OsStr::new("a")).unwrap();
        let file = file_beside(dir.path(), OsStr::new("a")).unwrap();
        let mut expected: Vec<_> = stay.iter().map(OsString::from).collect();
        expected.extend([busy, file.path().file_name().unwrap().to_owned()]);
        expected.sort();
        let found: Vec<_> = names(&File::open(dir.path()).unwrap()).unwrap();
        assert_eq!(found.into_iter().map(OsString::from_vec).collect::<Vec<_>>(), expected);
    }
}
