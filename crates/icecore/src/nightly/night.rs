//! One night: what it needs, and what each step does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use icecore_format::SnapshotId;
use icecore_storage::without_secret;
use icecore_store::{GcOptions, Monitor, Snapshot, Store, StoreError, VerifyExtent};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::entries::Record;
use super::journal::Journal;
use super::step::{Grade, Outcome};
use crate::health::{is_done_still, shrinkage};
use crate::prune::PruneOptions;
use crate::select::SAFETY_SUFFIX;
use crate::{
    CreateOptions, Created, Environment, Error, Place, Project, ProofOptions, Remotes, Result, Surroundings,
    Witness, check_conditions, create, format_time, is_safety, is_store, open_same, plan_prune, prove, prune,
    sentence,
};

/// How often the steps for the whole store are done where services are run one by one.
const STORE_EVERY: SignedDuration = SignedDuration::from_hours(20);
/// More snapshots than this, and more than half of all, go in no single night: a clock that is years ahead would have them all go.
const PRUNED_MAX: usize = 5;
/// By how much a night may begin earlier than the one before, and still count as a day later.
const EARLY: Duration = Duration::from_secs(3600);

/// What a night needs.
#[derive(Clone, Copy)]
pub struct Night<'a> {
    /// The store.
    pub store: &'a Arc<Store>,
    /// Where it is.
    pub place: &'a Place,
    /// Its directory, or what is kept of it here: left out of captures.
    pub store_dir: &'a Path,
    /// The services, and what is to be done of them.
    pub project: &'a Project,
    /// How servers are reached.
    pub environment: Environment<'a>,
    /// Where snapshots may be pushed to.
    pub remotes: &'a Remotes,
    /// How those are opened.
    pub around: &'a Surroundings,
    /// What is remembered.
    pub journal: &'a Journal,
    /// The machine's name.
    pub host: &'a str,
    /// The time.
    pub clock: &'a dyn Fn() -> Timestamp,
    /// Whose days, weeks and months count.
    pub zone: &'a TimeZone,
    /// Nobody else writes, here or in a remote.
    pub exclusive: bool,
}

impl Night<'_> {
    /// Where nothing was ever pushed to, the store is made. One that was there and is not is no reason to make another: a disk may not be mounted.
    pub(super) fn open_remote(&self, remote: &str) -> Result<Arc<Store>> {
        let place = self.place_of(remote)?;
        if self.journal.read().pushed.contains_key(&without_secret(remote)) && !is_store(&place, self.around)?
        {
            return Err(Error::Unfitting(format!(
                "there was a store at {place}, and there is none now: is it mounted? `icecore push {remote}` makes a new one there"
            )));
        }
        open_same(self.store, &place, self.around)
    }

    pub(super) fn capture(&self, service: &str, monitor: &Arc<dyn Monitor>) -> Result<Created> {
        let near = None;
        let source = self.project.source(service, &self.environment)?;
        let source = source.ok_or_else(|| Error::NoService { name: service.to_owned(), near })?;
        let options = CreateOptions {
            name: Some(service.to_owned()),
            host: self.host.to_owned(),
            store_dir: self.store_dir.to_owned(),
            ..CreateOptions::default()
        };
        create(self.store, &source, &options, (self.clock)(), Arc::clone(monitor))
    }

    /// Whether all of a snapshot is there, and what it added can be read.
    pub(super) fn read_back(&self, id: &SnapshotId, monitor: &dyn Monitor) -> Result<Outcome> {
        self.verify(Some(&[self.snapshot(id)?]), VerifyExtent::Unverified, monitor)
    }

    /// Whether it is long enough since a snapshot of a service was restored for a test, and could be; or whether the last one could not be.
    pub(super) fn wants_proof(&self, service: &str) -> bool {
        let every = self.project.config.nightly.prove.unwrap_or_default().0;
        let Ok((snapshots, _)) = self.store.snapshots() else { return true };
        let own = snapshots.iter().filter(|snapshot| snapshot.info().source == service);
        let proofs = own.filter_map(|snapshot| snapshot.labels.restored());
        let proofs = proofs.filter_map(|proof| Some((proof.at.parse().ok()?, proof.is_ok())));
        let entries = self.journal.read();
        let remembered = entries.proofs.get(service).map(|record| (record.at, record.grade == Grade::Done));
        // One of a time that is yet to come was made by a clock that was wrong.
        let past = proofs.chain(remembered).filter(|(at, _)| *at <= (self.clock)());
        // Of two at one time, the one that did not go well counts.
        let Some((at, true)) = past.max_by_key(|(at, good)| (*at, !good)) else { return true };
        // What comes a little early is not put off to the next night.
        let due = at.checked_add(every.saturating_sub(EARLY));
        due.is_ok_and(|due| due <= (self.clock)())
    }

    pub(super) fn prove(&self, id: &SnapshotId, monitor: &dyn Monitor) -> Result<Outcome> {
        let options = ProofOptions { scratch: None, store_dir: self.store_dir.to_owned() };
        let witness = Witness { host: self.host.to_owned(), now: (self.clock)() };
        match prove(self.store, &self.snapshot(id)?, &options, &witness, monitor) {
            Ok(proof) => Ok(Outcome::Proved(Box::new(proof.evidence))),
            Err(error @ Error::NoProof { .. }) => Ok(Outcome::Untried(error)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot> {
        let (snapshots, _) = self.store.snapshots()?;
        let found = snapshots.into_iter().find(|snapshot| snapshot.id == *id);
        found.ok_or_else(|| StoreError::NoSnapshot { id: *id }.into())
    }

    pub(super) fn verify(
        &self,
        snapshots: Option<&[Snapshot]>,
        extent: VerifyExtent,
        monitor: &dyn Monitor,
    ) -> Result<Outcome> {
        let now = u64::try_from((self.clock)().as_second()).unwrap_or(0);
        Ok(Outcome::Verified(self.store.verify(snapshots, extent, now, monitor)?))
    }

    /// What several machines have under one name is not one series, and what one of them keeps says nothing about the others.
    pub(super) fn refuse_others(&self, store: &Store, service: &str) -> Result<()> {
        let (snapshots, _) = store.snapshots()?;
        // What a restore put into a snapshot before it replaced it is pruned with the service.
        let is_of_it = |source: &str| source.strip_suffix(SAFETY_SUFFIX).unwrap_or(source) == service;
        let of_service = snapshots.iter().map(Snapshot::info).filter(|info| is_of_it(&info.source));
        match of_service.map(|info| &info.host).find(|host| *host != self.host) {
            Some(host) => Err(Error::Unfitting(format!(
                "snapshots of {service} that {host} took lie there, too, and this machine's policy is not theirs: nothing was deleted; give the service a name of its own on each machine, or prune there by hand"
            ))),
            None => Ok(()),
        }
    }

    /// An empty mount point makes whole snapshots, by which those of what belongs there would go.
    fn refuse_vanished(&self, service: &str) -> Result<()> {
        let (snapshots, _) = self.store.snapshots()?;
        let of_service = |it: &&Snapshot| it.info().source == service && !is_safety(it);
        let own: Vec<&Snapshot> = snapshots.iter().filter(of_service).collect();
        match shrinkage(&own, (self.clock)()).filter(|shrunk| shrunk.to_nothing) {
            None => Ok(()),
            Some(_) => Err(Error::Unfitting(format!(
                "next to nothing is left in the newest snapshot of {service}: nothing was deleted; is its disk mounted? If that is meant, `icecore note` says so"
            ))),
        }
    }

    pub(super) fn prune(
        &self,
        store: &Arc<Store>,
        place: &Place,
        service: &str,
        monitor: &dyn Monitor,
    ) -> Result<Outcome> {
        let (config, clock) = (&self.project.config, ((self.clock)(), self.zone));
        let options = PruneOptions { sources: vec![service.to_owned()], ..PruneOptions::default() };
        let plan = plan_prune(store, config, &options, clock, monitor)?;
        for series in &plan.series {
            let (going, all) = (series.going().count(), series.snapshots.len());
            if going > PRUNED_MAX && going * 2 > all {
                return Err(Error::Unfitting(format!(
                    "{going} of the {all} snapshots of {} would go at once: nothing was deleted; look at the clock and at the policy, and with `icecore prune --dry-run`; `icecore prune` does it",
                    series.source
                )));
            }
        }
        if plan.going().next().is_some() {
            self.refuse_vanished(service)?;
            self.check_alone(place, "pruning")?;
        }
        Ok(Outcome::Pruned(prune(store, config, &options, clock, &plan, monitor)?))
    }

    pub(super) fn collect(
        &self,
        store: &Arc<Store>,
        place: &Place,
        monitor: &dyn Monitor,
    ) -> Result<Outcome> {
        self.check_alone(place, "collecting")?;
        match store.gc(&GcOptions::default(), monitor) {
            Err(StoreError::Busy { what }) => {
                Ok(Outcome::Skipped(format!("{what} is running on this store")))
            }
            done => Ok(Outcome::Collected(done?)),
        }
    }

    /// Whoever deletes must be alone where a server does not tell machines apart.
    fn check_alone(&self, place: &Place, what: &'static str) -> Result<()> {
        if self.exclusive {
            return Ok(());
        }
        match check_conditions(place, self.around, what) {
            Err(error @ Error::NotAlone { .. }) => Err(Error::Unfitting(format!(
                "{}; if nobody else ever writes there, exclusive = true in [nightly] says so",
                sentence(&error)
            ))),
            checked => checked,
        }
    }

    /// What a run comes to that finds another one of the same service at work, which hangs if it began longer ago than `stuck`.
    pub(super) fn still_at_work(&self, service: &str, stuck: SignedDuration) -> Outcome {
        let entries = self.journal.read();
        // One that has ended is none that is at work: that one has not written down yet that it began.
        let run = entries.services.get(service).filter(|run| run.ended.is_none());
        let begun = run.map(|run| run.begun);
        match begun.filter(|begun| (self.clock)().duration_since(*begun) > stuck) {
            None => Outcome::Skipped("another run of it is still at work".to_owned()),
            Some(begun) => Outcome::Failed(Error::Unfitting(format!(
                "another run of it has been at work since {}: it hangs, and must be ended by hand",
                format_time(begun)
            ))),
        }
    }

    /// Whether the last snapshot of any service was found damaged when it was read back.
    pub(super) fn remembers_damage(&self) -> bool {
        let verified = self.journal.read().verified;
        let known = |service: &String| self.project.config.services.contains_key(service);
        verified.iter().any(|(service, record)| known(service) && record.grade == Grade::Failed)
    }

    pub(super) fn was_collected_lately(&self) -> bool {
        let entries = self.journal.read();
        let is_due = |record: &Record| {
            let age = (self.clock)().duration_since(record.at);
            record.grade == Grade::Failed || age.is_negative() || age > STORE_EVERY
        };
        // What is not done any more is never due.
        let mut store = entries.store.iter().filter(|record| is_done_still(&self.project.config, record));
        !entries.store.is_empty() && !store.any(is_due)
    }

    pub(super) fn place_of(&self, remote: &str) -> Result<Place> {
        self.remotes.place(remote, &self.project.dir)
    }
}
