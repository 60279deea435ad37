//! Files that people write, and that are read whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// More than anybody writes by hand.
const TEXT_LEN_MAX: u64 = 1 << 20;

/// What a file holds that has at most `len_max` bytes; `/dev/zero` has more.
pub(crate) fn read_bytes(path: &Path, len_max: u64, too_long: &'static str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(len_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > len_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, too_long));
    }
    Ok(bytes)
}

/// The text of a file that has at most 1 MiB.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read_bytes(path, TEXT_LEN_MAX, "it is longer than 1 MiB")?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}
