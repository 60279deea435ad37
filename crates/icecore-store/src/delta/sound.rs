//! Whether what deltas are coded on is there.
//!
//! A pack may be lost, be set aside, or be deleted by a collection while a writer that it has given up still stores what is coded on it. What is
//! coded on it then lies in the index, and cannot be read: nobody may refer to it again.

use std::collections::{BTreeMap, BTreeSet};

use icecore_format::PackId;

use crate::Result;
use crate::index::{IndexReader, PackRecord};
use crate::store::Store;

impl Store {
    /// Packs with runs of which a base lies nowhere, or in such a pack. Packs that were found sound are looked at again only when others
    /// were taken out of the index since.
    pub(crate) fn unsound_packs(&self) -> Result<BTreeSet<PackId>> {
        let (removals, packs) = self.index.read(|index| Ok((index.removals()?, index.packs()?)))?;
        let is_suspect = |record: &PackRecord| record.deltas > 0 && record.sound_at != removals + 1;
        let suspects: Vec<PackId> = packs
            .iter()
            .map(|(_, record)| record)
            .filter(|record| is_suspect(record))
            .map(|record| record.id)
            .collect();
        let mut coded_on = BTreeMap::new();
        let mut unsound = BTreeSet::new();
        for id in &suspects {
            match self.packs_under(id)? {
                Some(packs) => drop(coded_on.insert(*id, packs)),
                None => drop(unsound.insert(*id)),
            }
        }
        let mut before = usize::MAX;
        while unsound.len() != before {
            before = unsound.len();
            let falls = |packs: &BTreeSet<PackId>| !packs.is_disjoint(&unsound);
            let fallen: Vec<PackId> =
                coded_on.iter().filter(|(_, packs)| falls(packs)).map(|(id, _)| *id).collect();
            unsound.extend(fallen);
        }
        self.remember_sound(&suspects.into_iter().filter(|id| !unsound.contains(id)).collect(), removals)?;
        Ok(unsound)
    }

    /// Remembers which packs are sound, if no pack was taken out since.
    pub(crate) fn remember_sound(&self, packs: &BTreeSet<PackId>, removals: u64) -> Result<()> {
        let is_news = |record: &PackRecord| {
            record.deltas > 0 && record.sound_at != removals + 1 && packs.contains(&record.id)
        };
        let known = self.index.read(IndexReader::packs)?.into_iter().map(|(_, record)| record);
        let sound: Vec<PackId> = known.filter(is_news).map(|record| record.id).collect();
        if sound.is_empty() {
            return Ok(());
        }
        match self.index.write(|index| index.set_sound(&sound, removals)) {
            // They are looked at once more, then.
            Err(error) if error.is_full() => Ok(()),
            done => done,
        }
    }

    /// The packs in which the bases of a pack's runs lie; `None` if one lies nowhere, or if the pack cannot be read.
    fn packs_under(&self, id: &PackId) -> Result<Option<BTreeSet<PackId>>> {
        let open = match self.packs.open(id) {
            Ok(open) => open,
            Err(error) if error.is_out_of_reach() || error.is_gone() => return Ok(None),
            Err(error) => return Err(error),
        };
        self.index.read(|index: &IndexReader| {
            let mut packs = BTreeSet::new();
            for (_, run) in open.runs().filter(|(_, run)| run.depth > 0) {
                for place in index.base_places(&run.base_ids(), run.depth)? {
                    match place {
                        Some((pack, _)) => drop(packs.insert(pack)),
                        None => return Ok(None),
                    }
                }
            }
            Ok(Some(packs))
        })
    }
}
