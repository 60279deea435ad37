//! What the index knows, as of one moment.

use std::collections::HashSet;

use icecore_format::{ChunkId, PackId, Run, ShortId};
use redb::{ReadableDatabase, ReadableTable as _, ReadableTableMetadata as _};

use super::tables::{
    self, BIRTH, CHUNKS, META, Namesake, Namesakes, PACK_NUMBERS, PACKS, PackRecord, REMOVALS, SKETCHES,
    SPARES,
};
use super::{ChunkPlace, read_error};
use crate::Result;

/// For each base of a run the pack it lies in, and its ordinal there.
pub(crate) type BasePlaces = Vec<Option<(PackId, u32)>>;

/// A consistent view of the index.
pub struct IndexReader {
    chunks: Option<redb::ReadOnlyTable<&'static [u8; 32], u64>>,
    packs: Option<redb::ReadOnlyTable<u32, &'static [u8]>>,
    numbers: Option<redb::ReadOnlyTable<&'static [u8; 32], u32>>,
    spares: Option<redb::ReadOnlyMultimapTable<&'static [u8; 32], u64>>,
    sketches: Option<redb::ReadOnlyTable<u64, (u64, u64)>>,
    meta: Option<redb::ReadOnlyTable<&'static str, u64>>,
}

impl std::fmt::Debug for IndexReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexReader(..)")
    }
}

fn absent<T>(error: redb::TableError) -> std::result::Result<Option<T>, redb::Error> {
    match error {
        redb::TableError::TableDoesNotExist(_) => Ok(None),
        error => Err(error.into()),
    }
}

impl IndexReader {
    pub(super) fn new(database: &impl ReadableDatabase) -> std::result::Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        // A table that nobody wrote to yet does not exist.
        Ok(Self {
            chunks: transaction.open_table(CHUNKS).map(Some).or_else(absent)?,
            packs: transaction.open_table(PACKS).map(Some).or_else(absent)?,
            numbers: transaction.open_table(PACK_NUMBERS).map(Some).or_else(absent)?,
            spares: transaction.open_multimap_table(SPARES).map(Some).or_else(absent)?,
            sketches: transaction.open_table(SKETCHES).map(Some).or_else(absent)?,
            meta: transaction.open_table(META).map(Some).or_else(absent)?,
        })
    }

    /// A number that another index does not have: one that was made anew, by whomever, may not know yet what this one knew.
    pub(crate) fn birth(&self) -> Result<u64> {
        let Some(meta) = &self.meta else { return Ok(0) };
        Ok(meta.get(BIRTH).map_err(read_error)?.map_or(0, |birth| birth.value()))
    }

    /// A number that grows whenever packs are taken out, and that another index does not have.
    pub(crate) fn removals(&self) -> Result<u64> {
        let Some(meta) = &self.meta else { return Ok(0) };
        Ok(meta.get(REMOVALS).map_err(read_error)?.map_or(0, |removals| removals.value()))
    }

    /// Where a chunk lies.
    pub fn find(&self, id: &ChunkId) -> Result<Option<ChunkPlace>> {
        let Some(chunks) = &self.chunks else { return Ok(None) };
        let found = chunks.get(id.as_bytes()).map_err(read_error)?;
        Ok(found.map(|place| tables::unpack_place(place.value())))
    }

    /// Where a chunk lies that is to be a base of a run that lies at `depth`: less deep than that, which is what keeps deltas from going in
    /// circles. A chunk that lies in several packs may be a base in one of them only.
    pub(crate) fn find_base(&self, id: &ShortId, depth: u8) -> Result<Option<ChunkPlace>> {
        let (Some(chunks), (from, to)) = (&self.chunks, id.bounds()) else { return Ok(None) };
        let mut found = chunks.range::<&[u8; 32]>(from.as_bytes()..=to.as_bytes()).map_err(read_error)?;
        let Some(found) = found.next() else { return Ok(None) };
        let (id, place) = found.map_err(read_error)?;
        let place = tables::unpack_place(place.value());
        if place.depth < depth {
            return Ok(Some(place));
        }
        let Some(spares) = &self.spares else { return Ok(None) };
        for spare in spares.get(id.value()).map_err(read_error)? {
            let spare = tables::unpack_place(spare.map_err(read_error)?.value());
            if spare.depth < depth {
                return Ok(Some(spare));
            }
        }
        Ok(None)
    }

    /// All packs that hold a chunk less deep than `depth`.
    pub(crate) fn holders(&self, id: &ShortId, depth: u8) -> Result<Vec<PackId>> {
        let (Some(chunks), (from, to)) = (&self.chunks, id.bounds()) else { return Ok(Vec::new()) };
        let mut found = chunks.range::<&[u8; 32]>(from.as_bytes()..=to.as_bytes()).map_err(read_error)?;
        let Some(found) = found.next() else { return Ok(Vec::new()) };
        let (id, place) = found.map_err(read_error)?;
        let mut places = vec![place.value()];
        if let Some(spares) = &self.spares {
            for spare in spares.get(id.value()).map_err(read_error)? {
                places.push(spare.map_err(read_error)?.value());
            }
        }
        let mut packs = Vec::new();
        for place in places.into_iter().map(tables::unpack_place).filter(|place| place.depth < depth) {
            packs.extend(self.pack(place.pack)?.map(|record| record.id));
        }
        Ok(packs)
    }

    /// Whether a chunk lies, less deep than `below`, in a pack with a number that is not among `absent`.
    pub(crate) fn holds(&self, id: &ShortId, below: u8, absent: &HashSet<u32>) -> Result<bool> {
        let counts = |place: u64| {
            let place = tables::unpack_place(place);
            place.depth < below && !absent.contains(&place.pack)
        };
        let (Some(chunks), (from, to)) = (&self.chunks, id.bounds()) else { return Ok(false) };
        let mut found = chunks.range::<&[u8; 32]>(from.as_bytes()..=to.as_bytes()).map_err(read_error)?;
        let Some(found) = found.next() else { return Ok(false) };
        let (id, place) = found.map_err(read_error)?;
        if counts(place.value()) {
            return Ok(true);
        }
        let Some(spares) = &self.spares else { return Ok(false) };
        for spare in spares.get(id.value()).map_err(read_error)? {
            if counts(spare.map_err(read_error)?.value()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the chunks lie that have this number in their sketches, as far as they are known: the one that was stored last, then the one
    /// that its chain started from.
    pub(crate) fn namesakes(&self, number: u64) -> Result<[Option<ChunkPlace>; 2]> {
        let Some(sketches) = &self.sketches else { return Ok([None; 2]) };
        let Some(found) = sketches.get(number).map_err(read_error)? else { return Ok([None; 2]) };
        let Namesakes { newest, anchor } = Namesakes::unpack(found.value());
        let found = self.by_name(newest)?;
        Ok([found, if anchor == newest { found } else { self.by_name(anchor)? }])
    }

    /// The first chunk whose id begins like this.
    fn by_name(&self, name: Namesake) -> Result<Option<ChunkPlace>> {
        let Some(chunks) = &self.chunks else { return Ok(None) };
        let (from, to) = name.range();
        let Some(found) = chunks.range::<&[u8; 32]>(&from..=&to).map_err(read_error)?.next() else {
            return Ok(None);
        };
        let (_, place) = found.map_err(read_error)?;
        Ok(Some(tables::unpack_place(place.value())))
    }

    /// For each chunk the pack it lies in, and its ordinal there.
    pub(crate) fn places(&self, ids: &[ChunkId]) -> Result<Vec<Option<(PackId, u32)>>> {
        self.places_of(ids, |id| self.find(id))
    }

    /// Where each chunk lies less deep than `below`, with what is known of its pack.
    pub(crate) fn found(&self, ids: &[ShortId], below: u8) -> Result<Vec<Option<(ChunkPlace, PackRecord)>>> {
        self.found_by(ids, |id| self.find_base(id, below))
    }

    /// As [`IndexReader::places`], of the bases of a run that lies at `depth`.
    pub(crate) fn base_places(&self, ids: &[ShortId], depth: u8) -> Result<BasePlaces> {
        self.places_of(ids, |id| self.find_base(id, depth))
    }

    /// As [`IndexReader::base_places`], of the bases of several runs.
    pub(crate) fn run_base_places<'r>(&self, runs: impl Iterator<Item = &'r Run>) -> Result<Vec<BasePlaces>> {
        runs.map(|run| self.base_places(&run.base_ids(), run.depth)).collect()
    }

    fn places_of<I>(
        &self,
        ids: &[I],
        find: impl Fn(&I) -> Result<Option<ChunkPlace>>,
    ) -> Result<Vec<Option<(PackId, u32)>>> {
        let found = self.found_by(ids, find)?;
        let place = |(place, record): (ChunkPlace, PackRecord)| (record.id, place.ordinal);
        Ok(found.into_iter().map(|found| found.map(place)).collect())
    }

    fn found_by<I>(
        &self,
        ids: &[I],
        find: impl Fn(&I) -> Result<Option<ChunkPlace>>,
    ) -> Result<Vec<Option<(ChunkPlace, PackRecord)>>> {
        // Neighbours lie in the same pack.
        let mut last: Option<(u32, PackRecord)> = None;
        let place = |id: &I| {
            let Some(place) = find(id)? else { return Ok(None) };
            let record = match last {
                Some((number, record)) if number == place.pack => record,
                _ => match self.pack(place.pack)? {
                    Some(record) => record,
                    None => return Ok(None),
                },
            };
            last = Some((place.pack, record));
            Ok(Some((place, record)))
        };
        ids.iter().map(place).collect()
    }

    /// A pack by its number.
    pub fn pack(&self, number: u32) -> Result<Option<PackRecord>> {
        let Some(packs) = &self.packs else { return Ok(None) };
        let found = packs.get(number).map_err(read_error)?;
        Ok(found.and_then(|record| PackRecord::decode(record.value())))
    }

    /// A pack's number.
    pub fn number(&self, id: &PackId) -> Result<Option<u32>> {
        let Some(numbers) = &self.numbers else { return Ok(None) };
        Ok(numbers.get(id.as_bytes()).map_err(read_error)?.map(|number| number.value()))
    }

    /// All packs with their numbers.
    pub fn packs(&self) -> Result<Vec<(u32, PackRecord)>> {
        let Some(packs) = &self.packs else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for entry in packs.iter().map_err(read_error)? {
            let (number, record) = entry.map_err(read_error)?;
            if let Some(record) = PackRecord::decode(record.value()) {
                all.push((number.value(), record));
            }
        }
        Ok(all)
    }

    /// The chunks that are found in these packs. Walks the whole index.
    pub(crate) fn chunks_in(&self, packs: &HashSet<u32>) -> Result<Vec<(ChunkId, u32)>> {
        let Some(chunks) = &self.chunks else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in chunks.iter().map_err(read_error)? {
            let (id, place) = entry.map_err(read_error)?;
            let pack = tables::unpack_place(place.value()).pack;
            if packs.contains(&pack) {
                found.push((ChunkId::from_bytes(*id.value()), pack));
            }
        }
        Ok(found)
    }

    /// How many chunks the index knows.
    pub fn chunk_count(&self) -> Result<u64> {
        self.chunks.as_ref().map_or(Ok(0), |chunks| chunks.len().map_err(read_error))
    }
}
