use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::recording::RecordingSink;

/// A string as it is encoded.
fn string(text: &[u8]) -> Vec<u8> {
    let len = u32::try_from(text.len()).unwrap();
    let [_, _, high, low] = len.to_be_bytes();
    let mut out = match len {
        0..64 => vec![low],
        64..16384 => vec![0x40 | high, low],
        _ => [&[0x80][..], &len.to_be_bytes()].concat(),
    };
    out.extend_from_slice(text);
    out
}

fn number(value: u8) -> Vec<u8> {
    assert!(value < 64);
    vec![value]
}

/// A key with a string.
fn text(key: &str, value: &[u8]) -> Vec<u8> {
    [vec![0], string(key.as_bytes()), string(value)].concat()
}

/// A set, or a hash with `fields` strings for each element.
fn table(kind: u8, key: &str, elements: &[Vec<u8>]) -> Vec<u8> {
    let count = u8::try_from(elements.len()).unwrap();
    [vec![kind], string(key.as_bytes()), number(count), elements.concat()].concat()
}

/// One of each kind of value that is passed as a whole.
fn curiosities() -> Vec<Vec<u8>> {
    let key = |kind: u8, name: &str, value: &[u8]| [&[kind][..], &string(name.as_bytes()), value].concat();
    let raw = string(b"packed");
    let id = [7; 16];
    let time = [9; 8];
    let pending = [&id[..], &time, &number(3)].concat();
    let stream = |kind: u8| {
        let ids = vec![5; if kind == 15 { 3 } else { 8 }];
        let group_ids = vec![2; if kind == 15 { 2 } else { 3 }];
        let times = time.repeat(if kind == 21 { 2 } else { 1 });
        let consumer = [&string(b"who")[..], &times, &number(1), &id].concat();
        let group = [&string(b"group")[..], &group_ids, &number(1), &pending, &number(1), &consumer].concat();
        let value = [&number(1)[..], &raw, &raw, &ids, &number(1), &group].concat();
        key(kind, &format!("stream {kind}"), &value)
    };
    vec![
        key(1, "list", &[number(2), string(b"a"), string(b"b")].concat()),
        key(
            3,
            "scores as text",
            &[&number(2)[..], &string(b"a"), &[3], b"1.5", &string(b"b"), &[254]].concat(),
        ),
        key(5, "scores", &[&number(1)[..], &string(b"a"), &time].concat()),
        key(7, "module", &[5, 2, 1, 4, 9, 9, 9, 9, 9, 9, 9, 9, 3, 1, 1, 1, 1, 5, 1, b'x', 0]),
        key(9, "zip map", &raw),
        key(10, "zip list", &raw),
        key(11, "numbers", &raw),
        key(12, "sorted", &raw),
        key(13, "hash", &raw),
        key(14, "quick list", &[number(1), raw.clone()].concat()),
        stream(15),
        key(16, "list pack", &raw),
        key(17, "sorted list pack", &raw),
        key(18, "quick list 2", &[number(1), number(2), raw.clone()].concat()),
        stream(19),
        key(20, "set list pack", &raw),
        stream(21),
        key(
            24,
            "hash with times",
            &[
                &time[..],
                &number(2),
                &number(0),
                &string(b"b"),
                &string(b"1"),
                &number(9),
                &string(b"a"),
                &string(b"2"),
            ]
            .concat(),
        ),
        key(25, "small hash with times", &[&time[..], &raw].concat()),
        key(0, "small number", &[0xc0, 5]),
        key(0, "number", &[0xc2, 5, 6, 7, 8]),
        key(0, "compressed", &[0xc3, 3, 40, 1, 2, 3]),
        [&[252][..], &time, &[249, 7], &text("expires", b"soon")].concat(),
        [&[253, 1, 2, 3, 4, 248][..], &number(9), &text("expires in seconds", b"soon")].concat(),
        key(0, "long", &[&[0x81][..], &4u64.to_be_bytes(), b"long"].concat()),
    ]
}

/// An RDB of these databases. The keys of each come as they are given.
fn rdb(databases: &[(u8, Vec<Vec<u8>>)]) -> Vec<u8> {
    let mut out = b"REDIS0011".to_vec();
    out.extend([&[250][..], &string(b"redis-ver"), &string(b"7.0.15")].concat());
    out.extend([&[250][..], &string(b"ctime"), &[0xc2, 1, 2, 3, 4]].concat());
    out.extend([&[245][..], &string(b"#!lua name=mylib")].concat());
    for (database, keys) in databases {
        out.extend([254, *database, 251, 10, 0]);
        out.extend(keys.concat());
    }
    out.extend([&[247][..], &[5, 2, 1, 0]].concat());
    out.push(255);
    with_checksum(out)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = CHECKSUM.checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// So small that everything has to be written down, and read in small pieces.
fn small(len: usize) -> Limits {
    Limits { run_len: len, read_len: 1 + len / 3 }
}

struct Captured {
    result: Result<StreamReport, CaptureError>,
    sink: RecordingSink,
}

fn capture_with(bytes: &[u8], limits: Limits, allow_incomplete: bool) -> Captured {
    capture_from(bytes, limits, allow_incomplete, |input, _| input)
}

/// `input` makes of the bytes what is read, and knows where runs are written down.
fn capture_from(
    bytes: &[u8],
    limits: Limits,
    allow_incomplete: bool,
    input: impl for<'b> FnOnce(Box<dyn Read + 'b>, &Path) -> Box<dyn Read + 'b>,
) -> Captured {
    let scratch = tempfile::tempdir().unwrap();
    let options = StreamOptions {
        name: b"dump.rdb".to_vec(),
        what: "dump.rdb".to_owned(),
        scratch: scratch.path().to_owned(),
        allow_incomplete,
        ..StreamOptions::default()
    };
    let failed = Cell::new(false);
    let failure = Failure { what: &options.what, origin: &failed, packing: None };
    let mut sink = RecordingSink::default();
    let version = rdb::version(bytes).unwrap();
    let mut input = input(Box::new(bytes), scratch.path());
    let result = capture_within(&mut input, version, limits, &options, &failure, &mut sink);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    Captured { result, sink }
}

/// What is stored of an RDB, which must be understood.
fn ordered(bytes: &[u8], limits: Limits) -> Vec<u8> {
    let Captured { result, sink } = capture_with(bytes, limits, false);
    let report = result.unwrap();
    assert_eq!(
        (report.form.as_str(), report.engine, report.bytes),
        ("rdb", Some("redis"), bytes.len() as u64)
    );
    assert!(sink.notices[0].contains("stored in order"), "{:?}", sink.notices);
    assert_eq!(CHECKSUM.checksum(&sink.content()), 0);
    sink.content()
}

/// Stored byte for byte, for this reason.
fn as_it_came(bytes: &[u8], limits: Limits, why: &str) {
    let Captured { result, sink } = capture_with(bytes, limits, false);
    assert_eq!(result.unwrap().form, "stream");
    assert!(sink.notices.iter().any(|notice| notice.contains(why)), "{:?}", sink.notices);
    assert!(sink.content() == bytes);
    assert_eq!(sink.parts.len(), 1);
}

fn shuffled<T: Clone>(items: &[T], seed: u64) -> Vec<T> {
    let mut left = items.to_vec();
    let mut state = seed;
    let mut out = Vec::new();
    while !left.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.push(left.swap_remove((state >> 33) as usize % left.len()));
    }
    out
}

fn two_databases(seed: u64) -> Vec<u8> {
    let members: Vec<_> = (0..40).map(|n| string(format!("member {n}").as_bytes())).collect();
    let fields: Vec<_> =
        (0..40).map(|n| [string(format!("field {n}").as_bytes()), string(&[n; 90])].concat()).collect();
    let mut keys = curiosities();
    keys.push(table(2, "set", &shuffled(&members, seed)));
    keys.push(table(4, "table", &shuffled(&fields, seed)));
    keys.extend((0..50).map(|n| text(&format!("key {n}"), &vec![n; 20 * usize::from(n)])));
    let others: Vec<_> = (0..50).map(|n| text(&format!("key {n}"), b"other")).collect();
    let databases = [(0, shuffled(&keys, seed)), (3, shuffled(&others, seed))];
    rdb(&shuffled(&databases, seed))
}

#[test]
fn whatever_order_the_keys_come_in_the_same_is_stored() {
    let first = ordered(&two_databases(1), LIMITS);
    for seed in 2..20 {
        let rdb = two_databases(seed);
        // Also in runs so small that all of it has to be merged, and large pieces lie alone.
        for limits in [LIMITS, small(5_000), small(700), small(1)] {
            assert!(ordered(&rdb, limits) == first, "{seed} {limits:?}");
        }
    }
    assert_eq!(ordered(&first, small(700)), first, "what is in order stays");
}

/// Redis would not load it; nobody may mix the members up nevertheless.
#[test]
fn a_key_that_comes_twice_keeps_its_elements_apart() {
    let [a, b, c] = ["a", "bb", "ccc"].map(|member| string(member.as_bytes()));
    let sets = [table(2, "set", &[b.clone(), a.clone()]), table(2, "set", &[c.clone(), a.clone()])];
    for limits in [LIMITS, small(1), small(60)] {
        let stored = ordered(&rdb(&[(0, sets.to_vec())]), limits);
        let sorted = [table(2, "set", &[a.clone(), b.clone()]), table(2, "set", &[a.clone(), c.clone()])];
        assert_eq!(stored, rdb(&[(0, sorted.to_vec())]));
    }
}

#[test]
fn each_database_is_a_part_with_its_keys() {
    let sink = capture_with(&two_databases(1), LIMITS, false).sink;
    let parts: Vec<_> = sink
        .parts
        .iter()
        .map(|part| (str::from_utf8(&part.start.name).unwrap(), part.end.as_ref().unwrap().rows))
        .collect();
    let count = u64::try_from(curiosities().len()).unwrap() + 52;
    assert_eq!(parts, [("header", None), ("db0", Some(count)), ("db3", Some(50)), ("trailer", None)]);
}

#[test]
fn what_is_not_understood_is_stored_as_it_came() {
    let key = text("key", b"value");
    let many: Vec<_> = (0..200).map(|n| text(&format!("key {n}"), &[n; 50])).collect();
    for limits in [LIMITS, small(700), small(20)] {
        let with = |odd: &[u8]| rdb(&[(0, [many.clone(), vec![odd.to_vec()], many.clone()].concat())]);
        as_it_came(&with(&[22, 1, b'k', 0]), limits, "the type of a key");
        as_it_came(&with(&[6, 1, b'k', 0]), limits, "the type of a key");
        as_it_came(&with(&[0, 1, b'k', 0xc7]), limits, "how a string is encoded");
        as_it_came(&with(&[5, 1, b'k', 0xc0]), limits, "a length");
        as_it_came(&with(&[252, 1, 2, 3, 4, 5, 6, 7, 8, 254, 1]), limits, "the order of its parts");
        as_it_came(&with(&[7, 1, b'k', 5, 6]), limits, "what a module wrote");
        as_it_came(
            &[rdb(&[(0, many.clone())]), b"*1\r\n$4\r\nPING\r\n".to_vec()].concat(),
            limits,
            "bytes follow",
        );
        let mut newer = rdb(&[(0, vec![key.clone()])]);
        newer[5..9].copy_from_slice(b"0080");
        as_it_came(&newer, limits, "its version");
    }
}

/// KeyDB says the times of members behind their set, and what it knows of a key before it.
#[test]
fn what_is_said_between_keys_keeps_all_of_it_as_it_came() {
    let said = [&[250][..], &string(b"keydb-subexpire-key"), &string(b"member")].concat();
    let keys = vec![text("b", b"1"), said, text("a", b"2")];
    as_it_came(&rdb(&[(0, keys)]), LIMITS, "the order of its parts");
}

#[test]
fn the_rdb_of_a_newer_valkey_is_known_by_its_name() {
    let mut newer = rdb(&[(0, vec![text("key", b"value")])]);
    newer[..9].copy_from_slice(b"VALKEY080");
    as_it_came(&newer, LIMITS, "its version");
}

#[test]
fn libraries_and_slots_have_an_order_too() {
    let library = |name: &str| [&[245][..], &string(name.as_bytes())].concat();
    let slot = |number: u8| [244, number, 2, 0];
    let rdb = |libraries: [&str; 2], slots: [u8; 2]| {
        let head = [b"REDIS0012".to_vec(), library(libraries[0]), library(libraries[1])].concat();
        let sizes = [&[254, 0, 251, 2, 0][..], &slot(slots[0]), &slot(slots[1])].concat();
        with_checksum([head, sizes, text("key", b"value"), vec![255]].concat())
    };
    let stored = ordered(&rdb(["two", "one"], [7, 5]), LIMITS);
    assert_eq!(stored, rdb(["one", "two"], [5, 7]));
}

/// A value, a key, a member and a field that take many runs each, among others.
#[test]
fn what_is_too_large_for_a_run_finds_its_place() {
    let large = |letter: u8| vec![letter; 30_000];
    let mut keys = vec![
        text("m", &large(b'v')),
        text(str::from_utf8(&large(b'k')).unwrap(), b"value"),
        table(2, "set", &[string(&large(b'n')), string(b"z"), string(b"a"), string(&large(b'm'))]),
        table(
            4,
            "table",
            &[[string(&large(b'g')), string(b"1")].concat(), [string(b"f"), string(&large(b'2'))].concat()],
        ),
    ];
    keys.extend((0..50).map(|n| text(&format!("{n}"), &[n; 50])));
    let stored = ordered(&rdb(&[(0, keys.clone())]), LIMITS);
    for (seed, run_len) in (0..20).flat_map(|seed| [(seed, 100), (seed, 1_000), (seed, 40_000)]) {
        let other = rdb(&[(0, shuffled(&keys, seed))]);
        assert!(ordered(&other, small(run_len)) == stored, "{seed} {run_len}");
        let unknown = [shuffled(&keys, seed), vec![vec![26, 1]]].concat();
        as_it_came(&rdb(&[(0, unknown)]), small(run_len), "the type of a key");
    }
}

/// Each element says which key it is of, which may be long.
#[test]
fn what_is_written_down_is_not_much_longer_than_what_came() {
    let members: Vec<_> = (0..63u8).map(|n| string(&[n])).collect();
    let set = table(2, &"key".repeat(5_000), &members);
    let bytes = rdb(&[(0, vec![set])]);
    let scratch = tempfile::tempdir().unwrap();
    let sink = RecordingSink::default();
    let limits = Limits { run_len: 1 << 20, read_len: 100 };
    let mut input = &bytes[..];
    let mut intake = Intake::new(&mut input, limits, Spill::new(scratch.path()), &sink);
    rdb::walk(11, &mut intake).unwrap();
    let Intake { mut run, mut spill, .. } = intake;
    spill.push(&mut run).unwrap();
    let [Stored::Sorted(extent)] = &spill.runs[..] else { panic!("{}", spill.runs.len()) };
    let len = usize::try_from(extent.range.end - extent.range.start).unwrap();
    assert!(len < bytes.len() + 15_000 + 100 * 40, "{len} for {}", bytes.len());
}

#[test]
fn an_rdb_without_a_checksum_keeps_none() {
    let mut rdb = two_databases(1);
    let at = rdb.len() - 8;
    rdb[at..].fill(0);
    let sink = capture_with(&rdb, LIMITS, false).sink;
    assert_eq!(sink.content()[at..], [0; 8]);
    // Nor does one of before there were any.
    let mut old = rdb[..at].to_vec();
    old[5..9].copy_from_slice(b"0003");
    let sink = capture_with(&old, LIMITS, false).sink;
    assert_eq!(sink.content().last(), Some(&255));
    assert_eq!(sink.content().len(), old.len());
}

/// `redis-cli --rdb -` cannot take it back from a pipe.
#[test]
fn the_mark_of_a_transfer_stays_behind_the_end() {
    let mark = b"af253b93576c95b6b8dafbb3b2a6a919fe8c0934";
    let stored = ordered(&two_databases(1), LIMITS);
    for limits in [LIMITS, small(1), small(60)] {
        let sink = capture_with(&[&two_databases(2), &mark[..]].concat(), limits, false).sink;
        assert!(sink.content() == [&stored, &mark[..]].concat());
    }
    as_it_came(&[&two_databases(2), &mark[..39]].concat(), LIMITS, "bytes follow");
}

#[test]
fn a_damaged_rdb_is_refused_unless_allowed() {
    let mut rdb = rdb(&[(0, (0..20).map(|n| text(&format!("key {n}"), &[n; 50])).collect())]);
    let at = rdb.len() - 30;
    rdb[at] ^= 1;
    for limits in [LIMITS, small(200)] {
        let message = capture_with(&rdb, limits, false).result.unwrap_err().to_string();
        assert!(message.contains("the checksum at the end of the RDB"), "{message}");
        let Captured { result, sink } = capture_with(&rdb, limits, true);
        result.unwrap();
        assert_eq!(sink.findings.len(), 1);
        assert!(sink.content() == rdb);
    }
}

/// Be it such that the pieces make no sense any more.
#[test]
fn every_flipped_bit_of_an_rdb_is_noticed() {
    let rdb = rdb(&[(0, [curiosities(), vec![table(2, "set", &[string(b"b"), string(b"a")])]].concat())]);
    for at in 9..rdb.len() {
        let mut damaged = rdb.clone();
        damaged[at] ^= 1 << (at % 8);
        let Captured { result, sink } = capture_with(&damaged, small(700), false);
        let message = result.expect_err("damaged").to_string();
        assert!(message.contains("checksum") || message.contains("ends before"), "{at}: {message}");
        drop(sink);
        let Captured { result, sink } = capture_with(&damaged, small(700), true);
        result.unwrap();
        assert!(sink.content() == damaged && sink.findings.len() == 1, "{at}");
    }
}

#[test]
fn every_truncation_of_an_rdb_is_refused() {
    let rdb = two_databases(5);
    for len in (9..rdb.len()).step_by(5) {
        let Captured { result, sink } = capture_with(&rdb[..len], small(700), len % 7 == 0);
        if len % 7 == 0 {
            assert!(sink.content() == rdb[..len] && sink.findings.len() == 1);
        } else {
            let message = result.unwrap_err().to_string();
            assert!(message.contains("ends before the end marker of the RDB"), "{message}");
        }
    }
}

#[test]
fn without_room_to_sort_it_is_stored_as_it_came() {
    let rdb = two_databases(6);
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = StreamOptions {
        what: "dump.rdb".to_owned(),
        scratch: file.path().join("no folder"),
        ..StreamOptions::default()
    };
    let failed = Cell::new(false);
    let failure = Failure { what: &options.what, origin: &failed, packing: None };
    let mut sink = RecordingSink::default();
    capture_within(&mut &*rdb, 11, small(700), &options, &failure, &mut sink).unwrap();
    assert!(sink.content() == rdb);
    assert!(sink.notices[0].contains("must lie in"), "{:?}", sink.notices);
}

/// Shortly before the end, flips a bit of what was written down.
struct Rotting<'b> {
    input: Box<dyn Read + 'b>,
    left: usize,
    scratch: PathBuf,
    /// Where, in thousandths of the file.
    at: u64,
}

impl Read for Rotting<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(out)?;
        let before = self.left;
        self.left -= len;
        if before > 1000 && self.left <= 1000 {
            // The file has no name, but a process finds its own open files.
            let own = std::fs::read_dir("/proc/self/fd")?.filter_map(Result::ok).map(|entry| entry.path());
            for path in own
                .filter(|path| std::fs::read_link(path).is_ok_and(|target| target.starts_with(&self.scratch)))
            {
                let file = File::options().read(true).write(true).open(path)?;
                let at = file.metadata()?.len() * self.at / 1000;
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)?;
                file.write_all_at(&[byte[0] ^ 1], at)?;
            }
        }
        Ok(len)
    }
}

/// Its new checksum would vouch for them.
#[test]
fn bytes_that_go_bad_while_they_are_sorted_are_noticed() {
    let in_order = two_databases(7);
    let mut unknown = in_order.clone();
    let end = unknown.len() - 9;
    unknown[end] = 200;
    for (rdb, run_len) in [(&in_order, 700), (&in_order, 40), (&unknown, 700), (&unknown, 40)] {
        for at in (0..1000).step_by(7) {
            let Captured { result, .. } = capture_from(rdb, small(run_len), true, |input, scratch| {
                Box::new(Rotting { input, left: rdb.len(), scratch: scratch.to_owned(), at })
            });
            let error = result.unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("does not hold what was written to it"), "{error}: {cause}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is read, it is stored as it came, or in order, or refused; and what is in order holds the same bytes.
    #[test]
    fn hostile_bytes_lose_nothing(seed in 0u64..1000, at in 0usize..4000, with: Vec<u8>, run_len in 1usize..3000) {
        let mut rdb = two_databases(seed);
        rdb.truncate(rdb.len() - 8);
        let at = 9 + at % (rdb.len() - 9);
        let end = (at + with.len()).min(rdb.len());
        rdb.splice(at..end, with.iter().copied());
        let rdb = with_checksum(rdb);
        let Captured { result, sink } = capture_with(&rdb, small(run_len), false);
        if result.as_ref().is_ok_and(|report| report.form == "stream") {
            prop_assert!(sink.content() == rdb);
        } else if result.is_ok() {
            let sorted = |mut bytes: Vec<u8>| {
                bytes.truncate(bytes.len() - 8);
                bytes.sort_unstable();
                bytes
            };
            prop_assert_eq!(sink.content().len(), rdb.len());
            prop_assert!(sorted(sink.content()) == sorted(rdb));
        }
    }
}
