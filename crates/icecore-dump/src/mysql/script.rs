//! A dump as the statements it consists of, and what each may do.
//!
//! Dumps may be strangers'. What a program that dumps writes is told apart by kind, and reaches no other database than the one it is given
//! to; anything else is refused. Code (views, routines, triggers, events) is what it is: it runs when somebody calls it.

use crate::statement::{Dialect, Statement};

pub use super::code::{Code, CodeKind};
use super::settings;
pub use super::token::Reader;
use super::token::{self, Kind, Token, Tokens};

/// No line for a client is longer.
const LINE_LEN_MAX: usize = 1 << 10;

/// Finds the statements of a script that comes in pieces.
#[derive(Debug)]
pub struct Splitter {
    delimiter: Vec<u8>,
    /// The statement that was looked at when the bytes ended, and how many of them it has read.
    open: Option<(Statement, usize)>,
    /// Whether a backslash in a text is one, as the script has said.
    plain_backslashes: bool,
}

/// A piece of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// These bytes are nothing for a server.
    Nothing(usize),
    /// A statement of so many bytes, and how many there are with its end.
    Statement(usize, usize),
    /// A line that would have a client do something.
    Command(usize),
    /// More bytes are needed.
    More,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { delimiter: b";".to_vec(), open: None, plain_backslashes: false }
    }
}

impl Splitter {
    /// What comes next. `bytes` begin where the last piece ended, and with the same bytes if there was none; with `last` they are all there are.
    pub fn next(&mut self, bytes: &[u8], last: bool) -> Piece {
        if self.open.is_none()
            && let Some(piece) = self.between(bytes, last)
        {
            return piece;
        }
        if self.delimiter == b";" { self.statement(bytes, last) } else { self.delimited(bytes, last) }
    }

    /// Says that `sql_mode` was set.
    pub fn set_mode(&mut self, mode: &[u8]) {
        self.plain_backslashes = memchr::memmem::find(mode, b"NO_BACKSLASH_ESCAPES").is_some();
    }

    /// Before a statement.
    fn between(&mut self, bytes: &[u8], last: bool) -> Option<Piece> {
        let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blanks > 0 || bytes.is_empty() {
            return Some(if blanks > 0 { Piece::Nothing(blanks) } else { Piece::More });
        }
        let line = memchr::memchr(b'\n', bytes);
        let is_whole = line.is_some() || last || bytes.len() > LINE_LEN_MAX;
        if !is_whole {
            return Some(Piece::More);
        }
        let len = line.map_or(bytes.len(), |end| end + 1);
        let text = bytes.get(..len).unwrap_or(bytes).trim_ascii();
        let is_sandbox = text.starts_with(b"/*M!999999\\-") || text.starts_with(b"/*!999999\\-");
        if is_sandbox || text.starts_with(b"#") || text == b"--" || text.starts_with(b"-- ") {
            return Some(if line.is_some() || last { Piece::Nothing(len) } else { Piece::More });
        }
        if let Some(delimiter) = crate::ident::after_word(text, b"DELIMITER") {
            self.delimiter = delimiter.to_vec();
            return Some(if delimiter.is_empty() || delimiter.len() > 16 {
                Piece::Command(len)
            } else {
                Piece::Nothing(len)
            });
        }
        text.starts_with(b"\\").then_some(Piece::Command(len))
    }

    fn statement(&mut self, bytes: &[u8], last: bool) -> Piece {
        let (mut statement, read) = self.open.take().unwrap_or_else(|| (Statement::new(Dialect::Mysql), 0));
        let (n, ended) = statement.run(bytes.get(read..).unwrap_or_default());
        match (ended, last) {
            (true, _) => Piece::Statement(read + n - 1, read + n),
            // A client sends what is left.
            (false, true) => Piece::Statement(bytes.len(), bytes.len()),
            (false, false) => {
                self.open = Some((statement, read + n));
                Piece::More
            }
        }
    }

    /// What ends with something else than a semicolon is short.
    fn delimited(&self, bytes: &[u8], last: bool) -> Piece {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(&self.delimiter) {
                return Piece::Statement(at, at + self.delimiter.len());
            }
            at += match rest.first() {
                Some(b'\'' | b'"' | b'`') => match token::quoted(rest, !self.plain_backslashes) {
                    Some(len) => len,
                    None => break,
                },
                _ => token::comment(rest).unwrap_or(1),
            };
        }
        if last { Piece::Statement(bytes.len(), bytes.len()) } else { Piece::More }
    }
}

/// What a statement does, if it is one that dumps have. Statements are without comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing that a new database needs: locks, transactions, what belongs to the server.
    Skip,
    /// Changes the session.
    Set(Vec<u8>),
    /// Defines, fills or drops something in the database that it is given to.
    Run {
        /// The statement.
        statement: Vec<u8>,
        /// Whether it adds rows.
        adds_rows: bool,
    },
    /// Says for what comes next what texts the database has by default.
    Collate {
        /// The character set.
        charset: String,
        /// How it is ordered.
        collation: String,
    },
    /// Creates code.
    Create(Code),
}

/// Understands a statement.
///
/// # Errors
/// If it is none that dumps have: its beginning.
pub fn action(statement: &[u8], reader: Reader) -> Result<Action, String> {
    if let Some(run) = rows(statement) {
        return Ok(run);
    }
    let refused = || {
        let head = statement.get(..80).unwrap_or(statement);
        String::from_utf8_lossy(head).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let plain = reader.plain(statement).map_err(|why| format!("{}: {why}", refused()))?;
    understand(plain).ok_or_else(refused)
}

fn understand(plain: Vec<u8>) -> Option<Action> {
    // Nothing of a definition is beyond its first tokens, but for tables.
    let tokens: Vec<Token<'_>> = Tokens::of(&plain).take(8).collect();
    let Some(first) = tokens.first() else { return Some(Action::Skip) };
    let second = tokens.get(1);
    let says = |index: usize, word: &str| tokens.get(index).is_some_and(|token| token.is(word));
    if first.is("SET") {
        return settings::set(&plain);
    }
    if says(0, "UNLOCK") || says(0, "LOCK") || (says(0, "COMMIT") && second.is_none()) {
        return Some(Action::Skip);
    }
    if first.is("ALTER") && says(1, "DATABASE") {
        return collate(&plain);
    }
    if first.is("INSERT") {
        return rows(&plain);
    }
    let is_fine = match first {
        _ if says(0, "CREATE") && (says(1, "TABLE") || says(1, "SEQUENCE")) => {
            is_definition(&plain, says(1, "TABLE"))
        }
        _ if says(0, "CREATE") => return Code::parse(&plain).map(Action::Create),
        _ if says(0, "DROP") => is_drop(&plain),
        _ if says(0, "ALTER") && says(1, "TABLE") => {
            (says(3, "DISABLE") || says(3, "ENABLE")) && says(4, "KEYS") && tokens.len() == 5
        }
        _ if (says(0, "DO") || says(0, "SELECT")) && says(1, "SETVAL") => is_setval(&plain),
        _ => false,
    };
    is_fine.then_some(Action::Run { statement: plain, adds_rows: false })
}

/// `INSERT INTO name [(columns)] VALUES` and nothing but constants, in one look: it may be long.
fn rows(statement: &[u8]) -> Option<Action> {
    let mut tokens = Tokens::of(statement.get(..1 << 16).unwrap_or(statement));
    let head: Vec<Token<'_>> = tokens.by_ref().take(3).collect();
    let [insert, into, name] = head.as_slice() else { return None };
    if !insert.is("INSERT") || !into.is("INTO") || name.name().is_none() {
        return None;
    }
    let mut next = tokens.next()?;
    if next.is_sign(b'(') {
        loop {
            tokens.next()?.name()?;
            match tokens.next()?.kind {
                Kind::Sign(b',') => (),
                Kind::Sign(b')') => break,
                _ => return None,
            }
        }
        next = tokens.next()?;
    }
    let is_plain = next.is("VALUES") && are_constants(statement.get(next.end()..)?);
    is_plain.then(|| Action::Run { statement: statement.to_vec(), adds_rows: true })
}

fn are_constants(mut rest: &[u8]) -> bool {
    while let Some(first) = rest.first() {
        let len = match first {
            b'\'' | b'"' => match token::quoted(rest, true) {
                Some(len) => len,
                None => return false,
            },
            b'-' if rest.get(1) == Some(&b'-') => return false,
            b'(' | b')' | b',' | b'.' | b'-' | b'+' | b' ' | b'\t' | b'\r' | b'\n' => 1,
            byte if token::is_word(*byte) => {
                let len = rest.iter().position(|byte| !token::is_word(*byte)).unwrap_or(rest.len());
                let word = rest.get(..len).unwrap_or_default();
                // Digits, the name of a character set, or one of the few words for a constant.
                let is_constant = byte.is_ascii_digit() || *byte == b'_' || is_constant(word);
                let is_call = rest.get(len..).is_some_and(|after| after.trim_ascii_start().starts_with(b"("));
                // Bytes beyond ASCII are blanks in some character sets.
                if !is_constant || !word.is_ascii() || is_call {
                    return false;
                }
                len
            }
            _ => return false,
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    true
}

fn is_constant(word: &[u8]) -> bool {
    ["NULL", "DEFAULT", "TRUE", "FALSE", "X", "B", "N"]
        .iter()
        .any(|it| word.eq_ignore_ascii_case(it.as_bytes()))
}

/// `ALTER DATABASE name CHARACTER SET charset COLLATE collation`, which a dump says around code that was created when that was so.
fn collate(plain: &[u8]) -> Option<Action> {
    let tokens: Vec<Token<'_>> = Tokens::of(plain).collect();
    let [_, _, name, character, set, charset, collate, collation] = tokens.as_slice() else { return None };
    let is_so = name.name().is_some() && character.is("CHARACTER") && set.is("SET") && collate.is("COLLATE");
    let word = |token: &Token<'_>| {
        (token.kind == Kind::Word).then(|| token.name()).flatten().filter(|name| name.is_ascii())
    };
    is_so.then_some(())?;
    Some(Action::Collate { charset: word(charset)?, collation: word(collation)? })
}

/// A table or a sequence of its own: not from a query, in no other place, by no engine that leads elsewhere.
fn is_definition(plain: &[u8], is_table: bool) -> bool {
    const ENGINES: [&str; 11] = [
        "InnoDB",
        "MyISAM",
        "Aria",
        "MEMORY",
        "ARCHIVE",
        "CSV",
        "BLACKHOLE",
        "ROCKSDB",
        "TokuDB",
        "Mroonga",
        "Columnstore",
    ];
    let mut tokens = Tokens::of(plain).skip(2).peekable();
    while tokens.next_if(|token| ["IF", "NOT", "EXISTS"].iter().any(|it| token.is(it))).is_some() {}
    let is_named = tokens.next().is_some_and(|token| token.name().is_some());
    let begins = match tokens.next() {
        Some(token) if is_table => token.is_sign(b'('),
        // In another database.
        Some(token) => !token.is_sign(b'.'),
        None => !is_table,
    };
    if !is_named || !begins || tokens.peek().is_some_and(|token| token.is("LIKE")) {
        return false;
    }
    let mut before: Option<Token<'_>> = None;
    while let Some(token) = tokens.next() {
        let leads_elsewhere =
            ["SELECT", "TABLE", "CONNECTION", "UNION", "TABLESPACE"].iter().any(|it| token.is(it))
                || (token.is("DIRECTORY") && before.is_some_and(|it| it.is("DATA") || it.is("INDEX")));
        if leads_elsewhere {
            return false;
        }
        if token.is("ENGINE") {
            tokens.next_if(|token| token.is_sign(b'='));
            if !tokens.peek().is_none_or(|engine| ENGINES.iter().any(|it| engine.is(it))) {
                return false;
            }
        }
        before = Some(token);
    }
    true
}

/// The sequences that a definition of a table names with their databases, as MariaDB does: ``nextval(`database`.`name`)``.
pub fn sequences(statement: &[u8]) -> Vec<(String, String)> {
    let tokens: Vec<Token<'_>> = Tokens::of(statement).collect();
    let named = |window: &[Token<'_>]| {
        let [call, open, database, dot, name, close] = window else { return None };
        let is_call = ["NEXTVAL", "LASTVAL", "SETVAL"].iter().any(|it| call.is(it)) && open.is_sign(b'(');
        let is_end = close.is_sign(b')') || close.is_sign(b',');
        (is_call && dot.is_sign(b'.') && is_end).then_some((database.name()?, name.name()?))
    };
    tokens.windows(6).filter_map(named).collect()
}

/// `DROP kind IF EXISTS name`, of this database.
fn is_drop(plain: &[u8]) -> bool {
    let tokens: Vec<Token<'_>> = Tokens::of(plain).take(8).collect();
    let kinds = ["TABLE", "VIEW", "SEQUENCE", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE", "BODY"];
    let words = tokens.iter().skip(1).take_while(|token| kinds.iter().any(|it| token.is(it))).count();
    let [cond, exists, name] = tokens.get(words + 1..).unwrap_or_default() else { return false };
    words > 0 && cond.is("IF") && exists.is("EXISTS") && name.name().is_some()
}

fn is_setval(plain: &[u8]) -> bool {
    let tokens: Vec<Token<'_>> = Tokens::of(plain).skip(2).collect();
    tokens.iter().enumerate().all(|(n, token)| match token.kind {
        Kind::Sign(b'(') => n == 0,
        Kind::Sign(b')') => n + 1 == tokens.len(),
        Kind::Word | Kind::Name => n == 1,
        Kind::Number | Kind::Sign(b',' | b'-') => true,
        Kind::Text | Kind::Sign(_) => false,
    })
}

#[cfg(test)]
mod tests;
