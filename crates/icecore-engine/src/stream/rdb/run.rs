//! Pieces in memory, as many as are sorted at once.

use std::cmp::Ordering;
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
    pub(super) bytes: &'r [u8],
    /// Which of the bytes are the element's name.
    pub(super) element: Range<usize>,
}

impl Lying<'_> {
    pub(super) fn element(&self) -> &[u8] {
        self.bytes.get(self.element.clone()).unwrap_or_default()
    }
}

/// A piece in memory.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    place: Place,
    /// In the run's keys: pieces of one key have the same range.
    pub(super) key: Range<u32>,
    number: u64,
    /// In the run's bytes, as all that follows.
    element: Range<u32>,
    pub(super) at: u32,
    len: u32,
}

/// Pieces that came one after the other.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Their bytes as they came, and what was read ahead.
    pub(super) bytes: Vec<u8>,
    keys: Vec<u8>,
    /// In `keys`, that of the last piece.
    key: Option<Range<u32>>,
    pub(super) pieces: Vec<Piece>,
}

impl Run {
    /// About what it takes, with `len` bytes of pieces.
    pub(super) fn weight(&self, len: usize) -> usize {
        len + self.keys.len() + self.pieces.len() * size_of::<Piece>()
    }

    /// One more piece, with its element's name among its bytes. `is_new` tells whether the last one was of another key.
    pub(super) fn push(&mut self, rank: &Rank, bytes: Range<usize>, element: Range<usize>, is_new: bool) {
        let known = self.key.take().filter(|_| !is_new);
        let key = known.unwrap_or_else(|| {
            let start = small(self.keys.len());
            self.keys.extend_from_slice(&rank.key);
            start..small(self.keys.len())
        });
        self.key = Some(key.clone());
        self.pieces.push(Piece {
            place: rank.place,
            key,
            number: rank.number,
            element: small(element.start)..small(element.end),
            at: small(bytes.start),
            len: small(bytes.len()),
        });
    }

    pub(super) fn sort(&mut self) {
        let Self { pieces, keys, bytes, .. } = self;
        let key = |piece: &Piece| keys.get(large(&piece.key)).unwrap_or_default();
        let element = |piece: &Piece| bytes.get(large(&piece.element)).unwrap_or_default();
        pieces.sort_unstable_by(|a, b| {
            let by_key = if a.key == b.key { Ordering::Equal } else { key(a).cmp(key(b)) };
            let by_element = || element(a).cmp(element(b));
            let by_number = a.number.cmp(&b.number);
            a.place.cmp(&b.place).then(by_key).then(by_number).then_with(by_element).then(a.at.cmp(&b.at))
        });
    }

    pub(super) fn piece(&self, piece: &Piece) -> Lying<'_> {
        let start = piece.at as usize;
        Lying {
            place: piece.place,
            key: self.keys.get(large(&piece.key)).unwrap_or_default(),
            number: piece.number,
            bytes: self.bytes.get(start..start + piece.len as usize).unwrap_or_default(),
            element: large(&piece.element).start.saturating_sub(start)
                ..large(&piece.element).end.saturating_sub(start),
        }
    }

    /// Forgets its pieces, the first `len` bytes.
    pub(super) fn clear(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.keys.clear();
        self.pieces.clear();
        self.key = None;
    }
}

/// A place in a run, which has less than 4 GiB: a larger piece does not lie in one.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn large(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
