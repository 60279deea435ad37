//! Reading the input: full buffers from a reader that gives what it likes, and a note of whose fault a failure was.

use std::cell::Cell;
use std::io::{self, Read};

/// The bottom of the readers. It notes its own failure, which otherwise could not be told from that of a decoder above.
pub(super) struct Origin<'a> {
    reader: &'a mut dyn Read,
    failed: &'a Cell<bool>,
}

impl<'a> Origin<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, failed: &'a Cell<bool>) -> Self {
        Self { reader, failed }
    }
}

impl Read for Origin<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(buf);
        if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.failed.set(true);
        }
        result
    }
}

/// Remembers the last bytes that passed.
pub(super) struct Tail<'a> {
    reader: &'a mut dyn Read,
    len: usize,
    last: Vec<u8>,
}

impl<'a> Tail<'a> {
    /// Remembers `len` bytes of what `reader` gives.
    pub(super) fn new(reader: &'a mut dyn Read, len: usize) -> Self {
        Self { reader, len, last: Vec::new() }
    }

    pub(super) fn last_bytes(&self) -> &[u8] {
        &self.last
    }
}

impl Read for Tail<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buf)?;
        let read = buf.get(..len).unwrap_or_default();
        self.last.extend_from_slice(read.get(len.saturating_sub(self.len)..).unwrap_or_default());
        self.last.drain(..self.last.len().saturating_sub(self.len));
        Ok(len)
    }
}

/// Reads until `buf` is full or the input ends; returns how much that was.
pub(super) fn fill(reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
