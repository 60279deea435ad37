//! Bringing the index and the packs together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_format::{PackId, names};
use icecore_storage::ErrorKind;

use super::IndexReader;
use crate::fetch::in_parallel;
use crate::pack::OpenPack;
use crate::store::Store;
use crate::{Result, StoreError};

/// Packs whose tables are added in one transaction: enough to make it worth its syncs, few enough for memory.
const PACKS_A_TRANSACTION: usize = 32;

/// Tells one index from the one that takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexBirth(u64);

impl Store {
    /// Makes the index know every pack that lies in the storage, but for `condemned` ones, and forget those that do not. A missing
    /// index is so rebuilt. Packs whose tables cannot be read are left out: what they hold counts as absent.
    ///
    /// Returns which index was there when it began. As long as it is this one, what it does not know lies in no pack that was listed.
    ///
    /// Where no index can be written, this process makes one in its memory: what is stored can be read from a full disk, and without the
    /// right to write.
    pub(crate) fn refresh_index(&self, condemned: &BTreeSet<PackId>) -> Result<IndexBirth> {
        Ok(self.refresh_and_list(condemned)?.0)
    }

    /// As [`Store::refresh_index`], for whoever writes: packs that are shorter or longer than they were are forgotten, so that nothing new
    /// refers to them, and what they held is stored again when it comes again. To everybody else the index says which snapshots such a pack
    /// harms.
    pub(crate) fn refresh_index_to_write(&self, condemned: &BTreeSet<PackId>) -> Result<()> {
        let (_, listed) = self.refresh_and_list(condemned)?;
        let known = self.index.read(IndexReader::packs)?.into_iter().map(|(_, record)| record);
        let misshapen = known.filter(|record| listed.get(&record.id).is_some_and(|len| *len != record.len));
        self.forget_packs(&misshapen.map(|record| record.id).collect::<Vec<_>>())
    }

    fn refresh_and_list(&self, condemned: &BTreeSet<PackId>) -> Result<(IndexBirth, BTreeMap<PackId, u64>)> {
        match self.refresh_once(condemned) {
            Err(error)
                if (error.is_full() || error.is_denied())
                    && self.may_be_of_index(&error)
                    && self.index.use_memory()? =>
            {
                self.refresh_once(condemned)
            }
            done => done,
        }
    }

    /// Whether the disk that an error is about may be that of the index: what is far away is on another.
    pub(crate) fn may_be_of_index(&self, error: &StoreError) -> bool {
        self.manifests.is_none() || !matches!(error, StoreError::Storage(_))
    }

    fn refresh_once(&self, condemned: &BTreeSet<PackId>) -> Result<(IndexBirth, BTreeMap<PackId, u64>)> {
        let birth = self.index.read(IndexReader::birth)?;
        let listed = self.listed_packs()?;
        let indexed = self.index.read(IndexReader::packs)?;
        let known: BTreeMap<PackId, u64> =
            indexed.iter().map(|(_, record)| (record.id, record.len)).collect();
        let unknown: Vec<_> =
            listed.iter().filter(|(id, _)| !known.contains_key(id) && !condemned.contains(id)).collect();
        for group in unknown.chunks(PACKS_A_TRANSACTION) {
            self.absorb(group)?;
        }
        self.forget_gone(known.keys().filter(|id| !listed.contains_key(id)))?;
        Ok((IndexBirth(birth), listed))
    }

    /// Whether what the index did not know has to be asked for once more. Somebody else may have made the index anew in the meantime, be it by
    /// hand, and an index that is not full yet says nothing about the packs. Brings it up to date then.
    pub(crate) fn was_made_anew(&self, since: &mut IndexBirth) -> Result<bool> {
        if self.index.read(IndexReader::birth)? == since.0 {
            return Ok(false);
        }
        *since = self.refresh_index(&BTreeSet::new())?;
        Ok(true)
    }

    /// The same, and once in the life of this process the index is made anew before anything is called missing: it may be damaged where
    /// nothing tells.
    pub(crate) fn ask_index_again(&self, since: &mut IndexBirth) -> Result<bool> {
        if self.was_made_anew(since)? {
            return Ok(true);
        }
        if !self.index.doubt() {
            return Ok(false);
        }
        *since = self.refresh_index(&BTreeSet::new())?;
        Ok(true)
    }

    /// The packs in the storage and their lengths.
    pub(crate) fn listed_packs(&self) -> Result<BTreeMap<PackId, u64>> {
        let objects = self.storage.list(names::PACKS)?.into_iter();
        Ok(objects.filter_map(|object| Some((names::parse_pack(&object.name)?, object.len))).collect())
    }

    fn absorb(&self, packs: &[(&PackId, &u64)]) -> Result<()> {
        let mut tables: Vec<(Arc<OpenPack>, u64)> = Vec::new();
        let opened = in_parallel(&*self.storage, packs, |(id, len)| self.packs.open_of_len(id, **len));
        for ((id, len), opened) in packs.iter().zip(opened) {
            match opened {
                // Its writer may have died before its name was durable; from now on snapshots may rely on it.
                Ok(pack) => match self.storage.settle(&names::pack(id)) {
                    Ok(()) => tables.push((pack, **len)),
                    Err(error) if error.kind == ErrorKind::NotFound => (),
                    Err(error) => return Err(error.into()),
                },
                // What it holds counts as absent, as long as nobody can read it.
                Err(error) if error.is_out_of_reach() => (),
                // Deleted by a collection since it was listed.
                Err(StoreError::Storage(error))
                    if matches!(error.kind, ErrorKind::NotFound | ErrorKind::OutOfRange) => {}
                Err(error) => return Err(error),
            }
        }
        self.index.write(|index| {
            // Looked at again under the index's lock: a collection deletes a pack from the index first and from the storage
            // then. One that is gone by now must not come back into the index behind the back of a later writer.
            let lens =
                in_parallel(&*self.storage, &tables, |(pack, _)| self.storage.len(&names::pack(&pack.id)));
            for ((pack, len), there) in tables.iter().zip(lens) {
                match there {
                    Ok(_) => drop(index.add_pack((pack.id, *len, &pack.toc))?),
                    Err(error) if error.kind == ErrorKind::NotFound => (),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
    }

    /// Forgets packs whose tables nobody can be asked for.
    pub(crate) fn forget_packs(&self, ids: &[PackId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        ids.iter().for_each(|id| self.packs.forget(id));
        self.index.write(|index| index.remove_packs(ids.iter().map(|id| (id, None))))
    }

    /// Forgets those of the packs that are really not there: another process may have stored them since they were listed.
    fn forget_gone<'p>(&self, ids: impl Iterator<Item = &'p PackId>) -> Result<()> {
        let ids: Vec<PackId> = ids.copied().collect();
        let lens = in_parallel(&*self.storage, &ids, |id| self.storage.len(&names::pack(id)));
        let mut gone = Vec::new();
        for (id, len) in ids.into_iter().zip(lens) {
            match len {
                Ok(_) => (),
                Err(error) if error.kind == ErrorKind::NotFound => gone.push(id),
                Err(error) => return Err(error.into()),
            }
        }
        self.forget_packs(&gone)
    }

    /// Forgets a pack, if it is really not there.
    pub(crate) fn forget_if_gone(&self, id: &PackId) -> Result<()> {
        self.forget_gone(std::iter::once(id))
    }
}
