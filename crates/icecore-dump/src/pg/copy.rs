//! The rows of a `COPY`: lines up to the line `\.`.
//!
//! The text format writes every backslash of a value as two, so no row looks like the end.

use memchr::memmem;

use crate::drive::len64;

/// Where in the rows the next byte lies.
#[derive(Debug)]
pub(crate) struct Rows {
    at_line_start: bool,
}

impl Default for Rows {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

/// What a piece of rows held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) len: usize,
    pub(crate) rows: u64,
    /// The line `\.` was there; it belongs to `len`, but not to `rows`.
    pub(crate) ended: bool,
}

/// How `\.` looks at the start of a line.
#[derive(Debug, PartialEq, Eq)]
enum EndLine {
    Is { len: usize },
    IsNot,
    MayBe,
}

impl Rows {
    /// Reads on. At most three bytes are left for later.
    pub(crate) fn read(&mut self, rest: &[u8], last: bool) -> Found {
        if self.at_line_start {
            match end_line(rest, last) {
                EndLine::Is { len } => return Found { len, rows: 0, ended: true },
                EndLine::MayBe => return Found { len: 0, rows: 0, ended: false },
                EndLine::IsNot => (),
            }
        }
        // Windows keep the two passes, one for the end and one for the count, within the cache.
        let mut done = 0;
        let mut rows = 0;
        loop {
            let window = rest.get(done..).unwrap_or_default();
            let window = window.get(..WINDOW).unwrap_or(window);
            if window.is_empty() {
                return Found { len: done, rows, ended: false };
            }
            let (len, verdict) = find_end(window, rest.get(done..).unwrap_or_default(), last);
            rows += newlines(window.get(..len).unwrap_or_default());
            done += len;
            self.at_line_start = rest.get(..done).is_some_and(|read| read.ends_with(b"\n"));
            match verdict {
                EndLine::Is { len } => return Found { len: done + len, rows, ended: true },
                EndLine::MayBe => return Found { len: done, rows, ended: false },
                EndLine::IsNot => (),
            }
        }
    }
}

const WINDOW: usize = 64 << 10;

/// How much of `window` comes before what is or may be the end; `rest` is the window and all that follows it.
fn find_end(window: &[u8], rest: &[u8], last: bool) -> (usize, EndLine) {
    for found in memmem::find_iter(window, b"\n\\") {
        let line = found + 1;
        match end_line(rest.get(line..).unwrap_or_default(), last) {
            EndLine::IsNot => (),
            verdict => return (line, verdict),
        }
    }
    // The next window may begin with the end, so it is looked at here.
    if window.ends_with(b"\n") {
        let verdict = end_line(rest.get(window.len()..).unwrap_or_default(), last);
        return (window.len(), verdict);
    }
    (window.len(), EndLine::IsNot)
}

/// Whether a line is `\.`, with or without a carriage return.
fn end_line(rest: &[u8], last: bool) -> EndLine {
    for end in [&b"\\.\n"[..], b"\\.\r\n"] {
        if rest.starts_with(end) {
            return EndLine::Is { len: end.len() };
        }
        if end.starts_with(rest) && !last && !rest.is_empty() {
            return EndLine::MayBe;
        }
    }
    if last && (rest == b"\\." || rest == b"\\.\r") {
        EndLine::Is { len: rest.len() }
    } else {
        EndLine::IsNot
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    len64(memchr::memchr_iter(b'\n', bytes).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_only_a_line_of_its_own() {
        let check = |rest: &str, last, len, rows, ended| {
            let found = Rows::default().read(rest.as_bytes(), last);
            assert_eq!(found, Found { len, rows, ended }, "{rest:?}");
        };
        check("\\.\nrest", false, 3, 0, true);
        check("a\\.\n\\N\\.\n\\\\.\n\\.\nrest", false, 16, 3, true);
        check("a\r\n\\.\r\n", false, 7, 1, true);
        check("a\n\\.", false, 2, 1, false);
        check("a\n\\.\r", false, 2, 1, false);
        check("a\n\\.", true, 4, 1, true);
        check("a\n\\.x", false, 5, 1, false);
    }

    #[test]
    fn the_end_is_found_at_the_edge_of_a_window() {
        for shift in 0..6 {
            let row = "x".repeat(WINDOW - shift) + "\n";
            let found = Rows::default().read((row.clone() + "\\.\nrest").as_bytes(), false);
            assert_eq!(found, Found { len: row.len() + 3, rows: 1, ended: true });
        }
    }
}
