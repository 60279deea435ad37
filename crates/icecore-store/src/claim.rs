//! Who writes, and how a collector knows (`docs/concurrency.md`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use icecore_format::{Claim, Condemned, DecodeError, Epoch, Manifest, PackId, names};
use icecore_storage::{Error, ErrorKind, Hold, Holder, PutMode, Version};
use ulid::Ulid;

use crate::machine::Machine;
use crate::remembered::Remembered;
use crate::store::Store;
use crate::{Monitor, Result, StoreError};

/// A writer's registration. Dropped, it withdraws.
#[derive(Debug)]
pub(crate) struct WriterClaim {
    id: String,
    claim: Claim,
    /// The machine's uptime when it last showed that it moves.
    beaten: Duration,
    /// There until it is dropped, or left behind.
    hold: Option<Box<dyn Hold>>,
    remembered: Option<Remembered>,
    machine: Arc<dyn Machine>,
}

impl Drop for WriterClaim {
    fn drop(&mut self) {
        // One that was left behind stays, and so does what is remembered of it.
        let Some(hold) = self.hold.take() else { return };
        if hold.release().is_ok()
            && let Some(remembered) = self.remembered.take()
        {
            remembered.forget();
        }
    }
}

/// The holder of a collector's claim.
pub(crate) const COLLECTOR: &str = "gc";
/// How often a writer shows that it moves.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long a collector waits at most before it looks at the claims again.
const POLL_MAX: Duration = Duration::from_secs(5);

impl WriterClaim {
    /// Registers in the current epoch.
    ///
    /// The epoch is read again after the claim is there: a collector that raised it in between may not have seen the claim,
    /// so it is made anew. A collector that raises it later does see it.
    pub(crate) fn register(store: &Store, holder: &str) -> Result<Self> {
        store.withdraw_dead_claims();
        loop {
            let (epoch, _) = store.epoch()?;
            let claim = Self::put(store, holder, epoch)?;
            if store.epoch()?.0 == epoch {
                return Ok(claim);
            }
        }
    }

    /// Registers so many writers in the current epoch, each as [`WriterClaim::register`] does.
    pub(crate) fn register_all(store: &Store, holder: &str, count: usize) -> Result<Vec<Self>> {
        store.withdraw_dead_claims();
        loop {
            let (epoch, _) = store.epoch()?;
            let claims = (0..count).map(|_| Self::put(store, holder, epoch)).collect::<Result<Vec<_>>>()?;
            if store.epoch()?.0 == epoch {
                return Ok(claims);
            }
        }
    }

    fn put(store: &Store, holder: &str, epoch: Epoch) -> Result<Self> {
        let id = new_id(&*store.machine);
        let name = names::claim(&id);
        let claim = Claim { epoch, heartbeat: 0, holder: holder.to_owned() };
        let remembered = store.remember_claim(&id);
        let hold = Some(store.storage.hold(&name, &claim.encode(&name))?);
        let machine = Arc::clone(&store.machine);
        Ok(Self { id, claim, beaten: machine.uptime(), hold, remembered, machine })
    }

    /// Shows that the writer moves, now and then.
    pub(crate) fn beat(&mut self) {
        let now = self.machine.uptime();
        if now.saturating_sub(self.beaten) < HEARTBEAT {
            return;
        }
        self.beaten = now;
        self.claim.heartbeat += 1;
        // One beat that is lost does no harm; whoever is fenced learns of it when it publishes.
        let bytes = self.claim.encode(&names::claim(&self.id));
        let _ = self.hold.as_mut().map(|hold| hold.update(&bytes));
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.claim.epoch
    }

    /// An error if another collector has fenced this one, which then has to give up.
    pub(crate) fn check_unfenced(&self, store: &Store) -> Result<()> {
        if !store.cannot_publish(&self.id)? {
            return Ok(());
        }
        store.remove_marker(&self.id)?;
        Err(StoreError::Fenced)
    }

    /// Whether the writer's manifest is there although putting it failed: perhaps only the answer was lost. An error if that is unknown, or
    /// if something else is there.
    ///
    /// Where nobody can tell whether a writer lives, it may even be on its way still, and must not arrive when nobody waits for it any more: a
    /// marker takes its place, and the claim stays, like that of a writer that has died.
    fn settle_doubt(&mut self, store: &Store, bytes: &[u8], error: Error) -> Result<()> {
        let name = names::snapshot(&self.id);
        let is_there = || store.storage.get(&name).map(|found| found == bytes);
        match is_there() {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(StoreError::Fenced),
            Err(_) => (),
        }
        if !store.storage.knows_holders() {
            let fenced = store.fence(&names::claim(&self.id));
            if fenced.is_ok() && is_there().is_ok_and(|is_there| is_there) {
                return Ok(());
            }
            std::mem::forget(self.hold.take());
            // If the marker could not be put, the next process of this machine does it, or a collector in time.
            if fenced.is_ok()
                && let Some(remembered) = self.remembered.take()
            {
                remembered.forget();
            }
        }
        Err(error.into())
    }

    /// Whether the claim stays when this is dropped, with the marker that fences it.
    pub(crate) fn is_left(&self) -> bool {
        self.hold.is_none()
    }

    /// An error if the claim is gone, of which only people are capable: the store may have been removed, or unmounted, and what would be
    /// published now would lie where nobody finds it.
    pub(crate) fn check_there(&self, store: &Store) -> Result<()> {
        match store.storage.len(&names::claim(&self.id)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::NotFound => {
                Err(StoreError::ClaimGone { claim: error.place })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the manifest that `bytes` are, which makes the snapshot exist; a collector that gave this writer up has created it before.
    pub(crate) fn publish(&mut self, store: &Store, bytes: &[u8]) -> Result<()> {
        if let Some(remembered) = &self.remembered {
            remembered.note_publishing();
        }
        match store.storage.put(&names::snapshot(&self.id), bytes, PutMode::CreateNew) {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Err(StoreError::Fenced),
            Err(error) => self.settle_doubt(store, bytes, error),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// What a collector does about writers of older epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencePolicy {
    /// A writer whose claim has stood still for this long, by the collector's own clock, is fenced.
    pub after: Duration,
    /// How often to look.
    pub poll: Duration,
}

impl Default for FencePolicy {
    fn default() -> Self {
        Self { after: Duration::from_secs(24 * 3600), poll: Duration::from_millis(100) }
    }
}

/// An id that sorts by time, and that nobody has drawn before.
fn new_id(machine: &dyn Machine) -> String {
    let random = machine.salt().iter().take(16).fold(0, |random, byte| random << 8 | u128::from(*byte));
    let since_1970 = machine.time_of_day().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    Ulid::from_parts(millis, random).to_string().to_lowercase()
}

/// The id in the name of a claim's object.
fn id_of(claim_name: &str) -> &str {
    claim_name.strip_prefix(names::CLAIMS).unwrap_or(claim_name)
}

impl Store {
    /// The epoch, made anew if it is lost or damaged.
    pub(crate) fn epoch(&self) -> Result<(Epoch, Version)> {
        loop {
            let broken = match self.storage.get_versioned(names::EPOCH) {
                Ok((bytes, version)) => match Epoch::decode(names::EPOCH, &bytes) {
                    Ok(epoch) => return Ok((epoch, version)),
                    Err(error @ DecodeError::TooNew { .. }) => {
                        return Err(StoreError::damaged(names::EPOCH)(error));
                    }
                    Err(_) => Some(version),
                },
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(error.into()),
            };
            self.renew_epoch(broken.as_ref())?;
        }
    }

    /// Puts an epoch above all that any writer or collector may have seen: whoever is registered by now counts as older, so that the next
    /// collection waits for it. Who has read the lost epoch and is not registered yet will see that it has changed.
    fn renew_epoch(&self, broken: Option<&Version>) -> Result<()> {
        let mut highest = 0;
        for object in self.storage.list(names::CLAIMS)? {
            match self.storage.get(&object.name) {
                Ok(bytes) => {
                    highest = Claim::decode(&object.name, &bytes)
                        .map_or(highest, |claim| highest.max(claim.epoch.0));
                }
                Err(error) if error.kind == ErrorKind::NotFound => (),
                Err(error) => return Err(error.into()),
            }
        }
        let lists = self.storage.list(names::CONDEMNED)?;
        let listed = lists.iter().filter_map(|object| Condemned::parse_name(&object.name)).max();
        let epoch = Epoch(highest.max(listed.unwrap_or(0)).saturating_add(1));
        let mode = broken.map_or(PutMode::CreateNew, PutMode::Replace);
        match self.storage.put(names::EPOCH, &epoch.encode(names::EPOCH), mode) {
            // Somebody else was faster.
            Err(error) if !matches!(error.kind, ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Raises the epoch from the one given; fails if another collector was faster.
    pub(crate) fn raise_epoch(&self, from: Epoch) -> Result<Epoch> {
        let (epoch, version) = self.epoch()?;
        let another = StoreError::Busy { what: "another collection" };
        if from != epoch {
            return Err(another);
        }
        let impossible = DecodeError::Malformed { what: "epoch", offset: 0 };
        let next = epoch.0.checked_add(1).map(Epoch);
        let next = next.ok_or(impossible).map_err(StoreError::damaged(names::EPOCH))?;
        match self.storage.put(names::EPOCH, &next.encode(names::EPOCH), PutMode::Replace(&version)) {
            Ok(()) => Ok(next),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Err(another),
            Err(error) => Err(error.into()),
        }
    }

    /// The claims of writers that did not register in `epoch` and may still publish, but for the claim `own`. One of a later epoch is there if
    /// an old `epoch` was put back from somewhere, and knows no more than one of an earlier. Claims of dead writers are
    /// cleared.
    fn older_claims(&self, epoch: Epoch, own: &str) -> Result<Vec<(String, Claim)>> {
        let own = names::claim(own);
        let mut older = Vec::new();
        for object in self.storage.list(names::CLAIMS)?.into_iter().filter(|object| object.name != own) {
            let looked_at = self.storage.holder(&object.name).and_then(|holder| {
                let bytes = self.storage.get(&object.name)?;
                Ok((holder, bytes))
            });
            let bytes = match looked_at {
                Ok((Holder::Dead, _)) => {
                    self.clear_claim(&object.name)?;
                    continue;
                }
                Ok((_, bytes)) => bytes,
                // Withdrawn since it was listed.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            // What cannot be read may be of any epoch: it counts as old, and is waited for or fenced like the others.
            let unreadable =
                Claim { epoch: Epoch(0), heartbeat: 0, holder: "an unreadable claim".to_owned() };
            let claim = Claim::decode(&object.name, &bytes).unwrap_or(unreadable);
            if claim.epoch != epoch && !self.cannot_publish(id_of(&object.name))? {
                older.push((object.name, claim));
            }
        }
        Ok(older)
    }

    /// Whether a writer that registered before `epoch`, other than the one with the claim `own`, may still publish.
    pub(crate) fn has_older_claims(&self, epoch: Epoch, own: &str) -> Result<bool> {
        Ok(!self.older_claims(epoch, own)?.is_empty())
    }

    /// Whether a collector is known to run that registered before the one with the claim `own`. Out of courtesy only: a second one
    /// disturbs the first. By the names, which sort by time, so that of two that begin together one goes on.
    pub(crate) fn is_collecting_before(&self, own: &str) -> Result<bool> {
        let own_name = names::claim(own);
        for (name, claim) in self.older_claims(Epoch(u64::MAX), own)? {
            if name < own_name
                && claim.holder == COLLECTOR
                && self.storage.holder(&name).is_ok_and(|holder| holder == Holder::Alive)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether somebody who collects was given up and may still be there: when it moves again it deletes the next packs by their names, before it
    /// learns of it. The claims in `own` are the caller's.
    ///
    /// To be asked after the condemned lists were loaded: whoever gave it up took its list away later.
    pub(crate) fn has_fenced_collector(&self, own: &BTreeSet<String>) -> Result<bool> {
        for object in self.storage.list(names::CLAIMS)? {
            let id = id_of(&object.name);
            if own.contains(id) {
                continue;
            }
            let bytes = match self.storage.get(&object.name) {
                Ok(bytes) => bytes,
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            // A claim that cannot be read may be anybody's.
            let may_collect =
                Claim::decode(&object.name, &bytes).map_or(true, |claim| claim.holder == COLLECTOR);
            if may_collect && self.cannot_publish(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns when no writer of an older epoch but the one with the claim `own` can publish any more: each has ended, died, or been
    /// fenced.
    pub(crate) fn wait_for_older(
        &self,
        epoch: Epoch,
        own: &str,
        policy: FencePolicy,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let mut seen: Vec<(String, u64, Duration)> = Vec::new();
        let mut told = false;
        let mut nap = policy.poll;
        loop {
            let older = self.older_claims(epoch, own)?;
            if older.is_empty() {
                return Ok(());
            }
            if !told {
                monitor.notice(&format!(
                    "waiting for {}{}",
                    older[0].1.holder,
                    if older.len() > 1 { format!(" and {} more", older.len() - 1) } else { String::new() }
                ));
                told = true;
            }
            let now = self.machine.uptime();
            for (name, claim) in &older {
                match seen.iter_mut().find(|(found, ..)| found == name) {
                    Some((_, heartbeat, since)) if *heartbeat == claim.heartbeat => {
                        if now.saturating_sub(*since) >= policy.after {
                            self.fence(name)?;
                        }
                    }
                    Some(entry) => *entry = (name.clone(), claim.heartbeat, now),
                    None => seen.push((name.clone(), claim.heartbeat, now)),
                }
            }
            let asked = self.machine.uptime();
            loop {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let left = nap.saturating_sub(self.machine.uptime().saturating_sub(asked));
                if left.is_zero() {
                    break;
                }
                self.machine.sleep(left.min(policy.poll));
            }
            if !self.storage.knows_holders() {
                // Far away each look costs requests, and writers take their time.
                nap = (nap * 2).min(POLL_MAX.max(policy.poll));
            }
        }
    }

    /// Whether a writer has published, or never will.
    fn cannot_publish(&self, claim: &str) -> Result<bool> {
        match self.storage.len(&names::snapshot(claim)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the place of a writer's manifest. Whichever of the two came first, it has published or it never will. Its claim stays as
    /// long as it lives, and says that the marker must stay.
    fn fence(&self, claim_name: &str) -> Result<()> {
        let name = names::snapshot(id_of(claim_name));
        let marker = Manifest::encode_fence(&name, &self.key, &self.machine.salt());
        match self.storage.put(&name, &marker, PutMode::CreateNew) {
            Err(error) if error.kind != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Settles what a dead writer left that may have sent its manifest right before. That may be on its way still, and must not arrive when nobody
    /// waits for it any more: if it is not there, a marker takes its place, and stays with the claim.
    pub(crate) fn settle_dead(&self, claim_name: &str) -> Result<()> {
        let name = names::snapshot(id_of(claim_name));
        // Not every place heeds the condition of a marker: what is there is not replaced.
        if !self.cannot_publish(id_of(claim_name))? {
            self.fence(claim_name)?;
        }
        let bytes = self.storage.get(&name)?;
        match Manifest::decode(&name, &bytes, &self.key) {
            Ok(Some(_)) => self.delete_if_there(claim_name),
            // The marker; or what is there is damaged, and for people to look at.
            _ => Ok(()),
        }
    }

    /// Removes what a dead writer left: the marker that fenced it, if there is one, and its claim, in this order.
    pub(crate) fn clear_claim(&self, claim_name: &str) -> Result<()> {
        self.remove_marker(id_of(claim_name))?;
        self.delete_if_there(claim_name)
    }

    /// Removes the marker that fenced a writer. Only when that can never publish again: it is dead, or says so itself.
    pub(crate) fn remove_marker(&self, claim: &str) -> Result<()> {
        let name = names::snapshot(claim);
        let bytes = match self.storage.get(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match Manifest::decode(&name, &bytes, &self.key) {
            Ok(None) => self.delete_if_there(&name),
            // It has published; or what is there is damaged, and for people to look at.
            _ => Ok(()),
        }
    }

    /// Removes markers whose writers' claims are gone: they have ended, or died and were cleared, just before they were fenced.
    pub(crate) fn remove_orphaned_markers(&self, markers: &[String]) -> Result<()> {
        for marker in markers {
            let claim = names::claim(marker.strip_prefix(names::SNAPSHOTS).unwrap_or(marker));
            match self.storage.len(&claim) {
                Ok(_) => (),
                Err(error) if error.kind == ErrorKind::NotFound => self.delete_if_there(marker)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The packs that collections have condemned and not yet deleted. To be loaded after registering, not before.
    pub(crate) fn condemned_packs(&self) -> Result<BTreeSet<PackId>> {
        let mut packs = BTreeSet::new();
        for object in self.storage.list(names::CONDEMNED)? {
            match self.storage.get(&object.name) {
                Ok(bytes) => {
                    let list =
                        Condemned::decode(&object.name, &bytes).map_err(StoreError::damaged(&object.name))?;
                    packs.extend(list.packs);
                }
                // Worked off since it was listed: its packs are gone.
                Err(error) if error.kind == ErrorKind::NotFound => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(packs)
    }
}
