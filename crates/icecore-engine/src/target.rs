//! Where a restored snapshot's bytes go.

use icecore_format::Part;

use crate::RestoreError;

/// Receives the parts of one restore, in order: `begin`, then bytes or `keep`, then `end`; at last `check` and `finish`.
///
/// Until `finish` returns, what was there before is untouched, but for a target that was made to work in place. A target
/// that is dropped unfinished removes what it began.
pub trait Target {
    /// Opens a part.
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError>;

    /// Writes the next bytes of the open part.
    fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError>;

    /// The `len` bytes that already lie where the next bytes of the open part belong, if this target works in place and
    /// has them.
    fn existing(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError>;

    /// Moves on over `len` bytes that [`Target::existing`] returned and the driver found right.
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
