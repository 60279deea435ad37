//! Trees on disk: making them, and looking at them without the code under test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// All that must come back of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    len: Option<u64>,
    content: Vec<u8>,
    device: u64,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The first name of the same file.
    same_as: Option<PathBuf>,
}

/// Everything beneath `root`, and it itself.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(relative) = left.pop() {
        let path = if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(&relative) };
        let metadata = path.symlink_metadata().unwrap();
        let kind = metadata.file_type();
        let mut content = Vec::new();
        if kind.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                left.push(relative.join(entry.unwrap().file_name()));
            }
            // By name, so that the first name of a file is the same in two trees.
            left.sort_by(|one, other| other.cmp(one));
        } else if kind.is_symlink() {
            content = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
        } else if kind.is_file() {
            content = fs::read(&path).unwrap();
        }
        let same_as = if !kind.is_dir() && metadata.nlink() > 1 {
            Some(inodes.entry(metadata.ino()).or_insert(relative.clone()).clone())
        } else {
            None
        };
        let xattrs = xattr::list(&path).unwrap().map(|name| {
            let value = xattr::get(&path, &name).unwrap().unwrap();
            (name.into_string().unwrap(), value)
        });
        let entry = Entry {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            len: kind.is_file().then_some(metadata.len()),
            content,
            device: metadata.rdev(),
            xattrs: xattrs.collect(),
            same_as,
        };
        entries.insert(relative, entry);
    }
    entries
}

/// Writes files, making the directories they need; a name that ends with `/` is a directory.
pub(crate) fn plant(root: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
        if !name.ends_with('/') {
            fs::write(path, content).unwrap();
        }
    }
}

/// The names in a directory, sorted.
pub(crate) fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
