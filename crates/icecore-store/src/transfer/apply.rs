//! Carrying a transfer out.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use icecore_format::{Manifest, PackId, SnapshotId, names};
use icecore_storage::ErrorKind;

use super::needs::Failure;
use super::plan::GONE_MAX;
use super::send::{Load, Way};
use super::{Direction, Transfer, TransferPlan};
use crate::absent::Absent;
use crate::claim::WriterClaim;
use crate::index::{IndexReader, PackRecord};
use crate::snapshots::Snapshot;
use crate::{Monitor, Result, StoreError};

/// Snapshots that are sent under claims of one epoch: enough to be worth the requests, few enough not to be waited for too long.
pub(super) const SNAPSHOTS_A_BATCH: usize = 16;

/// A snapshot that could not be sent, because of what is stored at the sender.
#[derive(Debug)]
pub struct FailedSnapshot {
    /// Its identity.
    pub id: SnapshotId,
    /// What is damaged or missing.
    pub error: StoreError,
}

/// What a transfer did.
#[derive(Debug, Default)]
pub struct Sent {
    /// Snapshots that the receiver has now, oldest first.
    pub published: Vec<SnapshotId>,
    /// Snapshots that could not be sent.
    pub failed: Vec<FailedSnapshot>,
    /// Packs that were put.
    pub packs: u64,
    /// Their bytes, and those of their parity.
    pub bytes: u64,
    /// Labels that were put.
    pub labels: u64,
    /// Labels of the sender that could not be read.
    pub label_errors: Vec<StoreError>,
}

/// A writer's claim, and whether its snapshot is published.
struct Turn {
    claim: WriterClaim,
    published: bool,
}

/// What is known of the receiver.
pub(super) struct Receiver {
    pub(super) absent: Absent,
    /// Packs that must not be sent as they are.
    pub(super) barred: BTreeSet<PackId>,
    /// See [`Way::removals`].
    pub(super) removals: u64,
}

/// What has kept a transfer from going straight on.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    /// Packs that are not as their names say: of these the chunks that are needed may still be right.
    pub(super) rotten: BTreeSet<PackId>,
    /// How often packs of the sender went meanwhile.
    gone: u32,
}

impl Transfer {
    /// Sends what `plan` shows, as far as it is still so. Each snapshot is published as soon as all that it needs has arrived; what has arrived
    /// when this is interrupted is found again, and not sent twice.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if a collection at the receiver took this writer for dead: another run goes on. A snapshot that is damaged at the
    /// sender is none: see [`Sent::failed`].
    pub fn carry_out(&self, plan: TransferPlan, monitor: &dyn Monitor) -> Result<Sent> {
        let mut sent = Sent::default();
        monitor.expect(plan.bytes());
        if plan.is_first {
            // Whoever made the receiver may have died before it had made the copies.
            self.to.keep_copies()?;
        }
        sent.failed.extend(plan.damaged.into_iter().map(|(id, error)| FailedSnapshot { id, error }));
        let mut left = plan.snapshots;
        let mut setbacks = Setbacks::default();
        while !left.is_empty() {
            let mut batch: Vec<Snapshot> = left.iter().take(SNAPSHOTS_A_BATCH).cloned().collect();
            let before = sent.published.len();
            let outcome = self.send_batch(&batch, &setbacks.rotten, &mut sent, monitor);
            let published: BTreeSet<SnapshotId> = sent.published.iter().skip(before).copied().collect();
            left.retain(|snapshot| !published.contains(&snapshot.id));
            setbacks.gone = if published.is_empty() { setbacks.gone } else { 0 };
            if let Err(failure) = outcome
                && let Some((snapshot, error)) = self.get_over(failure, &mut batch, &mut setbacks)?
            {
                left.retain(|other| other.id != snapshot.id);
                let error = self.from.unless_deleted(&snapshot, error);
                sent.failed.push(FailedSnapshot { id: snapshot.id, error });
            }
        }
        for name in plan.label_names {
            if monitor.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            // What failed has none at the receiver; what was there may.
            let failed = |(id, _): (SnapshotId, &str)| sent.failed.iter().any(|snapshot| snapshot.id == id);
            if names::parse_label(&name).is_some_and(failed) {
                continue;
            }
            match self.send_label(&name) {
                Ok(is_sent) => sent.labels += u64::from(is_sent),
                Err(error) if error.is_out_of_reach() => sent.label_errors.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Makes it possible to go on after a failure: without a snapshot that cannot be sent, which is returned, or with what is known better by now.
    pub(super) fn get_over(
        &self,
        failure: Failure,
        snapshots: &mut Vec<Snapshot>,
        setbacks: &mut Setbacks,
    ) -> Result<Option<(Snapshot, StoreError)>> {
        self.from.check_reach(&failure.error)?;
        if failure.error.is_gone() && setbacks.gone < GONE_MAX {
            setbacks.gone += 1;
            self.from.refresh_index(&BTreeSet::new())?;
            return Ok(None);
        }
        if let Some(id) = rotten_pack(&failure.error).filter(|id| !setbacks.rotten.contains(id)) {
            setbacks.rotten.insert(id);
            return Ok(None);
        }
        self.give_up(snapshots, failure).map(Some)
    }

    /// Registers a writer for each snapshot, and sends and publishes one after the other.
    fn send_batch(
        &self,
        batch: &[Snapshot],
        rotten: &BTreeSet<PackId>,
        sent: &mut Sent,
        monitor: &dyn Monitor,
    ) -> std::result::Result<(), Failure> {
        let failed = Failure::at(batch.len());
        let mut turns = self.register(batch.len()).map_err(&failed)?;
        let outcome = self.send_in_turn(batch, &mut turns, rotten, sent, monitor);
        for turn in turns.iter().filter(|turn| !turn.published && !turn.claim.is_left()) {
            // It never will be: a collector's marker has served. One that stays is litter.
            let _ = self.to.remove_marker(turn.claim.id());
        }
        outcome
    }

    fn register(&self, count: usize) -> Result<Vec<Turn>> {
        let what = match self.direction {
            Direction::Push => "push from",
            Direction::Pull => "pull on",
        };
        let claims = WriterClaim::register_all(&self.to, &format!("{what} {}", self.options.host), count)?;
        Ok(claims.into_iter().map(|claim| Turn { claim, published: false }).collect())
    }

    fn send_in_turn(
        &self,
        batch: &[Snapshot],
        turns: &mut [Turn],
        rotten: &BTreeSet<PackId>,
        sent: &mut Sent,
        monitor: &dyn Monitor,
    ) -> std::result::Result<(), Failure> {
        let failed = Failure::at(batch.len());
        let own = turns.iter().map(|turn| turn.claim.id().to_owned()).collect();
        let Receiver { absent, mut barred, removals } =
            self.receiver(&own, rotten, &BTreeSet::new()).map_err(&failed)?;
        let needs = self.settled_needs(batch, &absent, &mut barred, monitor)?;
        let claims = Mutex::new(turns);
        let beat = || {
            let mut turns = claims.lock().unwrap_or_else(PoisonError::into_inner);
            turns.iter_mut().filter(|turn| !turn.published).for_each(|turn| turn.claim.beat());
        };
        let way = Way::new(self, &needs, removals, monitor, &beat);
        let mut outcome = Ok(());
        for (at, snapshot) in batch.iter().enumerate() {
            let published = way.send_due(at).and_then(|()| {
                let mut turns = claims.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(turn) = turns.get_mut(at) else { return Ok(()) };
                self.publish(snapshot, turn, monitor)
            });
            if let Err(error) = published {
                outcome = Err(Failure { at, error });
                break;
            }
            sent.published.push(snapshot.id);
        }
        let Load { packs, bytes } = *way.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.packs += packs;
        sent.bytes += bytes;
        outcome
    }

    /// What counts as absent at the receiver, now that we are registered there, and what must not be sent as it is. Its index knows all that
    /// lies there, but for the claims in `own`. What lies in packs that are `unread` counts as absent, too.
    pub(super) fn receiver(
        &self,
        own: &BTreeSet<String>,
        rotten: &BTreeSet<PackId>,
        unread: &BTreeSet<PackId>,
    ) -> Result<Receiver> {
        if self.direction == Direction::Pull {
            // Crashed ones may have left packs that were never whole.
            self.to.storage.clear_unfinished()?;
        }
        let mut condemned = self.to.condemned_packs()?;
        self.to.refresh_index_to_write(&condemned)?;
        condemned.extend(unread);
        let mut barred: BTreeSet<PackId> = self.barred(&condemned)?.union(rotten).copied().collect();
        if self.to.has_fenced_collector(own)? {
            barred.extend(self.unsent_packs()?);
        }
        let removals = self.to.index.read(IndexReader::removals)?;
        Ok(Receiver { absent: self.to.absent(condemned)?, barred, removals })
    }

    /// Packs of the sender that the receiver does not have.
    fn unsent_packs(&self) -> Result<BTreeSet<PackId>> {
        let ids = |packs: Vec<(u32, PackRecord)>| packs.into_iter().map(|(_, record)| record.id).collect();
        let theirs: BTreeSet<PackId> = ids(self.to.index.read(IndexReader::packs)?);
        let ours: BTreeSet<PackId> = ids(self.from.index.read(IndexReader::packs)?);
        Ok(ours.difference(&theirs).copied().collect())
    }

    /// Creates the one object that makes the snapshot exist at the receiver.
    fn publish(&self, snapshot: &Snapshot, turn: &mut Turn, monitor: &dyn Monitor) -> Result<()> {
        if monitor.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let bytes = match self.from.storage.get(&snapshot.object) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(StoreError::NoSnapshot { id: snapshot.id });
            }
            Err(error) => return Err(StoreError::unread(&snapshot.object)(error)),
        };
        let name = names::snapshot(turn.claim.id());
        let renamed =
            Manifest::rename(&snapshot.object, &bytes, &name, &self.to.key, &self.to.machine.salt());
        let (id, bytes) = renamed
            .map_err(StoreError::damaged(&snapshot.object))?
            .filter(|(id, _)| *id == snapshot.id)
            .ok_or(StoreError::NoSnapshot { id: snapshot.id })?;
        assert_eq!(id, snapshot.id, "a snapshot has the same id wherever it is");
        turn.claim.check_there(&self.to)?;
        turn.claim.publish(&self.to, &bytes)?;
        turn.published = true;
        Ok(())
    }
}

/// The pack that is not as its name says, if that is what an error tells.
fn rotten_pack(error: &StoreError) -> Option<PackId> {
    match error {
        StoreError::Damaged { object, .. } => names::parse_pack(object),
        // Who may not read it may not read parts of it.
        StoreError::Unread { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => None,
        StoreError::Unread { object, .. } => names::parse_pack(object),
        _ => None,
    }
}
