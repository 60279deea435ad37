//! Pieces in memory, as many as are sorted at once.

use std::ops::Range;

use icecore_dump::rdb::Place;

/// What a piece is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) place: Place,
    pub(super) key: Vec<u8>,
    /// The how many-th key of the file it is: what has elements stays together, even if a key comes twice.
    pub(super) number: u64,
    pub(super) element: Vec<u8>,
}

/// A piece as it lies in a run.
pub(super) struct Lying<'r> {
    pub(super) place: Place,
    pub(super) key: &'r [u8],
    pub(super) number: u64,
    pub(super) element: &'r [u8],
    pub(super) bytes: &'r [u8],
}

/// A piece in memory: all in it is a place in the run's bytes, or in its names.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    place: Place,
    key: Range<u32>,
    number: u64,
    element: Range<u32>,
    pub(super) at: u32,
    len: u32,
}

/// Pieces that came one after the other.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Their bytes as they came, and what was read ahead.
    pub(super) bytes: Vec<u8>,
    names: Vec<u8>,
    /// In `names`, the key that the last piece was of.
    key: Option<Range<u32>>,
    pub(super) pieces: Vec<Piece>,
}

impl Run {
    /// About what it takes, with `len` bytes of pieces.
    pub(super) fn weight(&self, len: usize) -> usize {
        len + self.names.len() + self.pieces.len() * size_of::<Piece>()
    }

    /// One more piece. `is_new` tells whether the last one was of another key.
    pub(super) fn push(&mut self, rank: &Rank, bytes: Range<usize>, is_new: bool) {
        if is_new {
            self.key = None;
        }
        let key = self.key.take().unwrap_or_else(|| self.name(&rank.key));
        let element = self.name(&rank.element);
        self.key = Some(key.clone());
        self.pieces.push(Piece {
            place: rank.place,
            key,
            number: rank.number,
            element,
            at: small(bytes.start),
            len: small(bytes.end - bytes.start),
        });
    }

    fn name(&mut self, name: &[u8]) -> Range<u32> {
        let start = small(self.names.len());
        self.names.extend_from_slice(name);
        start..small(self.names.len())
    }

    pub(super) fn sort(&mut self) {
        let Self { pieces, names, .. } = self;
        let name = |range: &Range<u32>| names.get(large(range)).unwrap_or_default();
        pieces.sort_unstable_by(|a, b| {
            let by_key = a.place.cmp(&b.place).then_with(|| name(&a.key).cmp(name(&b.key)));
            let by_key = by_key.then(a.number.cmp(&b.number));
            by_key.then_with(|| name(&a.element).cmp(name(&b.element))).then(a.at.cmp(&b.at))
        });
    }

    /// What a piece is sorted by, and its bytes.
    pub(super) fn piece(&self, piece: &Piece) -> Lying<'_> {
        let name = |range: &Range<u32>| self.names.get(large(range)).unwrap_or_default();
        let bytes = self.bytes.get(large(&(piece.at..piece.at + piece.len))).unwrap_or_default();
        Lying {
            place: piece.place,
            key: name(&piece.key),
            number: piece.number,
            element: name(&piece.element),
            bytes,
        }
    }

    /// Forgets its pieces, the first `len` bytes.
    pub(super) fn clear(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.names.clear();
        self.pieces.clear();
        self.key = None;
    }
}

/// A run has less than 4 GiB.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn large(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
