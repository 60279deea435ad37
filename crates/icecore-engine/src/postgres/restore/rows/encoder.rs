//! Rows in the binary form of `COPY`, made from its text form.
//!
//! A server spends about a quarter of the time that rows take on reading text, on one processor. What is known of a table's types is read here
//! instead, on another one. <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>

use super::value::Kind;

/// What the binary form begins with: its signature, no flags, nothing more of a header.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// A longer line goes as text, which needs no whole lines: a row may have a gigabyte.
const LINE_LEN_MAX: usize = 1 << 20;
/// The length of a null.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Turns rows from text to binary, one line after the other.
#[derive(Debug)]
pub(super) struct Encoder {
    columns: Vec<Kind>,
    /// The line that has begun and not ended, or from where on nothing was understood.
    held: Vec<u8>,
    /// A value without its escapes.
    plain: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(columns: Vec<Kind>) -> Self {
        Self { columns, held: Vec::new(), plain: Vec::new() }
    }

    /// Appends the binary form of the next bytes of rows, as far as lines are whole. False if a line was not understood, or is too long: this and
    /// what follows has to go as text.
    pub(super) fn encode(&mut self, mut rows: &[u8], out: &mut Vec<u8>) -> bool {
        if !self.held.is_empty() {
            let end = memchr::memchr(b'\n', rows).map_or(rows.len(), |end| end + 1);
            let (rest, after) = rows.split_at(end);
            self.held.extend_from_slice(rest);
            rows = after;
            if let Some(line) = self.held.strip_suffix(b"\n") {
                if encode_line(&self.columns, line, &mut self.plain, out).is_none() {
                    self.held.extend_from_slice(rows);
                    return false;
                }
                self.held.clear();
            }
        }
        while let Some(end) = memchr::memchr(b'\n', rows) {
            let (line, after) = rows.split_at(end);
            if encode_line(&self.columns, line, &mut self.plain, out).is_none() {
                self.held.extend_from_slice(rows);
                return false;
            }
            rows = after.get(1..).unwrap_or_default();
        }
        self.held.extend_from_slice(rows);
        self.held.len() <= LINE_LEN_MAX
    }

    /// What has not been encoded.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.held
    }
}

/// Appends a row. Nothing is appended if a value was not understood.
fn encode_line(columns: &[Kind], line: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    let encoded = encode_values(columns, line, plain, out);
    if encoded.is_none() {
        out.truncate(before);
    }
    encoded
}

fn encode_values(columns: &[Kind], line: &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<()> {
    out.extend(u16::try_from(columns.len()).ok()?.to_be_bytes());
    // A server writes none; where somebody else does, it may be the end of a line.
    if memchr::memchr(b'\r', line).is_some() {
        return None;
    }
    let is_escaped = memchr::memchr(b'\\', line).is_some();
    let mut values = line.split(|byte| *byte == b'\t');
    for kind in columns {
        let value = values.next()?;
        if is_escaped && value == b"\\N" {
            out.extend(NULL);
            continue;
        }
        let at = out.len();
        out.extend([0; 4]);
        if is_escaped && memchr::memchr(b'\\', value).is_some() {
            unescape(value, plain)?;
            kind.append(plain, out)?;
        } else {
            kind.append(value, out)?;
        }
        let len = i32::try_from(out.len() - at - 4).ok()?;
        out.get_mut(at..at + 4)?.copy_from_slice(&len.to_be_bytes());
    }
    values.next().is_none().then_some(())
}

/// Undoes what `COPY TO` does to what would be misunderstood.
fn unescape(value: &[u8], plain: &mut Vec<u8>) -> Option<()> {
    plain.clear();
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, after) = rest.split_at(at);
        plain.extend_from_slice(before);
        plain.push(match after.get(1)? {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' => b'\\',
            _ => return None,
        });
        rest = after.get(2..)?;
    }
    plain.extend_from_slice(rest);
    Some(())
}
