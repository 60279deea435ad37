//! Files that hold a secret.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Longer than any password, and than any URL that lets somebody in.
const LEN_MAX: u64 = 64 << 10;

/// What a file holds that somebody keeps a secret in.
///
/// # Errors
/// If it cannot be read, or has more than 64 KiB, as `/dev/zero` has.
pub fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = Vec::new();
    File::open(path)?.take(LEN_MAX + 1).read_to_end(&mut secret)?;
    if secret.len() as u64 > LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long to be a secret"));
    }
    Ok(secret)
}
