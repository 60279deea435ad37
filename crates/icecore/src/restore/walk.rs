//! The way through a snapshot: its parts, and the pieces of chunks that make each.

use bytes::Bytes;
use icecore_format::{ChunkRef, Part};
use icecore_store::{Result, SnapshotReader, StoreError, TreeReader};

/// The parts of a restore, in its order.
pub(super) struct Order<'a> {
    pub(super) reader: &'a SnapshotReader,
    /// Those that were chosen or sorted; otherwise all, as they lie.
    pub(super) parts: Option<Vec<Part>>,
}

/// What a walk comes to.
pub(super) enum Step {
    Begin(Part),
    Piece(Piece),
    End,
}

/// Bytes of one chunk that belong to one part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) chunk: ChunkRef,
    from: usize,
    pub(super) len: usize,
    /// Whether it is the first of its chunk that the walk comes to.
    pub(super) is_first: bool,
}

impl Piece {
    /// Whether it is the whole chunk. A target knows one part only, so that nothing else can be compared.
    pub(super) fn is_whole(&self) -> bool {
        self.is_first && self.from == 0 && self.len == self.chunk.len as usize
    }

    /// Cut out of the chunk's bytes.
    pub(super) fn of(&self, bytes: &Bytes) -> Result<Bytes> {
        match bytes.len() == self.chunk.len as usize {
            true => Ok(bytes.slice(self.from..self.from + self.len)),
            false => Err(StoreError::ChunkMissing { chunk: self.chunk.id.short() }),
        }
    }
}

impl Order<'_> {
    /// How many bytes they have.
    pub(super) fn bytes(&self) -> u64 {
        match &self.parts {
            Some(parts) => parts.iter().map(|part| part.len).sum(),
            None => self.reader.manifest().content.len(),
        }
    }

    /// Walks through all.
    pub(super) fn walk(&self) -> Walk<'_> {
        let parts: Box<dyn Iterator<Item = Result<Part>> + '_> = match &self.parts {
            Some(parts) => Box::new(parts.iter().map(|part| Ok(part.clone()))),
            None => Box::new(self.reader.parts()),
        };
        Walk { parts, tree: self.reader.tree(), rest: None, skipped: 0, open: None }
    }
}

/// Goes from part to part and from chunk to chunk.
pub(super) struct Walk<'a> {
    parts: Box<dyn Iterator<Item = Result<Part>> + 'a>,
    tree: TreeReader<'a>,
    /// The last chunk, and how much of it is done, if it reaches into the next part.
    rest: Option<(ChunkRef, usize)>,
    /// Bytes of the next chunk that lie before the open part.
    skipped: usize,
    /// A part, and how many of its bytes are to come.
    open: Option<(Part, u64)>,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<Option<Step>> {
        match self.open.take() {
            None => {
                let Some(part) = self.parts.next().transpose()? else { return Ok(None) };
                if part.len > 0 {
                    self.seek(part.offset)?;
                }
                self.open = Some((part.clone(), part.len));
                Ok(Some(Step::Begin(part)))
            }
            Some((_, 0)) => Ok(Some(Step::End)),
            Some((part, left)) => {
                let piece =
                    self.piece(left)?.ok_or_else(|| StoreError::PartDamaged { part: part.display_name() })?;
                self.open = Some((part, left - piece.len as u64));
                Ok(Some(Step::Piece(piece)))
            }
        }
    }

    /// The next piece, of at most `left` bytes.
    fn piece(&mut self, left: u64) -> Result<Option<Piece>> {
        let (chunk, from, is_first) = match self.rest.take() {
            Some((chunk, done)) => (chunk, done, false),
            None => match self.tree.next_chunk()? {
                Some((_, chunk)) => (chunk, std::mem::take(&mut self.skipped), true),
                None => return Ok(None),
            },
        };
        let from = from.min(chunk.len as usize);
        let len = (chunk.len as usize - from).min(usize::try_from(left).unwrap_or(usize::MAX));
        if from + len < chunk.len as usize {
            self.rest = Some((chunk, from + len));
        }
        Ok(Some(Piece { chunk, from, len, is_first }))
    }

    /// Goes to where a part begins.
    fn seek(&mut self, offset: u64) -> Result<()> {
        let ahead = self.rest.map_or(0, |(chunk, done)| (chunk.len as usize).saturating_sub(done));
        if self.tree.offset().checked_sub(ahead as u64) != Some(offset) {
            self.rest = None;
            self.tree.seek(offset)?;
            self.skipped = usize::try_from(offset.saturating_sub(self.tree.offset())).unwrap_or(usize::MAX);
        }
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Result<Step>> {
        self.step().transpose()
    }
}
