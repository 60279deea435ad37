//! What two runs of bytes have in common.

use icecore_format::{Copy, Difference};

/// Bytes that are hashed as one; a match that is found by its hash is at least as long.
const BLOCK: usize = 16;
/// Blocks of the base are hashed at every multiple of this.
const STRIDE: usize = 16;
/// A match elsewhere than where the last one ended must be as long as this to be worth its place.
const FAR_MIN: usize = 64;
/// A match is near if it lies no farther than this from where the last one would go on.
const NEAR: i64 = 4096;
/// Where the last match would go on, after a byte that differs, as few equal bytes are enough.
const NEAR_MIN: usize = 32;
const SAME_MIN: usize = 12;
/// After so many positions without a match every second one is tried, after twice as many every third.
const PATIENCE: usize = 256;
/// After so many, where steps are longest, a match must be so long: what is new all around is new, and a phrase of it that is not costs whoever
/// reads it a jump.
const PATIENCE_END: usize = PATIENCE * STEP_MAX;
const LONG_MIN: usize = 512;
/// The longest step. It has no divisor in common with [`STRIDE`]: steps of it come upon the blocks of the base however these lie.
const STEP_MAX: usize = 15;

/// Finds differences by a greedy search: first where the last match would go on, for rows that change keep their neighbours, then
/// wherever a block of the base has the same hash. A match is extended both ways. Takes linear time whatever the bytes are.
///
/// Its table is kept from one search to the next.
#[derive(Debug, Default)]
pub struct Matcher {
    /// For each hash the first block of the base that has it, as its number and one; 0 for none.
    blocks: Vec<u32>,
}

impl Matcher {
    /// How `new` differs from `base`. Both are shorter than 4 GiB.
    pub fn difference(&mut self, base: &[u8], new: &[u8]) -> Difference {
        let bits = self.index(base);
        let mut search = Search { new, difference: Difference::default(), done: 0, diagonal: 0 };
        let mut at = 0;
        let mut misses = 0;
        while at < new.len() {
            let found = search.go_on(base, at).or_else(|| {
                let block = new.get(at..)?.first_chunk::<BLOCK>()?;
                let slot = self.blocks.get(hash(block, bits))?.checked_sub(1)?;
                let found = search.elsewhere(base, at, slot as usize * STRIDE)?;
                (misses < PATIENCE_END || found.len >= LONG_MIN).then_some(found)
            });
            match found {
                Some(found) => {
                    at = search.take(&found);
                    misses = 0;
                }
                None => {
                    at += (1 + misses / PATIENCE).min(STEP_MAX);
                    misses += 1;
                }
            }
        }
        let rest = new.get(search.done..).unwrap_or_default();
        search.difference.literals.extend_from_slice(rest);
        search.difference
    }

    /// Hashes the base. Returns how many bits a hash has.
    fn index(&mut self, base: &[u8]) -> u32 {
        let bits = (base.len() / STRIDE).next_power_of_two().ilog2().clamp(4, 26) + 1;
        self.blocks.clear();
        self.blocks.resize(1 << bits, 0);
        for (number, at) in (1u32..).zip((0..base.len()).step_by(STRIDE)) {
            let Some(block) = base.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) else { break };
            // The first one stays: of what repeats, the matches are the same, and the search is.
            if let Some(slot @ 0) = self.blocks.get_mut(hash(block, bits)) {
                *slot = number;
            }
        }
        bits
    }
}

/// A match: where in the run, where in the base, how long.
struct Found {
    at: usize,
    from: usize,
    len: usize,
}

struct Search<'a> {
    new: &'a [u8],
    difference: Difference,
    /// Bytes of the run that are said.
    done: usize,
    /// The base's place less the run's, in the last match.
    diagonal: i64,
}

impl Search<'_> {
    /// A match where the last one would go on.
    fn go_on(&self, base: &[u8], at: usize) -> Option<Found> {
        let from = usize::try_from(i64::try_from(at).ok()? + self.diagonal).ok()?;
        let (old, new) = (base.get(from..)?, self.new.get(at..)?);
        if old.first()? != new.first()? {
            return None;
        }
        let len = common_prefix(old, new);
        let enough = len >= SAME_MIN || len == new.len();
        enough.then_some(Found { at, from, len })
    }

    /// A match at `from`, if the block there is the same and not only its hash.
    fn elsewhere(&self, base: &[u8], at: usize, from: usize) -> Option<Found> {
        let ahead = common_prefix(base.get(from..)?, self.new.get(at..)?);
        if ahead < BLOCK {
            return None;
        }
        let back = common_suffix(base.get(..from)?, self.new.get(self.done..at)?);
        let (at_i, from_i) = (i64::try_from(at).ok()?, i64::try_from(from).ok()?);
        let is_near = (from_i - at_i - self.diagonal).abs() < NEAR;
        let len = ahead + back;
        (len >= if is_near { NEAR_MIN } else { FAR_MIN }).then_some(Found {
            at: at - back,
            from: from - back,
            len,
        })
    }

    /// Says the literals before a match, and the match. Returns where it ends.
    fn take(&mut self, found: &Found) -> usize {
        let literals = self.new.get(self.done..found.at).unwrap_or_default();
        self.difference.literals.extend_from_slice(literals);
        let number = |n: usize| u32::try_from(n).expect("runs and bases are shorter than 4 GiB");
        self.difference.copies.push(Copy {
            literals: number(literals.len()),
            len: number(found.len),
            from: number(found.from),
        });
        let signed = |n: usize| i64::try_from(n).expect("runs and bases are shorter than 4 GiB");
        self.diagonal = signed(found.from) - signed(found.at);
        self.done = found.at + found.len;
        self.done
    }
}

fn hash(block: &[u8; BLOCK], bits: u32) -> usize {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let number = u128::from_le_bytes(*block);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a u128")]
    let (low, high) = (number as u64, (number >> 64) as u64);
    let mixed = (low.wrapping_mul(K) ^ high).wrapping_mul(K);
    // As many bits as a table that is in memory has.
    usize::try_from(mixed >> (64 - bits)).unwrap_or(0)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, _) = a.as_chunks::<8>();
    let (b_words, _) = b.as_chunks::<8>();
    let mut len = 0;
    for (x, y) in a_words.iter().zip(b_words) {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return len + (difference.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let rest = a.get(len..).unwrap_or_default().iter().zip(b.get(len..).unwrap_or_default());
    len + rest.take_while(|(x, y)| x == y).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests;
