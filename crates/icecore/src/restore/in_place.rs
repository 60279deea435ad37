//! Rewriting what is there, where it differs.
//!
//! First all that is there is compared with the snapshot, and what of the snapshot is to be written is read and checked: damage is met before
//! anything is changed. Then that is read once more, and written.

use bytes::Bytes;
use icecore_engine::{RestoreError, Shortage, Survey, Target};
use icecore_format::{ChunkRef, Part};
use icecore_store::{SnapshotReader, StoreError};

use super::deliver::{PartCheck, Progress, named};
use super::present::Present;
use super::walk::{Order, Piece, Step};
use crate::{Error, Result};

/// How many bytes wait at most until what is missing among them is read.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// In how many steps.
const WAITING_MAX: usize = 1 << 14;

impl Progress<'_> {
    /// Everything, or one part: chunks that already lie where they belong are neither read from the store nor written.
    pub(super) fn in_place(
        &mut self,
        part: Option<&Part>,
        survey: Box<dyn Survey>,
        target: &mut dyn Target,
    ) -> Result<()> {
        let parts = match part {
            Some(part) => Some(vec![part.clone()]),
            None => self.sorted()?,
        };
        let order = Order { reader: self.reader, parts };
        let present = self.compare(&order, survey)?;
        self.monitor.expect(order.bytes() + present.missing_bytes);
        // They were looked for, and there are none.
        self.escapes = None;
        self.rewrite(&order, &present, target)
    }

    /// Finds out what lies in its place, and reads and checks the rest.
    fn compare(&mut self, order: &Order<'_>, mut survey: Box<dyn Survey>) -> Result<Present> {
        let mut comparison = Comparison::new(order.reader);
        for step in order.walk() {
            let seen = match step? {
                Step::Begin(part) => {
                    self.refuse_escape(&part)?;
                    survey.begin(&part)?;
                    Seen::Begin(part)
                }
                Step::Piece(piece) => {
                    let found = survey.next(piece.len)?;
                    self.passed(piece.len)?;
                    // A target knows one part only: a chunk that reaches into another is not looked for.
                    let is_there =
                        |found: &Vec<u8>| piece.is_whole() && is_chunk(&piece, found, order.reader);
                    found.filter(is_there).map_or(Seen::Missing(piece), |found| Seen::Found(piece, found))
                }
                Step::End => {
                    survey.end()?;
                    Seen::End
                }
            };
            comparison.see(seen, self.current)?;
        }
        comparison.read_missing(self.current)?;
        *self.current = None;
        match survey.finish()? {
            Some(Shortage { path, needed, free }) => Err(Error::NoRoom { path, needed, free }),
            None => Ok(comparison.present),
        }
    }

    /// Writes what does not lie in its place.
    fn rewrite(&mut self, order: &Order<'_>, present: &Present, target: &mut dyn Target) -> Result<()> {
        let reader = order.reader;
        let mut chunks = Chunks { read: reader.chunks(missing(order, present)), last: Bytes::new() };
        let mut were_there = present.iter();
        for step in order.walk() {
            match step? {
                Step::Begin(part) => {
                    *self.current = Some(named(&part));
                    let begun = target.begin(&part);
                    // A target refuses before it changes anything.
                    self.has_begun |= !matches!(begun, Err(RestoreError::Refused(_)));
                    begun?;
                }
                Step::Piece(piece) => {
                    let was_there = were_there.next().unwrap_or_default();
                    if was_there && (target.is_as_surveyed() || is_there(&piece, reader, target)?) {
                        target.keep(piece.len)?;
                        self.restored.bytes += piece.len as u64;
                        continue;
                    }
                    let bytes = match was_there {
                        true => piece.of(&reader.chunk(&piece.chunk)?)?,
                        false => chunks.piece(&piece)?,
                    };
                    target.write(&bytes)?;
                    self.written(piece.len)?;
                }
                Step::End => {
                    target.end()?;
                    self.restored.parts += 1;
                }
            }
        }
        Ok(())
    }
}

/// A step of a walk, and what was found where a piece belongs.
enum Seen {
    Begin(Part),
    Found(Piece, Vec<u8>),
    Missing(Piece),
    End,
}

/// Holds each part to its hash: what was found of it, and what is read of the rest.
struct Comparison<'a> {
    reader: &'a SnapshotReader,
    open: Option<PartCheck>,
    /// From the first missing piece on, what is not yet checked, and how many bytes it has.
    waiting: Vec<Seen>,
    waiting_bytes: usize,
    /// The chunk that was read last.
    last: Bytes,
    present: Present,
}

impl<'a> Comparison<'a> {
    fn new(reader: &'a SnapshotReader) -> Self {
        let (waiting, waiting_bytes) = (Vec::new(), 0);
        Self { reader, open: None, waiting, waiting_bytes, last: Bytes::new(), present: Present::default() }
    }

    /// Goes on by a step. Missing pieces are read many at a time, on all cores; `current` is told of which part they are.
    fn see(&mut self, seen: Seen, current: &mut Option<String>) -> Result<()> {
        if self.waiting.is_empty() && !matches!(seen, Seen::Missing(_)) {
            return self.check(&seen, &[], current);
        }
        self.waiting_bytes += match &seen {
            Seen::Found(piece, _) | Seen::Missing(piece) => piece.len,
            Seen::Begin(_) | Seen::End => 0,
        };
        self.waiting.push(seen);
        match self.waiting_bytes >= WAITING_BYTES_MAX || self.waiting.len() >= WAITING_MAX {
            true => self.read_missing(current),
            false => Ok(()),
        }
    }

    fn read_missing(&mut self, current: &mut Option<String>) -> Result<()> {
        let (reader, waiting) = (self.reader, std::mem::take(&mut self.waiting));
        self.waiting_bytes = 0;
        let missing = waiting.iter().filter_map(|seen| match seen {
            Seen::Missing(piece) if piece.is_first => Some(Ok(piece.chunk)),
            _ => None,
        });
        let mut chunks = Chunks { read: reader.chunks(missing), last: std::mem::take(&mut self.last) };
        for seen in &waiting {
            let bytes = match seen {
                Seen::Missing(piece) => chunks.piece(piece)?,
                _ => Bytes::new(),
            };
            self.check(seen, &bytes, current)?;
        }
        self.last = chunks.last;
        Ok(())
    }

    /// Holds a step to the part that it belongs to; `missing` are the bytes of a missing piece.
    fn check(&mut self, seen: &Seen, missing: &[u8], current: &mut Option<String>) -> Result<()> {
        match seen {
            Seen::Begin(part) => {
                *current = Some(named(part));
                self.open = Some(PartCheck::new(self.reader, part));
            }
            Seen::Found(piece, found) => self.pass(piece, found, true),
            Seen::Missing(piece) => self.pass(piece, missing, false),
            Seen::End => self.open.take().map_or(Ok(()), PartCheck::finish)?,
        }
        Ok(())
    }

    fn pass(&mut self, piece: &Piece, bytes: &[u8], is_there: bool) {
        if let Some(open) = &mut self.open {
            open.update(bytes);
        }
        self.present.push(piece, is_there);
    }
}

/// Chunks as they are read, one after the other. Pieces of one may belong to several parts.
struct Chunks<R> {
    read: R,
    last: Bytes,
}

impl<R: Iterator<Item = std::result::Result<(ChunkRef, Bytes), StoreError>>> Chunks<R> {
    /// The bytes of a piece of the last chunk, or of the next one.
    fn piece(&mut self, piece: &Piece) -> Result<Bytes> {
        if piece.is_first {
            self.last = self.read.next().transpose()?.map(|(_, bytes)| bytes).unwrap_or_default();
        }
        Ok(piece.of(&self.last)?)
    }
}

/// The chunks that do not lie in their places, in the order of the walk.
fn missing<'a>(
    order: &'a Order<'_>,
    present: &'a Present,
) -> impl Iterator<Item = std::result::Result<ChunkRef, StoreError>> + 'a {
    let mut were_there = present.iter();
    order.walk().filter_map(move |step| match step {
        Ok(Step::Piece(piece)) => {
            let was_there = were_there.next().unwrap_or_default();
            (piece.is_first && !was_there).then_some(Ok(piece.chunk))
        }
        Ok(Step::Begin(_) | Step::End) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Whether a piece that was found there is there still.
fn is_there(piece: &Piece, reader: &SnapshotReader, target: &mut dyn Target) -> Result<bool> {
    let found = target.existing(piece.len)?;
    Ok(found.is_some_and(|found| is_chunk(piece, &found, reader)))
}

fn is_chunk(piece: &Piece, bytes: &[u8], reader: &SnapshotReader) -> bool {
    reader.store().key().chunk_id(bytes) == piece.chunk.id
}
