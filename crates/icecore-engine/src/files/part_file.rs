//! The file into which a part's bytes are being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use icecore_format::{Extent, Part};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;

use crate::files::runs::Runs;

/// A file, and where in it the open part stands.
#[derive(Debug)]
pub(super) struct PartFile {
    pub(super) file: File,
    runs: Runs,
    /// How long the file was before it was written to; zero if it is new.
    size_before: u64,
    /// Whether nobody has changed it since it was looked at.
    pub(super) is_as_surveyed: bool,
}

impl PartFile {
    /// A new file.
    pub(super) fn new(file: File) -> Self {
        Self::present(file, 0)
    }

    /// A file that held `size_before` bytes.
    pub(super) fn present(file: File, size_before: u64) -> Self {
        Self { file, runs: Runs::default(), size_before, is_as_surveyed: false }
    }

    /// Another handle of the file, for one who goes another way through it.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::present(self.file.try_clone()?, self.size_before))
    }

    /// Opens a part; `base` is where it begins if it has no holes.
    pub(super) fn begin(&mut self, part: &Part, base: u64) {
        self.runs = Runs::of(part, base);
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        for run in self.ahead(bytes.len())? {
            let Some((now, later)) =
                usize::try_from(run.len).ok().and_then(|len| bytes.split_at_checked(len))
            else {
                return Err(more_than_announced());
            };
            self.file.write_all_at(now, run.offset)?;
            self.runs.advance(run.len);
            bytes = later;
        }
        Ok(())
    }

    /// The `len` bytes that lie where the next ones belong, if the file held so many.
    pub(super) fn existing(&self, len: usize) -> io::Result<Option<Vec<u8>>> {
        let ahead = self.ahead(len)?;
        let mut bytes = vec![0; len];
        let mut rest = bytes.as_mut_slice();
        for run in ahead {
            if run.offset + run.len > self.size_before {
                return Ok(None);
            }
            let Some((now, later)) =
                usize::try_from(run.len).ok().and_then(|len| rest.split_at_mut_checked(len))
            else {
                return Err(more_than_announced());
            };
            self.file.read_exact_at(now, run.offset)?;
            rest = later;
        }
        Ok(Some(bytes))
    }

    /// Moves on over `len` bytes.
    pub(super) fn keep(&mut self, len: usize) {
        self.runs.advance(len as u64);
    }

    /// Whether all bytes of the open part have come.
    pub(super) fn is_done(&self) -> bool {
        self.runs.is_done()
    }

    /// Gives the file its size, and holes where the part has them.
    pub(super) fn shape(&self, size: u64) -> io::Result<()> {
        if self.size_before > 0 {
            for hole in self.runs.holes(size.min(self.size_before)) {
                self.clear(hole)?;
            }
        }
        if self.file.metadata()?.len() == size { Ok(()) } else { self.file.set_len(size) }
    }

    /// Makes a range read as zeros; one that holds no data is left alone.
    fn clear(&self, hole: Extent) -> io::Result<()> {
        match seek(&self.file, SeekFrom::Data(hole.offset)) {
            Ok(data) if data >= hole.offset + hole.len => return Ok(()),
            Err(Errno::NXIO) => return Ok(()),
            _ => {}
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, hole.offset, hole.len) {
            Err(Errno::NOTSUP | Errno::NOSYS) => self.write_zeros(hole),
            other => Ok(other?),
        }
    }

    fn write_zeros(&self, hole: Extent) -> io::Result<()> {
        let zeros = [0; 64 << 10];
        let mut offset = hole.offset;
        let mut left = hole.len;
        while left > 0 {
            let len = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.file.write_all_at(zeros.get(..len).unwrap_or_default(), offset)?;
            offset += len as u64;
            left -= len as u64;
        }
        Ok(())
    }

    fn ahead(&self, len: usize) -> io::Result<Vec<Extent>> {
        self.runs.ahead(len as u64).ok_or_else(more_than_announced)
    }
}

fn more_than_announced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "there are more bytes than the part announced")
}
