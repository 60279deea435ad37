//! A part's bytes as a stream, for engines that read.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use icecore_format::Part;
use icecore_store::{Counter, Monitor, SnapshotReader};

use super::deliver::PartCheck;
use crate::Result;

/// Reads a range of a snapshot. Every chunk is checked as it comes.
pub(super) struct Reader<'a> {
    pieces: Box<dyn Iterator<Item = Result<Bytes>> + 'a>,
    rest: Bytes,
    check: Option<PartCheck>,
    monitor: &'a dyn Monitor,
}

impl<'a> Reader<'a> {
    /// A part, whose length and hash are checked at its end.
    pub(super) fn checked(
        reader: &'a SnapshotReader,
        part: &'a Part,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        let check = Some(PartCheck::new(reader, part));
        Ok(Self { check, ..Self::of(reader, part.offset, part.len, monitor)? })
    }

    /// Any range.
    pub(super) fn of(
        reader: &'a SnapshotReader,
        offset: u64,
        len: u64,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        let pieces = reader.range(offset, len)?;
        let pieces = Box::new(pieces.map(|piece| Ok(piece?)));
        Ok(Self { pieces, rest: Bytes::new(), check: None, monitor })
    }

    fn next(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.next() {
                Some(piece) => {
                    self.rest = piece?;
                    if let Some(check) = &mut self.check {
                        check.update(&self.rest);
                    }
                }
                None => {
                    self.check.take().map_or(Ok(()), PartCheck::finish)?;
                    return Ok(0);
                }
            }
        }
        let len = out.len().min(self.rest.len());
        self.rest.split_to(len).copy_to_slice(out.get_mut(..len).unwrap_or_default());
        self.monitor.count(Counter::PlainBytes, len as u64);
        Ok(len)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.next(out).map_err(io::Error::other)
    }
}
