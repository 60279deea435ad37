//! The formats that are understood, and how each is recognised.

use crate::tar;

/// The shapes of input that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A plain dump of one PostgreSQL database.
    PgDump,
    /// A plain dump of a PostgreSQL cluster.
    PgDumpAll,
    /// A dump by `mysqldump` or `mariadb-dump`.
    MysqlDump,
    /// A tarball, not compressed.
    Tar,
}

impl Format {
    /// The name of the program that writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PgDump => "pg_dump",
            Self::PgDumpAll => "pg_dumpall",
            Self::MysqlDump => "mysqldump",
            Self::Tar => "tar",
        }
    }
}

/// How many lines of a dump may come before the one that names it.
const HEAD_LINES: usize = 40;

/// Recognises a format from the first bytes of a stream: up to 64 KiB, fewer if it is shorter.
pub fn recognise(head: &[u8]) -> Option<Format> {
    if tar::is_archive(head) {
        return Some(Format::Tar);
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.split(|byte| *byte == b'\n').take(HEAD_LINES).find_map(|line| header(line.trim_ascii_end()))
}

fn header(line: &[u8]) -> Option<Format> {
    if line == b"-- PostgreSQL database dump" {
        return Some(Format::PgDump);
    }
    if line == b"-- PostgreSQL database cluster dump" {
        return Some(Format::PgDumpAll);
    }
    let starts: [&[u8]; 4] = [b"-- MySQL dump ", b"-- MariaDB dump ", b"/*M!999999\\-", b"/*!999999\\-"];
    starts.iter().any(|start| line.starts_with(start)).then_some(Format::MysqlDump)
}

/// Whether the first bytes of a stream are statements that fill a database, of whatever program.
pub fn looks_like_sql(head: &[u8]) -> bool {
    const STATEMENTS: [&[u8]; 3] = [b"create table ", b"insert into ", b"create database "];
    let begins = |line: &[u8]| {
        let line = line.trim_ascii_start();
        STATEMENTS.iter().any(|start| line.get(..start.len()).is_some_and(|l| l.eq_ignore_ascii_case(start)))
    };
    memchr::memchr(0, head).is_none() && head.split(|byte| *byte == b'\n').any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_dumps_are_recognised() {
        let check = |head: &str, format| assert_eq!(recognise(head.as_bytes()), format, "{head}");
        check("--\n-- PostgreSQL database dump\n--\n", Some(Format::PgDump));
        check("--\r\n-- PostgreSQL database dump\r\n--\r\n", Some(Format::PgDump));
        check("\\restrict x\n--\n-- PostgreSQL database dump\n--\n", Some(Format::PgDump));
        check("--\n-- PostgreSQL database cluster dump\n--\n", Some(Format::PgDumpAll));
        check("-- MySQL dump 10.13  Distrib 8.0.36\n", Some(Format::MysqlDump));
        check("/*M!999999\\- enable the sandbox mode */ \n", Some(Format::MysqlDump));
        check("-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n", Some(Format::MysqlDump));
        check("CREATE TABLE t (a text);\n", None);
        check("-- PostgreSQL database dump complete\n", None);
        check("", None);
    }

    #[test]
    fn statements_are_told_from_prose() {
        assert!(looks_like_sql(b"-- Chinook\n\nDROP DATABASE x;\nCREATE TABLE a (b int);\n"));
        assert!(looks_like_sql(b"  insert into a values (1);\n"));
        assert!(!looks_like_sql(b"How to create table decorations\n"));
        assert!(!looks_like_sql(b"CREATE TABLE a\n\0"));
    }
}
