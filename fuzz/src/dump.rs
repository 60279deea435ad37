//! Scanners of dumps and tarballs.

use std::collections::HashSet;

use icecore_dump::mysql_script::{Action, Code, Piece, Reader, Splitter, action};
use icecore_dump::script::{self, CopyRows};
use icecore_dump::{Format, Mark, Outcome, Scanner, recognise, warn_about};

use crate::input::split_tail;

/// What is held back at most, so that a caller's buffer always empties.
const UNSETTLED_MAX: usize = 64 << 10;

pub(crate) fn pg_dump(input: &[u8]) {
    scan(Format::PgDump, input);
}

pub(crate) fn pg_dumpall(input: &[u8]) {
    scan(Format::PgDumpAll, input);
}

pub(crate) fn mysqldump(input: &[u8]) {
    scan(Format::MysqlDump, input);
}

pub(crate) fn tar(input: &[u8]) {
    scan(Format::Tar, input);
}

/// The format is what the first bytes say.
pub(crate) fn any(input: &[u8]) {
    let _ = warn_about(input);
    if let Some(format) = recognise(input) {
        scan(format, input);
    }
}

/// The stream at once and in pieces, whose lengths are the last four bytes: the same marks.
fn scan(format: Format, input: &[u8]) {
    let (stream, tail) = split_tail::<4>(input);
    let at_once = scan_in_pieces(format, stream, &[stream.len().max(1)]);
    check_cover(format, &at_once.0, stream.len());
    let [a, b, c, d] = tail.map(usize::from);
    // Short streams in the smallest pieces, longer ones in pieces that let them be scanned in time.
    let step = if stream.len() < 4096 { 1 } else { 64 };
    let pieces = [a * step + 1, b * step + 1, c + 1, d * 256 + 1];
    assert_eq!(scan_in_pieces(format, stream, &pieces), at_once, "in pieces of {pieces:?}");
}

/// Scans as a caller does whose buffer grows by `pieces` in turn, and checks what the scanner promises about progress.
fn scan_in_pieces(format: Format, stream: &[u8], pieces: &[usize]) -> (Vec<Mark>, Outcome) {
    let mut scanner = Scanner::new(format);
    let mut marks: Vec<Mark> = Vec::new();
    let (mut settled, mut read) = (0, 0);
    for len in pieces.iter().cycle() {
        read = (read + len).min(stream.len());
        let last = read == stream.len();
        let known = marks.len();
        let before = settled;
        settled += scanner.scan(stream.get(settled..read).expect("in order"), last, &mut marks);
        assert!(settled <= read && read - settled <= UNSETTLED_MAX, "{} bytes are held back", read - settled);
        let settled_now = before as u64..=settled as u64;
        assert!(
            marks.iter().skip(known).all(|mark| settled_now.contains(&place(mark))),
            "a mark lies outside"
        );
        if last {
            break;
        }
    }
    assert_eq!(settled, stream.len(), "with the last piece everything settles");
    (marks, scanner.finish())
}

/// Parts cover the stream without gaps, none is empty, and in a dump no two have the same name.
fn check_cover(format: Format, marks: &[Mark], len: usize) {
    let mut names = HashSet::new();
    let mut open = None;
    let mut end = 0;
    for mark in marks {
        match mark {
            Mark::Begin { at, name, .. } => {
                assert_eq!((open, *at), (None, end), "a part begins where the last one ended");
                assert!(format == Format::Tar || names.insert(name), "two parts are called the same");
                open = Some(*at);
            }
            Mark::End { at, rows } => {
                let begin = open.take().expect("what ends has begun");
                assert!(begin < *at, "a part is empty");
                assert!(rows.is_none_or(|rows| rows <= *at - begin), "more rows than bytes");
                end = *at;
            }
        }
    }
    assert_eq!((open, end), (None, len as u64), "parts cover the stream");
}

fn place(mark: &Mark) -> u64 {
    match mark {
        Mark::Begin { at, .. } | Mark::End { at, .. } => *at,
    }
}

/// Definitions, object by object: all bytes belong to one, and what is found in them lies in them.
pub(crate) fn script(input: &[u8]) {
    let entries = script::entries(input);
    assert!(entries.iter().flat_map(|entry| entry.text).eq(input));
    assert!(script::without_commands(input).len() <= input.len());
    let Some((statement, at)) = script::copy_statement(input) else { return };
    assert!(statement.starts_with(b"COPY ") && at >= statement.len());
    let mut rest = input.get(at..).expect("within the input");
    let mut rows = CopyRows::default();
    loop {
        let (len, passed, ended) = rows.read(rest, true);
        assert!(len <= passed && passed <= rest.len());
        rest = rest.get(passed..).expect("within the input");
        if ended || passed == 0 {
            break;
        }
    }
}

/// Statements of MySQL: they are the same however they come, and code stays code when it is told otherwise.
pub(crate) fn mysql_script(input: &[u8]) {
    let whole = statements(input, input.len());
    assert_eq!(statements(input, 7), whole);
    for (start, end) in whole {
        let reader = Reader { is_mariadb: start % 2 == 0, version: 101_114 };
        let Ok(Action::Create(code)) = action(&input[start..end], reader) else { continue };
        let (kind, name) = (code.kind, code.name.clone());
        let disabled = Code::parse(&code.disabled()).expect("it is still code");
        assert_eq!((disabled.kind, &disabled.name), (kind, &name));
        let own = Code::parse(&code.without_definer().statement).expect("it is still code");
        assert_eq!((own.kind, own.name, own.definer), (kind, name, None));
    }
}

/// Where the statements are in a script of which `step` bytes come at a time.
fn statements(input: &[u8], step: usize) -> Vec<(usize, usize)> {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    let (mut at, mut end) = (0, 0);
    loop {
        let last = end == input.len();
        let before = at;
        match splitter.next(&input[at..end], last) {
            Piece::Nothing(len) | Piece::Command(len) => at += len,
            Piece::Statement(len, passed) => {
                assert!(len <= passed);
                found.push((at, at + len));
                at += passed;
            }
            Piece::More if last => return found,
            Piece::More => {
                end = (end + step.max(1)).min(input.len());
                continue;
            }
        }
        assert!(before < at && at <= end);
    }
}
