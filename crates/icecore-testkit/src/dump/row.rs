//! One row on its way out, in the syntax of the dialect.
//!
//! PostgreSQL's COPY text: tabs between fields, `\N`, backslash escapes. MariaDB's INSERT: a tuple
//! with quoted strings, escaped like `mysql_real_escape_string` does.

use super::Dialect;
use super::rng::Rng;
use super::time::Timestamp;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Fields go in one after the other; the bytes come out without a line end.
#[derive(Debug)]
pub(super) struct RowText {
    dialect: Dialect,
    bytes: Vec<u8>,
    /// For texts that have to be escaped afterwards.
    scratch: Vec<u8>,
}

impl RowText {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, bytes: Vec::with_capacity(16 << 10), scratch: Vec::with_capacity(16 << 10) }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The finished row.
    pub(super) fn finish(&mut self) -> &[u8] {
        if self.dialect == Dialect::MariaDb {
            self.bytes.push(b')');
        }
        &self.bytes
    }

    pub(super) fn null(&mut self) {
        self.separate();
        self.bytes.extend_from_slice(match self.dialect {
            Dialect::Postgres => b"\\N",
            Dialect::MariaDb => b"NULL",
        });
    }

    pub(super) fn int(&mut self, value: u64) {
        self.separate();
        push_int(&mut self.bytes, value);
    }

    /// `units` of 10 to the minus `digits`.
    pub(super) fn decimal(&mut self, units: u64, digits: u32) {
        self.separate();
        push_decimal(&mut self.bytes, units, digits);
    }

    /// A binary floating point number: no zeros at the end.
    pub(super) fn float(&mut self, units: u64, digits: u32) {
        self.separate();
        let start = self.bytes.len();
        push_decimal(&mut self.bytes, units, digits);
        while self.bytes.len() > start && self.bytes.last() == Some(&b'0') {
            self.bytes.pop();
        }
        if self.bytes.last() == Some(&b'.') {
            self.bytes.pop();
        }
    }

    /// A text without anything to escape.
    pub(super) fn plain(&mut self, text: &str) {
        self.plain_with(|bytes| bytes.extend_from_slice(text.as_bytes()));
    }

    /// The same, written by `fill`.
    pub(super) fn plain_with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        self.quote();
        fill(&mut self.bytes);
        self.quote();
    }

    /// A text, written by `fill` and escaped here.
    pub(super) fn text_with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        self.quote();
        self.scratch.clear();
        fill(&mut self.scratch);
        match self.dialect {
            Dialect::Postgres => escape(&self.scratch, &mut self.bytes, postgres_escape),
            Dialect::MariaDb => escape(&self.scratch, &mut self.bytes, mariadb_escape),
        }
        self.quote();
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        self.separate();
        self.quote();
        time.push(&mut self.bytes, self.dialect);
        self.quote();
    }

    /// Bytes that look like a checksum.
    pub(super) fn hash(&mut self, rng: &mut Rng, len: usize) {
        self.separate();
        self.quote();
        if self.dialect == Dialect::Postgres {
            self.bytes.extend_from_slice(b"\\\\x");
        }
        push_hex(&mut self.bytes, rng, len * 2);
        self.quote();
    }

    fn separate(&mut self) {
        match (self.dialect, self.bytes.is_empty()) {
            (Dialect::Postgres, true) => (),
            (Dialect::Postgres, false) => self.bytes.push(b'\t'),
            (Dialect::MariaDb, true) => self.bytes.push(b'('),
            (Dialect::MariaDb, false) => self.bytes.push(b','),
        }
    }

    fn quote(&mut self) {
        if self.dialect == Dialect::MariaDb {
            self.bytes.push(b'\'');
        }
    }
}

pub(super) fn push_int(bytes: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = digit(value % 10);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[start..]);
}

/// With leading zeros.
pub(super) fn push_padded(bytes: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        bytes.push(digit(value / 10_u64.pow(place) % 10));
    }
}

pub(super) fn push_decimal(bytes: &mut Vec<u8>, units: u64, digits: u32) {
    let one = 10_u64.pow(digits);
    push_int(bytes, units / one);
    bytes.push(b'.');
    push_padded(bytes, units % one, digits);
}

pub(super) fn push_hex(bytes: &mut Vec<u8>, rng: &mut Rng, digits: usize) {
    let mut left = digits;
    while left > 0 {
        let mut word = rng.next();
        for _ in 0..left.min(16) {
            bytes.push(HEX[usize::try_from(word & 15).expect("four bits")]);
            word >>= 4;
        }
        left -= left.min(16);
    }
}

/// A random (version 4) UUID.
pub(super) fn push_uuid(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let start = bytes.len();
    for (i, len) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            bytes.push(b'-');
        }
        push_hex(bytes, rng, len);
    }
    bytes[start + 14] = b'4';
    bytes[start + 19] = b"89ab"[rng.index(4)];
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).expect("a digit is below 10")
}

fn postgres_escape(byte: u8) -> Option<u8> {
    match byte {
        b'\\' => Some(b'\\'),
        b'\n' => Some(b'n'),
        b'\t' => Some(b't'),
        b'\r' => Some(b'r'),
        _ => None,
    }
}

fn mariadb_escape(byte: u8) -> Option<u8> {
    match byte {
        b'\\' | b'\'' | b'"' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        _ => None,
    }
}

fn escape(text: &[u8], bytes: &mut Vec<u8>, escaped: impl Fn(u8) -> Option<u8>) {
    let mut copied = 0;
    for (at, &byte) in text.iter().enumerate() {
        if let Some(letter) = escaped(byte) {
            bytes.extend_from_slice(&text[copied..at]);
            bytes.extend_from_slice(&[b'\\', letter]);
            copied = at + 1;
        }
    }
    bytes.extend_from_slice(&text[copied..]);
}
