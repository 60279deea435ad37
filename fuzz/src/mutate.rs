//! Small changes to an input, by chance from a seed.

use fastrand::Rng;

/// Numbers at which something may go wrong: ends of types, and one beside.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x0100_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Texts at which something may go wrong.
const TEXTS: [&str; 10] =
    ["99999999999999999999", "-1", "1e999", "NaN", "\u{fffd}", "\0", "\n", "\\", "'", "[[[[[[[["];

/// Changes `input` in one to four places; `other` gives what is spliced in. No result is longer than both together and a
/// little.
pub fn mutate(input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(0..=bytes.len());
        let end = rng.usize(at..=bytes.len().min(at + 64));
        match rng.u8(0..8) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.u8(0..8)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.u8(..)),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let number = rng.choice(NUMBERS).unwrap_or_default().to_le_bytes();
                let width = rng.choice([1, 2, 4, 8]).unwrap_or(1);
                let number = number.get(..width).unwrap_or_default();
                let replaced = if rng.bool() { (at + width).min(bytes.len()) } else { at };
                bytes.splice(at..replaced, number.iter().copied());
            }
            5 => {
                let text = rng.choice(TEXTS).unwrap_or_default();
                bytes.splice(at..end, text.bytes());
            }
            6 => {
                let from = rng.usize(0..=other.len());
                let to = rng.usize(from..=other.len());
                bytes.splice(at..end, other.get(from..to).unwrap_or_default().iter().copied());
            }
            _ => {
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes.truncate(input.len() + other.len() + 1024);
    bytes
}
