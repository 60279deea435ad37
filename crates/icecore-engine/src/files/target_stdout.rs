//! Restoring to a stream.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use icecore_format::Part;

use crate::files::runs::Runs;
use crate::files::target_directory::final_size;
use crate::{RestoreError, Target};

/// The bytes of all parts, one after the other; the holes of sparse files as zeros.
pub struct StreamTarget<W> {
    writer: W,
    /// Where the zeros of the open part belong, by how many of its bytes come before; the last first.
    holes: Vec<(u64, u64)>,
    /// How many bytes of the open part have come.
    position: u64,
}

impl<W> fmt::Debug for StreamTarget<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTarget").finish_non_exhaustive()
    }
}

impl<W: Write> StreamTarget<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, holes: Vec::new(), position: 0 }
    }

    fn fill_holes(&mut self) -> Result<(), RestoreError> {
        while let Some((_, len)) = self.holes.pop_if(|(before, _)| *before == self.position) {
            let zeros = &mut io::Read::take(io::repeat(0), len);
            io::copy(zeros, &mut self.writer).map_err(closed)?;
        }
        Ok(())
    }
}

impl<W: Write> Target for StreamTarget<W> {
    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        self.position = 0;
        self.holes.clear();
        if part.file.as_ref().is_some_and(|file| !file.extents.is_empty()) {
            let mut len_before = 0;
            for hole in Runs::of(part, 0).holes(final_size(part)) {
                self.holes.push((hole.offset - len_before, hole.len));
                len_before += hole.len;
            }
            self.holes.reverse();
        }
        self.fill_holes()
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        while !bytes.is_empty() {
            let until_hole = self.holes.last().map_or(u64::MAX, |(before, _)| before - self.position);
            let len = bytes.len().min(usize::try_from(until_hole).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
            self.writer.write_all(now).map_err(closed)?;
            self.position += now.len() as u64;
            bytes = later;
            self.fill_holes()?;
        }
        Ok(())
    }

    fn existing(&mut self, _len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        Ok(None)
    }

    fn keep(&mut self, _len: usize) -> Result<(), RestoreError> {
        Err(RestoreError::Refused("a stream keeps nothing".to_owned()))
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), RestoreError> {
        self.writer.flush().map_err(closed)
    }
}

fn closed(error: io::Error) -> RestoreError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => RestoreError::Closed,
        _ => RestoreError::write("cannot write to", Path::new("the output"))(error),
    }
}

#[cfg(test)]
mod tests {
    use icecore_format::{Digest, Extent, FileAttributes, PartKind};

    use super::*;

    #[test]
    fn holes_come_out_as_zeros() {
        let extents = [(1, 2), (3, 1), (6, 1)].map(|(offset, len)| Extent { offset, len }).to_vec();
        let file = FileAttributes { size: 9, extents, ..FileAttributes::default() };
        let part = Part {
            name: b"f".to_vec(),
            kind: PartKind::File,
            offset: 0,
            len: 4,
            hash: Digest::of(b"abcd"),
            rows: None,
            file: Some(Box::new(file)),
        };
        let mut out = Vec::new();
        let mut target = Box::new(StreamTarget::new(&mut out));
        target.begin(&part).unwrap();
        target.write(b"abcd").unwrap();
        target.end().unwrap();
        target.finish().unwrap();
        assert_eq!(out, b"\0abc\0\0d\0\0");
    }

    #[test]
    fn a_reader_that_goes_away_is_told_apart() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = StreamTarget::new(Gone).write(b"x").unwrap_err();
        assert!(matches!(error, RestoreError::Closed), "{error:?}");
    }
}
