//! Claims that this machine has made where nobody can tell whether their makers live.
//!
//! A file beside the index stands for each of them, locked for as long as its process lives. Whoever finds one that is not locked
//! withdraws the claim, which protects nothing any more and would only make collections wait: unless the file says that the manifest was being
//! sent, which may arrive after its sender has died. A claim that nobody remembers is fenced in time: see
//! [`FencePolicy`](crate::FencePolicy).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use icecore_format::names;

use crate::store::Store;

/// What a file says whose claim's manifest is being sent.
const PUBLISHING: &[u8] = b"publishing\n";

/// A claim that is remembered. Dropped, it is left for the next process to withdraw.
#[derive(Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    /// Carries the lock, and is empty until the manifest is sent.
    file: File,
}

impl Remembered {
    /// To be made before the claim is.
    fn new(dir: &Path, claim: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join(claim);
        loop {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            file.lock()?;
            // Whoever looks for dead ones may have taken it between the two: then it has no name any more.
            if is_named(&file)? {
                return Ok(Self { path, file });
            }
        }
    }

    /// The manifest is about to be sent.
    pub(crate) fn note_publishing(&self) {
        let noted = (&self.file).write_all(PUBLISHING).and_then(|()| self.file.sync_data());
        if noted.is_err() {
            // Nobody may withdraw the claim, then.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// The claim is withdrawn.
    pub(crate) fn forget(self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn is_named(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 0)
}

impl Store {
    /// Remembers a claim that is about to be made, where that is of use. Without it the claim is fenced in time, should we die.
    pub(crate) fn remember_claim(&self, claim: &str) -> Option<Remembered> {
        if self.storage.knows_holders() {
            return None;
        }
        Remembered::new(&self.claims_dir(), claim).ok()
    }

    /// Withdraws what processes of this machine have left that died. What cannot be withdrawn now is the next one's.
    pub(crate) fn withdraw_dead_claims(&self) {
        if self.storage.knows_holders() {
            return;
        }
        let Ok(entries) = fs::read_dir(self.claims_dir()) else { return };
        // In the order in which they were made, not in that of the directory.
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(claim) = name.filter(|name| name.parse::<ulid::Ulid>().is_ok()) else {
                continue;
            };
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_err() || !is_named(&file).unwrap_or(false) {
                continue;
            }
            let Ok(len) = file.metadata().map(|metadata| metadata.len()) else { continue };
            let claim = names::claim(claim);
            let settled = if len == 0 { self.clear_claim(&claim) } else { self.settle_dead(&claim) };
            if settled.is_ok() {
                let _ = fs::remove_file(&path);
            }
        }
    }

    fn claims_dir(&self) -> PathBuf {
        self.index.path().with_extension("claims")
    }
}
