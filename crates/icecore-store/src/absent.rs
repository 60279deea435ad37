//! What counts as absent for a writer, although the index knows where it lies.
//!
//! A pack may be lost, be set aside, or be deleted by a collection while a writer that it has given up still stores what is coded on it. What is
//! coded on it then lies in the index, and cannot be read: nobody may refer to it again, and what it is coded on is stored anew when it comes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use icecore_format::{ChunkId, PackId, Run, ShortId};

use crate::Result;
use crate::fetch::in_parallel;
use crate::index::{IndexReader, PackRecord};
use crate::pack::OpenPack;
use crate::store::Store;

/// What a writer must not refer to, nor code anything on.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    /// Packs that a collection will delete, and those with runs of which a base cannot be read.
    packs: BTreeSet<PackId>,
    /// Those bases. They help what is coded on them only if they lie less deep, so that they must be stored plain.
    wanted: HashSet<ShortId>,
}

impl Absent {
    /// Whether what lies in this pack counts as absent.
    pub(crate) fn has(&self, pack: &PackId) -> bool {
        self.packs.contains(pack)
    }

    /// The numbers of these packs in the index.
    pub(crate) fn numbers(&self, index: &IndexReader) -> Result<HashSet<u32>> {
        let numbers = self.packs.iter().map(|id| index.number(id));
        numbers.filter_map(Result::transpose).collect()
    }

    /// Whether one of these chunks must be stored plain.
    pub(crate) fn wants(&self, run: &Run) -> bool {
        !self.wanted.is_empty() && run.chunks.iter().any(|chunk| self.wanted.contains(&chunk.id.short()))
    }

    fn is_known(&self, index: &IndexReader, id: &ChunkId) -> Result<bool> {
        let Some(place) = index.find(id)? else { return Ok(false) };
        if place.depth > 0 && self.wanted.contains(&id.short()) {
            return Ok(false);
        }
        Ok(self.packs.is_empty() || index.pack(place.pack)?.is_some_and(|record| !self.has(&record.id)))
    }
}

impl Store {
    /// What counts as absent beside `condemned` packs.
    pub(crate) fn absent(&self, condemned: BTreeSet<PackId>) -> Result<Absent> {
        let unsound = self.put_unsound_last()?;
        let mut wanted = HashSet::new();
        for bases in self.for_each_open(&unsound, |open| self.base_holders(open))?.into_iter().flatten() {
            let is_lost = |holders: &Vec<PackId>| holders.iter().all(|pack| unsound.contains(pack));
            wanted.extend(bases.into_iter().filter(|(_, holders)| is_lost(holders)).map(|(base, _)| base));
        }
        let packs = condemned.into_iter().chain(unsound).collect();
        Ok(Absent { packs, wanted })
    }

    /// Lets what lies in packs with lost bases, and elsewhere too, be found elsewhere. Returns these packs.
    ///
    /// A writer that a collection has fenced may go on for a while, and store again what is there, coded on what is not. Such a pack, which the
    /// index may have met last, must not stand before those from which the same can be read.
    pub(crate) fn put_unsound_last(&self) -> Result<BTreeSet<PackId>> {
        let unsound = self.unsound_packs()?;
        self.put_last(&unsound)?;
        Ok(unsound)
    }

    /// Lets what lies in these packs be found elsewhere, if it lies in another one too.
    pub(crate) fn put_last(&self, packs: &BTreeSet<PackId>) -> Result<()> {
        let open = self.for_each_open(packs, |open| Ok(Arc::clone(open)))?;
        let open: Vec<Arc<OpenPack>> = open.into_iter().flatten().collect();
        if open.is_empty() {
            return Ok(());
        }
        let moved = self.index.write(|index| {
            let numbers = index.numbers_of(packs)?;
            open.iter().try_for_each(|pack| index.put_last(&pack.id, &pack.toc, &numbers))
        });
        match moved {
            // Then they stay where they are: that is a reader's loss, for now, and no writer's.
            Err(error) if error.is_full() || error.is_denied() => (),
            done => done?,
        }
        // Where bases were found is remembered with the packs.
        packs.iter().for_each(|id| self.packs.forget(id));
        Ok(())
    }

    /// For each chunk, whether a pack holds it that is not absent.
    pub(crate) fn known_chunks<'c>(
        &self,
        ids: impl Iterator<Item = &'c ChunkId>,
        absent: &Absent,
    ) -> Result<Vec<bool>> {
        self.index.read(|index| ids.map(|id| absent.is_known(index, id)).collect())
    }

    /// Packs with runs of which a base lies nowhere, or in such a pack. Packs that were found sound are looked at again only when others
    /// were taken out of the index since.
    fn unsound_packs(&self) -> Result<BTreeSet<PackId>> {
        let (removals, packs) = self.index.read(|index| Ok((index.removals()?, index.packs()?)))?;
        let is_suspect = |record: &PackRecord| record.deltas > 0 && !record.is_sound(removals);
        let suspects: BTreeSet<PackId> =
            packs.into_iter().filter(|(_, record)| is_suspect(record)).map(|(_, record)| record.id).collect();
        // For each suspect the packs that it is coded on: of those that hold the same base one is enough.
        let mut under: BTreeMap<PackId, BTreeSet<Vec<PackId>>> = BTreeMap::new();
        let mut unsound = BTreeSet::new();
        let looked_at = self.for_each_open(&suspects, |open| {
            let holders = self.base_holders(open)?.into_iter().map(|(_, holders)| holders);
            Ok(holders.collect::<BTreeSet<_>>())
        })?;
        for (id, bases) in suspects.iter().zip(looked_at) {
            match bases {
                Some(bases) => drop(under.insert(*id, bases)),
                None => drop(unsound.insert(*id)),
            }
        }
        loop {
            let is_lost = |holders: &Vec<PackId>| holders.iter().all(|pack| unsound.contains(pack));
            let fallen: Vec<PackId> =
                under.iter().filter(|(_, bases)| bases.iter().any(is_lost)).map(|(id, _)| *id).collect();
            if fallen.is_empty() {
                break;
            }
            under.retain(|id, _| !fallen.contains(id));
            unsound.extend(fallen);
        }
        self.remember_sound(&suspects.difference(&unsound).copied().collect(), removals)?;
        Ok(unsound)
    }

    /// Remembers which packs are sound, if no pack was taken out of the index since.
    pub(crate) fn remember_sound(&self, packs: &BTreeSet<PackId>, removals: u64) -> Result<()> {
        let known = self.index.read(IndexReader::packs)?.into_iter().map(|(_, record)| record);
        let is_news = |record: &PackRecord| {
            record.deltas > 0 && !record.is_sound(removals) && packs.contains(&record.id)
        };
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

    /// What is asked of each of these packs, in this order; `None` for one that is gone or cannot be read. Far away a table is a few round trips,
    /// and after a collection there every pack that holds deltas is looked at.
    fn for_each_open<T: Send>(
        &self,
        packs: &BTreeSet<PackId>,
        ask: impl Fn(&Arc<OpenPack>) -> Result<T> + Sync,
    ) -> Result<Vec<Option<T>>> {
        let packs: Vec<PackId> = packs.iter().copied().collect();
        let answers = in_parallel(&*self.storage, &packs, |id| {
            self.open_if_there(id)?.map(|open| ask(&open)).transpose()
        });
        answers.into_iter().collect()
    }

    /// A pack, unless it is gone or cannot be read.
    fn open_if_there(&self, id: &PackId) -> Result<Option<Arc<OpenPack>>> {
        match self.packs.open(id) {
            Ok(open) => Ok(Some(open)),
            Err(error) if error.is_out_of_reach() || error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bases of a pack's runs, and all packs in which they lie.
    fn base_holders(&self, open: &OpenPack) -> Result<Vec<(ShortId, Vec<PackId>)>> {
        self.index.read(|index| {
            let bases = open.deltas().flat_map(|(_, run)| run.bases.iter().map(|base| (base.id, run.depth)));
            bases.map(|(base, depth)| Ok((base, index.holders(&base, depth)?))).collect()
        })
    }
}
