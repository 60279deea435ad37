//! A content as far as it can be read.

use bytes::Bytes;
use icecore_format::ChunkRef;

use crate::tree::Step;
use crate::{Result, SnapshotReader, StoreError, TreeReader};

/// Some bytes of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As they were captured.
    Bytes(Bytes),
    /// So many that cannot be read any more.
    Lost(u64),
}

/// Reads a content from some place on, past whatever is damaged. One chunk after the other: whoever needs this is in no hurry.
#[derive(Debug)]
pub struct SalvageReader<'a> {
    reader: &'a SnapshotReader,
    tree: TreeReader<'a>,
    /// Bytes of the first chunk that lie before the place.
    skip: u64,
}

impl SnapshotReader {
    /// The content from `offset` on, with holes where it is damaged.
    pub fn salvage(&self, offset: u64) -> SalvageReader<'_> {
        let mut tree = self.tree();
        // A node on the way may be lost: then the holes lead there.
        let skip = match tree.seek(offset) {
            Ok(()) => offset - tree.offset(),
            Err(_) => {
                tree = self.tree();
                offset
            }
        };
        SalvageReader { reader: self, tree, skip }
    }
}

impl SalvageReader<'_> {
    fn read(&self, chunk: &ChunkRef) -> Result<Piece> {
        match self.reader.chunk(chunk) {
            Ok(bytes) => Ok(Piece::Bytes(bytes)),
            Err(error) => self.lost(chunk.len.into(), error),
        }
    }

    /// Damage makes a hole; anything else is an error.
    fn lost(&self, len: u64, error: StoreError) -> Result<Piece> {
        self.reader.store().still_listed(error).map(|_| Piece::Lost(len))
    }
}

impl Iterator for SalvageReader<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (len, piece) = match self.tree.step()? {
                Step::Chunk(_, chunk) if u64::from(chunk.len) <= self.skip => (u64::from(chunk.len), None),
                Step::Chunk(_, chunk) => (u64::from(chunk.len), Some(self.read(&chunk))),
                Step::Lost { span, error } => (span, Some(self.lost(span, error))),
            };
            let skip = self.skip.min(len);
            self.skip -= skip;
            match piece {
                Some(Ok(Piece::Bytes(bytes))) => {
                    let from = usize::try_from(skip).unwrap_or(bytes.len()).min(bytes.len());
                    return Some(Ok(Piece::Bytes(bytes.slice(from..))));
                }
                Some(Ok(Piece::Lost(len))) if len > skip => return Some(Ok(Piece::Lost(len - skip))),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(Piece::Lost(_))) | None => (),
            }
        }
    }
}
