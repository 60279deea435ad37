//! The words, names, texts and signs of a statement, and a statement without its comments.

/// What a statement is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// A name in backticks.
    Name,
    /// A text in quotes.
    Text,
    Number,
    Sign(u8),
}

/// A piece of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a [u8],
    /// Where it begins in the statement.
    pub(super) at: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn is_sign(&self, sign: u8) -> bool {
        self.kind == Kind::Sign(sign)
    }

    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// As a name: `None` if it is none.
    pub(super) fn name(&self) -> Option<String> {
        let bytes = match self.kind {
            Kind::Word => self.text.to_vec(),
            Kind::Name => crate::ident::quoted(self.text, b'`')?.0,
            // Where the mode is `ANSI_QUOTES`; elsewhere no server takes it for one.
            Kind::Text if self.text.starts_with(b"\"") => crate::ident::quoted(self.text, b'"')?.0,
            Kind::Text | Kind::Number | Kind::Sign(_) => return None,
        };
        String::from_utf8(bytes).ok()
    }
}

/// The tokens of a statement that has no comments, or whose comments are passed over.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    escapes: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, escapes: true }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let first = *self.rest().first()?;
            let comment = comment(self.rest());
            match comment {
                Some(len) => self.at += len,
                None if first.is_ascii_whitespace() => self.at += 1,
                None => break,
            }
        }
        let rest = self.rest();
        let (kind, len) = match rest.first()? {
            b'`' => (Kind::Name, quoted(rest, false).unwrap_or(rest.len())),
            b'\'' | b'"' => (Kind::Text, quoted(rest, self.escapes).unwrap_or(rest.len())),
            byte if byte.is_ascii_digit() => (Kind::Number, span(rest)),
            byte if is_word(*byte) => (Kind::Word, span(rest)),
            byte => (Kind::Sign(*byte), 1),
        };
        let token = Token { kind, text: rest.get(..len)?, at: self.at };
        self.at += len;
        Some(token)
    }
}

fn span(rest: &[u8]) -> usize {
    rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len())
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// How long a text or a name in quotes is, with its quotes; `None` if it does not end.
pub(super) fn quoted(rest: &[u8], escapes: bool) -> Option<usize> {
    let quote = *rest.first()?;
    let escapes = escapes && quote != b'`';
    let mut at = 1;
    loop {
        let piece = rest.get(at..)?;
        let found =
            if escapes { memchr::memchr2(quote, b'\\', piece)? } else { memchr::memchr(quote, piece)? };
        at += found + 1;
        let is_one_of_two = piece.get(found) == Some(&b'\\') || rest.get(at) == Some(&quote);
        if !is_one_of_two {
            return Some(at);
        }
        at += 1;
    }
}

/// How long the comment is that begins here, if one does: one that is for nobody.
pub(super) fn comment(rest: &[u8]) -> Option<usize> {
    let line = || memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    match rest {
        [b'#', ..] => Some(line()),
        [b'-', b'-'] => Some(2),
        [b'-', b'-', next, ..] if next.is_ascii_whitespace() || next.is_ascii_control() => Some(line()),
        [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => None,
        [b'/', b'*', after @ ..] => {
            Some(memchr::memmem::find(after, b"*/").map_or(rest.len(), |end| end + 4))
        }
        _ => None,
    }
}

/// A server, as far as it chooses what is code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reader {
    /// Whether it is MariaDB.
    pub is_mariadb: bool,
    /// 101114 for 10.11.14.
    pub version: u32,
}

impl Reader {
    /// The length of the start of code for some servers, and whether this is one of them.
    fn conditional(self, rest: &[u8]) -> Option<(usize, bool)> {
        let (after, only_mariadb) = match rest {
            [b'/', b'*', b'!', after @ ..] => (after, false),
            [b'/', b'*', b'M', b'!', after @ ..] => (after, true),
            _ => return None,
        };
        let digits = after.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        let number = after.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let number: u32 = number.unwrap_or(0);
        // What MySQL has had since 5.7 is not what MariaDB has.
        let is_others = self.is_mariadb && !only_mariadb && (50_700..=99_999).contains(&number);
        let applies = (self.is_mariadb || !only_mariadb) && !is_others && number <= self.version;
        Some((rest.len() - after.len() + digits, applies))
    }

    /// A statement as this server reads it: without comments, and with what they hide for it. The body of a routine, a trigger or an event
    /// stays as it is.
    ///
    /// # Errors
    /// In words, if a comment or a text does not end.
    pub(super) fn plain(self, statement: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (mut out, mut rest, mut depth) = (Vec::with_capacity(statement.len()), statement, 0_u32);
        let mut is_create = None;
        while let Some(first) = rest.first() {
            let mut len = 1;
            if let Some((start, applies)) = self.conditional(rest) {
                len = start;
                if applies {
                    depth += 1;
                } else {
                    let end = memchr::memmem::find(rest, b"*/").ok_or("a comment does not end")?;
                    len = end + 2;
                }
                out.push(b' ');
            } else if let Some(comment) = comment(rest) {
                len = comment;
                out.push(b' ');
            } else if rest.starts_with(b"*/") && depth > 0 {
                (len, depth) = (2, depth - 1);
                out.push(b' ');
            } else if matches!(first, b'\'' | b'"' | b'`') {
                len = quoted(rest, true).ok_or("a text does not end")?;
                out.extend_from_slice(rest.get(..len).unwrap_or_default());
            } else if is_word(*first) {
                len = span(rest);
                let word = rest.get(..len).unwrap_or_default();
                out.extend_from_slice(word);
                let creates = *is_create.get_or_insert_with(|| word.eq_ignore_ascii_case(b"CREATE"));
                if creates && super::code::has_body(word) && Tokens::of(&out).count() < HEAD_TOKENS_MAX {
                    out.extend_from_slice(body(rest.get(len..).unwrap_or_default(), depth)?);
                    return Ok(out);
                }
            } else {
                out.push(*first);
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        if depth > 0 { Err("a comment does not end") } else { Ok(out.trim_ascii().to_vec()) }
    }
}

/// Nothing before the kind of what is created has more: `CREATE OR REPLACE DEFINER = a @ b AGGREGATE FUNCTION`.
const HEAD_TOKENS_MAX: usize = 12;

/// What follows the kind of something with a body, without the ends of comments that began before.
fn body(rest: &[u8], depth: u32) -> Result<&[u8], &'static str> {
    let mut rest = rest.trim_ascii_end();
    // A package's body follows its kind; it is all one text.
    for _ in 0..depth {
        rest = rest.strip_suffix(b"*/").ok_or("a comment does not end")?.trim_ascii_end();
    }
    Ok(rest)
}
