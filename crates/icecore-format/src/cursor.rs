//! Reading untrusted bytes front to back, and writing the same fields.

use crate::error::{DecodeError, Result};

/// A reader of untrusted bytes. Every read is checked; an error says what was read and where.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    what: &'static str,
    rest: &'a [u8],
    len: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the front of `bytes`; `what` names the object in errors.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes, len: bytes.len() }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Whether all bytes have been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left: an upper bound for the count of anything that follows.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn malformed(&self) -> DecodeError {
        DecodeError::Malformed { what: self.what, offset: self.offset() }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// An unsigned LEB128 number of at most ten bytes.
    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.malformed());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    /// A varint that fits into 32 bits.
    pub(crate) fn small(&mut self) -> Option<u32> {
        // Nearly all are this short.
        if let Some((byte, rest)) = self.rest.split_first().filter(|(byte, _)| **byte < 0x80) {
            self.rest = rest;
            return Some(u32::from(*byte));
        }
        self.varint().ok().and_then(|number| u32::try_from(number).ok())
    }

    /// Passes over so many varints.
    pub(crate) fn skip_varints(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        let mut ends = self.rest.iter().enumerate().filter(|(_, byte)| **byte < 0x80);
        let mut len = 0;
        while left > 0 {
            len = ends.next().ok_or_else(|| self.malformed())?.0 + 1;
            left -= 1;
        }
        self.bytes(len).map(drop)
    }

    /// A length prefix and that many bytes.
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8]> {
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| self.malformed())?;
        self.bytes(len)
    }

    pub(crate) fn finish(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

pub(crate) fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
