//! The comments in a dump that carry meaning, and what the start of a statement gives away.

use super::table_name;
use crate::ident::{after_word, quoted};

/// What a comment line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Comment<'a> {
    Header {
        engine: &'static str,
    },
    Version(&'a [u8]),
    /// The database in the line that names the host.
    HostAndDatabase(Vec<u8>),
    Completed,
    CurrentDatabase(Vec<u8>),
    /// A table begins.
    Table(Vec<u8>),
    /// A table's rows begin.
    TableData(Vec<u8>),
    /// A view or a sequence begins.
    Object {
        kind: &'static [u8],
        name: Vec<u8>,
    },
    /// Things that come after the tables.
    Section(&'static [u8]),
    Other,
}

type Object = (&'static [u8], &'static [u8]);

const OBJECTS: [Object; 5] = [
    (b"-- Temporary table structure for view ", b"view"),
    (b"-- Temporary view structure for view ", b"view"),
    (b"-- Final view structure for view ", b"view"),
    (b"-- Sequence structure for table ", b"sequence"),
    (b"-- Sequence structure for ", b"sequence"),
];

impl<'a> Comment<'a> {
    /// Reads a line without its end.
    pub(crate) fn parse(line: &'a [u8]) -> Self {
        Self::named(line).unwrap_or_else(|| Self::plain(line))
    }

    fn named(line: &'a [u8]) -> Option<Self> {
        if let Some(rest) = line.strip_prefix(b"-- Table structure for table ") {
            return commented_name(rest).map(Self::Table);
        }
        if let Some(rest) = line.strip_prefix(b"-- Dumping data for table ") {
            return commented_name(rest).map(Self::TableData);
        }
        if let Some(rest) = line.strip_prefix(b"-- Current Database: ") {
            return commented_name(rest).map(Self::CurrentDatabase);
        }
        if let Some(rest) = line.strip_prefix(b"-- Host: ") {
            let (_, name) = split_at_word(rest, b"Database: ")?;
            return (!name.is_empty() && name.len() <= 1024).then(|| Self::HostAndDatabase(name.to_vec()));
        }
        OBJECTS.iter().find_map(|(start, kind)| {
            let name = commented_name(line.strip_prefix(*start)?)?;
            Some(Self::Object { kind, name })
        })
    }

    fn plain(line: &'a [u8]) -> Self {
        if line.starts_with(b"-- MariaDB dump ") {
            return Self::Header { engine: "mariadb" };
        }
        if line.starts_with(b"-- MySQL dump ") {
            let is_mariadb = split_at_word(line, b"-MariaDB").is_some();
            return Self::Header { engine: if is_mariadb { "mariadb" } else { "mysql" } };
        }
        if let Some(version) = line.strip_prefix(b"-- Server version") {
            let version = version.trim_ascii();
            return Self::Version(version.get(..200).unwrap_or(version));
        }
        if line.starts_with(b"-- Dump completed") {
            return Self::Completed;
        }
        if line.starts_with(b"-- Dumping routines for database ") {
            return Self::Section(b"routines");
        }
        if line.starts_with(b"-- Dumping events for database ") {
            return Self::Section(b"events");
        }
        Self::Other
    }
}

/// A name in a comment: in backticks, or the rest of the line.
fn commented_name(rest: &[u8]) -> Option<Vec<u8>> {
    match quoted(rest, b'`') {
        Some((name, _)) => Some(name),
        None => (!rest.is_empty() && rest.len() <= 1024).then(|| rest.to_vec()),
    }
}

fn split_at_word<'a>(line: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memchr::memmem::find(line, word)?;
    Some((line.get(..found)?, line.get(found + word.len()..)?))
}

/// What the tuples of an `INSERT` do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Insert {
    /// 1 for a list of columns, which looks like a tuple.
    pub(crate) not_rows: u64,
}

/// What a statement is, as far as its first line tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phrase {
    Insert {
        table: Vec<u8>,
        insert: Insert,
    },
    /// An `INSERT` into a table whose name goes on in the next line.
    InsertSomewhere,
    /// `DROP TABLE` or `CREATE TABLE`.
    Define(Vec<u8>),
    Lock(Vec<u8>),
    Use(Vec<u8>),
    /// The settings are put back: the tables are over.
    Footer,
    /// The client is told another end of statements.
    Delimiter,
    /// The first line of newer dumps by MariaDB, which tells its client to be careful.
    Sandbox,
    /// A line that no semicolon ends: for the client, or only a comment.
    LineOnly,
    Other,
}

impl Phrase {
    /// Reads the first line of a statement, as much of it as there is.
    pub(crate) fn parse(line: &[u8]) -> Self {
        let phrase = match line.first() {
            Some(b'/') => conditional(line),
            Some(b'\\') => Some(Self::LineOnly),
            Some(b'I' | b'i' | b'R' | b'r') => insert(line),
            Some(b'C' | b'c' | b'D' | b'd') => define(line),
            Some(b'L' | b'l') => lock(line),
            Some(b'U' | b'u') => {
                after_word(line, b"USE").and_then(table_name).map(|(name, _)| Self::Use(name))
            }
            _ => None,
        };
        phrase.unwrap_or(Self::Other)
    }
}

/// A line in `/*! */`, which is code for some versions.
fn conditional(line: &[u8]) -> Option<Phrase> {
    if line.starts_with(b"/*M!999999\\-") || line.starts_with(b"/*!999999\\-") {
        return Some(Phrase::Sandbox);
    }
    if line.ends_with(b"*/") {
        return Some(Phrase::LineOnly);
    }
    let (_, setting) = split_at_word(line.get(..80).unwrap_or(line), b" SET ")?;
    let settings: [&[u8]; 4] =
        [b"TIME_ZONE=@OLD_", b"SQL_MODE=@OLD_", b"FOREIGN_KEY_CHECKS=@OLD_", b"UNIQUE_CHECKS=@OLD_"];
    settings.iter().any(|start| setting.starts_with(start)).then_some(Phrase::Footer)
}

fn insert(line: &[u8]) -> Option<Phrase> {
    let mut rest = after_word(line, b"INSERT").or_else(|| after_word(line, b"REPLACE"))?;
    for word in [&b"LOW_PRIORITY"[..], b"DELAYED", b"HIGH_PRIORITY", b"IGNORE", b"INTO"] {
        rest = after_word(rest, word).unwrap_or(rest);
    }
    let Some((table, rest)) = table_name(rest) else {
        return rest.starts_with(b"`").then_some(Phrase::InsertSomewhere);
    };
    let not_rows = u64::from(rest.trim_ascii_start().starts_with(b"("));
    Some(Phrase::Insert { table, insert: Insert { not_rows } })
}

fn define(line: &[u8]) -> Option<Phrase> {
    if after_word(line, b"DELIMITER").is_some() {
        return Some(Phrase::Delimiter);
    }
    let rest = after_word(line, b"DROP").or_else(|| after_word(line, b"CREATE"))?;
    let mut rest = after_word(rest, b"TABLE")?;
    for word in [&b"IF"[..], b"NOT", b"EXISTS"] {
        rest = after_word(rest, word).unwrap_or(rest);
    }
    table_name(rest).map(|(name, _)| Phrase::Define(name))
}

fn lock(line: &[u8]) -> Option<Phrase> {
    let rest = after_word(after_word(line, b"LOCK")?, b"TABLES")?;
    table_name(rest).map(|(name, _)| Phrase::Lock(name))
}
