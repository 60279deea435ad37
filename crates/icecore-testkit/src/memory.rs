//! Where files of tests lie that need no disk.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::fs::statvfs;

/// Less room than this is left to those who have it for something else: containers often have 64 MB.
const ENOUGH: u64 = 4 << 30;

/// A directory in memory, if this machine has a large one, and the temporary one otherwise: most of what tests wait for on a disk is that it
/// writes what nobody ever reads. What depends on a disk, or fills one, asks for a directory on a disk.
pub fn memory() -> &'static Path {
    static MEMORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let shared = Path::new("/dev/shm");
        let room = statvfs(shared).map(|it| it.f_bavail.saturating_mul(it.f_frsize));
        if room.is_ok_and(|room| room >= ENOUGH) { shared.to_owned() } else { std::env::temp_dir() }
    });
    &MEMORY
}
