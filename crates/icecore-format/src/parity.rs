//! Parity: what a pack can be healed with, in an object of its own beside it.
//!
//! The pack's stored bytes are cut into data shards; the last one is filled up with zeros. The parity shards are those of a systematic
//! Reed-Solomon code over GF(2^16): any as many shards as there are data shards give the pack back, whichever they are. The code is
//! that of Leopard-RS, of high rate (S.-J. Lin, T. Y. Al-Naffouri, Y. S. Han, W.-H. Chung, *Novel Polynomial Basis with Fast Fourier
//! Transform and its Application to Reed-Solomon Erasure Codes*, 2016), as `reed-solomon-simd` computes it.
//!
//! ```text
//! head       96 bytes: "ICECORE" 'R', version u16, flags u16 (0), shard length u32, pack length u64, data shards u32,
//!            parity shards u32, blake3 of the first table and the parity (32), checksum of the head and the object's name (32)
//! table      for each data shard, then for each parity shard: the first 16 bytes of its blake3
//! parity     the parity shards
//! table      once more
//! head       once more
//! ```
//! A code mends what is known to be missing. The table tells which shards are: one that is not what either of its two entries says counts
//! as missing, so that damage in a table costs nothing until it meets the same entry twice. Whether a pack was healed its own id tells.

use std::ops::Range;

use reed_solomon_simd::engine::DefaultEngine;
use reed_solomon_simd::rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder};

use crate::cursor::Cursor;
use crate::envelope::{self, ObjectKind};
use crate::error::{DecodeError, Result};
use crate::{Digest, PackId, names};

/// Bytes of a shard, as long as that makes few enough: a block of a file system, so that a bad block costs one shard.
const SHARD_LEN: u64 = 4096;
/// The code works on units of so many bytes.
const SHARD_UNIT: u64 = 64;
const SHARD_LEN_MAX: u64 = 1 << 20;
/// Data shards of a pack; parity shards too.
const SHARDS_MAX: u64 = 1 << 15;
/// However short a pack is, that many bad blocks can be healed.
const PARITY_SHARDS_MIN: u64 = 2;
/// Shards are coded so many bytes of each at a time: what the code needs for itself then stays in the processor's cache.
const COLUMN_LEN: usize = 512;
const ENTRY_LEN: usize = 16;
const HEAD_LEN: usize = 96;
const HEAD_CHECKED_LEN: usize = HEAD_LEN - 32;

/// How a pack of some length is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    pack_len: u64,
    shard_len: u64,
    data: u64,
    parity: u64,
}

impl Shape {
    fn new(pack_len: u64, percent: u8) -> Self {
        let mut shard_len = SHARD_LEN.min(pack_len.max(1).next_multiple_of(SHARD_UNIT));
        while pack_len.div_ceil(shard_len) > SHARDS_MAX {
            shard_len *= 2;
        }
        let data = pack_len.div_ceil(shard_len).max(1);
        let parity = (data * u64::from(percent.min(100))).div_ceil(100).max(PARITY_SHARDS_MIN);
        Self { pack_len, shard_len, data, parity }
    }

    fn is_valid(&self) -> bool {
        (SHARD_UNIT..=SHARD_LEN_MAX).contains(&self.shard_len)
            && self.shard_len.is_multiple_of(SHARD_UNIT)
            && (1..=SHARDS_MAX).contains(&self.data)
            && self.data == self.pack_len.div_ceil(self.shard_len)
            && (1..=self.data.max(PARITY_SHARDS_MIN)).contains(&self.parity)
    }

    fn table_len(&self) -> u64 {
        (self.data + self.parity) * ENTRY_LEN as u64
    }

    /// Bytes of the whole object.
    fn stored_len(&self) -> u64 {
        2 * HEAD_LEN as u64 + 2 * self.table_len() + self.parity * self.shard_len
    }

    /// The same numbers, for places in memory: [`SHARDS_MAX`] shards of [`SHARD_LEN_MAX`] fit on any machine that has them.
    fn shard_len(&self) -> usize {
        in_memory(self.shard_len)
    }

    fn columns(&self) -> impl Iterator<Item = Range<usize>> {
        let len = self.shard_len();
        (0..len).step_by(COLUMN_LEN).map(move |at| at..len.min(at + COLUMN_LEN))
    }
}

fn in_memory(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// A pack's parity, as far as it can be read.
#[derive(Debug, Clone)]
pub struct Parity<'a> {
    id: PackId,
    shape: Shape,
    bytes: &'a [u8],
}

impl<'a> Parity<'a> {
    /// The parity object of a pack: `percent` of its length, and the tables; at least two shards.
    pub fn encode(id: &PackId, pack: &[u8], percent: u8) -> Vec<u8> {
        let shape = Shape::new(pack.len() as u64, percent);
        let parity = encode_shards(&shape, pack);
        let mut table = Vec::with_capacity(in_memory(shape.table_len()));
        for number in 0..shape.data {
            table.extend_from_slice(&entry(&data_shard(&shape, pack, number)));
        }
        for shard in parity.chunks(shape.shard_len()) {
            table.extend_from_slice(&entry(shard));
        }
        let head = encode_head(id, &shape, &middle_digest(&table, &parity));
        [head.as_slice(), &table, &parity, &table, &head].concat()
    }

    /// Bytes that the parity of a pack of `pack_len` bytes takes.
    pub fn stored_len(pack_len: u64, percent: u8) -> u64 {
        if percent == 0 { 0 } else { Shape::new(pack_len, percent).stored_len() }
    }

    /// Reads a parity object of which one head at least is right. The rest is looked at when it is used.
    ///
    /// # Errors
    /// As for any object; that of the head at the front if neither is right.
    pub fn decode(id: &PackId, bytes: &'a [u8]) -> Result<Self> {
        let front = bytes.get(..HEAD_LEN).unwrap_or(bytes);
        let error = match decode_head(id, front) {
            Ok((shape, _)) => return Ok(Self { id: *id, shape, bytes }),
            Err(error) => error,
        };
        let back = bytes.last_chunk::<HEAD_LEN>().ok_or_else(|| error.clone())?;
        let (shape, _) = decode_head(id, back).map_err(|_| error.clone())?;
        // Places are counted from the end then, wherever the front lies.
        let from = (bytes.len() as u64).checked_sub(shape.stored_len()).ok_or(error)?;
        Ok(Self { id: *id, shape, bytes: bytes.get(in_memory(from)..).unwrap_or_default() })
    }

    /// Whether every byte of the object is as it was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(id: &PackId, bytes: &'a [u8]) -> Result<()> {
        let front = bytes.get(..HEAD_LEN).unwrap_or(bytes);
        let (shape, digest) = decode_head(id, front)?;
        let this = Self { id: *id, shape, bytes };
        let table = this.table(false).ok_or(DecodeError::Damaged)?;
        let again = this.table(true).ok_or(DecodeError::Damaged)?;
        let parity =
            this.slice(this.parity_at(0)..this.parity_at(shape.parity)).ok_or(DecodeError::Damaged)?;
        let is_right = bytes.len() as u64 == shape.stored_len()
            && bytes.last_chunk::<HEAD_LEN>().is_some_and(|back| back == front)
            && table == again
            && middle_digest(table, parity) == digest;
        if is_right { Ok(()) } else { Err(DecodeError::Damaged) }
    }

    /// Whether `pack`, what is left of the pack, has shards enough to be healed.
    pub fn can_heal(&self, pack: &[u8]) -> bool {
        self.whole_front(pack).is_some() || self.survey(pack).is_enough()
    }

    /// The whole pack, made of what is left of it. `None` if that is not enough. What it returns has the pack's id.
    pub fn heal(&self, pack: &[u8]) -> Option<Vec<u8>> {
        if let Some(whole) = self.whole_front(pack) {
            return Some(whole.to_vec());
        }
        let survey = self.survey(pack);
        if !survey.is_enough() {
            return None;
        }
        // Not before: by now as many bytes as will be taken have been seen.
        let mut healed = pack.get(..in_memory(self.shape.pack_len).min(pack.len()))?.to_vec();
        healed.resize(in_memory(self.shape.data * self.shape.shard_len), 0);
        if survey.data.contains(&false) {
            self.restore_shards(&mut healed, &survey)?;
        }
        healed.truncate(in_memory(self.shape.pack_len));
        (PackId(Digest::of(&healed)) == self.id).then_some(healed)
    }

    /// The pack, if nothing is wrong but that something was added to it.
    fn whole_front<'p>(&self, pack: &'p [u8]) -> Option<&'p [u8]> {
        let front = pack.get(..in_memory(self.shape.pack_len))?;
        (PackId(Digest::of(front)) == self.id).then_some(front)
    }

    fn slice(&self, range: Range<u64>) -> Option<&'a [u8]> {
        self.bytes.get(in_memory(range.start)..in_memory(range.end))
    }

    fn table(&self, again: bool) -> Option<&'a [u8]> {
        let at = if again { self.parity_at(self.shape.parity) } else { HEAD_LEN as u64 };
        self.slice(at..at + self.shape.table_len())
    }

    /// Where a parity shard begins.
    fn parity_at(&self, number: u64) -> u64 {
        HEAD_LEN as u64 + self.shape.table_len() + number * self.shape.shard_len
    }

    fn parity_shard(&self, number: u64) -> Option<&'a [u8]> {
        self.slice(self.parity_at(number)..self.parity_at(number + 1))
    }

    /// Whether a shard is what one of its two entries says; parity shards are numbered after the data shards.
    fn is_right(&self, number: u64, shard: &[u8]) -> bool {
        let entry = entry(shard);
        let at = number * ENTRY_LEN as u64;
        [HEAD_LEN as u64, self.parity_at(self.shape.parity)]
            .iter()
            .any(|table| self.slice(table + at..table + at + ENTRY_LEN as u64) == Some(&entry))
    }

    fn survey(&self, pack: &[u8]) -> Survey {
        let is_there =
            |number: u64| self.shape.pack_len.min((number + 1) * self.shape.shard_len) <= pack.len() as u64;
        let pack = pack.get(..in_memory(self.shape.pack_len)).unwrap_or(pack);
        let data = (0..self.shape.data)
            // Zeros instead of what is missing are not what was there, even if it was zeros.
            .map(|number| is_there(number) && self.is_right(number, &data_shard(&self.shape, pack, number)))
            .collect();
        let parity = (0..self.shape.parity)
            .map(|number| {
                self.parity_shard(number).is_some_and(|shard| self.is_right(self.shape.data + number, shard))
            })
            .collect();
        Survey { data, parity }
    }

    /// Puts what was missing into `padded`, the data shards.
    fn restore_shards(&self, padded: &mut [u8], survey: &Survey) -> Option<()> {
        let len = self.shape.shard_len();
        for column in self.shape.columns() {
            let counts = (in_memory(self.shape.data), in_memory(self.shape.parity));
            let mut decoder =
                HighRateDecoder::new(counts.0, counts.1, column.len(), DefaultEngine::new(), None).ok()?;
            for (number, shard) in
                padded.chunks(len).enumerate().filter(|(number, _)| survey.has_data(*number))
            {
                decoder.add_original_shard(number, shard.get(column.clone())?).ok()?;
            }
            for number in (0..survey.parity.len()).filter(|number| survey.parity.get(*number) == Some(&true))
            {
                let shard = self.parity_shard(number as u64)?.get(column.clone())?;
                decoder.add_recovery_shard(number, shard).ok()?;
            }
            let restored = decoder.decode().ok()?;
            for (number, bytes) in restored.restored_original_iter() {
                let shard = padded.chunks_mut(len).nth(number)?;
                shard.get_mut(column.clone())?.copy_from_slice(bytes);
            }
        }
        Some(())
    }
}

/// Which shards are right.
#[derive(Debug)]
struct Survey {
    data: Vec<bool>,
    parity: Vec<bool>,
}

impl Survey {
    fn has_data(&self, number: usize) -> bool {
        self.data.get(number) == Some(&true)
    }

    /// As many as there are data shards, of whichever kind.
    fn is_enough(&self) -> bool {
        let right = self.data.iter().chain(&self.parity).filter(|is_right| **is_right).count();
        right >= self.data.len()
    }
}

/// A data shard, the last one filled up with zeros.
fn data_shard<'p>(shape: &Shape, pack: &'p [u8], number: u64) -> std::borrow::Cow<'p, [u8]> {
    let at = in_memory(number * shape.shard_len).min(pack.len());
    let end = at.saturating_add(shape.shard_len()).min(pack.len());
    let shard = pack.get(at..end).unwrap_or_default();
    if shard.len() == shape.shard_len() {
        return shard.into();
    }
    let mut padded = shard.to_vec();
    padded.resize(shape.shard_len(), 0);
    padded.into()
}

fn encode_shards(shape: &Shape, pack: &[u8]) -> Vec<u8> {
    let len = shape.shard_len();
    let (data, parity) = (in_memory(shape.data), in_memory(shape.parity));
    let last = data_shard(shape, pack, shape.data - 1);
    let whole = pack.get(..len * (data - 1)).unwrap_or_default();
    let mut out = vec![0; parity * len];
    let mut work = None;
    for column in shape.columns() {
        let mut encoder = HighRateEncoder::new(data, parity, column.len(), DefaultEngine::new(), work)
            .expect("a shape that the code can work with");
        for shard in whole.chunks(len).chain([&*last]) {
            let part = shard.get(column.clone()).unwrap_or_default();
            encoder.add_original_shard(part).expect("no more shards than were announced");
        }
        let encoded = encoder.encode().expect("as many shards as were announced");
        for (shard, bytes) in out.chunks_mut(len).zip(encoded.recovery_iter()) {
            shard.get_mut(column.clone()).unwrap_or_default().copy_from_slice(bytes);
        }
        drop(encoded);
        work = Some(encoder.into_parts().1);
    }
    out
}

fn entry(shard: &[u8]) -> [u8; ENTRY_LEN] {
    let digest = Digest::of(shard);
    digest.0.first_chunk().copied().unwrap_or_default()
}

fn middle_digest(table: &[u8], parity: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table);
    hasher.update(parity);
    Digest(*hasher.finalize().as_bytes())
}

fn encode_head(id: &PackId, shape: &Shape, digest: &Digest) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_LEN);
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    envelope::put_preamble(&mut out, ObjectKind::Parity, 0);
    out.extend_from_slice(&short(shape.shard_len));
    out.extend_from_slice(&shape.pack_len.to_le_bytes());
    out.extend_from_slice(&short(shape.data));
    out.extend_from_slice(&short(shape.parity));
    out.extend_from_slice(&digest.0);
    let checksum = envelope::checksum(&names::parity(id), &out);
    out.extend_from_slice(&checksum.0);
    out
}

fn decode_head(id: &PackId, bytes: &[u8]) -> Result<(Shape, Digest)> {
    let mut cursor = Cursor::new("parity", bytes);
    let (_, flags) = envelope::read_preamble(&mut cursor, ObjectKind::Parity)?;
    let shard_len = cursor.u32()?.into();
    let pack_len = cursor.u64()?;
    let (data, parity) = (cursor.u32()?.into(), cursor.u32()?.into());
    let digest = Digest(cursor.array()?);
    let checksum: [u8; 32] = cursor.array()?;
    cursor.clone().finish()?;
    let covered = bytes.get(..HEAD_CHECKED_LEN).ok_or(DecodeError::Damaged)?;
    if envelope::checksum(&names::parity(id), covered).0 != checksum {
        return Err(DecodeError::Damaged);
    }
    let shape = Shape { pack_len, shard_len, data, parity };
    if flags == 0 && shape.is_valid() { Ok((shape, digest)) } else { Err(cursor.malformed()) }
}
