//! Plain dumps by `pg_dump` and `pg_dumpall`.
//!
//! Outside of data the dump is read line by line, with strings, dollar quotes and comments followed, so that a line is
//! taken for a `COPY`, an `INSERT` or a marker only where it can be one. A comment right before a table's data belongs
//! to the table; for that, the last block of comments is held back until the next statement shows.

mod comment;
mod copy;
mod lexer;
pub mod script;

use crate::Grain;
use crate::drive::Machine;
use crate::ident::{after_word, qualified};
use crate::line::{COMMENT_MAX, Line, rest_of_line};
use crate::mark::Mark;
use crate::outcome::{Completeness, Outcome};
use crate::parts::Parts;
use crate::statement::{Dialect, Statement};
use comment::Comment;
use copy::Rows;
use lexer::Lexer;

#[derive(Debug)]
enum Place {
    LineStart,
    /// In a line that is longer than what is waited for.
    InLine,
    /// In the rest of such a line that is not SQL; then its rows, if it was a `COPY`.
    Skipped {
        is_copy: bool,
    },
    Rows(Rows),
    Insert(Insert),
}

#[derive(Debug)]
struct Insert {
    statement: Statement,
    /// The list of columns looks like a tuple, and `DEFAULT VALUES` is a row without one.
    not_rows: u64,
    without_tuple: u64,
}

/// Whether the end marker has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    NoHeader,
    Expected,
    Seen,
}

/// Scans a dump.
#[derive(Debug)]
pub(crate) struct PgDump {
    is_cluster: bool,
    place: Place,
    lexer: Lexer,
    parts: Parts,
    /// Where the last block of comments begins, with nothing but blank lines after it.
    comment_at: Option<u64>,
    after_comment: bool,
    ending: Ending,
    version: Option<String>,
    database: Option<Vec<u8>>,
    /// `standard_conforming_strings` is off.
    escapes: bool,
}

impl PgDump {
    pub(crate) fn of_database() -> Self {
        Self::new(false, b"pre-data")
    }

    pub(crate) fn of_cluster() -> Self {
        Self::new(true, b"globals")
    }

    fn new(is_cluster: bool, first: &'static [u8]) -> Self {
        Self {
            is_cluster,
            place: Place::LineStart,
            lexer: Lexer::default(),
            parts: Parts::new(first),
            comment_at: None,
            after_comment: false,
            ending: Ending::NoHeader,
            version: None,
            database: None,
            escapes: false,
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        let marker = if self.is_cluster {
            "the line \"-- PostgreSQL database cluster dump complete\""
        } else {
            "the line \"-- PostgreSQL database dump complete\""
        };
        let completeness = match (&self.place, self.ending) {
            (Place::Rows(_) | Place::Skipped { is_copy: true }, _) => {
                Completeness::Cut { expected: "the line \"\\.\" after the rows of a table" }
            }
            (Place::Insert(_), _) => Completeness::Cut { expected: "the end of an INSERT statement" },
            (_, Ending::Seen) => Completeness::Complete,
            (_, Ending::Expected) => Completeness::Cut { expected: marker },
            (_, Ending::NoHeader) => Completeness::Unknown,
        };
        let database = self.database.filter(|_| !self.is_cluster);
        Outcome {
            completeness,
            engine: Some("postgres"),
            engine_version: self.version,
            database: database.map(|name| String::from_utf8_lossy(&name).into_owned()),
        }
    }

    fn line_start(&mut self, rest: &[u8], at: u64, last: bool, marks: &mut Vec<Mark>) -> usize {
        let Some(line) = Line::take(rest, last) else { return 0 };
        let bytes = line.bytes();
        if self.lexer.is_plain() {
            let text = bytes.trim_ascii_end();
            if self.meta_command(line, text, at, marks) || self.copy(line, text, at, marks) {
                return bytes.len();
            }
            if self.insert(text, at, marks) {
                return self.in_insert(rest);
            }
            self.other(text, at, marks);
        }
        self.lexer.run(bytes);
        if matches!(line, Line::Head(_)) {
            // Nothing is held back while a long line passes.
            self.statement_begins(at);
            self.place = Place::InLine;
        }
        bytes.len()
    }

    /// A line for psql: `\connect shop`, `\restrict ...`.
    fn meta_command(&mut self, line: Line<'_>, text: &[u8], at: u64, marks: &mut Vec<Mark>) -> bool {
        let Some(command) = text.strip_prefix(b"\\") else { return false };
        if matches!(line, Line::Head(_)) {
            self.place = Place::Skipped { is_copy: false };
        }
        if let Some(database) = after_word(command, b"connect").and_then(comment::connected_to) {
            self.enter_database(database, at, marks);
        }
        self.statement_begins(at);
        true
    }

    /// From here on, things belong to this database.
    fn enter_database(&mut self, database: Vec<u8>, at: u64, marks: &mut Vec<Mark>) {
        if self.database.as_ref() == Some(&database) {
            return;
        }
        self.database = Some(database);
        if self.is_cluster {
            let at = self.statement_begins(at);
            self.parts.begin_schema(at, &self.prefixed(b"pre-data"), marks);
        }
    }

    fn copy(&mut self, line: Line<'_>, text: &[u8], at: u64, marks: &mut Vec<Mark>) -> bool {
        let Some((name, after)) = text.strip_prefix(b"COPY ").and_then(|text| qualified(text, b'"')) else {
            return false;
        };
        // The end of a very long list of columns is not waited for.
        let is_copy = match line {
            Line::Whole(_) => ends_with(text, b"FROM stdin;"),
            Line::Head(_) => after.starts_with(b" ("),
        };
        if !is_copy {
            return false;
        }
        let at = self.statement_begins(at);
        self.parts.begin_table(at, &self.prefixed(&name), Grain::Line, marks);
        self.parts.add_rows(0);
        self.place = match line {
            Line::Whole(_) => Place::Rows(Rows::default()),
            Line::Head(_) => Place::Skipped { is_copy: true },
        };
        true
    }

    /// An `INSERT`, of which `pg_dump --inserts` writes one or more for each table.
    fn insert(&mut self, text: &[u8], at: u64, marks: &mut Vec<Mark>) -> bool {
        let Some((name, after)) = text.strip_prefix(b"INSERT INTO ").and_then(|text| qualified(text, b'"'))
        else {
            return false;
        };
        let name = self.prefixed(&name);
        let at = self.statement_begins(at);
        if !self.parts.in_table_named(&name) {
            self.parts.begin_table(at, &name, Grain::Line, marks);
        }
        let after = after.trim_ascii_start();
        self.place = Place::Insert(Insert {
            statement: Statement::new(Dialect::Postgres { escapes: self.escapes }),
            not_rows: u64::from(after.starts_with(b"(")),
            without_tuple: u64::from(after_word(after, b"DEFAULT").is_some()),
        });
        true
    }

    fn in_insert(&mut self, rest: &[u8]) -> usize {
        let Place::Insert(insert) = &mut self.place else { return 0 };
        let (n, ended) = insert.statement.run(rest);
        if ended {
            let tuples = insert.statement.tuples().saturating_sub(insert.not_rows);
            self.parts.add_rows(tuples.saturating_add(insert.without_tuple));
            self.place = Place::LineStart;
        }
        n
    }

    /// A line that is neither data nor a command.
    fn other(&mut self, text: &[u8], at: u64, marks: &mut Vec<Mark>) {
        if text.is_empty() {
            self.after_comment = false;
            self.bound_comment(at);
        } else if text.starts_with(b"--") {
            if !self.after_comment {
                self.comment_at = Some(at);
            }
            self.after_comment = true;
            self.bound_comment(at);
            self.comment(text, at, marks);
        } else {
            if let Some(setting) = text.strip_prefix(b"SET standard_conforming_strings = ") {
                self.escapes = setting.starts_with(b"off");
                self.lexer.set_escapes(self.escapes);
            }
            let at = self.statement_begins(at);
            if self.parts.in_table() {
                self.parts.begin_schema(at, &self.prefixed(b"post-data"), marks);
            }
        }
    }

    fn comment(&mut self, text: &[u8], at: u64, marks: &mut Vec<Mark>) {
        match Comment::parse(text) {
            Comment::DatabaseHeader => {
                if !self.is_cluster {
                    self.ending = Ending::Expected;
                    if self.parts.in_table() {
                        let at = self.statement_begins(at);
                        self.parts.begin_schema(at, b"pre-data", marks);
                    }
                }
            }
            Comment::DatabaseComplete => {
                if !self.is_cluster && self.ending == Ending::Expected {
                    self.ending = Ending::Seen;
                }
            }
            Comment::ClusterHeader => self.ending = Ending::Expected,
            Comment::ClusterComplete => self.ending = Ending::Seen,
            Comment::Version(version) => {
                self.version.get_or_insert_with(|| String::from_utf8_lossy(version).into_owned());
            }
            Comment::Database(name) => {
                if self.is_cluster {
                    self.enter_database(name.to_vec(), at, marks);
                }
            }
            Comment::Other => (),
        }
    }

    /// Where what begins at `at` begins with its comments; they are held back no longer.
    fn statement_begins(&mut self, at: u64) -> u64 {
        self.after_comment = false;
        self.comment_at.take().unwrap_or(at)
    }

    fn bound_comment(&mut self, at: u64) {
        self.comment_at = self.comment_at.filter(|start| at.saturating_sub(*start) <= COMMENT_MAX);
    }

    /// In a cluster's dump, names need their database's.
    fn prefixed(&self, name: &[u8]) -> Vec<u8> {
        match &self.database {
            Some(database) if self.is_cluster => [database, &b"/"[..], name].concat(),
            _ => name.to_vec(),
        }
    }
}

impl Machine for PgDump {
    fn step(&mut self, rest: &[u8], at: u64, last: bool, marks: &mut Vec<Mark>) -> usize {
        match &mut self.place {
            Place::LineStart => self.line_start(rest, at, last, marks),
            Place::InLine => {
                let (line, ended) = rest_of_line(rest);
                self.lexer.run(line);
                if ended {
                    self.place = Place::LineStart;
                }
                line.len()
            }
            Place::Skipped { is_copy } => {
                let (line, ended) = rest_of_line(rest);
                if ended {
                    self.place = if *is_copy { Place::Rows(Rows::default()) } else { Place::LineStart };
                }
                line.len()
            }
            Place::Rows(rows) => {
                let found = rows.read(rest, last);
                self.parts.add_rows(found.rows);
                if found.ended {
                    self.place = Place::LineStart;
                }
                found.len
            }
            Place::Insert(_) => self.in_insert(rest),
        }
    }

    fn held(&self) -> Option<u64> {
        self.comment_at
    }

    fn settle(&mut self, at: u64, marks: &mut Vec<Mark>) {
        self.parts.settle(at, marks);
    }

    fn close(&mut self, at: u64, marks: &mut Vec<Mark>) {
        self.parts.close(at, marks);
    }
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    let tail = text.len().checked_sub(end.len()).and_then(|from| text.get(from..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests;
