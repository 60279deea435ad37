//! What a scanner says about a stream.

use icecore_chunk::Grain;
use icecore_format::PartKind;

/// A boundary between parts.
///
/// Parts cover the stream without gaps and none is empty: each `Begin` but the first comes right after an `End` at
/// the same place, the first begins at 0 and the last ends with the stream. An empty stream has no marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A part begins.
    Begin {
        /// Bytes from the start of the stream.
        at: u64,
        /// As a person would type it; unique among the parts of a dump, not among the members of a tarball.
        name: Vec<u8>,
        /// What the part means.
        kind: PartKind,
        /// Where its rows end.
        grain: Grain,
    },
    /// The open part ends.
    End {
        /// Bytes from the start of the stream.
        at: u64,
        /// Rows of a table, if they were there to be counted.
        rows: Option<u64>,
    },
}
