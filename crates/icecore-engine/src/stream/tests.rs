use std::io::Write as _;

use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::recording::RecordingSink;

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.4\n\nSET a = 1;\n\n\
    CREATE TABLE public.t (a integer);\n\nCOPY public.t (a) FROM stdin;\n1\n2\n3\n\\.\n\n\n\
    --\n-- PostgreSQL database dump complete\n--\n\n";

fn options() -> StreamOptions {
    StreamOptions { name: b"input".to_vec(), what: "input.sql".to_owned(), ..StreamOptions::default() }
}

fn run(bytes: &[u8], options: &StreamOptions) -> (Result<StreamReport, CaptureError>, RecordingSink) {
    let mut sink = RecordingSink::default();
    let result = capture_stream(&mut &*bytes, options, &mut sink);
    (result, sink)
}

fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zstd => {
            // With a checksum, so that damage shows.
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

const PACKINGS: [Packing; 4] = [Packing::Gzip, Packing::Zstd, Packing::Bzip2, Packing::Xz];

/// Bytes that do not compress to nothing.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn compressed_input_is_stored_unpacked() {
    let plain = noise(200_000);
    for packing in PACKINGS {
        let (result, sink) = run(&pack(packing, &plain), &options());
        let report = result.unwrap();
        assert_eq!(report.unpacked, Some(packing.as_str()));
        assert_eq!(report.bytes, 200_000);
        assert_eq!(sink.content(), plain);
        assert!(sink.notices[0].starts_with(packing.as_str()), "{:?}", sink.notices);
    }
}

#[test]
fn concatenated_members_are_one_stream() {
    for packing in PACKINGS {
        let packed = [pack(packing, b"one "), pack(packing, b"two "), pack(packing, b"three")].concat();
        let (result, sink) = run(&packed, &options());
        result.unwrap();
        assert_eq!(sink.content(), b"one two three", "{packing:?}");
    }
}

#[test]
fn a_skippable_frame_does_not_hide_a_zstd_stream() {
    let packed = [b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc".to_vec(), pack(Packing::Zstd, b"plain")].concat();
    let (result, sink) = run(&packed, &options());
    assert_eq!(result.unwrap().unpacked, Some("zstd"));
    assert_eq!(sink.content(), b"plain");
}

#[test]
fn every_truncation_of_compressed_input_is_refused() {
    for packing in PACKINGS {
        let packed = pack(packing, &noise(300));
        for len in 14..packed.len() {
            let (result, _) = run(&packed[..len], &options());
            assert!(matches!(result, Err(CaptureError::Source(_))), "{packing:?} {len}: {result:?}");
        }
        let two = [packed.clone(), packed.clone()].concat();
        for len in packed.len() + 1..two.len() {
            let (result, _) = run(&two[..len], &options());
            assert!(matches!(result, Err(CaptureError::Source(_))), "{packing:?} second, {len}: {result:?}");
        }
    }
}

#[test]
fn an_xz_stream_may_not_demand_all_memory() {
    let packed = pack(Packing::Xz, b"plain");
    // The header of the first block: its length, flags, the filter, the length of its properties, and the dictionary's size.
    assert_eq!(packed[12..16], [2, 0, 0x21, 1]);
    let with_dictionary = |size: u8| {
        let mut packed = packed.clone();
        packed[16] = size;
        let mut crc = flate2::Crc::new();
        crc.update(&packed[12..20]);
        packed[20..24].copy_from_slice(&crc.sum().to_le_bytes());
        run(&packed, &options())
    };
    // 128 MiB, 192 MiB, and 4 GiB less one byte.
    let (result, sink) = with_dictionary(30);
    assert_eq!((result.unwrap().unpacked, sink.content()), (Some("xz"), b"plain".to_vec()));
    for size in [31, 40] {
        let message = with_dictionary(size).0.unwrap_err().to_string();
        assert!(message.contains("memory limit"), "{message}");
    }
}

#[test]
fn truncated_gzip_is_reported_as_cut_off() {
    let packed = pack(Packing::Gzip, &noise(300_000));
    let (result, _) = run(&packed[..packed.len() / 2], &options());
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "the gzip stream in input.sql ends too early: it was cut off");
}

#[test]
fn damaged_compressed_input_is_refused() {
    for packing in PACKINGS {
        let mut packed = pack(packing, &noise(300_000));
        let middle = packed.len() / 2;
        packed[middle] ^= 0x10;
        let (result, _) = run(&packed, &options());
        assert!(matches!(result, Err(CaptureError::Source(_))), "{packing:?}: {result:?}");
    }
}

#[test]
fn raw_keeps_the_bytes() {
    for packing in PACKINGS {
        let packed = pack(packing, b"plain");
        let (result, sink) = run(&packed, &StreamOptions { raw: true, ..options() });
        assert_eq!(result.unwrap().unpacked, None);
        assert_eq!(sink.content(), packed);
    }
}

#[test]
fn compression_within_compression_stays() {
    let inner = pack(Packing::Gzip, b"plain");
    let (result, sink) = run(&pack(Packing::Zstd, &inner), &options());
    result.unwrap();
    assert_eq!(sink.content(), inner);
}

#[test]
fn an_unknown_stream_is_one_part_with_its_files_attributes() {
    let file = FileAttributes { mode: 0o640, size: 5, ..FileAttributes::default() };
    let (result, sink) = run(b"hello", &StreamOptions { file: Some(file.clone()), ..options() });
    assert_eq!(result.unwrap().form, "stream");
    assert_eq!(sink.parts.len(), 1);
    assert_eq!(sink.parts[0].start.name, b"input");
    assert_eq!(sink.parts[0].end.as_ref().unwrap().file, Some(Box::new(file)));
}

#[test]
fn a_dump_becomes_parts_that_add_up() {
    let (result, sink) = run(DUMP.as_bytes(), &options());
    let report = result.unwrap();
    assert_eq!((report.form.as_str(), report.engine), ("pg_dump", Some("postgres")));
    assert_eq!(report.bytes, DUMP.len() as u64);
    assert_eq!(sink.content(), DUMP.as_bytes());
    let table = sink.parts.iter().find(|part| part.start.kind == PartKind::Table).unwrap();
    assert!(table.start.own_chunks);
    assert_eq!(table.end.as_ref().unwrap().rows, Some(3));
}

#[test]
fn a_dump_that_was_cut_off_is_refused_unless_allowed() {
    let cut = &DUMP.as_bytes()[..DUMP.find("\\.").unwrap()];
    let (result, _) = run(cut, &options());
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with("input.sql ends before the end marker of the dump ("), "{message}");
    let (result, sink) = run(cut, &StreamOptions { allow_incomplete: true, ..options() });
    result.unwrap();
    assert_eq!(sink.findings.len(), 1);
    assert_eq!(sink.content(), cut);
}

#[test]
fn empty_input_is_refused_unless_allowed() {
    let (result, _) = run(b"", &options());
    assert_eq!(result.unwrap_err().to_string(), "input.sql is empty");
    for packing in PACKINGS {
        let (result, _) = run(&pack(packing, b""), &options());
        assert!(matches!(result, Err(CaptureError::Empty { .. })), "{packing:?}: {result:?}");
    }
    let (result, sink) = run(b"", &StreamOptions { allow_empty: true, ..options() });
    assert_eq!(result.unwrap().bytes, 0);
    assert_eq!(sink.parts.len(), 1);
}

#[test]
fn bytes_behind_a_gzip_stream_are_refused_and_zeros_are_not() {
    let packed = pack(Packing::Gzip, b"plain");
    let (result, _) = run(&[&packed, &b"trailing"[..]].concat(), &options());
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "the gzip stream in input.sql is damaged: bytes follow its end that are not gzip");
    let (result, sink) = run(&[packed, vec![0; 100_000]].concat(), &options());
    result.unwrap();
    assert_eq!(sink.content(), b"plain");
}

#[test]
fn a_raw_stream_is_one_part_that_nobody_looks_into() {
    let cut = &DUMP.as_bytes()[..DUMP.find("\\.").unwrap()];
    let (result, sink) = run(cut, &StreamOptions { raw: true, ..options() });
    assert_eq!(result.unwrap().form, "stream");
    assert_eq!((sink.parts.len(), sink.findings.len(), sink.notices.len()), (1, 0, 0));
    assert_eq!(sink.content(), cut);
}

#[test]
fn sql_without_a_known_end_is_stored_with_a_note() {
    let (result, sink) = run(b"CREATE TABLE a (b int);\nINSERT INTO a VALUES (1);\n", &options());
    result.unwrap();
    assert!(sink.notices[0].contains("whether it is complete"), "{:?}", sink.notices);
}

#[test]
fn a_dump_of_the_sqlite_shell_ends_with_its_transaction() {
    let dump = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nINSERT INTO t VALUES(1);\nCOMMIT;\n";
    let (result, sink) = run(dump.as_bytes(), &options());
    result.unwrap();
    assert_eq!(sink.content(), dump.as_bytes());
    // The shell's own words when it could not read everything.
    for bad in [&dump[..dump.len() - 9], &dump.replace("COMMIT;", "ROLLBACK; -- due to errors")] {
        let (result, _) = run(bad.as_bytes(), &options());
        assert!(matches!(result, Err(CaptureError::Incomplete { .. })), "{bad}: {result:?}");
    }
}

#[test]
fn a_sqlite_database_in_a_stream_is_as_long_as_its_header_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    drop(database);
    let bytes = std::fs::read(&path).unwrap();
    let (result, sink) = run(&bytes, &options());
    result.unwrap();
    assert_eq!(sink.content(), bytes);
    let (result, _) = run(&bytes[..bytes.len() - 4096], &options());
    assert!(matches!(result, Err(CaptureError::Incomplete { .. })), "{result:?}");
}

#[test]
fn a_failure_of_the_input_is_not_blamed_on_its_compression() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("bad disk"))
        }
    }
    let packed = pack(Packing::Gzip, &noise(300_000));
    let mut sink = RecordingSink::default();
    let result = capture_stream(&mut packed[..100_000].chain(Failing), &options(), &mut sink);
    assert!(matches!(result, Err(CaptureError::Read { .. })), "{result:?}");
}

#[test]
fn a_cancelled_capture_ends() {
    let mut sink = RecordingSink { cancelled: true, ..RecordingSink::default() };
    for input in [DUMP.as_bytes(), b"hello"] {
        let result = capture_stream(&mut &*input, &options(), &mut sink);
        assert!(matches!(result, Err(CaptureError::Cancelled)), "{result:?}");
        sink.parts.clear();
    }
}

/// Gives a few bytes at a time.
struct Trickle<'a>(&'a [u8], std::iter::Cycle<std::slice::Iter<'a, usize>>);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.1.next().copied().unwrap_or(1).min(buf.len());
        self.0.read(&mut buf[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn parts_do_not_depend_on_how_the_input_arrives(
        rows in 0usize..250_000,
        steps in prop::collection::vec(1usize..200_000, 1..6),
    ) {
        let rows: String = (0..rows).map(|row| format!("{row}\n")).collect();
        let dump = DUMP.replacen("1\n2\n3\n", &rows, 1);
        let (whole, expected) = run(dump.as_bytes(), &options());
        let mut sink = RecordingSink::default();
        let report = capture_stream(&mut Trickle(dump.as_bytes(), steps.iter().cycle()), &options(), &mut sink).unwrap();
        prop_assert_eq!(report, whole.unwrap());
        prop_assert!(sink.content() == dump.as_bytes());
        let starts = |sink: &RecordingSink| sink.parts.iter().map(|part| part.start.clone()).collect::<Vec<_>>();
        prop_assert_eq!(starts(&sink), starts(&expected));
    }
}
