//! Dumps by `mysqldump` and `mariadb-dump`.
//!
//! The dump is read statement by statement. Between statements, a comment says what comes next (`-- Table structure
//! for table ...`), and the part begins with that comment's block; where comments were switched off, the statements
//! themselves tell. Within an `INSERT` the tuples are counted.

mod code;
mod phrase;
pub mod script;
mod settings;
mod token;

use crate::Grain;
use crate::drive::Machine;
use crate::ident::{after_word, qualified};
use crate::line::{COMMENT_MAX, Line, rest_of_line};
use crate::mark::Mark;
use crate::outcome::{Completeness, Outcome};
use crate::parts::Parts;
use crate::statement::{Dialect, Statement};
use phrase::{Comment, Insert, Phrase};

#[derive(Debug)]
enum Place {
    /// Before a statement, a comment or a blank.
    Between,
    /// In the rest of a comment or of a client's command.
    InLine,
    Statement {
        statement: Statement,
        insert: Option<Insert>,
    },
    /// In a routine or a trigger, whose body has semicolons: until the line `DELIMITER ;`.
    Body {
        in_line: bool,
    },
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
pub(crate) struct MysqlDump {
    place: Place,
    parts: Parts,
    /// Where the comment lines right before the current byte begin.
    comment_at: Option<u64>,
    /// Whether the last line was a comment, even one that is not held any more.
    after_comment: bool,
    ending: Ending,
    engine: &'static str,
    version: Option<String>,
    /// The view or sequence whose part is open: its placeholder is dropped as a table.
    object: Option<Vec<u8>>,
    /// The database that names belong to, where the dump names it before them.
    current: Option<Vec<u8>>,
    databases: Databases,
}

/// The databases a dump has named.
#[derive(Debug)]
enum Databases {
    None,
    One(Vec<u8>),
    Many,
}

impl MysqlDump {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Between,
            parts: Parts::new(b"header"),
            comment_at: None,
            after_comment: false,
            ending: Ending::NoHeader,
            engine: "mysql",
            version: None,
            object: None,
            current: None,
            databases: Databases::None,
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        let completeness = match (&self.place, self.ending) {
            (Place::Statement { insert: Some(_), .. }, _) => {
                Completeness::Cut { expected: "the end of an INSERT statement" }
            }
            (Place::Body { .. }, _) => Completeness::Cut { expected: "the line \"DELIMITER ;\"" },
            (_, Ending::Seen) => Completeness::Complete,
            (_, Ending::Expected) => Completeness::Cut { expected: "the line \"-- Dump completed\"" },
            (_, Ending::NoHeader) => Completeness::Unknown,
        };
        let database = match self.databases {
            Databases::One(name) => Some(String::from_utf8_lossy(&name).into_owned()),
            Databases::None | Databases::Many => None,
        };
        Outcome { completeness, engine: Some(self.engine), engine_version: self.version, database }
    }

    fn between(&mut self, rest: &[u8], at: u64, last: bool, marks: &mut Vec<Mark>) -> usize {
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blanks > 0 {
            return self.blanks(rest.get(..blanks).unwrap_or_default());
        }
        let Some(line) = Line::take(rest, last) else { return 0 };
        let text = line.bytes().trim_ascii_end();
        if text.starts_with(b"--") || text.starts_with(b"#") {
            if !self.after_comment {
                self.comment_at = Some(at);
            }
            self.comment(text, at, marks);
            return self.pass(line, at);
        }
        let at = self.no_comment().unwrap_or(at);
        let phrase = Phrase::parse(text);
        let insert = self.phrase(phrase, at, marks);
        match self.place {
            // A client's command.
            Place::InLine | Place::Body { .. } => self.pass(line, at),
            Place::Between | Place::Statement { .. } => {
                self.place = Place::Statement { statement: Statement::new(Dialect::Mysql), insert };
                self.statement(rest)
            }
        }
    }

    /// An empty line parts a block of comments from what comes before it.
    fn blanks(&mut self, blanks: &[u8]) -> usize {
        // The end of a comment's line was read with it, so any line feed here is another line's.
        if blanks.contains(&b'\n') {
            self.no_comment();
        }
        blanks.len()
    }

    fn no_comment(&mut self) -> Option<u64> {
        self.after_comment = false;
        self.comment_at.take()
    }

    /// Passes over a line that is not a statement.
    fn pass(&mut self, line: Line<'_>, at: u64) -> usize {
        self.comment_at = self.comment_at.filter(|start| at.saturating_sub(*start) <= COMMENT_MAX);
        if matches!(line, Line::Head(_)) {
            self.comment_at = None;
            match &mut self.place {
                Place::Body { in_line } => *in_line = true,
                place => *place = Place::InLine,
            }
        } else if matches!(self.place, Place::InLine) {
            self.place = Place::Between;
        }
        line.bytes().len()
    }

    fn comment(&mut self, text: &[u8], at: u64, marks: &mut Vec<Mark>) {
        self.after_comment = true;
        let at = self.comment_at.unwrap_or(at);
        match Comment::parse(text) {
            Comment::Header { engine } => {
                self.engine = engine;
                let is_another = self.ending != Ending::NoHeader || self.parts.in_table();
                self.ending = Ending::Expected;
                if is_another {
                    self.begin_schema(at, b"header", marks);
                }
            }
            Comment::Version(version) => {
                if version.windows(7).any(|word| word.eq_ignore_ascii_case(b"mariadb")) {
                    self.engine = "mariadb";
                }
                self.version.get_or_insert_with(|| String::from_utf8_lossy(version).into_owned());
            }
            Comment::HostAndDatabase(name) => self.databases.add(name),
            Comment::Completed => {
                if self.ending == Ending::Expected {
                    self.ending = Ending::Seen;
                }
            }
            Comment::CurrentDatabase(name) => {
                self.begin_schema(at, &[&b"database "[..], &name].concat(), marks);
                self.enter(name);
            }
            Comment::Table(name) => self.begin_table(at, &name, marks),
            Comment::TableData(name) => {
                self.ensure_table(at, &name, marks);
                self.parts.add_rows(0);
            }
            Comment::Object { kind, name } => {
                let prefixed = self.prefixed(&name);
                self.begin_schema(at, &[kind, &b" "[..], &prefixed].concat(), marks);
                self.object = Some(name);
            }
            Comment::Section(name) => {
                let name = self.prefixed(name);
                self.begin_schema(at, &name, marks);
            }
            Comment::Other => (),
        }
    }

    /// Does what the start of a statement asks for; the place says if it is a client's command.
    fn phrase(&mut self, phrase: Phrase, at: u64, marks: &mut Vec<Mark>) -> Option<Insert> {
        match phrase {
            Phrase::Insert { table, insert } => {
                self.ensure_table(at, &table, marks);
                self.parts.add_rows(0);
                return Some(insert);
            }
            // Whether a list of columns comes before its rows is not known.
            Phrase::InsertSomewhere => self.parts.forget_rows(),
            Phrase::Define(table) => {
                if self.object.as_ref() != Some(&table) {
                    self.ensure_table(at, &table, marks);
                }
            }
            Phrase::Lock(table) => {
                self.ensure_table(at, &table, marks);
                self.parts.add_rows(0);
            }
            Phrase::Use(name) => self.enter(name),
            Phrase::Footer => {
                if self.parts.in_table() {
                    self.begin_schema(at, b"footer", marks);
                }
            }
            Phrase::Delimiter => self.place = Place::Body { in_line: false },
            Phrase::Sandbox => {
                self.engine = "mariadb";
                self.place = Place::InLine;
            }
            Phrase::LineOnly => self.place = Place::InLine,
            Phrase::Other => (),
        }
        None
    }

    fn enter(&mut self, name: Vec<u8>) {
        self.databases.add(name.clone());
        self.current = Some(name);
    }

    fn ensure_table(&mut self, at: u64, name: &[u8], marks: &mut Vec<Mark>) {
        if !self.parts.in_table_named(&self.prefixed(name)) {
            self.begin_table(at, name, marks);
        }
    }

    fn begin_table(&mut self, at: u64, name: &[u8], marks: &mut Vec<Mark>) {
        let name = self.prefixed(name);
        self.parts.begin_table(at, &name, Grain::Tuple, marks);
        self.comment_at = None;
        self.object = None;
    }

    fn begin_schema(&mut self, at: u64, name: &[u8], marks: &mut Vec<Mark>) {
        self.parts.begin_schema(at, name, marks);
        self.comment_at = None;
        self.object = None;
    }

    fn prefixed(&self, name: &[u8]) -> Vec<u8> {
        match &self.current {
            Some(database) => [database, &b"."[..], name].concat(),
            None => name.to_vec(),
        }
    }

    fn statement(&mut self, rest: &[u8]) -> usize {
        let Place::Statement { statement, insert } = &mut self.place else { return 0 };
        let (n, ended) = statement.run(rest);
        if ended {
            if let Some(insert) = insert {
                let tuples = statement.tuples().saturating_sub(insert.not_rows);
                self.parts.add_rows(tuples);
            }
            self.place = Place::Between;
        }
        n
    }
}

impl Databases {
    fn add(&mut self, name: Vec<u8>) {
        *self = match std::mem::replace(self, Self::Many) {
            Self::None => Self::One(name),
            Self::One(known) if known == name => Self::One(known),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}

impl Machine for MysqlDump {
    fn step(&mut self, rest: &[u8], at: u64, last: bool, marks: &mut Vec<Mark>) -> usize {
        match &mut self.place {
            Place::Between => self.between(rest, at, last, marks),
            Place::Statement { .. } => self.statement(rest),
            Place::InLine => {
                let (line, ended) = rest_of_line(rest);
                if ended {
                    self.place = Place::Between;
                }
                line.len()
            }
            Place::Body { in_line: in_line @ true } => {
                let (line, ended) = rest_of_line(rest);
                *in_line = !ended;
                line.len()
            }
            Place::Body { in_line } => {
                let Some(line) = Line::take(rest, last) else { return 0 };
                *in_line = matches!(line, Line::Head(_));
                let delimiter = after_word(line.bytes().trim_ascii_end(), b"DELIMITER");
                if delimiter == Some(b";") {
                    self.place = Place::Between;
                }
                line.bytes().len()
            }
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

/// A name in backticks or plain, possibly with its database's.
fn table_name(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    qualified(text, b'`')
}

#[cfg(test)]
mod tests;
