//! Whether a byte of a schema lies within a string, a dollar quote or a comment.

/// No tag of a dollar quote is longer: it is an identifier.
const TAG_MAX: usize = 64;

/// Follows SQL byte by byte, in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Lexer {
    state: State,
    /// The last byte, to see signs of two bytes and the `E` before a string.
    previous: u8,
    /// The tag of the dollar quote that is open or being opened, without its dollars.
    tag: Vec<u8>,
    /// Whether the string that was just closed had escapes: a quote right after it goes on with them.
    had_escapes: bool,
    /// All strings have escapes.
    escapes: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// In `'...'`.
    String {
        escapes: bool,
    },
    /// After a backslash in a string with escapes.
    Escaped,
    /// In `"..."`.
    Name,
    LineComment,
    BlockComment {
        depth: u32,
    },
    /// After a dollar that may begin a quote.
    Tag,
    Dollar,
    /// In a dollar quote, after so many bytes of what may be its end.
    DollarEnd {
        matched: usize,
    },
}

impl Lexer {
    /// Whether a statement could begin, or go on, outside of all quotes and comments.
    pub(crate) fn is_plain(&self) -> bool {
        self.state == State::Plain
    }

    pub(crate) fn set_escapes(&mut self, escapes: bool) {
        self.escapes = escapes;
    }

    /// Reads on.
    pub(crate) fn run(&mut self, mut bytes: &[u8]) {
        loop {
            // Where only few bytes matter, the others are passed over at once.
            let skipped = match self.state {
                State::String { escapes: false } => memchr::memchr(b'\'', bytes).unwrap_or(bytes.len()),
                State::String { escapes: true } => {
                    memchr::memchr2(b'\'', b'\\', bytes).unwrap_or(bytes.len())
                }
                State::Name => memchr::memchr(b'"', bytes).unwrap_or(bytes.len()),
                State::LineComment => memchr::memchr(b'\n', bytes).unwrap_or(bytes.len()),
                State::Dollar => memchr::memchr(b'$', bytes).unwrap_or(bytes.len()),
                _ => 0,
            };
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else {
                self.previous = bytes.last().copied().unwrap_or(self.previous);
                return;
            };
            let after = self.after(*byte);
            let before = std::mem::replace(&mut self.state, after);
            // The star that opens a comment does not close it as well.
            let opened = matches!(self.state, State::BlockComment { .. }) && self.state != before;
            self.previous = if opened { 0 } else { *byte };
            bytes = rest;
        }
    }

    fn after(&mut self, byte: u8) -> State {
        match self.state {
            State::Plain => self.after_plain(byte),
            State::String { escapes } => match byte {
                b'\'' => {
                    self.had_escapes = escapes;
                    State::Plain
                }
                b'\\' if escapes => State::Escaped,
                _ => self.state,
            },
            State::Escaped => State::String { escapes: true },
            State::Name if byte == b'"' => State::Plain,
            State::LineComment if byte == b'\n' => State::Plain,
            State::Name | State::LineComment => self.state,
            State::BlockComment { depth } => self.after_block_comment(byte, depth),
            State::Tag => match byte {
                b'$' => State::Dollar,
                _ if is_tag_byte(byte) && self.tag.len() < TAG_MAX => {
                    self.tag.push(byte);
                    State::Tag
                }
                _ => {
                    self.previous = b'$';
                    self.after_plain(byte)
                }
            },
            State::Dollar if byte == b'$' => State::DollarEnd { matched: 0 },
            State::Dollar => State::Dollar,
            State::DollarEnd { matched } => match (self.tag.get(matched), byte) {
                (None, b'$') => State::Plain,
                (Some(expected), _) if *expected == byte => State::DollarEnd { matched: matched + 1 },
                // The dollar that ends this attempt may begin the next.
                (_, b'$') => State::DollarEnd { matched: 0 },
                _ => State::Dollar,
            },
        }
    }

    fn after_plain(&mut self, byte: u8) -> State {
        match byte {
            b'\'' => {
                let goes_on = self.previous == b'\'' && self.had_escapes;
                State::String {
                    escapes: self.escapes || goes_on || self.previous.eq_ignore_ascii_case(&b'e'),
                }
            }
            b'"' => State::Name,
            b'-' if self.previous == b'-' => State::LineComment,
            b'*' if self.previous == b'/' => State::BlockComment { depth: 1 },
            // A dollar within an identifier, or before a digit, is no quote.
            b'$' if !is_tag_byte(self.previous) => {
                self.tag.clear();
                State::Tag
            }
            _ => State::Plain,
        }
    }

    fn after_block_comment(&mut self, byte: u8, depth: u32) -> State {
        let depth = match (self.previous, byte) {
            (b'/', b'*') => depth.saturating_add(1),
            (b'*', b'/') => depth.saturating_sub(1),
            _ => return self.state,
        };
        if depth == 0 { State::Plain } else { State::BlockComment { depth } }
    }
}

fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_end_where_postgres_ends_them() {
        let check = |text: &str, plain: bool| {
            let mut whole = Lexer::default();
            whole.run(text.as_bytes());
            assert_eq!(whole.is_plain(), plain, "{text}");
            let mut pieces = Lexer::default();
            text.bytes().for_each(|byte| pieces.run(&[byte]));
            assert_eq!(pieces.is_plain(), plain, "{text} in pieces");
        };
        check("SELECT 'it''s';", true);
        check("SELECT 'it", false);
        check("SELECT '\\';", true);
        check("SELECT E'\\';", false);
        check("SELECT E'a''\\'';", true);
        check("AS $$ it's $$;", true);
        check("AS $_$ it's $$ $_ $__$ $_$;", true);
        check("AS $a$ $$a$;", true);
        check("AS $a$ $b$", false);
        check("SELECT $1 || '$';", true);
        check("SELECT a$b$c;", true);
        check("-- it's\n", true);
        check("/* it's /* nested */ */", true);
        check("/* it's /* nested */", false);
        check("/*/ it's */", true);
        check("/*/", false);
        check("\"it's\"", true);
    }
}
