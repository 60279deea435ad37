//! A run that is a delta, as it is read.

use std::sync::Arc;

use icecore_format::{Base, Layout, ShortId};

use super::reader::{ChunkSpan, OpenPack};

/// What a run is made from: which ranges of its bases and of its residue, and where the bases are.
#[derive(Debug)]
pub(crate) struct DeltaRun {
    pub(crate) layout: Layout,
    pub(crate) bases: Vec<BaseSpan>,
    /// Bytes of all bases.
    pub(crate) bases_len: u32,
}

/// A base of a run.
#[derive(Debug)]
pub(crate) struct BaseSpan {
    pub(crate) id: ShortId,
    /// Where its bytes start among those of all bases.
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// Where it lies, if any pack holds it.
    pub(crate) found: Option<(Arc<OpenPack>, ChunkSpan)>,
}

impl DeltaRun {
    /// `found` has one entry for each base.
    pub(crate) fn new(
        layout: Layout,
        bases: &[Base],
        found: Vec<Option<(Arc<OpenPack>, ChunkSpan)>>,
    ) -> Self {
        let mut bases_len = 0u32;
        let span = |(base, found): (&Base, _)| {
            let start = bases_len;
            // Checked when the table was decoded.
            bases_len = bases_len.saturating_add(base.len);
            BaseSpan { id: base.id, start, len: base.len, found }
        };
        let bases = bases.iter().zip(found).map(span).collect();
        Self { layout, bases, bases_len }
    }

    /// The base that holds this byte, and its number, which may be `near`.
    pub(crate) fn base_at(&self, at: u32, near: usize) -> Option<(usize, &BaseSpan)> {
        let holds = |base: &&BaseSpan| base.start <= at && at - base.start < base.len;
        if let Some(base) = self.bases.get(near).filter(holds) {
            return Some((near, base));
        }
        let number = self.bases.partition_point(|base| base.start <= at).checked_sub(1)?;
        self.bases.get(number).filter(holds).map(|base| (number, base))
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        64 + self.bases.len() * size_of::<BaseSpan>() + self.layout.weight()
    }
}
