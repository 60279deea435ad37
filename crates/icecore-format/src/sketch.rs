//! What a chunk is recognised by when it has changed a little.

use crate::cursor::Cursor;
use crate::error::Result;

/// A few numbers drawn from a chunk's bytes, such that chunks that resemble each other share some of them: the smallest of many, which
/// stay the smallest when others change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Ascending; zeros behind the last.
    numbers: [u64; Self::LEN_MAX],
    len: usize,
}

impl Sketch {
    /// How many numbers a sketch has at most.
    pub const LEN_MAX: usize = 4;

    /// The numbers, ascending, each once.
    pub fn numbers(&self) -> &[u64] {
        self.numbers.get(..self.len).unwrap_or_default()
    }

    /// Takes a number in, if it is new and among the smallest.
    pub fn insert(&mut self, number: u64) {
        let at = self.numbers().partition_point(|known| *known < number);
        if at == Self::LEN_MAX || self.numbers().get(at) == Some(&number) {
            return;
        }
        self.len = (self.len + 1).min(Self::LEN_MAX);
        if let Some(rest) = self.numbers.get_mut(at..self.len) {
            rest.rotate_right(1);
            if let Some(first) = rest.first_mut() {
                *first = number;
            }
        }
    }

    pub(crate) fn encoded_len(&self) -> usize {
        1 + 8 * self.len
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.len).expect("few numbers"));
        self.numbers().iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let len = usize::from(cursor.u8()?);
        if len > Self::LEN_MAX {
            return Err(cursor.malformed());
        }
        let mut sketch = Self::default();
        for slot in sketch.numbers.iter_mut().take(len) {
            *slot = cursor.u64()?;
        }
        sketch.len = len;
        if sketch.numbers().is_sorted_by(|a, b| a < b) { Ok(sketch) } else { Err(cursor.malformed()) }
    }
}
