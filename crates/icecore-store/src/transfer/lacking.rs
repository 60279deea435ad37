//! What the receiver lacks of its own snapshots, and what is damaged there: fetched without publishing anything.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use icecore_format::{KeyFile, PackId, names};
use icecore_storage::{ErrorKind, PutMode};

use super::apply::{Receiver, Setbacks};
use super::needs::Failure;
use super::send::{Load, Way};
use super::{FailedSnapshot, Sent, Transfer, TransferPlan};
use crate::claim::WriterClaim;
use crate::copies::put_copy;
use crate::snapshots::Snapshot;
use crate::{Monitor, Result, StoreError};

impl Transfer {
    /// Puts what the sender calls so in the place of a pack of the receiver. Returns how many bytes that were, parity included; `None` if the sender does
    /// not have it.
    pub(crate) fn replace_pack(&self, id: &PackId) -> Result<Option<u64>> {
        let bytes = match self.read_whole(id) {
            Err(error) if error.is_gone() => return Ok(None),
            bytes => bytes?,
        };
        let (_, stored) = self.put_whole(id, &bytes)?;
        Ok(Some(stored))
    }

    /// Puts a label or key as the sender has it in the place of one that cannot be read. False if the sender does not have it, or if it is not
    /// there any more.
    pub(crate) fn replace_record(&self, name: &str) -> Result<bool> {
        let is_label = names::parse_label(name).is_some();
        let key = name.strip_prefix(names::KEYS);
        if !is_label && key.is_none() {
            return Ok(false);
        }
        let bytes = match self.from.storage.get(name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::unread(name)(error)),
        };
        match key {
            Some(id) => KeyFile::decode(id, &bytes).map(drop),
            None => icecore_format::Label::decode(name, &bytes, &self.from.key).map(drop),
        }
        .map_err(StoreError::damaged(name))?;
        // Somebody may have removed it meanwhile, and it must not come back.
        let replaced = self
            .to
            .storage
            .get_versioned(name)
            .and_then(|(_, version)| self.to.storage.put(name, &bytes, PutMode::Replace(&version)));
        match replaced {
            Ok(()) => (),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        if key.is_some() {
            put_copy(&*self.to.storage, name, &bytes)?;
        }
        Ok(true)
    }

    /// What came of asking the sender for one object: an error of the object's own is no error of the whole.
    pub(crate) fn settled<T>(&self, outcome: Result<T>) -> Result<Result<T>> {
        match outcome {
            Ok(value) => Ok(Ok(value)),
            Err(error) => Ok(Err(self.from.still_listed(error)?)),
        }
    }

    /// Those of these packs that the sender has, with their lengths.
    pub(crate) fn offers(&self, packs: &[PackId]) -> Result<Vec<(PackId, u64)>> {
        if packs.is_empty() {
            return Ok(Vec::new());
        }
        let there = self.from.listed_packs()?;
        Ok(packs.iter().filter_map(|id| Some((*id, *there.get(id)?))).collect())
    }

    /// What fetching takes that these snapshots of the receiver lack, if what lies in `damaged` packs counts as absent. Packs that are `known` to come anyway
    /// are left out.
    pub(crate) fn plan_lacking(
        &self,
        mut snapshots: Vec<Snapshot>,
        damaged: &BTreeSet<PackId>,
        known: &BTreeSet<PackId>,
        monitor: &dyn Monitor,
    ) -> Result<TransferPlan> {
        let mut plan = TransferPlan::default();
        self.from.refresh_index(&BTreeSet::new())?;
        let condemned: BTreeSet<PackId> = self.to.condemned_packs()?.union(damaged).copied().collect();
        let mut barred = self.barred(&condemned)?;
        let absent = self.to.absent(condemned)?;
        let given_up = self.estimate(&mut snapshots, &absent, &mut barred, known, &mut plan, monitor)?;
        plan.damaged = given_up.into_iter().map(|(snapshot, error)| (snapshot.id, error)).collect();
        Ok(plan)
    }

    /// Fetches what these snapshots of the receiver lack. What lies in packs that are `unread` counts as absent.
    pub(crate) fn fetch_lacking(
        &self,
        mut snapshots: Vec<Snapshot>,
        unread: &BTreeSet<PackId>,
        monitor: &dyn Monitor,
    ) -> Result<Sent> {
        let mut sent = Sent::default();
        let mut setbacks = Setbacks::default();
        while !snapshots.is_empty() {
            match self.send_lacking(&snapshots, &setbacks.rotten, unread, &mut sent, monitor) {
                Ok(()) => break,
                Err(failure) => {
                    let given_up = self.get_over(failure, &mut snapshots, &mut setbacks)?;
                    let failed = given_up.map(|(snapshot, error)| FailedSnapshot { id: snapshot.id, error });
                    sent.failed.extend(failed);
                }
            }
        }
        Ok(sent)
    }

    /// As a writer like any other, which a collection waits for; only that it publishes nothing: what it stores is referred to already.
    fn send_lacking(
        &self,
        snapshots: &[Snapshot],
        rotten: &BTreeSet<PackId>,
        unread: &BTreeSet<PackId>,
        sent: &mut Sent,
        monitor: &dyn Monitor,
    ) -> std::result::Result<(), Failure> {
        let failed = Failure::at(snapshots.len());
        let claim = WriterClaim::register(&self.to, &format!("repair on {}", self.options.host));
        let claim = Mutex::new(claim.map_err(&failed)?);
        let outcome = self.send_registered(snapshots, rotten, unread, &claim, sent, monitor);
        let claim = claim.into_inner().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            // What was stored may be coded on what a collection deletes that has given this writer up.
            Ok(()) => claim.check_unfenced(&self.to).map_err(failed),
            Err(failure) => {
                let _ = self.to.remove_marker(claim.id());
                Err(failure)
            }
        }
    }

    fn send_registered(
        &self,
        snapshots: &[Snapshot],
        rotten: &BTreeSet<PackId>,
        unread: &BTreeSet<PackId>,
        claim: &Mutex<WriterClaim>,
        sent: &mut Sent,
        monitor: &dyn Monitor,
    ) -> std::result::Result<(), Failure> {
        let failed = Failure::at(snapshots.len());
        let own = BTreeSet::from([claim.lock().unwrap_or_else(PoisonError::into_inner).id().to_owned()]);
        let Receiver { absent, mut barred, removals } =
            self.receiver(&own, rotten, unread).map_err(failed)?;
        let needs = self.settled_needs(snapshots, &absent, &mut barred, monitor)?;
        let beat = || claim.lock().unwrap_or_else(PoisonError::into_inner).beat();
        let way = Way::new(self, &needs, removals, monitor, &beat);
        let outcome = (0..snapshots.len()).try_for_each(|at| way.send_due(at).map_err(Failure::at(at)));
        let Load { packs, bytes } = *way.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.packs += packs;
        sent.bytes += bytes;
        outcome
    }
}
