//! Packs on their way.

use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use icecore_format::{DecodeError, Digest, PackId, names};
use icecore_storage::PutMode;

use super::needs::Needs;
use super::{Direction, Transfer};
use crate::gc::{Basis, Rewriter};
use crate::index::{IndexWriter, PackRecord};
use crate::pack::{OpenPack, SealedPack};
use crate::{Counter, Monitor, Result, StoreError};

/// Bytes of packs that are under way at a time: three, each of which ends soon after 32 MiB.
const UNDER_WAY_MAX: u64 = 104 << 20;
/// How many packs the index learns of at once: each change of it waits for the disk. Those that it has not learnt of when a process dies are found again
/// where they lie.
const INDEXED_AT_ONCE: usize = 8;
/// How often a pack is read that is not as its name says.
const READS_MAX: usize = 2;

/// What has gone over, and how those who wait for it are kept alive.
pub(super) struct Way<'a> {
    transfer: &'a Transfer,
    needs: &'a Needs,
    /// How often packs had been taken out of the receiver's index when its packs were last found sound.
    removals: u64,
    monitor: &'a dyn Monitor,
    /// Called after each pack, by any thread.
    beat: &'a (dyn Fn() + Sync),
    /// Packs that have arrived, with their lengths, of which the index has yet to learn.
    arrived: Mutex<Vec<(OpenPack, u64)>>,
    pub(super) sent: Mutex<Load>,
}

/// How much has gone over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) packs: u64,
    pub(super) bytes: u64,
}

impl Transfer {
    /// Whether the receiver has a pack, as far as it knows.
    pub(super) fn is_there(&self, pack: &PackRecord) -> Result<bool> {
        let known = self.to.index.read(|index| {
            Ok(index.number(&pack.id)?.map(|number| index.pack(number)).transpose()?.flatten())
        })?;
        Ok(known.is_some_and(|known| known.len == pack.len))
    }

    /// A pack of the sender that is as its name says. One that is not may only have been damaged on its way, and is read a second time.
    pub(super) fn read_whole(&self, id: &PackId) -> Result<Bytes> {
        for _ in 0..READS_MAX {
            let bytes = self.from.packs.whole(id)?;
            if PackId(Digest::of(&bytes)) == *id {
                return Ok(bytes);
            }
            self.from.packs.forget(id);
        }
        Err(StoreError::damaged(names::pack(id))(DecodeError::Damaged))
    }

    /// Refuses a pack that was made elsewhere and is not what its table says, although it is as its name says: from then on its chunks would count as
    /// stored, those too that were here before. One that cannot be checked, for what something in it is coded on is nowhere, is refused as well: what is needed of
    /// it is copied run by run, each of which is read for that.
    fn check_foreign(&self, id: &PackId, bytes: &[u8]) -> Result<()> {
        let open = Arc::new(self.to.packs.parse(id, bytes)?);
        self.to.check_chunks(&open, bytes, Err).map_err(|error| match error {
            StoreError::ChunkDamaged { .. } | StoreError::ChunkMissing { .. } => {
                StoreError::damaged(names::pack(id))(DecodeError::Damaged)
            }
            error => error,
        })
    }

    /// Puts a pack that is as its name says, with its parity. Returns its table, and how many bytes that were.
    pub(super) fn put_whole(&self, id: &PackId, bytes: &[u8]) -> Result<(OpenPack, u64)> {
        let to = &self.to;
        let open = to.packs.parse(id, bytes)?;
        let parity_len = to.put_parity(id, bytes)?;
        // Whatever lay there under this name was the same, or damaged.
        to.storage.put(&names::pack(id), bytes, PutMode::Overwrite)?;
        to.packs.forget(id);
        Ok((open, bytes.len() as u64 + parity_len))
    }
}

impl<'a> Way<'a> {
    pub(super) fn new(
        transfer: &'a Transfer,
        needs: &'a Needs,
        removals: u64,
        monitor: &'a dyn Monitor,
        beat: &'a (dyn Fn() + Sync),
    ) -> Self {
        let (arrived, sent) = (Mutex::default(), Mutex::default());
        Self { transfer, needs, removals, monitor, beat, arrived, sent }
    }

    /// Sends what is due with the snapshot at this place, bases before what is coded on them.
    pub(super) fn send_due(&self, at: usize) -> Result<()> {
        let due = self.needs.packs.iter().filter(|(_, needed)| needed.due == at);
        let mut left: BTreeSet<PackId> = due.map(|(id, _)| *id).collect();
        while !left.is_empty() {
            let under = |id: &PackId| self.needs.packs.get(id).map(|needed| &needed.under);
            let mut ready: Vec<PackId> = left
                .iter()
                .filter(|id| under(id).is_none_or(|under| under.is_disjoint(&left)))
                .copied()
                .collect();
            // Packs may hold what others in turn are coded on: then all is copied run by run, for runs never do.
            let in_circles = ready.is_empty();
            if in_circles {
                ready = left.iter().copied().collect();
            }
            let is_whole = |id: &PackId| !in_circles && self.needs.packs.get(id).is_some_and(|it| it.whole);
            let (whole, some): (Vec<PackId>, Vec<PackId>) = ready.iter().copied().partition(is_whole);
            self.send_all(&whole)?;
            self.copy_some(&some)?;
            for id in &ready {
                left.remove(id);
            }
        }
        Ok(())
    }

    /// Sends packs as they are, several at a time.
    fn send_all(&self, packs: &[PackId]) -> Result<()> {
        let longest = packs.iter().filter_map(|id| Some(self.needs.packs.get(id)?.record?.len)).max();
        let by_memory = usize::try_from(UNDER_WAY_MAX / longest.unwrap_or(1).max(1)).unwrap_or(usize::MAX);
        let at_once = self.transfer.far().storage.concurrency().get().min(by_memory).min(packs.len());
        let workers = self.transfer.to.machine.hands().waiting(at_once);
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(id) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = self.send_whole(id);
                (self.beat)();
                if let Err(error) = outcome {
                    // The others end what they have begun.
                    next.store(packs.len(), Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        if workers < 2 {
            work();
        } else {
            thread::scope(|scope| {
                let spawn = |_| thread::Builder::new().name("sender".into()).spawn_scoped(scope, work);
                let spawned = (0..workers).map(spawn).collect::<std::io::Result<Vec<_>>>();
                if spawned.is_err() {
                    next.store(packs.len(), Ordering::Relaxed);
                }
                spawned.map(drop).map_err(|source| StoreError::Thread { source })
            })?;
        }
        let arrived = mem::take(&mut *self.arrived.lock().unwrap_or_else(PoisonError::into_inner));
        let indexed = self.index(&arrived);
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(indexed, Err)
    }

    /// Sends a pack as it is, if it is as its name says.
    fn send_whole(&self, id: &PackId) -> Result<()> {
        self.check_cancelled()?;
        let planned = self.needs.packs.get(id).and_then(|needed| needed.record);
        if let Some(planned) = planned
            && self.transfer.is_there(&planned)?
        {
            // It only lacked what it is coded on.
            return Ok(());
        }
        let bytes = self.transfer.read_whole(id)?;
        if self.transfer.direction == Direction::Pull {
            self.transfer.check_foreign(id, &bytes)?;
        }
        let (open, stored) = self.transfer.put_whole(id, &bytes)?;
        self.count(stored);
        let due = {
            let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
            arrived.push((open, bytes.len() as u64));
            if arrived.len() < INDEXED_AT_ONCE { Vec::new() } else { mem::take(&mut *arrived) }
        };
        // The next pack comes into what this one has lain in.
        drop(bytes);
        self.index(&due)
    }

    /// Lets the receiver's index learn of packs that have arrived.
    fn index(&self, arrived: &[(OpenPack, u64)]) -> Result<()> {
        if arrived.is_empty() {
            return Ok(());
        }
        self.transfer.to.index.write(|index| {
            for (open, len) in arrived {
                index.add_pack((open.id, *len, &open.toc))?;
                self.note_sound(index, &open.id)?;
            }
            Ok(())
        })
    }

    /// Copies what is needed of packs into new ones.
    fn copy_some(&self, packs: &[PackId]) -> Result<()> {
        if packs.is_empty() {
            return Ok(());
        }
        let Transfer { from, to, .. } = self.transfer;
        let put = |pack: &SealedPack| {
            let len = to.put_pack(pack)?;
            to.index.write(|index| self.note_sound(index, &pack.id))?;
            self.count(len);
            (self.beat)();
            Ok(len)
        };
        let mut rewriter = Rewriter::with(from, Box::new(put));
        let (chunks, ids) = (&self.needs.marks.live, packs.iter().copied());
        rewriter.copy_all(ids, chunks, Basis::Same, |_, error| Err(error), &mut || {
            (self.beat)();
            self.check_cancelled()
        })
    }

    /// What the pack is coded on has arrived before, so that nobody has to look for it.
    fn note_sound(&self, index: &mut IndexWriter<'_>, id: &PackId) -> Result<()> {
        index.set_sound(&[*id], self.removals)
    }

    fn count(&self, stored: u64) {
        // What was expected is what goes over.
        self.monitor.count(Counter::ReadBytes, stored);
        self.monitor.count(Counter::StoredBytes, stored);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.packs += 1;
        sent.bytes += stored;
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.monitor.is_cancelled() { Err(StoreError::Cancelled) } else { Ok(()) }
    }
}
