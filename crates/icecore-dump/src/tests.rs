//! What holds for every format, and what real dumps look like.

use std::fs;
use std::path::Path;

use icecore_format::PartKind;
use proptest::prelude::*;

use crate::{Completeness, Format, Mark, Outcome, Scanner, recognise};

const FORMATS: [Format; 4] = [Format::PgDump, Format::PgDumpAll, Format::MysqlDump, Format::Tar];

pub(crate) fn scan(format: Format, bytes: &[u8]) -> (Vec<Mark>, Outcome) {
    let mut scanner = Scanner::new(format);
    let mut marks = Vec::new();
    assert_eq!(scanner.scan(bytes, true, &mut marks), bytes.len());
    (marks, scanner.finish())
}

/// Scans with a buffer that grows by `pieces` in turn, as a caller does, and checks the promises about progress.
pub(crate) fn scan_in_pieces(format: Format, bytes: &[u8], pieces: &[usize]) -> (Vec<Mark>, Outcome) {
    let mut scanner = Scanner::new(format);
    let mut marks = Vec::new();
    let (mut settled, mut read) = (0, 0);
    for len in pieces.iter().cycle() {
        read = (read + len).min(bytes.len());
        let last = read == bytes.len();
        let before = (settled, marks.len());
        settled += scanner.scan(&bytes[settled..read], last, &mut marks);
        assert!(settled <= read);
        assert!(read - settled <= 64 << 10, "{} bytes are held back", read - settled);
        for mark in &marks[before.1..] {
            assert!(
                (before.0 as u64..=settled as u64).contains(&at(mark)),
                "{mark:?} in {before:?}..{settled}"
            );
        }
        if last {
            assert_eq!(settled, bytes.len());
            break;
        }
    }
    (marks, scanner.finish())
}

fn at(mark: &Mark) -> u64 {
    match mark {
        Mark::Begin { at, .. } | Mark::End { at, .. } => *at,
    }
}

/// Parts cover `len` bytes without gaps, none is empty, and their names are unique in a dump.
fn check_cover(marks: &[Mark], len: usize, format: Format) {
    let mut open = None;
    let mut end = 0;
    let mut names = std::collections::HashSet::new();
    for mark in marks {
        match mark {
            Mark::Begin { at, name, .. } => {
                assert_eq!((open, *at), (None, end), "{marks:?}");
                assert!(format == Format::Tar || names.insert(name), "{name:?} comes twice");
                open = Some(*at);
            }
            Mark::End { at, .. } => {
                assert!(open.take().is_some_and(|begin| begin < *at), "{marks:?}");
                end = *at;
            }
        }
    }
    assert_eq!((open, end), (None, len as u64), "{marks:?}");
}

/// `name kind begin..end rows` for each part.
pub(crate) fn list(marks: &[Mark]) -> Vec<String> {
    let pairs = marks.chunks(2).map(|pair| match pair {
        [Mark::Begin { at, name, kind, .. }, Mark::End { at: end, rows }] => {
            let rows = rows.map_or("-".to_owned(), |rows| rows.to_string());
            format!("{} {kind:?} {at}..{end} {rows}", String::from_utf8_lossy(name))
        }
        _ => panic!("{pair:?}"),
    });
    pairs.collect()
}

/// Name and rows of each table.
pub(crate) fn tables(marks: &[Mark]) -> Vec<(String, Option<u64>)> {
    let tables = marks.chunks(2).filter_map(|pair| match pair {
        [Mark::Begin { name, kind: PartKind::Table, .. }, Mark::End { rows, .. }] => {
            Some((String::from_utf8_lossy(name).into_owned(), *rows))
        }
        _ => None,
    });
    tables.collect()
}

/// Lines and scraps of all formats, so that random streams reach deep into the scanners.
fn scrap() -> impl Strategy<Value = Vec<u8>> {
    let scraps: Vec<&[u8]> = vec![
        b"--\n",
        b"\n",
        b"-- \n",
        b"-- Data for Name: t; Type: TABLE DATA\n",
        b"COPY public.t (a, b) FROM stdin;\n",
        b"COPY \"u\" FROM stdin;\r\n",
        b"\\.\n",
        b"\\.",
        b"\\.\r\n",
        b"1\t\\N\n",
        b"\\N\t2\n",
        b"SELECT 1;\n",
        b"'",
        b"$$",
        b"$a$",
        b"INSERT INTO public.t VALUES (1, 'x');\n",
        b"INSERT INTO `t` VALUES (1,'x'),(2,'y');\n",
        b"\\connect shop\n",
        b"-- PostgreSQL database dump\n",
        b"-- PostgreSQL database dump complete\n",
        b"-- Database \"shop\" dump\n",
        b"-- Table structure for table `t`\n",
        b"-- Dumping data for table `t`\n",
        b"CREATE TABLE `u` (\n  `a` int\n);\n",
        b"-- Current Database: `shop`\n",
        b"USE `shop`;\n",
        b"DELIMITER ;;\n",
        b"DELIMITER ;\n",
        b"-- Dump completed\n",
        b"-- MySQL dump 10.13\n",
        b"LOCK TABLES `t` WRITE;\n",
        b"/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n",
        b"/*",
        b"*/",
        b"/*!",
        b"\"",
        b"`",
        b"\\",
        b";",
        b" ",
        b"(",
        b")",
        b"-- a comment\n",
        b"E'",
        b"-- Dumping events for database 'x'\n",
    ];
    prop_oneof![
        20 => prop::sample::select(scraps).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        1 => (1_usize..60_000, prop::sample::select(&b"-x\n'"[..])).prop_map(|(len, byte)| vec![byte; len]),
        1 => (1_usize..3000).prop_map(|lines| b"-- more\n".repeat(lines)),
        1 => crate::tar::tests::entry(),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(scrap(), 0..40).prop_map(|scraps| scraps.concat())
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![prop::collection::vec(1_usize..100, 1..10), prop::collection::vec(1_usize..100_000, 1..10)]
}

proptest! {
    #[test]
    fn scanning_in_pieces_gives_the_same_marks((bytes, pieces) in (stream(), pieces()), which in 0_usize..4) {
        let format = FORMATS[which];
        let whole = scan(format, &bytes);
        check_cover(&whole.0, bytes.len(), format);
        prop_assert_eq!(scan_in_pieces(format, &bytes, &pieces), whole);
    }

    #[test]
    fn tarballs_in_pieces_give_the_same_marks(entries in prop::collection::vec(crate::tar::tests::entry(), 0..8), pieces in pieces()) {
        let bytes = entries.concat();
        let whole = scan(Format::Tar, &bytes);
        check_cover(&whole.0, bytes.len(), Format::Tar);
        prop_assert_eq!(scan_in_pieces(Format::Tar, &bytes, &pieces), whole);
    }

    #[test]
    fn any_bytes_are_scanned(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        recognise(&bytes);
        crate::warn_about(&bytes);
        for format in FORMATS {
            check_cover(&scan(format, &bytes).0, bytes.len(), format);
        }
    }
}

#[test]
fn a_caller_with_a_buffer_of_64_kib_always_makes_progress() {
    for (format, unit) in [
        (Format::PgDump, "--\n"),
        (Format::MysqlDump, "# a\n"),
        (Format::PgDump, "-"),
        (Format::MysqlDump, "COPY"),
    ] {
        let bytes = unit.repeat(200_000 / unit.len());
        let whole = scan(format, bytes.as_bytes());
        assert_eq!(scan_in_pieces(format, bytes.as_bytes(), &[1000]), whole);
    }
}

/// Dumps that strangers wrote; the directory is named by a variable, as they are no part of the project.
#[test]
fn sample_dumps_are_understood() {
    let Some(samples) = std::env::var_os("ICECORE_SAMPLE_DATA") else {
        println!("SKIPPED: ICECORE_SAMPLE_DATA is not set, so no sample dumps were scanned");
        return;
    };
    let mut seen = 0;
    for (name, expected) in [("neon-pagila.pg.sql", 21), ("neon-netflix.pg.sql", 1)] {
        let Ok(bytes) = fs::read(Path::new(&samples).join(name)) else {
            println!("SKIPPED: {name} is not among the samples");
            continue;
        };
        assert_eq!(recognise(&bytes[..bytes.len().min(64 << 10)]), Some(Format::PgDump), "{name}");
        let whole = scan(Format::PgDump, &bytes);
        check_cover(&whole.0, bytes.len(), Format::PgDump);
        assert_eq!(whole.1.completeness, Completeness::Complete, "{name}");
        assert_eq!(whole.1.engine_version.as_deref(), Some("15.2"), "{name}");
        assert_eq!(tables(&whole.0).len(), expected, "{name}: {:#?}", list(&whole.0));
        assert_eq!(scan_in_pieces(Format::PgDump, &bytes, &[70_001]), whole);
        seen += 1;
    }
    println!("{seen} sample dumps were scanned");
}
