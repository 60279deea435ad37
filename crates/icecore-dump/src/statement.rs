//! Reading one SQL statement to its end, counting the tuples of an `INSERT` on the way.
//!
//! This is where dumps of `INSERT`s spend their time, so bytes are looked at 64 at once: a loop that the compiler turns
//! into vector instructions finds the few that can matter (quotes, backslashes, parentheses, semicolons, comment
//! signs), packs them into a bit mask, and only those are given to the state machine. The state is carried from block
//! to block and from piece to piece; strings may hold any byte and be of any length.

use crate::drive::len64;

/// How a statement spells its strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Backslash escapes, backticks around names, `#` comments, code in `/*! */`.
    Mysql,
    /// Standard strings; backslash escapes in `E''`, or everywhere with `standard_conforming_strings` off.
    Postgres { escapes: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Quoted { quote: u8, escapes: bool },
    LineComment,
    BlockComment { opened_at: u64 },
}

/// A statement that is being read.
#[derive(Debug)]
pub(crate) struct Statement {
    dialect: Dialect,
    state: State,
    depth: u32,
    tuples: u64,
    /// Bytes read so far; positions below count from the statement's start.
    read: u64,
    /// The last byte read.
    previous: u8,
    /// Bytes before this position were escaped by a backslash.
    escaped_to: u64,
    /// Where the last string was closed, and whether it had escapes: a quote right there doubles the quote.
    closed: (u64, bool),
}

impl Statement {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::Plain,
            depth: 0,
            tuples: 0,
            read: 0,
            previous: 0,
            escaped_to: 0,
            closed: (u64::MAX, false),
        }
    }

    /// How many outermost pairs of parentheses were opened: the tuples, and a list of columns if there is one.
    pub(crate) fn tuples(&self) -> u64 {
        self.tuples
    }

    /// Reads on. Returns how many bytes belong to the statement, its semicolon included, and whether it ended.
    pub(crate) fn run(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let (n, ended) = match self.state {
                State::LineComment => (self.line_comment(rest), false),
                _ => self.blocks(rest),
            };
            done += n;
            if ended {
                return (done, true);
            }
        }
        (done, false)
    }

    fn line_comment(&mut self, rest: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', rest);
        if end.is_some() {
            self.state = State::Plain;
        }
        let len = end.map_or(rest.len(), |end| end + 1);
        self.read += len64(len);
        self.previous = b'\n';
        len
    }

    /// Reads blocks until the statement ends, a line comment begins, or `rest` is used up.
    fn blocks(&mut self, rest: &[u8]) -> (usize, bool) {
        // The first block has no byte before it in `rest`, and the last one may be short: both are copied.
        let (mut done, stop) = self.copied_block(rest);
        if let Some(ended) = stop {
            return (done, ended);
        }
        while let Some(window) = rest.get(done.wrapping_sub(1)..done + 64) {
            let (Some(before), Some(block)) = (window.first_chunk::<64>(), window.last_chunk::<64>()) else {
                break;
            };
            let (n, stop) = self.block(before, block, 64);
            done += n;
            if let Some(ended) = stop {
                return (done, ended);
            }
        }
        let (n, stop) = self.copied_block(rest.get(done..).unwrap_or_default());
        (done + n, stop.unwrap_or(false))
    }

    fn copied_block(&mut self, rest: &[u8]) -> (usize, Option<bool>) {
        let len = rest.len().min(64);
        let mut window = [0_u8; 65];
        if let (Some((first, block)), Some(bytes)) = (window.split_first_mut(), rest.get(..len)) {
            *first = self.previous;
            block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        match (window.first_chunk::<64>(), window.last_chunk::<64>()) {
            (Some(before), Some(block)) if len > 0 => self.block(before, block, len),
            _ => (0, None),
        }
    }

    /// Reads the first `len` bytes of `block`; `before` is the same, one byte earlier. The flag says that reading
    /// must stop after so many bytes, and whether because the statement ended.
    fn block(&mut self, before: &[u8; 64], block: &[u8; 64], len: usize) -> (usize, Option<bool>) {
        let mut mask = remarkable(before, block);
        while mask != 0 {
            let i = usize::try_from(mask.trailing_zeros()).unwrap_or(0);
            mask &= mask - 1;
            let (Some(byte), Some(previous)) = (block.get(i), before.get(i)) else { break };
            let at = self.read + len64(i);
            // A backslash before a byte that is not remarkable is over when the next one comes.
            if at < self.escaped_to {
                continue;
            }
            let ended = self.meet(at, *byte, *previous);
            if ended || self.state == State::LineComment {
                self.read = at + 1;
                self.previous = *byte;
                return (i + 1, Some(ended));
            }
        }
        self.read += len64(len);
        self.previous = block.get(len - 1).copied().unwrap_or(0);
        (len, None)
    }

    /// Takes one remarkable byte; true if it ends the statement.
    #[inline]
    fn meet(&mut self, at: u64, byte: u8, previous: u8) -> bool {
        match self.state {
            State::Quoted { quote, escapes } => {
                if byte == quote {
                    self.state = State::Plain;
                    self.closed = (at, escapes);
                } else if byte == b'\\' && escapes {
                    self.escaped_to = at + 2;
                }
                false
            }
            State::Plain => self.meet_plain(at, byte, previous),
            State::BlockComment { opened_at } => {
                let within = at - opened_at;
                let is_code = within == 1 || (within == 2 && previous == b'M');
                let closes = byte == b'/' && within >= 2;
                if closes || (byte == b'!' && is_code && self.dialect == Dialect::Mysql) {
                    self.state = State::Plain;
                }
                false
            }
            State::LineComment => false,
        }
    }

    #[inline]
    fn meet_plain(&mut self, at: u64, byte: u8, previous: u8) -> bool {
        let mysql = self.dialect == Dialect::Mysql;
        match byte {
            b'\'' => {
                let escapes = match self.dialect {
                    Dialect::Mysql | Dialect::Postgres { escapes: true } => true,
                    Dialect::Postgres { escapes: false } => {
                        let doubled = self.closed == (at.wrapping_sub(1), true);
                        doubled || previous.eq_ignore_ascii_case(&b'e')
                    }
                };
                self.state = State::Quoted { quote: byte, escapes };
            }
            b'(' => {
                self.tuples += u64::from(self.depth == 0);
                self.depth = self.depth.saturating_add(1);
            }
            b')' => self.depth = self.depth.saturating_sub(1),
            b';' => return true,
            b'"' => self.state = State::Quoted { quote: byte, escapes: mysql },
            b'`' if mysql => self.state = State::Quoted { quote: byte, escapes: false },
            b'#' if mysql => self.state = State::LineComment,
            b'-' => self.state = State::LineComment,
            b'*' => self.state = State::BlockComment { opened_at: at },
            _ => (),
        }
        false
    }
}

/// The bit of each byte in its group of eight.
const WEIGHTS: [u8; 64] = {
    let mut weights = [1_u8; 64];
    let mut i = 0;
    while i < 64 {
        #[expect(clippy::indexing_slicing, reason = "at compile time, within the array")]
        {
            weights[i] = 1 << (i % 8);
        }
        i += 1;
    }
    weights
};

/// One bit for each byte of `block` that may change the state, the first byte's the lowest. The signs `--`, `/*` and
/// `*/` are marked at their second byte.
#[inline]
fn remarkable(before: &[u8; 64], block: &[u8; 64]) -> u64 {
    let mut bits = [0_u8; 64];
    for (((bit, byte), previous), weight) in bits.iter_mut().zip(block).zip(before).zip(&WEIGHTS) {
        let (b, p) = (*byte, *previous);
        let hit = (b == b'\'')
            | (b == b'(')
            | (b == b')')
            | (b == b'\\')
            | (b == b';')
            | (b == b'"')
            | (b == b'`')
            | (b == b'#')
            | (b == b'!')
            | ((b == b'-') & (p == b'-'))
            | ((b == b'*') & (p == b'/'))
            | ((b == b'/') & (p == b'*'));
        *bit = if hit { *weight } else { 0 };
    }
    let (words, _) = bits.as_chunks::<8>();
    words.iter().rev().fold(0, |mask, word| {
        // The eight bits are distinct, so their sum, which the product has in its top byte, is all of them together.
        let sum = u64::from_le_bytes(*word).wrapping_mul(0x0101_0101_0101_0101) >> 56;
        (mask << 8) | sum
    })
}

#[cfg(test)]
mod tests;
