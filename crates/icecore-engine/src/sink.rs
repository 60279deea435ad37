//! Where a capture's bytes go.

use std::io::{self, Read};

use icecore_chunk::Grain;
use icecore_format::{FileAttributes, Part, PartKind};

use crate::CaptureError;

/// An error of the sink itself, passed through unchanged.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// What is known of a part before its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartStart {
    /// See [`Part::name`].
    pub name: Vec<u8>,
    /// What it is.
    pub kind: PartKind,
    /// Where to cut it.
    pub grain: Grain,
    /// Whether a chunk must start here, so that the part's chunks are its own; otherwise the sink may let a short part
    /// share a chunk with its neighbours.
    pub own_chunks: bool,
}

/// What is known of a part after its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartEnd {
    /// For a table, how many rows were seen.
    pub rows: Option<u64>,
    /// For what came from a file system.
    pub file: Option<Box<FileAttributes>>,
}

/// Receives the parts of one capture, in order: `begin`, then bytes, then `end`; never two parts at once.
pub trait Sink {
    /// Opens a part.
    fn begin(&mut self, part: PartStart) -> Result<(), SinkError>;

    /// Appends bytes to the open part.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Appends what `reader` gives, up to its end or to `limit` bytes, read straight into the sink's own buffers.
    /// Returns how many bytes that was.
    ///
    /// # Errors
    /// The outer error is the sink's; the inner one is what `reader` returned.
    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>, SinkError>;

    /// Appends the bytes of a part of the parent snapshot without reading them from the source again. Returns false, and
    /// appends nothing, if the store cannot do that; the caller then reads the source.
    fn reuse(&mut self, parent: &Part) -> Result<bool, SinkError>;

    /// Ends the open part.
    fn end(&mut self, end: PartEnd) -> Result<(), SinkError>;

    /// Reports what could not be captured as it should be, in a sentence that names it. The capture goes on; the snapshot
    /// remembers, and the command ends with status 3.
    fn finding(&mut self, sentence: String);

    /// Reports what the user should know though nothing is wrong.
    fn notice(&mut self, sentence: String);

    /// Whether the user wants to stop; loops ask now and then and return [`CaptureError::Cancelled`].
    fn is_cancelled(&self) -> bool;

    /// [`CaptureError::Cancelled`] if the user wants to stop.
    fn check_cancelled(&self) -> Result<(), CaptureError> {
        if self.is_cancelled() { Err(CaptureError::Cancelled) } else { Ok(()) }
    }
}
