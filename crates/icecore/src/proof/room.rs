//! Whether there is room for what is restored.

use rustix::fs::statvfs;

use super::Job;
use super::failure::Failure;

/// What an empty server takes, whatever its product.
const SERVER_BYTES: u64 = 256 << 20;
/// Tables and their indexes, for the bytes of the rows as text.
const GROWTH: u64 = 3;

impl Job<'_> {
    /// Finds out before anything is begun whether a database and its server fit into the directory for temporary files.
    pub(super) fn need_room_for_server(&self) -> Result<(), Failure> {
        self.need_room(self.snapshot.info().logical_bytes.saturating_mul(GROWTH).saturating_add(SERVER_BYTES))
    }

    /// The same of so many bytes.
    pub(super) fn need_room(&self, needed: u64) -> Result<(), Failure> {
        let dir = std::env::temp_dir();
        // Whoever cannot tell gets to try.
        let Ok(room) = statvfs(&dir) else { return Ok(()) };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        match needed <= free {
            true => Ok(()),
            false => Err(Failure::Impossible {
                why: format!("about {needed} bytes are needed in {}, and {free} are free", dir.display()),
                hint: Some("make room, or name a larger place with TMPDIR=DIR".to_owned()),
            }),
        }
    }
}
