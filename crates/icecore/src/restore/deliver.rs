//! Handing a snapshot's parts to a target, each held to its length and hash.

use bytes::Bytes;
use icecore_engine::files::{Escapes, compare};
use icecore_engine::{RestoreError, Target};
use icecore_format::{Digest, Part, PartKind};
use icecore_store::{Counter, Monitor, Piece, SnapshotReader, StoreError};

use super::Restored;
use crate::create::BASE_BACKUP;
use crate::{Error, Result};

/// A restore on its way.
pub(crate) struct Progress<'a> {
    pub(super) reader: &'a SnapshotReader,
    pub(super) monitor: &'a dyn Monitor,
    pub(crate) restored: Restored,
    /// The part that is being restored.
    pub(super) current: &'a mut Option<String>,
    /// Zeros take the place of what cannot be read.
    pub(super) allow_damaged: bool,
    /// Present where nothing may reach out of the target.
    pub(super) escapes: Option<Escapes>,
    /// Whether what lies at the target may have changed by now.
    pub(super) has_begun: bool,
}

/// Bytes on their way to a target, and whether they are those that were captured.
type Pieces<'a> = Box<dyn Iterator<Item = Result<(Bytes, bool)>> + 'a>;

impl<'a> Progress<'a> {
    pub(crate) fn new(
        reader: &'a SnapshotReader,
        monitor: &'a dyn Monitor,
        restored: Restored,
        current: &'a mut Option<String>,
    ) -> Self {
        Self { reader, monitor, restored, current, allow_damaged: false, escapes: None, has_begun: false }
    }

    /// Everything, from front to back, or in the order that a directory wants.
    pub(super) fn all(&mut self, target: &mut dyn Target) -> Result<()> {
        if let Some(parts) = self.sorted()? {
            // What lies together is read together.
            for run in parts.chunk_by(|part, next| part.offset + part.len == next.offset) {
                let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
                let pieces = self.pieces(first.offset, last.offset + last.len - first.offset)?;
                let mut content = Stream { pieces, rest: Bytes::new(), whole: true };
                run.iter().try_for_each(|part| self.deliver(part, &mut content, target))?;
            }
            return Ok(());
        }
        self.in_order(target)
    }

    /// Everything, as it lies.
    pub(crate) fn in_order(&mut self, target: &mut dyn Target) -> Result<()> {
        let mut content = Stream { pieces: self.pieces(0, u64::MAX)?, rest: Bytes::new(), whole: true };
        let mut end = 0;
        for part in self.reader.parts() {
            match part {
                Ok(part) => {
                    self.deliver(&part, &mut content, target)?;
                    end = part.offset + part.len;
                }
                Err(error) if self.allow_damaged && error.is_damage() => {
                    return self.deliver_unnamed(end, &error, &mut content, target);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A base backup's parts, as a walk would meet them; `None` if they are in such an order already.
    pub(super) fn sorted(&mut self) -> Result<Option<Vec<Part>>> {
        let info = &self.reader.manifest().info;
        if info.form != BASE_BACKUP {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for part in self.reader.parts() {
            match part {
                Ok(part) => parts.push(part),
                Err(error) if self.allow_damaged && error.is_damage() => {
                    let known = parts.len();
                    self.restored
                        .warnings
                        .push(format!("the list of parts ends after {known} of {}: {error}", info.parts));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        parts.sort_by(|one, other| compare(&one.name, &other.name));
        Ok(Some(parts))
    }

    /// One part.
    pub(super) fn one(&mut self, part: &Part, target: &mut dyn Target) -> Result<()> {
        let pieces = self.pieces(part.offset, part.len)?;
        self.deliver(part, &mut Stream { pieces, rest: Bytes::new(), whole: true }, target)
    }

    /// The content from `offset` on, at least `len` bytes of it.
    fn pieces(&self, offset: u64, len: u64) -> Result<Pieces<'a>> {
        let reader = self.reader;
        if self.allow_damaged {
            return Ok(Box::new(reader.salvage(offset).flat_map(|piece| match piece {
                Ok(Piece::Bytes(bytes)) => zeros_or(Some(bytes), 0),
                Ok(Piece::Lost(len)) => zeros_or(None, len),
                Err(error) => Box::new(std::iter::once(Err(error.into()))),
            })));
        }
        if offset == 0 && len == u64::MAX {
            return Ok(Box::new(reader.content().map(|piece| Ok((piece?.1, true)))));
        }
        Ok(Box::new(reader.range(offset, len)?.map(|piece| Ok((piece?, true)))))
    }

    fn deliver(&mut self, part: &Part, content: &mut Stream<'_>, target: &mut dyn Target) -> Result<()> {
        self.begin(part, target)?;
        let mut check = PartCheck::new(self.reader, part);
        let mut lost = 0;
        while check.left > 0 {
            let (piece, whole) = content.take(&check)?.ok_or_else(|| short(part))?;
            check.update(&piece);
            lost += if whole { 0 } else { piece.len() as u64 };
            target.write(&piece)?;
            self.written(piece.len())?;
        }
        match lost {
            0 => check.finish()?,
            lost => self.restored.warnings.push(format!(
                "{}: {lost} of {} bytes could not be read, and are zeros now",
                named(part),
                part.len
            )),
        }
        target.end()?;
        self.restored.parts += 1;
        Ok(())
    }

    fn begin(&mut self, part: &Part, target: &mut dyn Target) -> Result<()> {
        self.refuse_escape(part)?;
        target.begin(part)?;
        *self.current = Some(named(part));
        Ok(())
    }

    pub(super) fn refuse_escape(&mut self, part: &Part) -> Result<()> {
        match self.escapes.as_mut().and_then(|escapes| escapes.look(part)) {
            Some(what) => {
                Err(RestoreError::Refused(format!("{} reaches out of the target: {what}", named(part)))
                    .into())
            }
            None => Ok(()),
        }
    }

    /// What comes behind the last part of which anything is known: bytes of a dump or a file, nothing that could be told of a directory.
    fn deliver_unnamed(
        &mut self,
        offset: u64,
        error: &StoreError,
        content: &mut Stream<'_>,
        target: &mut dyn Target,
    ) -> Result<()> {
        let info = &self.reader.manifest().info;
        let len = self.reader.manifest().content.len().saturating_sub(offset);
        self.restored
            .warnings
            .push(format!("the list of parts ends after {} of {}: {error}", self.restored.parts, info.parts));
        if info.form == "directory" || len == 0 {
            return Ok(());
        }
        let hash = Digest(*self.reader.part_hasher().finalize().as_bytes());
        let part = Part { name: Vec::new(), kind: PartKind::Data, offset, len, hash, rows: None, file: None };
        target.begin(&part)?;
        let mut check = PartCheck::new(self.reader, &part);
        while check.left > 0 {
            let Some((piece, _)) = content.take(&check)? else { break };
            check.update(&piece);
            target.write(&piece)?;
            self.written(piece.len())?;
        }
        target.end()?;
        Ok(())
    }

    pub(super) fn written(&mut self, len: usize) -> Result<()> {
        self.restored.written_bytes += len as u64;
        self.restored.bytes += len as u64;
        self.passed(len)
    }

    /// Counts bytes that were dealt with.
    pub(super) fn passed(&self, len: usize) -> Result<()> {
        self.monitor.count(Counter::PlainBytes, len as u64);
        if self.monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A content, taken part by part.
struct Stream<'a> {
    pieces: Pieces<'a>,
    rest: Bytes,
    whole: bool,
}

impl Stream<'_> {
    /// Bytes of the part that is checked; none at the content's end.
    fn take(&mut self, check: &PartCheck) -> Result<Option<(Bytes, bool)>> {
        while self.rest.is_empty() {
            let Some(piece) = self.pieces.next() else { return Ok(None) };
            (self.rest, self.whole) = piece?;
        }
        Ok(Some((self.rest.split_to(check.fitting(self.rest.len())), self.whole)))
    }
}

/// Bytes as they are, or so many zeros.
fn zeros_or<'a>(bytes: Option<Bytes>, len: u64) -> Pieces<'a> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    if let Some(bytes) = bytes {
        return Box::new(std::iter::once(Ok((bytes, true))));
    }
    let mut left = len;
    Box::new(std::iter::from_fn(move || {
        let now = usize::try_from(left).unwrap_or(ZEROS.len()).min(ZEROS.len());
        left -= now as u64;
        (now > 0).then(|| Ok((Bytes::from_static(ZEROS.get(..now).unwrap_or_default()), false)))
    }))
}

/// A part as a person knows it.
pub(super) fn named(part: &Part) -> String {
    if part.name.is_empty() { "the content".to_owned() } else { part.display_name() }
}

/// Holds a part to its length and hash while it passes.
pub(super) struct PartCheck {
    part: Part,
    hasher: icecore_store::PartHasher,
    left: u64,
}

impl PartCheck {
    pub(super) fn new(reader: &SnapshotReader, part: &Part) -> Self {
        Self { part: part.clone(), hasher: reader.part_hasher(), left: part.len }
    }

    /// How many of `len` bytes belong to this part.
    fn fitting(&self, len: usize) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(len)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.left = self.left.saturating_sub(bytes.len() as u64);
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.left == 0 && Digest(*self.hasher.finalize().as_bytes()) == self.part.hash {
            Ok(())
        } else {
            Err(StoreError::PartDamaged { part: self.part.display_name() }.into())
        }
    }
}

/// The content ends before its parts do.
fn short(part: &Part) -> Error {
    StoreError::PartDamaged { part: part.display_name() }.into()
}
