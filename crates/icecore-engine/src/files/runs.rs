//! Where the bytes of a part belong in a file.

use icecore_format::{Extent, Part};

/// Goes through the ranges of a file that a part's bytes fill, in order.
#[derive(Debug, Default)]
pub(super) struct Runs {
    extents: Vec<Extent>,
    /// The extent in which the next byte lies, and how many of its bytes are done.
    index: usize,
    done: u64,
}

impl Runs {
    /// The part's bytes as they lie in a file of their own, or one after the other from `base` if it has no holes.
    pub(super) fn of(part: &Part, base: u64) -> Self {
        let extents = match &part.file {
            Some(file) if !file.extents.is_empty() => file.extents.clone(),
            Some(_) | None => vec![Extent { offset: base, len: part.len }],
        };
        Self { extents, index: 0, done: 0 }
    }

    /// The ranges that the next `len` bytes fill; none if the part has not so many left.
    pub(super) fn ahead(&self, len: u64) -> Option<Vec<Extent>> {
        let mut ahead = Vec::new();
        let mut left = len;
        let mut done = self.done;
        for extent in self.extents.get(self.index..).unwrap_or_default() {
            if left == 0 {
                break;
            }
            let len = left.min(extent.len - done);
            if len > 0 {
                ahead.push(Extent { offset: extent.offset.checked_add(done)?, len });
            }
            left -= len;
            done = 0;
        }
        (left == 0).then_some(ahead)
    }

    /// Moves on by `len` bytes, or to the end.
    pub(super) fn advance(&mut self, len: u64) {
        let mut left = len;
        while let Some(extent) = self.extents.get(self.index) {
            let step = left.min(extent.len - self.done);
            self.done += step;
            left -= step;
            if self.done < extent.len {
                break;
            }
            self.index += 1;
            self.done = 0;
        }
    }

    /// Whether every byte has come.
    pub(super) fn is_done(&self) -> bool {
        self.extents.get(self.index..).unwrap_or_default().iter().all(|extent| extent.len == self.done)
    }

    /// The holes of a file of `size` bytes.
    pub(super) fn holes(&self, size: u64) -> Vec<Extent> {
        let mut holes = Vec::new();
        let mut end = 0;
        for extent in &self.extents {
            if extent.offset > end {
                holes.push(Extent { offset: end, len: extent.offset - end });
            }
            end = extent.offset.saturating_add(extent.len);
        }
        if size > end {
            holes.push(Extent { offset: end, len: size - end });
        }
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(pairs: &[(u64, u64)]) -> Vec<Extent> {
        pairs.iter().map(|&(offset, len)| Extent { offset, len }).collect()
    }

    #[test]
    fn bytes_fill_the_runs_in_order_and_no_more() {
        let mut runs = Runs { extents: extents(&[(10, 5), (20, 0), (30, 5)]), index: 0, done: 0 };
        assert_eq!(runs.ahead(7), Some(extents(&[(10, 5), (30, 2)])));
        assert_eq!(runs.ahead(11), None);
        runs.advance(7);
        assert_eq!(runs.ahead(3), Some(extents(&[(32, 3)])));
        assert!(!runs.is_done());
        runs.advance(3);
        assert!(runs.is_done());
        assert_eq!(runs.ahead(1), None);
        assert_eq!(runs.holes(40), extents(&[(0, 10), (15, 5), (20, 10), (35, 5)]));
    }

    #[test]
    fn a_file_that_is_all_hole_is_done_at_once() {
        let runs = Runs { extents: extents(&[(100, 0)]), index: 0, done: 0 };
        assert!(runs.is_done());
        assert_eq!(runs.holes(100), extents(&[(0, 100)]));
    }
}
