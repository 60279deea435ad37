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
}
