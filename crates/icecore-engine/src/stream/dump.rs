//! A stream whose format is understood: a scanner watches the bytes pass, and they go to the sink in its parts.

use std::collections::VecDeque;
use std::io::Read;

use icecore_dump::{Completeness, Format, Mark, Scanner};
use icecore_format::PartKind;

use super::input::fill;
use super::{Failure, StreamOptions, StreamReport};
use crate::{CaptureError, Grain, PartEnd, PartStart, Sink};

/// Far more than the scanner ever leaves unsettled.
const BUFFER_LEN: usize = 1 << 20;

pub(super) fn capture(
    input: &mut dyn Read,
    format: Format,
    options: &StreamOptions,
    failure: &Failure<'_>,
    sink: &mut dyn Sink,
) -> Result<StreamReport, CaptureError> {
    let mut scanner = Scanner::new(format);
    let mut parts = Parts { sink, position: 0, open: false, pending: VecDeque::new() };
    let mut marks = Vec::new();
    let mut buffer = vec![0; BUFFER_LEN];
    let mut filled = 0;
    loop {
        parts.sink.check_cancelled()?;
        filled += fill(input, &mut buffer[filled..]).map_err(|error| failure.explain(error))?;
        let last = filled < buffer.len();
        let settled = scanner.scan(&buffer[..filled], last, &mut marks);
        parts.pending.extend(marks.drain(..));
        if last {
            // Whatever the scanner thinks of them, no byte is left behind.
            parts.write(&buffer[..filled])?;
            break;
        }
        assert!(settled > 0, "the scanner settles all but 64 KiB");
        parts.write(&buffer[..settled])?;
        buffer.copy_within(settled..filled, 0);
        filled -= settled;
    }
    let bytes = parts.finish()?;
    let outcome = scanner.finish();
    match outcome.completeness {
        Completeness::Complete => (),
        Completeness::Cut { expected } => judge_cut(format, expected, options, sink)?,
        Completeness::Unknown => sink
            .notice(format!("{} has no end marker, so nobody could notice if it were cut off", options.what)),
    }
    Ok(StreamReport {
        form: format.as_str().to_owned(),
        engine: outcome.engine,
        engine_version: outcome.engine_version,
        database: outcome.database,
        unpacked: None,
        bytes,
    })
}

fn judge_cut(
    format: Format,
    expected: &str,
    options: &StreamOptions,
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let noun = if matches!(format, Format::Tar) { "tarball" } else { "dump" };
    let expected = format!("the end marker of the {noun} ({expected})");
    options.judge_incomplete(expected, sink)
}

/// Turns marks into parts. It does not trust them: bytes that no part claims become a part without a name.
struct Parts<'a> {
    sink: &'a mut dyn Sink,
    /// How many bytes of the stream have been written.
    position: u64,
    open: bool,
    /// Marks that lie ahead of `position`, or at it.
    pending: VecDeque<Mark>,
}

impl Parts<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), CaptureError> {
        loop {
            self.pass_marks()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let ahead = self.pending.front().map_or(u64::MAX, |mark| place(mark) - self.position);
            let len = usize::try_from(ahead).map_or(bytes.len(), |ahead| ahead.min(bytes.len()));
            let (now, later) = bytes.split_at(len);
            if !self.open {
                self.begin(Vec::new(), PartKind::Data, Grain::Byte)?;
            }
            self.sink.write(now)?;
            self.position += now.len() as u64;
            bytes = later;
        }
    }

    fn pass_marks(&mut self) -> Result<(), CaptureError> {
        while let Some(mark) = self.pending.pop_front_if(|mark| place(mark) <= self.position) {
            match mark {
                Mark::Begin { name, kind, grain, .. } => {
                    self.end(None)?;
                    self.begin(name, kind, grain)?;
                }
                Mark::End { rows, .. } => self.end(rows)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, name: Vec<u8>, kind: PartKind, grain: Grain) -> Result<(), CaptureError> {
        let own_chunks = matches!(kind, PartKind::Table | PartKind::Member);
        self.sink.begin(PartStart { name, kind, grain, own_chunks })?;
        self.open = true;
        Ok(())
    }

    fn end(&mut self, rows: Option<u64>) -> Result<(), CaptureError> {
        if self.open {
            self.sink.end(PartEnd { rows, file: None })?;
            self.open = false;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64, CaptureError> {
        self.end(None)?;
        Ok(self.position)
    }
}

fn place(mark: &Mark) -> u64 {
    match mark {
        Mark::Begin { at, .. } | Mark::End { at, .. } => *at,
    }
}
