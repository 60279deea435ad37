//! What changes in the index.

use std::collections::{BTreeSet, HashSet};

use icecore_format::{ChunkId, PackId, PackToc, Run};
use redb::{ReadableMultimapTable as _, ReadableTable as _};

use super::tables::{
    self, BIRTH, CHUNKS, META, NEXT_NUMBER, Namesake, Namesakes, PACK_NUMBERS, PACKS, PackRecord, REMOVALS,
    SKETCHES, SPARES,
};
use super::{ChunkPlace, NewPack, read_error};
use crate::{Result, random};

/// The index inside a write transaction.
pub(crate) struct IndexWriter<'a> {
    chunks: redb::Table<'a, &'static [u8; 32], u64>,
    packs: redb::Table<'a, u32, &'static [u8]>,
    numbers: redb::Table<'a, &'static [u8; 32], u32>,
    spares: redb::MultimapTable<'a, &'static [u8; 32], u64>,
    sketches: redb::Table<'a, u64, (u64, u64)>,
    meta: redb::Table<'a, &'static str, u64>,
}

impl<'a> IndexWriter<'a> {
    pub(super) fn new(
        transaction: &'a redb::WriteTransaction,
    ) -> std::result::Result<Self, redb::TableError> {
        Ok(Self {
            chunks: transaction.open_table(CHUNKS)?,
            packs: transaction.open_table(PACKS)?,
            numbers: transaction.open_table(PACK_NUMBERS)?,
            spares: transaction.open_multimap_table(SPARES)?,
            sketches: transaction.open_table(SKETCHES)?,
            meta: transaction.open_table(META)?,
        })
    }

    /// Draws the numbers of a new index. False if it is not new.
    pub(super) fn be_born(&mut self) -> Result<bool> {
        let is_new = self.meta.get(BIRTH).map_err(read_error)?.is_none();
        if is_new {
            self.meta.insert(BIRTH, random::number()).map_err(read_error)?;
            // Far from that of any other index: what was found sound by one is not taken for sound by the next. It counts up from here.
            self.meta.insert(REMOVALS, random::number() >> 1).map_err(read_error)?;
        }
        Ok(is_new)
    }

    /// Adds a pack and its chunks. A chunk that is known already is from now on found here, and its place before becomes a spare; one that lies
    /// here twice, where it lies less deep.
    pub(crate) fn add_pack(&mut self, (id, len, toc): NewPack<'_>) -> Result<u32> {
        if let Some(number) =
            self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
        {
            return Ok(number);
        }
        let number = self.next_number()?;
        let record = PackRecord::new(id, len, toc);
        self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
        self.numbers.insert(id.as_bytes(), number).map_err(read_error)?;
        // What lies less deep may be a base where the other one may not: it comes last, and stays.
        for (id, place) in places_in(number, toc).into_iter().rev() {
            let before =
                self.chunks.insert(id.as_bytes(), place).map_err(read_error)?.map(|before| before.value());
            if let Some(before) = before {
                self.spares.insert(id.as_bytes(), before).map_err(read_error)?;
            }
        }
        self.add_sketches(toc.runs())?;
        Ok(number)
    }

    /// A number that no pack has had.
    fn next_number(&mut self) -> Result<u32> {
        let next = self.meta.get(NEXT_NUMBER).map_err(read_error)?.map_or(0, |next| next.value());
        let number = u32::try_from(next).map_err(|_| {
            read_error(redb::StorageError::Corrupted("the index has run out of pack numbers".to_owned()))
        })?;
        self.meta.insert(NEXT_NUMBER, next + 1).map_err(read_error)?;
        Ok(number)
    }

    /// Lets the chunks of runs be found by what they look like.
    fn add_sketches<'r>(&mut self, runs: impl Iterator<Item = &'r Run>) -> Result<()> {
        let mut entries: Vec<(u64, Namesake)> = Vec::new();
        for run in runs {
            for (chunk, sketch) in run.chunks.iter().zip(&run.sketches) {
                let name = Namesake::new(&chunk.id, run.depth);
                entries.extend(sketch.numbers().iter().map(|number| (*number, name)));
            }
        }
        entries.sort_unstable();
        for (number, name) in entries {
            let known = self.sketches.get(number).map_err(read_error)?.map(|known| known.value());
            let namesakes =
                known.map_or(Namesakes::only(name), |known| Namesakes::unpack(known).followed_by(name));
            self.sketches.insert(number, namesakes.pack()).map_err(read_error)?;
        }
        Ok(())
    }

    /// Forgets what chunks look like that are in no pack any more, as far as a table tells.
    fn forget_sketches(&mut self, toc: &PackToc) -> Result<()> {
        for run in toc.runs() {
            for (chunk, sketch) in run.chunks.iter().zip(&run.sketches) {
                if self.chunks.get(chunk.id.as_bytes()).map_err(read_error)?.is_some() {
                    continue;
                }
                for number in sketch.numbers() {
                    let known = self.sketches.get(number).map_err(read_error)?.map(|known| known.value());
                    let Some(known) = known else { continue };
                    match Namesakes::unpack(known).without(&chunk.id) {
                        None => drop(self.sketches.remove(number).map_err(read_error)?),
                        Some(left) => drop(self.sketches.insert(number, left.pack()).map_err(read_error)?),
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets packs and what was found in them. Each comes with its table, where that can be read: for those without, the whole index is
    /// walked, once for all.
    pub(crate) fn remove_packs<'p>(
        &mut self,
        packs: impl IntoIterator<Item = (&'p PackId, Option<&'p PackToc>)>,
    ) -> Result<()> {
        let mut without = HashSet::new();
        let removals = self.removals()?;
        for (id, toc) in packs {
            let Some(number) =
                self.numbers.remove(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
            else {
                continue;
            };
            self.packs.remove(number).map_err(read_error)?;
            self.meta.insert(REMOVALS, removals + 1).map_err(read_error)?;
            match toc {
                Some(toc) => self.forget_listed(number, toc)?,
                None => drop(without.insert(number)),
            }
        }
        if without.is_empty() { Ok(()) } else { self.forget_places(&without) }
    }

    /// The numbers of these packs.
    pub(crate) fn numbers_of(&self, ids: &BTreeSet<PackId>) -> Result<HashSet<u32>> {
        let mut numbers = HashSet::new();
        for id in ids {
            numbers.extend(self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value()));
        }
        Ok(numbers)
    }

    /// Lets chunks that lie in this pack and elsewhere too be found elsewhere: from now on it comes after all packs that are known. Nothing
    /// changes if it does so already, but for packs with these numbers, which are no better.
    pub(crate) fn put_last(&mut self, id: &PackId, toc: &PackToc, no_better: &HashSet<u32>) -> Result<()> {
        let Some(number) = self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
        else {
            return Ok(());
        };
        let mut is_before = false;
        for chunk in toc.chunks() {
            let place = self.chunks.get(chunk.id.as_bytes()).map_err(read_error)?.map(|place| place.value());
            let is_found_here = place.is_some_and(|place| tables::unpack_place(place).pack == number);
            for spare in self.spares.get(chunk.id.as_bytes()).map_err(read_error)? {
                let other = tables::unpack_place(spare.map_err(read_error)?.value()).pack;
                // Of spares, those with low numbers come first.
                is_before |= !no_better.contains(&other) && (is_found_here || number < other);
            }
        }
        let record = self.packs.get(number).map_err(read_error)?.and_then(|r| PackRecord::decode(r.value()));
        let Some(record) = record.filter(|_| is_before) else { return Ok(()) };
        self.numbers.remove(id.as_bytes()).map_err(read_error)?;
        self.packs.remove(number).map_err(read_error)?;
        self.forget_listed(number, toc)?;
        let number = self.next_number()?;
        self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
        self.numbers.insert(id.as_bytes(), number).map_err(read_error)?;
        // What lies here alone, and twice, is found where it lies less deep.
        for (id, place) in places_in(number, toc) {
            if self.chunks.get(id.as_bytes()).map_err(read_error)?.is_some() {
                self.spares.insert(id.as_bytes(), place).map_err(read_error)?;
            } else {
                self.chunks.insert(id.as_bytes(), place).map_err(read_error)?;
            }
        }
        self.add_sketches(toc.runs())
    }

    /// Forgets the places in a pack that its table lists.
    fn forget_listed(&mut self, number: u32, toc: &PackToc) -> Result<()> {
        let here = |place: u64| tables::unpack_place(place).pack == number;
        let mut removed = Vec::new();
        let mut spares = Vec::new();
        for chunk in toc.chunks() {
            let key = chunk.id.as_bytes();
            let found = self.chunks.get(key).map_err(read_error)?.map(|place| place.value());
            if found.is_some_and(here) {
                self.chunks.remove(key).map_err(read_error)?;
                removed.push(*key);
            }
            for spare in self.spares.get(key).map_err(read_error)? {
                let spare = spare.map_err(read_error)?.value();
                if here(spare) {
                    spares.push((*key, spare));
                }
            }
        }
        self.replace_removed(&removed, spares)?;
        self.forget_sketches(toc)
    }

    /// Forgets all places in these packs.
    fn forget_places(&mut self, numbers: &HashSet<u32>) -> Result<()> {
        let here = |place: u64| numbers.contains(&tables::unpack_place(place).pack);
        let mut removed = Vec::new();
        let mut spares = Vec::new();
        let mut stays = |id: &[u8; 32], place| {
            if here(place) {
                removed.push(*id);
            }
            !here(place)
        };
        self.chunks.retain(|id, place| stays(id, place)).map_err(read_error)?;
        for entry in self.spares.iter().map_err(read_error)? {
            let (id, places) = entry.map_err(read_error)?;
            for spare in places {
                let spare = spare.map_err(read_error)?.value();
                if here(spare) {
                    spares.push((*id.value(), spare));
                }
            }
        }
        self.replace_removed(&removed, spares)
    }

    /// Removes spares, then gives chunks whose places are gone those that are left.
    fn replace_removed(&mut self, removed: &[[u8; 32]], spares: Vec<([u8; 32], u64)>) -> Result<()> {
        for (id, spare) in spares {
            self.spares.remove(&id, spare).map_err(read_error)?;
        }
        removed.iter().try_for_each(|id| self.use_spare(id))
    }

    /// A chunk whose place is gone may lie elsewhere too.
    fn use_spare(&mut self, id: &[u8; 32]) -> Result<()> {
        let spare = match self.spares.get(id).map_err(read_error)?.next() {
            Some(spare) => spare.map_err(read_error)?.value(),
            None => return Ok(()),
        };
        self.spares.remove(id, spare).map_err(read_error)?;
        self.chunks.insert(id, spare).map_err(read_error)?;
        Ok(())
    }

    fn removals(&self) -> Result<u64> {
        Ok(self.meta.get(REMOVALS).map_err(read_error)?.map_or(0, |removals| removals.value()))
    }

    /// Remembers that all bases of these packs' runs were found, if no pack was taken out since.
    pub(crate) fn set_sound(&mut self, ids: &[PackId], removals: u64) -> Result<()> {
        if self.removals()? != removals {
            return Ok(());
        }
        self.change_records(ids, |record| record.sound_at = removals + 1)
    }

    /// Remembers when packs were last read and found right, in seconds since 1970.
    pub(crate) fn set_verified(&mut self, ids: &[PackId], at: u64) -> Result<()> {
        self.change_records(ids, |record| record.verified_at = at)
    }

    fn change_records(&mut self, ids: &[PackId], change: impl Fn(&mut PackRecord)) -> Result<()> {
        for id in ids {
            let Some(number) =
                self.numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value())
            else {
                continue;
            };
            let record =
                self.packs.get(number).map_err(read_error)?.and_then(|r| PackRecord::decode(r.value()));
            if let Some(mut record) = record {
                change(&mut record);
                self.packs.insert(number, record.encode().as_slice()).map_err(read_error)?;
            }
        }
        Ok(())
    }
}

/// The chunks of a pack with this number, each with its place: in the order of the keys, as neighbours in the tree share pages, and of one that lies there twice the
/// less deep place first.
fn places_in(number: u32, toc: &PackToc) -> Vec<(ChunkId, u64)> {
    let chunks = toc.runs().flat_map(|run| run.chunks.iter().map(|chunk| (chunk.id, run.depth)));
    let place = |ordinal, depth| tables::pack_place(ChunkPlace { pack: number, ordinal, depth });
    let mut places: Vec<_> =
        chunks.zip(0u32..).map(|((id, depth), ordinal)| (id, place(ordinal, depth))).collect();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use icecore_format::{Body, Codec, Digest, TocChunk};

    use super::*;
    use crate::index::Index;

    /// Else it would be rewritten again and again: what is coded on it keeps the pack that it came from.
    #[test]
    fn a_chunk_that_lies_in_a_pack_twice_is_found_where_it_lies_less_deep() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::new(dir.path().join("index.redb"));
        let chunk = TocChunk { id: ChunkId(Digest::of(b"twice")), len: 5 };
        let run = |depth| Run { depth, chunks: vec![chunk], ..Run::default() };
        for depths in [[0, 1], [1, 0]] {
            let body = Body {
                stored_len: 1,
                plain_len: 1,
                codec: Codec::Delta,
                runs: depths.iter().map(|depth| run(*depth)).collect(),
            };
            let id = PackId(Digest::of(&depths));
            index.write(|index| index.add_pack((id, 100, &PackToc { bodies: vec![body] }))).unwrap();
            let found = index.read(|index| index.find(&chunk.id)).unwrap().unwrap();
            assert_eq!((found.depth, found.ordinal), (0, u32::from(depths[0])));
            let base = index.read(|index| index.places(&[chunk.id])).unwrap();
            assert_eq!(base[0].map(|(pack, _)| pack), Some(id));
        }
    }
}
