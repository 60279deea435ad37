//! Streams as they are captured: unpacked, recognised, and handed on in parts.

use std::io::{self, Read};

use icecore_engine::{PartEnd, PartStart, Sink, SinkError, StreamOptions, StreamReport, capture_stream};
use icecore_format::Part;

use crate::input::split_tail;

/// A stream that unpacks to more is given up: what is looked for shows before.
const PLAIN_MAX: u64 = 4 << 20;

/// Notes what comes, and insists that it comes in order.
#[derive(Debug, Default)]
struct Notes {
    open: bool,
    parts: u64,
    len: u64,
    hasher: blake3::Hasher,
    /// All bytes, where somebody wants them.
    kept: Option<Vec<u8>>,
}

impl Sink for Notes {
    fn begin(&mut self, _: PartStart) -> Result<(), SinkError> {
        assert!(!std::mem::replace(&mut self.open, true), "two parts at once");
        self.parts += 1;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        assert!(self.open, "bytes outside of a part");
        self.len += bytes.len() as u64;
        self.hasher.update(bytes);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        if self.len > PLAIN_MAX { Err("enough".into()) } else { Ok(()) }
    }

    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<io::Result<u64>, SinkError> {
        let mut block = vec![0; 64 << 10];
        let mut copied = 0;
        while copied < limit {
            let room = usize::try_from(limit - copied).map_or(block.len(), |left| left.min(block.len()));
            match reader.read(block.get_mut(..room).unwrap_or_default()) {
                Ok(0) => break,
                Ok(len) => {
                    self.write(block.get(..len).expect("no more than asked for"))?;
                    copied += len as u64;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(copied))
    }

    fn reuse(&mut self, _: &Part) -> Result<bool, SinkError> {
        Ok(false)
    }

    fn end(&mut self, _: PartEnd) -> Result<(), SinkError> {
        assert!(std::mem::take(&mut self.open), "a part ends that had not begun");
        Ok(())
    }

    fn finding(&mut self, _: String) {}

    fn notice(&mut self, _: String) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Gives a few bytes at a time.
struct Dribble<'a> {
    rest: &'a [u8],
    len: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.len.min(buf.len());
        self.rest.read(buf.get_mut(..len).unwrap_or_default())
    }
}

/// The last byte says in how small pieces the stream comes for a second capture, and whether cut dumps are accepted.
pub(crate) fn capture(input: &[u8]) {
    let (stream, [choice]) = split_tail(input);
    let options = StreamOptions {
        name: b"stream".to_vec(),
        what: "stdin".to_owned(),
        allow_incomplete: choice & 1 == 0,
        allow_empty: choice & 2 == 0,
        ..StreamOptions::default()
    };
    let at_once = run(stream, stream.len().max(1), &options);
    let in_pieces = run(stream, usize::from(choice) + 1, &options);
    assert_eq!(at_once, in_pieces);
    let raw = run(stream, stream.len().max(1), &StreamOptions { raw: true, ..options });
    if let Ok((report, hash)) = raw {
        assert_eq!((report.bytes, hash), (stream.len() as u64, blake3::hash(stream)));
        assert!(report.unpacked.is_none());
    }
}

fn run(stream: &[u8], piece: usize, options: &StreamOptions) -> Result<(StreamReport, blake3::Hash), String> {
    let mut notes = Notes::default();
    let report = capture_stream(&mut Dribble { rest: stream, len: piece }, options, &mut notes)
        .map_err(|error| error.to_string())?;
    assert!(!notes.open, "a part was left open");
    assert_eq!(report.bytes, notes.len, "bytes are counted as they come");
    assert!(notes.len == 0 || notes.parts > 0);
    Ok((report, notes.hasher.finalize()))
}

/// What comes between the first and the last bytes of an RDB. It is stored in order, and then stays as it is; or as it came.
pub(crate) fn rdb(input: &[u8]) {
    let mut rdb = [b"REDIS0011", input, &[255]].concat();
    let checksum = crc::Crc::<u64>::new(&crc::CRC_64_REDIS).checksum(&rdb);
    rdb.extend_from_slice(&checksum.to_le_bytes());
    let keep = |bytes: &[u8]| {
        let mut notes = Notes { kept: Some(Vec::new()), ..Notes::default() };
        let options = StreamOptions { what: "stdin".to_owned(), ..StreamOptions::default() };
        let report = capture_stream(&mut &*bytes, &options, &mut notes).ok()?;
        Some((report.form, notes.kept.unwrap_or_default()))
    };
    // Refused: it ends in the middle of something.
    let Some((form, stored)) = keep(&rdb) else { return };
    if form == "rdb" {
        assert_eq!(stored.len(), rdb.len());
        assert_eq!(keep(&stored), Some((form, stored)));
    } else {
        assert_eq!(stored, rdb);
    }
}
