//! Capturing a stream of bytes: a dump file, a tarball, standard input, a command's output.
//!
//! Compressed input is unpacked, since compressed bytes of two nights have nothing in common. What is a known dump or
//! tarball then becomes one part per table or member; anything else becomes a single part. A stream that is empty, damaged
//! or cut off is an error: nothing of it may be kept.

mod dump;
mod ending;
mod input;
mod rdb;
#[cfg(test)]
mod tests;
mod unpack;

use std::cell::Cell;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use icecore_format::{FileAttributes, PartKind};

use crate::{CaptureError, Grain, PartEnd, PartStart, Sink};
use ending::{Ending, TAIL_LEN};
use input::{Origin, Tail, fill};
use unpack::Packing;

/// How many first bytes decide what a stream is.
const HEAD_LEN: usize = 64 << 10;
/// How many bytes the sink takes by itself before it is asked again whether to stop.
const COPY_LEN: u64 = 16 << 20;

/// What the caller knows and wants.
#[derive(Debug, Clone, Default)]
pub struct StreamOptions {
    /// The part's name, if the stream becomes a single one.
    pub name: Vec<u8>,
    /// Store the bytes as one part, without unpacking them or looking into them.
    pub raw: bool,
    /// Accept what ends before it should.
    pub allow_incomplete: bool,
    /// Accept a stream of no bytes.
    pub allow_empty: bool,
    /// What the stream is in an error: a path, `stdin`, a command.
    pub what: String,
    /// A folder for what is too much for memory.
    pub scratch: PathBuf,
    /// Of a plain file; kept if the stream becomes a single part.
    pub file: Option<FileAttributes>,
}

impl StreamOptions {
    /// What to do about a stream that ends before `expected`.
    fn judge_incomplete(&self, expected: String, sink: &mut dyn Sink) -> Result<(), CaptureError> {
        self.judge(CaptureError::Incomplete { what: self.what.clone(), expected }, sink)
    }

    /// What to do about a stream that is not whole.
    fn judge(&self, error: CaptureError, sink: &mut dyn Sink) -> Result<(), CaptureError> {
        if !self.allow_incomplete {
            return Err(error);
        }
        sink.finding(error.to_string());
        Ok(())
    }
}

/// What a stream turned out to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamReport {
    /// `pg_dump`, `pg_dumpall`, `mysqldump`, `rdb` or `tar`; `stream` if it is none of them.
    pub form: String,
    /// The engine whose dump it is.
    pub engine: Option<&'static str>,
    /// The version of the server that was dumped.
    pub engine_version: Option<String>,
    /// The database, where the dump names exactly one.
    pub database: Option<String>,
    /// How it was compressed: `gzip`, `zstd`, `bzip2` or `xz`.
    pub unpacked: Option<&'static str>,
    /// How many bytes went to the sink.
    pub bytes: u64,
}

/// Hands all of `reader` to `sink`, in parts.
pub fn capture_stream(
    reader: &mut dyn Read,
    options: &StreamOptions,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    let failed = Cell::new(false);
    let mut origin = Origin::new(reader, &failed);
    let failure = Failure { what: &options.what, origin: &failed, packing: None };
    let head = read_head(&mut origin).map_err(|error| failure.explain(error))?;
    let packing = if options.raw { None } else { Packing::recognise(&head) };
    let failure = Failure { packing, ..failure };
    let stored = Cursor::new(head).chain(origin);
    let mut plain: Box<dyn Read + '_> = match packing {
        None => Box::new(stored),
        Some(packing) => packing.unpack(stored).map_err(|error| failure.explain(error))?,
    };
    if let Some(packing) = packing {
        sink.notice(format!("{} input is stored unpacked; --raw keeps it as it is", packing.as_str()));
    }
    let head = read_head(&mut plain).map_err(|error| failure.explain(error))?;
    if head.is_empty() && !options.allow_empty {
        let what = match packing {
            None => options.what.clone(),
            Some(packing) => format!("the {} stream in {}", packing.as_str(), options.what),
        };
        return Err(CaptureError::Empty { what });
    }
    let mut report = capture_plain(head, &mut plain, options, &failure, sink)?;
    report.unpacked = packing.map(Packing::as_str);
    Ok(report)
}

fn capture_plain(
    head: Vec<u8>,
    rest: &mut dyn Read,
    options: &StreamOptions,
    failure: &Failure<'_>,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    if let Some(warning) = icecore_dump::warn_about(&head) {
        sink.notice(format!("{}: {warning}", options.what));
    }
    let rdb = if options.raw { None } else { icecore_dump::rdb::version(&head) };
    if let Some(version) = rdb {
        let engine_version = icecore_dump::rdb::server_version(&head);
        let report = rdb::capture(&mut Cursor::new(head).chain(rest), version, options, failure, sink)?;
        return Ok(StreamReport { engine_version, ..report });
    }
    let format = if options.raw { None } else { icecore_dump::recognise(&head) };
    let ending = if options.raw { Ending::Unknown } else { Ending::foretold_by(&head) };
    let mut input = Cursor::new(head).chain(rest);
    match format {
        Some(format) => dump::capture(&mut input, format, options, failure, sink),
        None => capture_single(&mut input, ending, options, failure, sink),
    }
}

fn capture_single(
    input: &mut dyn Read,
    ending: Ending,
    options: &StreamOptions,
    failure: &Failure<'_>,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    let mut input = Tail::new(input, TAIL_LEN);
    let name = options.name.clone();
    sink.begin(PartStart { name, kind: PartKind::Data, grain: Grain::Byte, own_chunks: false })?;
    let mut bytes = 0;
    loop {
        sink.check_cancelled()?;
        let copied = sink.copy(&mut input, COPY_LEN)?.map_err(|error| failure.explain(error))?;
        bytes += copied;
        if copied < COPY_LEN {
            break;
        }
    }
    if let Some(expected) = ending.missing(bytes, input.last_bytes()) {
        options.judge_incomplete(expected, sink)?;
    }
    if ending == Ending::Anywhere {
        sink.notice(format!(
            "{} is SQL without the marks of a known dump: whether it is complete, nobody can tell",
            options.what
        ));
    }
    // What is stored may be the unpacked bytes, of which the file system knows nothing.
    let file = options
        .file
        .clone()
        .map(|file| Box::new(FileAttributes { size: bytes, extents: Vec::new(), ..file }));
    sink.end(PartEnd { rows: None, file })?;
    Ok(StreamReport { form: "stream".to_owned(), bytes, ..StreamReport::default() })
}

fn read_head(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_LEN];
    let len = fill(reader, &mut head)?;
    head.truncate(len);
    Ok(head)
}

/// What is needed to say in a sentence why reading failed.
struct Failure<'a> {
    what: &'a str,
    /// Whether it was the input itself that failed, and not the unpacking of it.
    origin: &'a Cell<bool>,
    packing: Option<Packing>,
}

impl Failure<'_> {
    fn explain(&self, error: io::Error) -> CaptureError {
        if crate::poll::is_interruption(&error) {
            return CaptureError::Cancelled;
        }
        match self.packing {
            Some(packing) if !self.origin.get() => CaptureError::Source(packing.complaint(self.what, &error)),
            _ => CaptureError::Read { action: "cannot read", path: self.what.into(), source: error },
        }
    }
}
