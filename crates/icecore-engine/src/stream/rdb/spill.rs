//! Sorted runs in a temporary file without a name, which nobody finds after a crash.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use icecore_dump::rdb::{Place, Within};
use rustix::fs::FallocateFlags;

use super::CHECKSUM;
use super::run::{Lying, Rank, Run};
use crate::CaptureError;

const WRITE_LEN: usize = 256 << 10;
/// A piece's place and the number of its key, the length of its key, where in it its element's name begins and how long that is, where it lay
/// in its run, and its length. Key and piece follow.
const HEADER_LEN: usize = 5 + 8 + 5 * 4;
/// In place of a key's length: it is that of the piece before.
const SAME_KEY: u32 = u32::MAX;
/// How much has been read when its room is given back.
const RELEASE_LEN: u64 = 1 << 20;

/// What has been written down.
pub(super) struct Spill {
    scratch: PathBuf,
    file: Option<File>,
    len: u64,
    pub(super) runs: Vec<Stored>,
}

/// A run in the file.
pub(super) enum Stored {
    /// Many pieces in order, each behind its header.
    Sorted(Extent),
    /// One piece that was too large to be held.
    Single(Rank, Extent),
}

/// Bytes in the file, and what they sum up to: the RDB gets a new checksum, which would vouch for what has gone bad there.
#[derive(Clone)]
pub(super) struct Extent {
    pub(super) range: Range<u64>,
    checksum: crc::Digest<'static, u64, crc::Table<16>>,
}

impl Extent {
    fn new(at: u64) -> Self {
        Self { range: at..at, checksum: CHECKSUM.digest() }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.range.end += bytes.len() as u64;
    }
}

impl Spill {
    pub(super) fn new(scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned(), file: None, len: 0, runs: Vec::new() }
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            std::fs::create_dir_all(&self.scratch)?;
            self.file = Some(tempfile::tempfile_in(&self.scratch)?);
        }
        self.file.as_ref().ok_or_else(|| io::Error::other("no file"))
    }

    /// Writes the pieces of a run down, sorted.
    pub(super) fn push(&mut self, run: &mut Run) -> io::Result<()> {
        run.sort();
        let extent = self.write(run).inspect_err(|_| self.cut_off())?;
        self.len = extent.range.end;
        self.runs.push(Stored::Sorted(extent));
        Ok(())
    }

    /// Writes the pieces behind what is there.
    fn write(&mut self, run: &Run) -> io::Result<Extent> {
        let extent = Extent::new(self.len);
        let mut out = BufWriter::with_capacity(WRITE_LEN, Appending { file: self.file()?, extent });
        let mut before = None;
        for piece in &run.pieces {
            let Lying { place, key, number, bytes, element } = run.piece(piece);
            let is_same = before.replace(&piece.key) == Some(&piece.key);
            out.write_all(&encode_place(place))?;
            out.write_all(&number.to_le_bytes())?;
            let key_len = if is_same { SAME_KEY } else { small(key.len())? };
            for number in
                [key_len, small(element.start)?, small(element.len())?, piece.at, small(bytes.len())?]
            {
                out.write_all(&number.to_le_bytes())?;
            }
            out.write_all(if is_same { &[] } else { key })?;
            out.write_all(bytes)?;
        }
        Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.extent)
    }

    /// What could not be written as a whole must not keep the last of the room.
    fn cut_off(&self) {
        if let Some(file) = &self.file {
            let _ = file.set_len(self.len);
        }
    }

    /// Writes a piece that is too large, or more of it behind what there is already.
    pub(super) fn append(&mut self, before: Option<Extent>, bytes: &[u8]) -> io::Result<Extent> {
        let mut extent = before.unwrap_or_else(|| Extent::new(self.len));
        let at = extent.range.end;
        self.file()?.write_all_at(bytes, at).inspect_err(|_| self.cut_off())?;
        extent.push(bytes);
        self.len = extent.range.end;
        Ok(extent)
    }

    /// A reader of what lies there.
    pub(super) fn window(&self, extent: &Extent, capacity: usize) -> Window<'_> {
        Window {
            file: self.file.as_ref(),
            released: extent.range.start,
            rest: extent.range.clone(),
            read: CHECKSUM.digest(),
            written: extent.checksum.clone().finalize(),
            buffer: Vec::new(),
            start: 0,
            capacity,
        }
    }

    /// The pieces of a sorted run as they came.
    pub(super) fn original(&self, extent: &Extent) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.window(extent, WRITE_LEN).read_to_end(&mut bytes)?;
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let header = Header::decode(rest).ok_or_else(corrupt)?;
            let start = HEADER_LEN + header.key.unwrap_or_default();
            let piece = rest.get(start..start + header.len).ok_or_else(corrupt)?;
            pieces.push((header.at, piece));
            rest = rest.get(start + header.len..).unwrap_or_default();
        }
        pieces.sort_unstable_by_key(|(at, _)| *at);
        Ok(pieces.into_iter().flat_map(|(_, piece)| piece).copied().collect())
    }
}

/// Writes behind what there is.
struct Appending<'f> {
    file: &'f File,
    extent: Extent,
}

impl io::Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write_at(bytes, self.extent.range.end)?;
        self.extent.push(bytes.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Header {
    place: Place,
    number: u64,
    /// None for the key of the piece before.
    key: Option<usize>,
    element: Range<usize>,
    at: u32,
    len: usize,
}

impl Header {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let large = bytes.get(5..13)?.try_into().ok().map(u64::from_le_bytes)?;
        let place = decode_place(*bytes.first()?, number(1)?)?;
        let key = number(13)?;
        let [element_at, element_len, at, len] = [number(17)?, number(21)?, number(25)?, number(29)?];
        Some(Self {
            place,
            number: large,
            key: (key != SAME_KEY).then_some(key as usize),
            element: element_at as usize..element_at as usize + element_len as usize,
            at,
            len: len as usize,
        })
    }
}

fn encode_place(place: Place) -> [u8; 5] {
    let (tag, number) = match place {
        Place::Head => (0, 0),
        Place::Function => (1, 0),
        Place::Database(number, Within::Selection) => (2, number),
        Place::Database(number, Within::Size) => (3, number),
        Place::Database(number, Within::Slot) => (4, number),
        Place::Database(number, Within::Record) => (5, number),
        Place::Tail => (6, 0),
        Place::End => (7, 0),
    };
    let [a, b, c, d] = u32::to_le_bytes(number);
    [tag, a, b, c, d]
}

fn decode_place(tag: u8, number: u32) -> Option<Place> {
    Some(match tag {
        0 => Place::Head,
        1 => Place::Function,
        2 => Place::Database(number, Within::Selection),
        3 => Place::Database(number, Within::Size),
        4 => Place::Database(number, Within::Slot),
        5 => Place::Database(number, Within::Record),
        6 => Place::Tail,
        7 => Place::End,
        _ => return None,
    })
}

/// A length within a run, which has less than 4 GiB.
fn small(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| io::Error::other("a run of more than 4 GiB"))
}

fn corrupt() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a temporary file does not hold what was written to it")
}

/// Reads part of the file, front to back, and compares it with what was written.
pub(super) struct Window<'f> {
    file: Option<&'f File>,
    /// Up to where its room has been given back.
    released: u64,
    /// What has not been read yet.
    rest: Range<u64>,
    /// What has been sums up to this.
    read: crc::Digest<'static, u64, crc::Table<16>>,
    /// And all of it to this.
    written: u64,
    buffer: Vec<u8>,
    /// How much of the buffer has been given.
    start: usize,
    capacity: usize,
}

impl Window<'_> {
    /// The rank of the next piece and how long it is; its bytes come next. None at the end.
    pub(super) fn next(&mut self, rank: &mut Rank) -> io::Result<Option<usize>> {
        if self.need(1)?.is_empty() {
            return Ok(None);
        }
        let header = Header::decode(self.need(HEADER_LEN)?).ok_or_else(corrupt)?;
        self.start += HEADER_LEN;
        (rank.place, rank.number) = (header.place, header.number);
        if let Some(len) = header.key {
            rank.key.clear();
            rank.key.extend_from_slice(self.need(len)?.get(..len).ok_or_else(corrupt)?);
            self.start += len;
        }
        rank.element.clear();
        let piece = self.need(header.element.end)?;
        rank.element.extend_from_slice(piece.get(header.element).ok_or_else(corrupt)?);
        Ok(Some(header.len))
    }

    /// Gives the next `len` bytes, or what is left, to `write`. The inner error is that of the file.
    pub(super) fn give(
        &mut self,
        mut len: u64,
        mut write: impl FnMut(&[u8]) -> Result<(), CaptureError>,
    ) -> Result<io::Result<()>, CaptureError> {
        while len > 0 {
            let bytes = match self.need(1) {
                Ok([]) => break,
                Ok(bytes) => bytes,
                Err(error) => return Ok(Err(error)),
            };
            let now = bytes.len().min(usize::try_from(len).unwrap_or(usize::MAX));
            write(bytes.get(..now).unwrap_or_default())?;
            self.start += now;
            len -= now as u64;
        }
        Ok(Ok(()))
    }

    /// At least `len` bytes, if so many are left.
    fn need(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.start < len {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.release(self.rest.start - self.buffer.len() as u64);
            let held = self.buffer.len();
            let left = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
            let more = len.max(self.capacity).saturating_sub(held).min(left);
            self.buffer.resize(held + more, 0);
            if let (Some(file), Some(room)) = (self.file, self.buffer.get_mut(held..)) {
                file.read_exact_at(room, self.rest.start)?;
                self.read.update(room);
            }
            self.rest.start += more as u64;
            if self.rest.is_empty() && self.read.clone().finalize() != self.written {
                return Err(corrupt());
            }
        }
        Ok(self.buffer.get(self.start..).unwrap_or_default())
    }

    /// What has been read is needed no more, and what it becomes needs room on the same disk.
    fn release(&mut self, to: u64) {
        if let Some(file) = self.file
            && (to - self.released >= RELEASE_LEN || self.rest.is_empty())
        {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // Not every file system can; then it stays until the end.
            let _ = rustix::fs::fallocate(file, flags, self.released, to - self.released);
            self.released = to;
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.need(1)?;
        let len = bytes.len().min(out.len());
        out.get_mut(..len).unwrap_or_default().copy_from_slice(bytes.get(..len).unwrap_or_default());
        self.start += len;
        Ok(len)
    }
}
