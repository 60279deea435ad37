//! What a dump does not say of its database, in a comment of the script: `-- icecore: {...}`.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

/// How the comment begins.
const MARK: &str = "-- icecore: ";
/// The line of a dump that the comment follows.
const LINE: &[u8] = b"-- Server version";
/// That line is within so many bytes, or there is none.
const HEAD_LEN_MAX: usize = 1 << 14;

/// What a database is, besides what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The character set of texts that say none.
    pub charset: String,
    /// And how they are ordered.
    pub collation: String,
}

impl Facts {
    /// The comment, with its line's end. JSON has no line feeds.
    pub(super) fn line(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{MARK}{text}\n")
    }

    /// Finds the comment in the first part of a script.
    pub fn find(head: &[u8]) -> Option<Self> {
        let mut lines = head.split(|byte| *byte == b'\n');
        lines.find_map(|line| serde_json::from_slice(line.strip_prefix(MARK.as_bytes())?).ok())
    }
}

/// A dump with something in its head, and behind its end.
pub struct Annotated<R> {
    inner: R,
    /// What goes into the head, until it is there.
    line: Option<String>,
    held: io::Cursor<Vec<u8>>,
    tail: io::Cursor<Vec<u8>>,
    is_over: bool,
}

impl<R> std::fmt::Debug for Annotated<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Annotated").field("line", &self.line).finish_non_exhaustive()
    }
}

impl<R: Read> Annotated<R> {
    pub(super) fn new(inner: R, line: String, tail: Vec<u8>) -> Self {
        let (held, tail) = (io::Cursor::default(), io::Cursor::new(tail));
        Self { inner, line: Some(line), held, tail, is_over: false }
    }

    /// Reads until the line is there that ours follows. A dump that has none stays as it is.
    fn annotate(&mut self, line: &str) -> io::Result<()> {
        let mut head = Vec::new();
        let place = loop {
            let start = memchr::memmem::find(&head, LINE);
            let end = start.and_then(|start| Some(start + memchr::memchr(b'\n', head.get(start..)?)? + 1));
            let mut block = [0; 4096];
            if end.is_some() || head.len() > HEAD_LEN_MAX {
                break end;
            }
            match self.inner.read(&mut block)? {
                0 => break None,
                len => head.extend_from_slice(block.get(..len).unwrap_or_default()),
            }
        };
        if let Some(place) = place {
            head.splice(place..place, line.bytes());
        }
        self.held = io::Cursor::new(head);
        Ok(())
    }
}

impl<R: Read> Read for Annotated<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(line) = self.line.take() {
            self.annotate(&line)?;
        }
        let held = self.held.read(out)?;
        if held > 0 || out.is_empty() {
            return Ok(held);
        }
        if !self.is_over {
            let len = self.inner.read(out)?;
            if len > 0 {
                return Ok(len);
            }
            self.is_over = true;
        }
        self.tail.read(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_where_they_were_put_whatever_they_say() {
        let facts = Facts { charset: "latin1".to_owned(), collation: "a\n\"b'@%".to_owned() };
        let dump = "-- MariaDB dump\n-- Server version\t10\n\nCREATE\n";
        let mut text = String::new();
        Annotated::new(dump.as_bytes(), facts.line(), b"END\n".to_vec()).read_to_string(&mut text).unwrap();
        assert_eq!(Facts::find(text.as_bytes()), Some(facts.clone()));
        assert_eq!(text.replace(&facts.line(), ""), format!("{dump}END\n"));
        let mut text = String::new();
        Annotated::new(&b"something else"[..], facts.line(), Vec::new()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "something else");
    }
}
