//! Files that hold a secret.

use std::io;
use std::path::Path;

use crate::small_file::read_bytes;

/// Longer than any password, and than any URL that lets somebody in.
const LEN_MAX: u64 = 64 << 10;

/// What a file holds that somebody keeps a secret in.
///
/// # Errors
/// If it cannot be read, or has more than 64 KiB, as `/dev/zero` has.
pub fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    read_bytes(path, LEN_MAX, "it is too long to be a secret")
}
