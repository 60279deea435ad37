//! Manifests of a store that is far away, kept beside its index.
//!
//! An object of this name never changes, so that one that was read need not be read again. Whether it is still there, the listing says. What
//! is kept is what lies in the store, sealed if that is, and is checked like anything that was read.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use icecore_format::names;
use icecore_storage::ObjectMeta;

/// The manifests of one store. May be removed at any time.
#[derive(Debug)]
pub(crate) struct ManifestCache {
    dir: PathBuf,
}

impl ManifestCache {
    /// Those of the store with this index.
    pub(crate) fn beside(index: &Path) -> Self {
        Self { dir: index.with_extension("manifests") }
    }

    /// The bytes of an object as it was when it was read, if it has the same length still.
    pub(crate) fn get(&self, object: &ObjectMeta) -> Option<Bytes> {
        let bytes = fs::read(self.path(&object.name)?).ok()?;
        (bytes.len() as u64 == object.len).then(|| bytes.into())
    }

    /// Keeps an object that could be read. If that cannot be, it is read again next time.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let Some(path) = self.path(name) else { return };
        let temp = path.with_extension(ulid::Ulid::generate().to_string());
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp)?;
            file.write_all(bytes)?;
            // Not synced: half a file is none.
            fs::rename(&temp, &path)
        };
        if write().is_err() {
            let _ = fs::remove_file(&temp);
        }
    }

    /// Forgets what is not listed any more.
    pub(crate) fn keep_only(&self, listed: &[ObjectMeta]) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let listed: BTreeSet<&str> =
            listed.iter().filter_map(|object| object.name.strip_prefix(names::SNAPSHOTS)).collect();
        for entry in entries.flatten() {
            let name = entry.file_name();
            // Somebody may just be writing one.
            let is_gone = |name: &str| name.parse::<ulid::Ulid>().is_ok() && !listed.contains(name);
            if name.to_str().is_some_and(is_gone) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Names come from afar: only those that are claim ids become files.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let claim = name.strip_prefix(names::SNAPSHOTS)?;
        claim.parse::<ulid::Ulid>().is_ok().then(|| self.dir.join(claim))
    }
}
