//! What runs are coded on: followed as part of what a snapshot needs, and traced back when it is damaged.

use std::collections::{BTreeSet, HashMap, HashSet};

use icecore_format::{PackId, ShortId};

use super::finding::Damage;
use crate::read::ANY_DEPTH;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

impl Store {
    /// Adds the packs in which the bases of what lies in `packs` are, and theirs. A base that no pack holds is noted.
    pub(super) fn follow_bases(
        &self,
        packs: &mut HashSet<PackId>,
        lost: &HashMap<ShortId, PackId>,
        damage: &mut Damage,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let mut since = self.refresh_index(&BTreeSet::new())?;
        let coded = self.coded_packs()?;
        let mut seen = HashSet::new();
        loop {
            let found: Vec<PackId> =
                coded.iter().filter(|id| packs.contains(id) && seen.insert(**id)).copied().collect();
            if found.is_empty() {
                return Ok(());
            }
            for id in found {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let open = match self.packs.open(&id) {
                    Ok(open) => open,
                    // It is named when it is looked at itself.
                    Err(error) if error.is_out_of_reach() || error.is_gone() => continue,
                    Err(error) => return Err(error),
                };
                for (_, run) in open.deltas() {
                    let places = self.settled_places(&run.base_ids(), run.depth, lost, &mut since)?;
                    for (base, place) in run.bases.iter().zip(places) {
                        match place {
                            Some((pack, _)) => drop(packs.insert(pack)),
                            None => damage.missing(base.id, lost.get(&base.id)),
                        }
                    }
                }
            }
        }
    }

    /// Lets what harms a chunk count for every chunk that cannot be read because of it.
    pub(super) fn trace_bases(&self, owners: &mut HashMap<ShortId, Vec<usize>>) -> Result<()> {
        let coded = self.coded_packs()?;
        // Once more when there are more causes.
        let mut traced: HashSet<(PackId, usize, Vec<usize>)> = HashSet::new();
        loop {
            let before = traced.len();
            for id in &coded {
                let open = match self.packs.open(id) {
                    Ok(open) => open,
                    Err(error) if error.is_out_of_reach() || error.is_gone() => continue,
                    Err(error) => return Err(error),
                };
                for (number, (place, run)) in open.runs().enumerate() {
                    let mut causes: Vec<usize> =
                        run.bases.iter().filter_map(|base| owners.get(&base.id)).flatten().copied().collect();
                    causes.sort_unstable();
                    causes.dedup();
                    if causes.is_empty() || !traced.insert((*id, number, causes.clone())) {
                        continue;
                    }
                    let ids: Vec<ShortId> = run.chunks.iter().map(|chunk| chunk.id.short()).collect();
                    let places = self.index.read(|index| index.base_places(&ids, ANY_DEPTH))?;
                    let read = self.run_chunks(&open, number);
                    for (((chunk, read), here), ordinal) in
                        run.chunks.iter().zip(read).zip(places).zip(place.first..)
                    {
                        // It may lie elsewhere too, and be read from there.
                        if read.is_err() && here == Some((*id, ordinal)) {
                            let known = owners.entry(chunk.id.short()).or_default();
                            known.extend(&causes);
                            known.sort_unstable();
                            known.dedup();
                        }
                    }
                }
            }
            if traced.len() == before {
                return Ok(());
            }
        }
    }
}
