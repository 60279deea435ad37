//! Leaving out what a run is hardly made from: every base must be read to read the run.

use std::collections::BTreeMap;

use icecore_format::{Copy, Difference};

use super::Candidate;

/// Neighbours that give a run less than one part in so many of what they have are not worth reading: some rows that moved here, of a hundred
/// that did not.
const SHARE_MIN: u64 = 8;

/// The bases that give enough, their bytes, and the difference from those.
pub(super) fn thin(
    candidates: &[Candidate],
    bytes: Vec<u8>,
    difference: Difference,
    plain: &[u8],
) -> (Vec<Candidate>, Vec<u8>, Difference) {
    let ranges = Ranges::new(candidates);
    let mut given = vec![0u64; candidates.len()];
    for copy in &difference.copies {
        ranges.split(copy.from, copy.len, |base, _, len| {
            if let Some(given) = given.get_mut(base) {
                *given += u64::from(len);
            }
        });
    }
    // Of each stretch: how long it is, and what it gives.
    let mut stretches: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (candidate, given) in candidates.iter().zip(&given) {
        let (len, gives) = stretches.entry(candidate.stretch).or_default();
        *len += u64::from(candidate.base.len);
        *gives += given;
    }
    let gives_enough =
        |stretch: &usize| stretches.get(stretch).is_some_and(|(len, gives)| gives * SHARE_MIN >= *len);
    let stays = |(candidate, given): (&Candidate, &u64)| *given > 0 && gives_enough(&candidate.stretch);
    let stays: Vec<bool> = candidates.iter().zip(&given).map(stays).collect();
    if !stays.contains(&false) {
        return (candidates.to_vec(), bytes, difference);
    }
    let kept: Vec<Candidate> =
        candidates.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(it, _)| *it).collect();
    let mut moved = Vec::with_capacity(candidates.len());
    let mut kept_bytes = Vec::new();
    for (range, stays) in ranges.ranges().zip(&stays) {
        moved.push(stays.then_some(kept_bytes.len()));
        if *stays {
            kept_bytes.extend_from_slice(bytes.get(range).unwrap_or_default());
        }
    }
    let mut left = Builder::new(plain);
    for copy in &difference.copies {
        left.pass(copy.literals as usize);
        ranges.split(copy.from, copy.len, |base, within, len| match moved.get(base).copied().flatten() {
            Some(start) => left.copy(start + within as usize, len as usize),
            None => left.pass(len as usize),
        });
    }
    (kept, kept_bytes, left.finish())
}

/// Where candidates lie among the bytes of all of them.
struct Ranges {
    /// Where each starts; then, where the last one ends.
    starts: Vec<usize>,
}

impl Ranges {
    fn new(candidates: &[Candidate]) -> Self {
        let mut starts = vec![0];
        let mut at = 0;
        for candidate in candidates {
            at += candidate.base.len as usize;
            starts.push(at);
        }
        Self { starts }
    }

    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.starts.iter().zip(self.starts.iter().skip(1)).map(|(start, end)| *start..*end)
    }

    /// The parts of a range: which candidate, where in it, how many bytes.
    fn split(&self, from: u32, len: u32, mut part: impl FnMut(usize, u32, u32)) {
        let (mut at, end) = (from as usize, from as usize + len as usize);
        let mut base = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        while at < end
            && let (Some(start), Some(next)) = (self.starts.get(base), self.starts.get(base + 1))
        {
            let stop = end.min(*next);
            // All of it lies within a range of 32 bits.
            let small = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
            if stop > at {
                part(base, small(at - start), small(stop - at));
            }
            at = stop;
            base += 1;
        }
    }
}

/// A difference that grows front to back.
struct Builder<'a> {
    plain: &'a [u8],
    at: usize,
    /// Where the literals start that no copy came after yet.
    literals_from: usize,
    difference: Difference,
}

impl<'a> Builder<'a> {
    fn new(plain: &'a [u8]) -> Self {
        Self { plain, at: 0, literals_from: 0, difference: Difference::default() }
    }

    /// So many literals.
    fn pass(&mut self, len: usize) {
        self.at += len;
    }

    fn copy(&mut self, from: usize, len: usize) {
        let small = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let literals = self.take_literals();
        match self.difference.copies.last_mut() {
            // Two bases that come one after the other now as well.
            Some(last) if literals == 0 && last.from as usize + last.len as usize == from => {
                last.len += small(len);
            }
            _ => self.difference.copies.push(Copy {
                literals: small(literals),
                len: small(len),
                from: small(from),
            }),
        }
        self.at += len;
        self.literals_from = self.at;
    }

    fn take_literals(&mut self) -> usize {
        let literals = self.plain.get(self.literals_from..self.at).unwrap_or_default();
        self.difference.literals.extend_from_slice(literals);
        literals.len()
    }

    fn finish(mut self) -> Difference {
        self.at = self.plain.len();
        self.take_literals();
        self.difference
    }
}

#[cfg(test)]
mod tests {
    use icecore_chunk::Matcher;
    use icecore_format::{Base, ShortId};

    use super::*;

    fn candidate(stretch: usize, len: usize) -> Candidate {
        let len = u32::try_from(len).unwrap();
        Candidate { base: Base { id: ShortId([7; 16]), len }, depth: 0, pack: None, stretch }
    }

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }

    fn thinned(bases: &[(usize, &[u8])], plain: &[u8]) -> Vec<usize> {
        let candidates: Vec<_> =
            bases.iter().map(|(stretch, bytes)| candidate(*stretch, bytes.len())).collect();
        let bytes = bases.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect::<Vec<u8>>();
        let difference = Matcher::default().difference(&bytes, plain);
        let (kept, bytes, left) = thin(&candidates, bytes, difference, plain);
        let again = Difference::apply(&left.copies, &left.literals, &bytes, plain.len());
        assert_eq!(again.as_deref(), Some(plain));
        assert_eq!(bytes.len(), kept.iter().map(|base| base.base.len as usize).sum::<usize>());
        kept.iter().map(|base| base.stretch).collect()
    }

    #[test]
    fn what_gives_nothing_or_hardly_anything_goes() {
        let [one, two, three, four] = [1, 2, 3, 4].map(|seed| noise(seed, 8_000));
        let bases: [(usize, &[u8]); 4] = [(0, &one), (1, &two), (2, &three), (3, &four)];
        // A row of the second, and nothing of the third; the fourth comes first.
        let plain = [&four[..], &one[..5000], &two[100..220], &one[5010..]].concat();
        assert_eq!(thinned(&bases, &plain), [0, 3]);
        assert_eq!(thinned(&bases, &noise(5, 9_000)), [0; 0]);
        let all = [&one[..], &two, &three, &four].concat();
        assert_eq!(thinned(&bases, &all), [0, 1, 2, 3]);
    }

    #[test]
    fn a_neighbour_of_what_gives_much_may_give_little() {
        let [one, two, three] = [1, 2, 3].map(|seed| noise(seed, 8_000));
        let plain = [&one[..], &two[..120], &three[..3000]].concat();
        assert_eq!(thinned(&[(0, &one), (0, &two), (1, &three)], &plain), [0, 0, 1]);
    }

    #[test]
    fn copies_across_bases_are_cut_and_joined() {
        let [one, two, three] = [1, 2, 3].map(|seed| noise(seed, 8_000));
        let bases: [(usize, &[u8]); 3] = [(0, &one), (1, &two), (2, &three)];
        // Once the second is gone, the first and the third touch.
        let plain = [&one[4000..], &two[..100], &three[..4000], &one[4000..], &three[..4000]].concat();
        assert_eq!(thinned(&bases, &plain), [0, 2]);
    }
}
