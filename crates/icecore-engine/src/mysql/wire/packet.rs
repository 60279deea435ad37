//! Packets: what is said at a time, with its length and its number.

use std::io::{self, BufReader, Read as _, Write as _};

use super::fault::{Fault, complaint};
use super::patient::Patient;
use super::stream::Stream;

/// No answer takes more memory, with all its rows.
pub(super) const ANSWER_LEN_MAX: usize = 1 << 28;
/// A packet that is as long as can be is continued by the next one.
const PACKET_LEN_MAX: usize = 0xff_ffff;
/// So much of a packet is sent with its head: neither a segment nor a record of TLS is to have some bytes alone.
const FIRST_LEN: usize = 1 << 14;

/// A connection on which packets come and go.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) stream: BufReader<Stream>,
    /// The number of the next one.
    pub(super) sequence: u8,
}

impl Packets {
    pub(super) fn on(stream: Stream) -> Self {
        Self { stream: BufReader::new(stream), sequence: 0 }
    }

    /// The next packet, unless it is an error.
    pub(super) fn receive(&mut self, is_cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, Fault> {
        let mut packet = Vec::new();
        loop {
            let mut head = [0; 4];
            let mut stream = Patient { stream: &mut self.stream, is_cancelled };
            stream.read_exact(&mut head)?;
            let [a, b, c, sequence] = head;
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            if packet.len() + len > ANSWER_LEN_MAX {
                return Err(io::Error::other("the answer of the server is too long").into());
            }
            self.sequence = sequence.wrapping_add(1);
            let read = stream.take(len as u64).read_to_end(&mut packet)?;
            if read < len {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if len < PACKET_LEN_MAX {
                break;
            }
        }
        match packet.split_first() {
            Some((0xff, rest)) => Err(complaint(rest)),
            _ => Ok(packet),
        }
    }

    /// `first` is one byte at most, as if it were the first of the payload.
    pub(super) fn send(
        &mut self,
        first: &[u8],
        payload: &[u8],
        is_cancelled: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        let (mut first, mut rest) = (first, payload);
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PACKET_LEN_MAX - first.len()));
            let len = first.len() + piece.len();
            let [a, b, c, _] = u32::try_from(len).unwrap_or(0).to_le_bytes();
            let (with_head, piece) = piece.split_at(piece.len().min(FIRST_LEN));
            let head = [&[a, b, c, self.sequence], first, with_head].concat();
            self.sequence = self.sequence.wrapping_add(1);
            let mut stream = Patient { stream: &mut self.stream, is_cancelled };
            stream.write_all(&head)?;
            stream.write_all(piece)?;
            (first, rest) = (&[], after);
            if len < PACKET_LEN_MAX {
                return stream.flush();
            }
        }
    }
}

/// The first answer to something, for tests.
#[cfg(test)]
pub(super) fn packet(payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[a, b, c, 1], payload].concat()
}
