//! Coding what is new by how it differs from what it resembles.
//!
//! [`Chooser`] finds the chunks that a run of new ones resembles; the run is then coded as its [`Difference`] from those that give it
//! something, if that is clearly smaller. `docs/deltas.md` has what was measured, and why it is done like this.

mod chooser;
mod nodes;
mod thin;

pub(crate) use chooser::{BASES_SHARE_MAX, Choices, Chooser};
pub(crate) use nodes::code_listed;
use nodes::sketch_node;

use icecore_chunk::Matcher;
use icecore_format::{Base, Difference, PackId, Run, Sketch, TreeNode};

use crate::store::Store;

/// A chunk that a run may be coded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) base: Base,
    /// How deep it lies.
    pub(crate) depth: u8,
    /// The pack it was found in, if it was.
    pub(crate) pack: Option<PackId>,
    /// Neighbours in a pack have the same number: they are read together.
    pub(crate) stretch: usize,
}

/// All candidates as bases: their entries, how deep what is coded on them lies, and the packs they were found in.
fn taken(candidates: &[Candidate]) -> (Vec<Base>, u8, Vec<PackId>) {
    let chunks = candidates.iter().map(|candidate| candidate.base).collect();
    let depth = candidates.iter().map(|candidate| candidate.depth + 1).max().unwrap_or(0);
    let mut packs: Vec<PackId> = candidates.iter().filter_map(|candidate| candidate.pack).collect();
    packs.sort_unstable();
    packs.dedup();
    (chunks, depth, packs)
}

/// What is new to a run may be one part in so many for the chain to end there: one night in some pays for it, in exchange for a faster restore.
const NEW_SHARE_MAX: usize = 24;
/// About what a copy takes once it is written down.
const COPY_LEN: usize = 4;

/// A difference is clearly smaller than the run itself, whatever zstd makes of both, if half of the run is in its bases.
const COPIED_SHARE_MIN: u64 = 2;

/// Whether one part in `share_min` at least of a run of `len` bytes is in its bases.
fn is_worth_it(difference: &Difference, len: usize, share_min: u64) -> bool {
    difference.copied() * share_min >= len as u64
}

impl Store {
    /// What a chunk of content or of a catalog, or a node of a tree, is recognised by.
    pub(crate) fn sketch(&self, bytes: &[u8]) -> Sketch {
        match TreeNode::decode(bytes) {
            Ok(node) => sketch_node(&node),
            Err(_) => self.sketcher.sketch(bytes),
        }
    }

    /// A run coded on what it was chosen for; `None` if that is not worth it.
    pub(crate) fn code(
        &self,
        run: &Run,
        plain: &[u8],
        choices: &Choices,
        matcher: &mut Matcher,
    ) -> Option<(Run, Difference)> {
        let (last, before) = choices.split_last()?;
        for choice in before {
            if let Some((run, difference)) = self.difference(run, plain, choice, COPIED_SHARE_MIN, matcher)
                && difference.literals.len() + difference.copies.len() * COPY_LEN
                    <= plain.len() / NEW_SHARE_MAX
            {
                return Some((run, difference));
            }
        }
        self.difference(run, plain, last, COPIED_SHARE_MIN, matcher)
    }

    /// How a run's bytes differ from those of the candidates that give it something. `None` if less than one part in `share_min` is in these, or if they cannot be
    /// read: then nothing must be coded on them.
    pub(crate) fn difference(
        &self,
        run: &Run,
        plain: &[u8],
        candidates: &[Candidate],
        share_min: u64,
        matcher: &mut Matcher,
    ) -> Option<(Run, Difference)> {
        let (chunks, depth, likely) = taken(candidates);
        let bytes = self.base_bytes(&chunks, depth, &likely).ok().filter(|bytes| !bytes.is_empty())?;
        let difference = matcher.difference(&bytes, plain);
        let (bases, bytes, difference) = thin::thin(candidates, bytes, difference, plain);
        if !is_worth_it(&difference, plain.len(), share_min) {
            return None;
        }
        // Nobody would get back what a mistake in the matcher left out.
        let again = Difference::apply(&difference.copies, &difference.literals, &bytes, plain.len());
        if again.is_none_or(|again| again != plain) {
            return None;
        }
        let depth = bases.iter().map(|base| base.depth + 1).max()?;
        let bases = bases.into_iter().map(|kept| kept.base).collect();
        Some((Run { depth, bases, ..run.clone() }, difference))
    }

    /// A run with these bases, and their bytes; without, if they cannot be read.
    pub(crate) fn on_bases(&self, run: Run, candidates: &[Candidate]) -> (Run, Vec<u8>) {
        let (bases, depth, likely) = taken(candidates);
        match self.base_bytes(&bases, depth, &likely) {
            Ok(bytes) => (Run { depth, bases, ..run }, bytes),
            Err(_) => (run, Vec::new()),
        }
    }

    /// The same run without bases, as it can be found by others.
    pub(crate) fn without_bases(&self, run: Run, plain: &[u8]) -> Run {
        let mut sketches = run.sketches;
        if sketches.len() != run.chunks.len() {
            let bare = Run { chunks: run.chunks.clone(), ..Run::default() };
            sketches = bare.split(plain).map(|(_, bytes)| self.sketch(bytes)).collect();
        }
        Run { chunks: run.chunks, sketches, ..Run::default() }
    }
}
