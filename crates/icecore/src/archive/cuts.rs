//! Where a content was cut into chunks: four bytes a chunk, its length.
//!
//! A store would cut it at the same places by itself, but for what its captures knew of rows, pages and files. Cut in the same way
//! it becomes the same chunks, and the snapshot the same snapshot.

use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};

use icecore_store::SnapshotReader;

use crate::Result;

/// How many bytes one length takes.
pub(super) const CUT_LEN: u64 = 4;

/// Hands the lengths of a content's chunks to `visit`.
pub(super) fn for_cuts(reader: &SnapshotReader, visit: &mut dyn FnMut([u8; 4]) -> Result<()>) -> Result<()> {
    let mut tree = reader.tree();
    while let Some((_, chunk)) = tree.next_chunk()? {
        visit(chunk.len.to_le_bytes())?;
    }
    Ok(())
}

/// Lengths that wait on disk until the content comes.
#[derive(Debug)]
pub(super) struct KeptCuts(pub(super) std::fs::File);

impl KeptCuts {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// The lengths, one after the other. They end early if they cannot be read: then the content is cut anew from there on.
    pub(super) fn lens(mut self) -> io::Result<Box<dyn Iterator<Item = u32> + Send>> {
        self.0.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(self.0);
        Ok(Box::new(std::iter::from_fn(move || {
            let mut len = [0; 4];
            reader.read_exact(&mut len).ok()?;
            Some(u32::from_le_bytes(len))
        })))
    }
}
