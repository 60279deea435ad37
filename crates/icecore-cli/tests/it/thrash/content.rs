//! What a source or a restored thing holds, short enough to be remembered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use icecore_format::Digest;

/// Each path below, and the hash of what is there; a file alone has the empty path. Nothing at all is empty.
pub(crate) type Content = BTreeMap<PathBuf, String>;

/// What lies at `path`.
pub(crate) fn content_of(path: &Path) -> Content {
    let mut content = Content::new();
    let mut left = vec![PathBuf::new()];
    while let Some(relative) = left.pop() {
        let path = if relative.as_os_str().is_empty() { path.to_owned() } else { path.join(&relative) };
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let holds = if meta.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| relative.join(entry.unwrap().file_name())));
            "a directory".to_owned()
        } else if meta.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else {
            hash(&fs::read(&path).unwrap())
        };
        content.insert(relative, holds);
    }
    content
}

/// What a stream of these bytes holds.
pub(super) fn content_of_bytes(bytes: &[u8]) -> Content {
    Content::from([(PathBuf::new(), hash(bytes))])
}

fn hash(bytes: &[u8]) -> String {
    format!("{} bytes, {}", bytes.len(), Digest::of(bytes).to_hex())
}
