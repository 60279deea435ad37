//! Runs that wait to share a body.

use icecore_format::{Difference, Run};

use super::{EncodedBody, encode_deltas};

/// Residues are gathered until they have about so many bytes: enough for zstd to find what a night's changes have in common, few enough to
/// be decoded for the sake of one run.
const RESIDUE_LEN: usize = 1 << 20;

/// Gathers runs that are coded as deltas.
#[derive(Debug, Default)]
pub(crate) struct DeltaGroup {
    runs: Vec<Run>,
    differences: Vec<Difference>,
    len: usize,
}

impl DeltaGroup {
    /// Takes a run in. Returns a body when there is enough for one.
    pub(crate) fn push(&mut self, run: Run, difference: Difference) -> Option<EncodedBody> {
        self.len += difference.literals.len() + 4 * difference.copies.len();
        self.runs.push(run);
        self.differences.push(difference);
        if self.len < RESIDUE_LEN { None } else { self.flush() }
    }

    /// A body of what waits.
    pub(crate) fn flush(&mut self) -> Option<EncodedBody> {
        self.len = 0;
        let (runs, differences) = (std::mem::take(&mut self.runs), std::mem::take(&mut self.differences));
        if runs.is_empty() { None } else { Some(encode_deltas(runs, &differences)) }
    }
}
