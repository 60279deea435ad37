//! A second look at what is about to go.

use std::collections::BTreeSet;

use icecore_format::{ChunkId, PackId, TocChunk};
use icecore_storage::ErrorKind;

use super::mark::Marks;
use super::plan::GcPlan;
use crate::read::Assembler;
use crate::store::Store;
use crate::{Result, StoreError};

/// What a look at the chunks that would go has shown.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    /// A chunk of which the index, or the marking, did not know where it lies.
    pub(super) misplaced: Option<ChunkId>,
    /// Packs with a chunk that a snapshot needs and that cannot be read where it was marked.
    pub(super) only_copies: BTreeSet<PackId>,
}

/// What there is where the index finds a chunk that lies in a doomed pack too.
enum Copy {
    /// The chunk.
    Right,
    /// Another chunk: the index lies.
    Elsewhere,
    /// Nothing that can be read.
    Rotten,
}

impl Store {
    /// Looks at every chunk that would go. Marks are only as good as the index: a damaged entry marks the wrong chunk, and leaves the
    /// right one for dead; and what was missing when it was looked for may have come since.
    pub(super) fn look_at_doomed(&self, plan: &GcPlan, marks: &Marks) -> Result<Doomed> {
        let mut doomed = Doomed::default();
        for pack in plan.drop.iter().chain(&plan.rewrite) {
            let open = match self.packs.open(&pack.id) {
                Ok(open) => open,
                // Nothing can be read from it, or another collection took it.
                Err(error) if error.is_unreadable() => continue,
                // A cable, perhaps: it stays as it is.
                Err(StoreError::Unread { .. }) => {
                    doomed.only_copies.insert(pack.id);
                    continue;
                }
                Err(StoreError::Storage(error)) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let chunks = open.toc.chunks().zip(0u32..);
            let dead: Vec<_> =
                chunks.filter(|(_, ordinal)| !marks.live.contains(&pack.id, *ordinal)).collect();
            let ids: Vec<_> = dead.iter().map(|(chunk, _)| chunk.id).collect();
            let places = self.index.read(|index| index.places(&ids))?;
            for ((chunk, ordinal), place) in dead.into_iter().zip(places) {
                match place {
                    _ if marks.was_looked_for(&chunk.id) => doomed.misplaced = Some(chunk.id),
                    Some(here) if here == (pack.id, ordinal) => (),
                    Some((other, ordinal)) => match self.is_copy(&other, ordinal, chunk, marks) {
                        Ok(Copy::Right) => (),
                        Ok(Copy::Elsewhere) => doomed.misplaced = Some(chunk.id),
                        // The other one is needed and cannot be read: this one is all there is.
                        Ok(Copy::Rotten) => drop(doomed.only_copies.insert(pack.id)),
                        Err(error) => return Err(error),
                    },
                    None => doomed.misplaced = Some(chunk.id),
                }
            }
        }
        Ok(doomed)
    }

    /// Whether a chunk that lies in a doomed pack lies in another one too. Where a snapshot needs that copy it is read: nothing else will be
    /// left of it.
    fn is_copy(&self, other: &PackId, ordinal: u32, chunk: &TocChunk, marks: &Marks) -> Result<Copy> {
        let open = match self.packs.open(other) {
            Ok(open) => open,
            Err(error) if error.is_out_of_reach() => return Ok(Copy::Rotten),
            Err(error) => return Err(error),
        };
        let Some((span, _)) = open.locate(ordinal).filter(|(_, entry)| entry.id == chunk.id) else {
            return Ok(Copy::Elsewhere);
        };
        if !marks.live.contains(other, ordinal) {
            return Ok(Copy::Right);
        }
        match Assembler::new(self).chunk(&open, &span) {
            Ok(_) => Ok(Copy::Right),
            Err(error) if error.is_out_of_reach() => Ok(Copy::Rotten),
            Err(error) => Err(error),
        }
    }
}
