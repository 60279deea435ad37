//! Reading packs back.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use icecore_format::{Digest, PackId, ShortId, names};
use icecore_storage::ErrorKind;

use super::finding::{Damage, ObjectDamage, full_message, pack_kind};
use super::{Extent, VerifyReport};
use crate::index::{IndexReader, PackRecord};
use crate::pack::{Frame, OpenPack};
use crate::read::{ANY_DEPTH, Assembler};
use crate::store::Store;
use crate::{Counter, Monitor, Result, StoreError};

/// Packs that are in memory at once: whole ones, of 32 MiB.
const PACKS_AT_ONCE: usize = 3;

/// A pack that is right.
struct CheckedPack {
    chunks: u64,
    /// Chunks that cannot be read because of what they are coded on, which lies in other packs.
    elsewhere: Vec<StoreError>,
    /// What is wrong with its parity.
    parity: Option<String>,
}

impl Store {
    /// Packs whose tables cannot be read never got into the index.
    pub(super) fn check_unknown_packs(&self, damage: &mut Damage) -> Result<()> {
        let known: BTreeSet<PackId> =
            self.index.read(IndexReader::packs)?.iter().map(|(_, r)| r.id).collect();
        for id in self.listed_packs()?.keys().filter(|id| !known.contains(id)) {
            match self.packs.read_toc(id) {
                Err(StoreError::Storage(error)) if error.kind == ErrorKind::NotFound => (),
                Err(error) => {
                    let error = self.pack_error(error)?;
                    damage.pack(pack_kind(&error), id, &full_message(&error), Vec::new());
                }
                Ok(_) => (),
            }
        }
        Ok(())
    }

    /// Packs that went while they were verified: a collection took them, or they are lost.
    pub(super) fn note_vanished(&self, damage: &mut Damage) -> Result<()> {
        if damage.vanished.is_empty() {
            return Ok(());
        }
        let known = self.index.read(IndexReader::packs)?;
        let chunks =
            self.chunks_of(known.into_iter().filter(|(_, record)| damage.vanished.contains(&record.id)))?;
        let mut since = self.refresh_index(&BTreeSet::new())?;
        let ids: Vec<ShortId> = chunks.keys().copied().collect();
        let places = loop {
            let places = self.index.read(|index| index.base_places(&ids, ANY_DEPTH))?;
            if !places.contains(&None) || !self.was_made_anew(&mut since)? {
                break places;
            }
        };
        for (id, place) in ids.iter().zip(places) {
            if place.is_none() {
                damage.missing(*id, chunks.get(id));
            }
        }
        Ok(())
    }

    /// Reads packs as `extent` says. Returns those that are right, and those that are not.
    pub(super) fn check_packs(
        &self,
        mut packs: Vec<PackRecord>,
        extent: Extent,
        damage: &mut Damage,
        report: &mut VerifyReport,
        monitor: &dyn Monitor,
    ) -> Result<(Vec<PackId>, Vec<PackId>)> {
        // Packs of one night were all verified at once, or never: without the lot, the same ones would come first again and again.
        let lot = self.machine.salt();
        packs.sort_by_cached_key(|pack| (pack.verified_at, drawn(&lot, &pack.id)));
        let total: u64 = packs.iter().map(|pack| pack.len).sum();
        let budget = match extent {
            Extent::Structure => 0,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of bytes need not be exact"
            )]
            Extent::Share(share) => (total as f64 * share.clamp(0.0, 1.0)).ceil() as u64,
            Extent::Budget(bytes) => bytes,
            Extent::Unverified | Extent::Everything => u64::MAX,
        };
        let mut taken = 0u64;
        let (read, rest): (Vec<_>, Vec<_>) = packs.into_iter().partition(|pack| {
            if extent == Extent::Unverified && pack.verified_at > 0 {
                return false;
            }
            // At least one pack whenever any data is to be read, or a small budget would never get anywhere.
            let take = budget > 0 && (taken == 0 || taken.saturating_add(pack.len) <= budget);
            taken += if take { pack.len } else { 0 };
            take
        });
        monitor.expect(read.iter().map(|pack| pack.len).sum());
        for pack in rest {
            if let Err(error) = self.packs.read_toc(&pack.id) {
                self.note_pack_error(&pack, error, damage)?;
            }
        }
        if matches!(extent, Extent::Structure) {
            return Ok((Vec::new(), Vec::new()));
        }
        report.chunks = 0;
        let outcomes: Mutex<Vec<(PackRecord, Result<CheckedPack>)>> = Mutex::default();
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.machine.hands().count(PACKS_AT_ONCE) {
                scope.spawn(|| {
                    while let Some(pack) = read.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match self.look_at_pack(pack, monitor) {
                            Ok(outcome) => {
                                outcomes
                                    .lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .push((*pack, outcome));
                            }
                            Err(error) => {
                                // The others would find the same.
                                next.store(read.len(), Ordering::Relaxed);
                                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(pack, _)| pack.id);
        for (pack, outcome) in outcomes {
            report.bytes_read += pack.len;
            match outcome {
                Ok(checked) => {
                    report.chunks += checked.chunks;
                    right.push(pack.id);
                    for error in checked.elsewhere {
                        damage.note_base(&error);
                    }
                    if let Some(message) = checked.parity {
                        damage.parity(&pack.id, &message);
                    }
                }
                Err(error) => {
                    wrong.push(pack.id);
                    self.note_pack_error(&pack, error, damage)?;
                }
            }
        }
        Ok((right, wrong))
    }

    /// What is to be said of one pack; an error if it is none of the pack's.
    fn look_at_pack(&self, pack: &PackRecord, monitor: &dyn Monitor) -> Result<Result<CheckedPack>> {
        if monitor.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        Ok(match self.check_pack(pack, monitor) {
            Ok(checked) => Ok(CheckedPack { parity: self.check_parity(&pack.id)?, ..checked }),
            Err(error) if error.is_gone() => Err(error),
            Err(error) => Err(self.pack_error(error)?),
        })
    }

    /// An error that is a pack's own; any other is handed back as an error. A bad sector, or a right that is missing, keeps nobody from looking at
    /// the other packs.
    fn pack_error(&self, error: StoreError) -> Result<StoreError> {
        self.check_reach(&error)?;
        let is_short = matches!(&error, StoreError::Storage(error) if error.kind == ErrorKind::OutOfRange);
        if error.is_out_of_reach() || is_short { Ok(error) } else { Err(error) }
    }

    /// Reads one pack whole: its hash, its table, every body, every chunk.
    fn check_pack(&self, pack: &PackRecord, monitor: &dyn Monitor) -> Result<CheckedPack> {
        let bytes = self.packs.whole(&pack.id)?;
        monitor.count(Counter::ReadBytes, bytes.len() as u64);
        let open = Arc::new(self.packs.parse(&pack.id, &bytes)?);
        let mut elsewhere = Vec::new();
        self.check_chunks(&open, &bytes, |error| match error {
            StoreError::ChunkDamaged { .. } | StoreError::ChunkMissing { .. } => {
                elsewhere.push(error);
                Ok(ControlFlow::Continue(()))
            }
            // Only bases are read from elsewhere, and their packs are looked at as well.
            error if error.is_out_of_reach() || error.is_gone() => Ok(ControlFlow::Break(())),
            error => Err(error),
        })?;
        if PackId(Digest::of(&bytes)) == pack.id {
            Ok(CheckedPack { chunks: open.toc.chunk_count() as u64, elsewhere, parity: None })
        } else {
            // Every chunk is right, but bytes between are not: a header field, or something appended.
            Err(StoreError::damaged(names::pack(&pack.id))(icecore_format::DecodeError::Damaged))
        }
    }

    /// Reads every chunk of a pack whose bytes are at hand. What it is coded on is read here, and what keeps a chunk from being read there goes to
    /// `elsewhere`, which says whether to go on with the run.
    pub(crate) fn check_chunks(
        &self,
        open: &Arc<OpenPack>,
        bytes: &[u8],
        mut elsewhere: impl FnMut(StoreError) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut at = icecore_format::PACK_HEADER_LEN;
        let mut frame = Frame::Rotten;
        for (number, (place, _)) in open.runs().enumerate() {
            if place.within == 0 {
                let stored_len = open.toc.bodies.get(place.body).map_or(0, |body| body.stored_len as usize);
                let stored = bytes.get(at..at + stored_len).unwrap_or_default().to_vec();
                at += stored_len;
                frame = open.frame(place.body, stored);
            }
            // One for each run: it keeps what it has seen.
            let mut assembler = Assembler::new(self);
            assembler.seed(open, number, frame.clone());
            for span in open.spans(number) {
                match assembler.chunk(open, &span) {
                    Ok(_) => (),
                    Err(error @ StoreError::ChunkDamaged { pack, .. }) if pack == open.id => {
                        return Err(error);
                    }
                    Err(StoreError::Damaged { object, source }) if object == names::pack(&open.id) => {
                        return Err(StoreError::Damaged { object, source });
                    }
                    Err(error) => {
                        if elsewhere(error)?.is_break() {
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds out which packs parity can heal.
    pub(super) fn find_healable(&self, damage: &mut Damage) -> Result<()> {
        for ObjectDamage { finding, .. } in &mut damage.findings {
            if let Some(id) = names::parse_pack(&finding.object) {
                finding.healable = self.can_heal(&id)?;
            }
        }
        Ok(())
    }

    /// Finds out what of a damaged pack is damaged: each body on its own.
    fn note_pack_error(&self, pack: &PackRecord, error: StoreError, damage: &mut Damage) -> Result<()> {
        if let StoreError::Storage(error) = &error
            && error.kind == ErrorKind::NotFound
        {
            damage.vanished.insert(pack.id);
            return Ok(());
        }
        let error = self.pack_error(error)?;
        self.packs.forget(&pack.id);
        let mut chunks = Vec::new();
        let mut readable = false;
        if let Ok(open) = self.packs.find_toc(&pack.id) {
            let open = Arc::new(open);
            readable = true;
            for (number, (_, run)) in open.runs().enumerate() {
                let damaged = run.chunks.iter().zip(self.run_chunks(&open, number));
                chunks.extend(damaged.filter(|(_, read)| read.is_err()).map(|(chunk, _)| chunk.id.short()));
            }
        }
        let message = full_message(&error);
        damage.pack(pack_kind(&error), &pack.id, &message, chunks);
        if !readable {
            damage.whole_packs.insert(pack.id);
        }
        Ok(())
    }
}

/// A pack's number in a lottery.
fn drawn(lot: &[u8; 32], pack: &PackId) -> [u8; 32] {
    *blake3::keyed_hash(lot, pack.as_bytes()).as_bytes()
}
