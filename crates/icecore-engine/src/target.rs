//! Where a restored snapshot's bytes go.

use icecore_format::Part;

use crate::{RestoreError, Survey};

/// Receives the parts of one restore, in order: `begin`, then bytes or `keep`, then `end`; at last `check` and `finish`.
///
/// Until `finish` returns, what was there before is untouched, but for a target that was made to work in place. A target
/// that is dropped unfinished removes what it began.
pub trait Target {
    /// What is there, if this target works in place: to be looked at before the first part is opened.
    fn survey(&mut self) -> Result<Option<Box<dyn Survey>>, RestoreError> {
        Ok(None)
    }

    /// Opens a part.
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError>;

    /// Writes the next bytes of the open part.
    fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError>;

    /// The `len` bytes that already lie where the next bytes of the open part belong, if this target works in place and
    /// has them.
    fn existing(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError>;

    /// Whether what lies where the open part belongs is still what a survey found there.
    fn is_as_surveyed(&self) -> bool {
        false
    }

    /// Moves on over `len` bytes that lie there already, and that the driver found right.
    fn keep(&mut self, len: usize) -> Result<(), RestoreError>;

    /// Ends the open part.
    fn end(&mut self) -> Result<(), RestoreError>;

    /// Holds what was written to what its engine says of it, which may take long: it stops when `is_cancelled` says so.
    fn check(&self, _is_cancelled: &dyn Fn() -> bool) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Makes the restored state durable and puts it into its place.
    fn finish(self: Box<Self>) -> Result<(), RestoreError>;
}
