//! An RDB of Redis or Valkey. Its keys lie in the order of a hash table, another one after every restart: two nights of the same data would
//! have nothing in common. So the keys of each database are put in order, and the members of large sets and hashes with them; what is stored
//! is again an RDB, with the same data.
//!
//! What is too much for memory is sorted in runs, which lie in a temporary file without a name until they are merged. If anything comes that
//! is not understood, the bytes are stored as they came: runs can be undone.

mod intake;
mod merge;
mod output;
mod run;
mod spill;
#[cfg(test)]
mod tests;

use std::io::{self, Cursor, Read};

use icecore_dump::rdb::{self, Obstacle};

use self::intake::{Intake, Limits, Stop};
use self::output::Output;
use self::spill::{Spill, Stored};
use super::ending::Ending;
use super::{Failure, StreamOptions, StreamReport, capture_single};
use crate::{CaptureError, Sink};

/// The checksum of an RDB. That of all bytes, the checksum itself among them, is zero.
static CHECKSUM: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_REDIS);
const LIMITS: Limits = Limits { run_len: 16 << 20, read_len: 256 << 10 };
/// `redis-cli --rdb -` leaves the mark by which the server ended the transfer, in hexadecimal digits.
const TRANSFER_MARK_LEN: usize = 40;
const CHECKSUM_LEN: usize = 8;
const WINDOW_LEN: usize = 256 << 10;

/// What is to be done with what was read.
enum Verdict {
    /// All was understood; this follows the end.
    InOrder { follows: Vec<u8> },
    /// Something was not, says the notice. If it is `unknown`, the checksum of the whole tells whether it is damaged.
    AsItCame { notice: String, unknown: Option<&'static str> },
}

pub(super) fn capture(
    input: &mut dyn Read,
    version: u32,
    options: &StreamOptions,
    failure: &Failure<'_>,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    capture_within(input, version, LIMITS, options, failure, sink)
}

fn capture_within(
    input: &mut dyn Read,
    version: u32,
    limits: Limits,
    options: &StreamOptions,
    failure: &Failure<'_>,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    let what = &options.what;
    let mut intake = Intake::new(&mut *input, limits, Spill::new(&options.scratch), &*sink);
    let walked = rdb::walk(version, &mut intake);
    let walked = walked.and_then(|()| Ok(intake.what_follows(TRANSFER_MARK_LEN + 1)?));
    let as_it_came = |why: &str| Verdict::AsItCame {
        notice: format!(
            "the keys of {what} are stored in the order in which they came, so that little of other nights is found among them: {why}"
        ),
        unknown: None,
    };
    let mut broken = None;
    let verdict = match walked {
        Ok(_) if intake.is_checked && intake.checksum.clone().finalize() != 0 => {
            broken = Some(damaged(what));
            as_it_came("it is damaged")
        }
        Ok(follows) if follows.is_empty() || is_transfer_mark(&follows) => Verdict::InOrder { follows },
        Ok(_) => as_it_came("bytes follow its end marker"),
        Err(Obstacle::Unknown(thing)) => match as_it_came(&format!("{thing} is not known here")) {
            Verdict::AsItCame { notice, .. } => Verdict::AsItCame { notice, unknown: Some(thing) },
            verdict => verdict,
        },
        Err(Obstacle::Visitor(Stop::Scratch(error))) => as_it_came(&format!(
            "to put it in order, its keys must lie in {} for a while, and {error}",
            options.scratch.display()
        )),
        Err(Obstacle::Visitor(Stop::Cut)) => {
            let expected = "the end marker of the RDB".to_owned();
            broken = Some(CaptureError::Incomplete { what: what.clone(), expected });
            as_it_came("it was cut off")
        }
        Err(Obstacle::Visitor(Stop::Input(error))) => return Err(failure.explain(error)),
        Err(Obstacle::Visitor(Stop::Cancelled)) => return Err(CaptureError::Cancelled),
    };
    intake.give_up();
    let Intake { mut run, spill, .. } = intake;
    if let Some(error) = broken {
        options.judge(error, sink)?;
    }
    let report = match verdict {
        Verdict::InOrder { follows } => {
            sink.notice(format!(
                "the keys of {what} are stored in order, so that nights can be compared; --raw keeps the bytes as they are"
            ));
            let lost = CaptureError::read(
                "cannot read back what was written to a temporary file in",
                &options.scratch,
            );
            let mut out = Output::new(sink);
            merge::merge(&spill, &mut run, &mut out)?.map_err(lost)?;
            StreamReport { form: "rdb".to_owned(), bytes: out.finish(&follows)?, ..StreamReport::default() }
        }
        Verdict::AsItCame { notice, unknown } => {
            sink.notice(notice);
            let rest = Cursor::new(std::mem::take(&mut run.bytes)).chain(input);
            let original = Original { spill: &spill, next: 0, current: None }.chain(rest);
            let mut original = Checked { input: original, checksum: CHECKSUM.digest(), end: Vec::new() };
            let report = capture_single(&mut original, Ending::Unknown, options, failure, sink)?;
            // Of what is not known, a newer version may end in another way.
            let has_checksum = (rdb::CHECKSUM_SINCE..=rdb::VERSION_MAX).contains(&version);
            if unknown.is_some() && has_checksum && !original.is_right() {
                options.judge(damaged(what), sink)?;
            }
            report
        }
    };
    Ok(StreamReport { engine: Some("redis"), ..report })
}

fn damaged(what: &str) -> CaptureError {
    let how = "the checksum at the end of the RDB is not that of its bytes";
    CaptureError::Damaged { what: what.to_owned(), how }
}

fn is_transfer_mark(rest: &[u8]) -> bool {
    rest.len() == TRANSFER_MARK_LEN && rest.iter().all(u8::is_ascii_hexdigit)
}

/// What was written down, as it came.
struct Original<'a> {
    spill: &'a Spill,
    next: usize,
    current: Option<Box<dyn Read + 'a>>,
}

impl Read for Original<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(current) = &mut self.current {
                match current.read(out) {
                    Ok(0) => self.current = None,
                    read => return read,
                }
            }
            self.current = match self.spill.runs.get(self.next) {
                None => return Ok(0),
                Some(Stored::Sorted(extent)) => Some(Box::new(Cursor::new(self.spill.original(extent)?))),
                Some(Stored::Single(_, extent)) => Some(Box::new(self.spill.window(extent, WINDOW_LEN))),
            };
            self.next += 1;
        }
    }
}

/// Sums up what passes.
struct Checked<R> {
    input: R,
    /// Of all but the end.
    checksum: crc::Digest<'static, u64, crc::Table<16>>,
    end: Vec<u8>,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(out)?;
        self.end.extend_from_slice(out.get(..len).unwrap_or_default());
        let passed = self.end.len().saturating_sub(CHECKSUM_LEN + TRANSFER_MARK_LEN);
        self.checksum.update(self.end.get(..passed).unwrap_or_default());
        self.end.drain(..passed);
        Ok(len)
    }
}

impl<R> Checked<R> {
    /// Whether the checksum at the end is that of what passed, or there is none.
    fn is_right(&self) -> bool {
        let before_mark = self.end.split_at_checked(CHECKSUM_LEN).filter(|(_, mark)| is_transfer_mark(mark));
        let end = before_mark.map_or(&self.end[..], |(end, _)| end);
        let mut checksum = self.checksum.clone();
        checksum.update(end);
        end.ends_with(&[0; CHECKSUM_LEN]) || checksum.finalize() == 0
    }
}
