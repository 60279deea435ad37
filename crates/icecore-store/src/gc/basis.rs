//! On what runs are coded when they are copied.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_format::{BODY_LEN_MAX, Base, DEPTH_MAX, PackId, Run, ShortId};

use super::chunk_set::ChunkSet;
use crate::Result;
use crate::delta::{BASES_SHARE_MAX, Candidate};
use crate::pack::OpenPack;
use crate::read::{Assembler, Origin};
use crate::store::Store;

/// A run that is taken from its chain is coded on no more chunks than this.
const ORIGINS_MAX: usize = 512;

/// On what runs are coded when they are copied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Basis<'l> {
    /// On what they were.
    Same,
    /// So that none lies deeper than this: on what their chains started from, where it would.
    Within(u8),
    /// Not on these chunks, nor on what lies in these packs, which others may be about to delete: on what is left of their chains below.
    Without(&'l ChunkSet, &'l BTreeSet<PackId>),
}

impl Basis<'_> {
    /// One part in so many of a run must be in its bases. What goes is worth more than a reader's time for what is left of a chain.
    pub(super) fn copied_share_min(self) -> u64 {
        match self {
            Self::Same | Self::Within(_) => 2,
            Self::Without(..) => 8,
        }
    }

    /// Whether a run may be coded on what lies there.
    fn takes(self, pack: &PackId, ordinal: u32) -> bool {
        match self {
            Self::Same | Self::Within(_) => true,
            Self::Without(links, condemned) => !links.contains(pack, ordinal) && !condemned.contains(pack),
        }
    }
}

/// The bases of a run as they are. They are as deep as they may be: what comes to be coded on them lies at no less.
pub(super) fn same_bases(run: &Run) -> Vec<Candidate> {
    let depth = run.depth.saturating_sub(1);
    let candidate = |(stretch, base): (usize, &Base)| Candidate { base: *base, depth, pack: None, stretch };
    run.bases.iter().enumerate().map(candidate).collect()
}

/// How deep a run lies that is coded on these, and on the table of its pack if it is listed.
pub(super) fn depth_on(bases: &[Candidate], is_listed: bool) -> u8 {
    bases.iter().map(|base| base.depth + 1).max().unwrap_or(0).max(u8::from(is_listed))
}

impl Store {
    /// What a run is to be coded on now.
    pub(super) fn bases_by(
        &self,
        basis: Basis<'_>,
        open: &Arc<OpenPack>,
        number: usize,
        run: &Run,
        assembler: &mut Assembler<'_>,
    ) -> Result<Vec<Candidate>> {
        let (depth_max, below) = match basis {
            Basis::Same => return Ok(same_bases(run)),
            Basis::Within(depth_max) => (depth_max, 1),
            Basis::Without(..) => (DEPTH_MAX, run.depth),
        };
        let known = self.usable_bases(&run.bases, run.depth, basis)?;
        if known.len() == run.bases.len() && depth_on(&known, run.is_listed) <= depth_max {
            return Ok(known);
        }
        let is_end = |pack: &PackId, ordinal| below > 1 && basis.takes(pack, ordinal);
        let origins = assembler.origins(open, number, is_end)?;
        let most = those_that_give_most(&origins, u64::from(run.plain_len()));
        self.usable_bases(&most, below, basis)
    }

    /// Those of `bases` that the index finds less deep than `below`, where something may be coded on them.
    fn usable_bases(&self, bases: &[Base], below: u8, basis: Basis<'_>) -> Result<Vec<Candidate>> {
        let ids: Vec<ShortId> = bases.iter().map(|base| base.id).collect();
        let places = self.index.read(|index| index.found(&ids, below))?;
        let mut usable = Vec::with_capacity(bases.len());
        let (mut stretch, mut last) = (0, None);
        for (base, place) in bases.iter().zip(places) {
            let Some((place, pack)) = place.filter(|(place, pack)| basis.takes(&pack.id, place.ordinal))
            else {
                continue;
            };
            if last.replace((pack.id, place.ordinal)) != place.ordinal.checked_sub(1).map(|n| (pack.id, n)) {
                stretch += 1;
            }
            usable.push(Candidate { base: *base, depth: place.depth, pack: Some(pack.id), stretch });
        }
        Ok(usable)
    }
}

/// Those origins that give most to a run of `len` bytes, in the order in which they were met: no more of them than reading the run may cost.
fn those_that_give_most(origins: &[Origin], len: u64) -> Vec<Base> {
    let mut order: Vec<usize> = (0..origins.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(origins.get(*at).map(|origin| origin.given)));
    let mut room = (len * BASES_SHARE_MAX).min(u64::from(BODY_LEN_MAX));
    let fits = |at: &usize| {
        let left = origins.get(*at).and_then(|origin| room.checked_sub(u64::from(origin.chunk.len)));
        room = left.unwrap_or(room);
        left.is_some()
    };
    let mut taken: Vec<usize> = order.into_iter().filter(fits).take(ORIGINS_MAX).collect();
    taken.sort_unstable();
    taken.into_iter().filter_map(|at| Some(origins.get(at)?.chunk.base())).collect()
}

#[cfg(test)]
mod tests {
    use icecore_format::{ChunkId, TocChunk};

    use super::*;

    fn origin(number: u8, len: u32, given: u64) -> Origin {
        Origin { chunk: TocChunk { id: ChunkId::from_bytes([number; 32]), len }, given }
    }

    #[test]
    fn origins_that_give_most_are_taken_as_far_as_there_is_room_and_stay_in_order() {
        let origins = [origin(1, 100, 50), origin(2, 100, 10), origin(3, 900, 60), origin(4, 100, 50)];
        let taken = |len| -> Vec<u8> {
            those_that_give_most(&origins, len).iter().map(|base| base.id.0[0]).collect()
        };
        assert_eq!(taken(1000), [1, 2, 3, 4]);
        assert_eq!(taken(360), [1, 3]);
        assert_eq!(taken(100), [1, 2, 4]);
        let alike: Vec<Origin> = (0..600).map(|_| origin(7, 10, 5)).collect();
        assert_eq!(those_that_give_most(&alike, 1 << 20).len(), ORIGINS_MAX);
    }
}
