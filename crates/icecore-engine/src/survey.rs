//! What lies at a target that is to be rewritten in place.

use std::path::PathBuf;

use icecore_format::Part;

use crate::RestoreError;

/// Looks at a target that works in place, before anything of it is changed. It takes the parts of a restore as the target will, refuses what
/// that would refuse, as far as it can be known before, and writes nothing.
pub trait Survey {
    /// Opens a part.
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError>;

    /// The next `len` bytes of the open part as they lie there, and moves on; `None` if they do not lie there.
    fn next(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError>;

    /// Ends the open part.
    fn end(&mut self) -> Result<(), RestoreError>;

    /// What there is not room enough for, once all parts were seen.
    fn finish(self: Box<Self>) -> Result<Option<Shortage>, RestoreError>;
}

/// A file system without room for what is to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// A directory on it.
    pub path: PathBuf,
    /// Bytes by which what is there will grow.
    pub needed: u64,
    /// Bytes that are free.
    pub free: u64,
}
