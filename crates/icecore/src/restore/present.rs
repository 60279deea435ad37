//! Which pieces of a walk lie in their places already.

use super::walk::Piece;

/// A bit a piece, in the order of the walk.
#[derive(Debug, Default)]
pub(super) struct Present {
    bits: Vec<u64>,
    count: usize,
    /// Bytes of the pieces that do not.
    pub(super) missing_bytes: u64,
}

impl Present {
    pub(super) fn push(&mut self, piece: &Piece, is_there: bool) {
        if self.count.is_multiple_of(64) {
            self.bits.push(0);
        }
        if let (Some(bits), true) = (self.bits.last_mut(), is_there) {
            *bits |= 1 << (self.count % 64);
        }
        self.count += 1;
        self.missing_bytes += if is_there { 0 } else { piece.len as u64 };
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.count).map(|at| self.bits.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1))
    }
}
