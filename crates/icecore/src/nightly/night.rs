//! One night.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use icecore_format::SnapshotId;
use icecore_store::{
    GcOptions, Monitor, Silent, Snapshot, Store, StoreError, Transfer, TransferOptions, VerifyExtent,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::hook::Hook;
use super::journal::{Journal, Record};
use super::step::{Grade, Outcome, Step, StepReport, Task};
use crate::prune::PruneOptions;
use crate::{
    CreateOptions, Created, Environment, Error, Place, Project, ProofOptions, Remotes, Result, Surroundings,
    Witness, check_conditions, create, is_safety, is_store, open_as, open_same, plan_prune, prove, prune,
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

/// Who looks on.
pub trait Watcher {
    /// A step begins. What it counts goes to the monitor, which may also stop it all.
    fn begins(&mut self, task: &Task) -> Arc<dyn Monitor>;

    /// A step is over, or was not begun.
    fn ended(&mut self, report: &StepReport);

    /// Something is not as it should be, and belongs to no step.
    fn warns(&mut self, error: &Error);
}

/// A night that is under way.
struct Walk<'a, 'w> {
    night: &'a Night<'a>,
    watcher: &'w mut dyn Watcher,
    /// Those that were opened.
    remotes: BTreeMap<&'a str, Arc<Store>>,
    /// Whether what was stored was found damaged.
    damage: bool,
}

/// Goes through the steps of these services, or of all there are, and of the store. What each came to, the watcher hears.
///
/// # Errors
/// If there is no such service, or if it was interrupted.
pub fn nightly(night: &Night<'_>, services: &[String], watcher: &mut dyn Watcher) -> Result<()> {
    night.project.check_services(services)?;
    let known = &night.project.config.services;
    let mut walk = Walk { night, watcher, remotes: BTreeMap::new(), damage: false };
    for service in known.keys().filter(|name| services.is_empty() || services.contains(name)) {
        walk.service(service)?;
    }
    // Whoever runs service by service does not collect and read back each time.
    if services.is_empty() || !night.was_collected_lately() { walk.store() } else { Ok(()) }
}

impl<'a> Walk<'a, '_> {
    /// One step, unless something speaks against it.
    fn step(
        &mut self,
        task: Task,
        against: Option<&str>,
        work: impl FnOnce(&mut Self, &Arc<dyn Monitor>) -> Result<Outcome>,
    ) -> Result<Grade> {
        let monitor = self.watcher.begins(&task);
        let started = Instant::now();
        let outcome = match against {
            Some(why) => Outcome::Skipped(why.to_owned()),
            None => {
                let told = self.hook("before").run(&task, "", &*monitor);
                told.and_then(|()| work(self, &monitor)).unwrap_or_else(Outcome::Failed)
            }
        };
        let report = StepReport { task, outcome, duration: started.elapsed() };
        self.watcher.ended(&report);
        if !matches!(report.outcome, Outcome::Skipped(_)) {
            // What the one before has begun, this one must end, even if somebody wants it all to stop.
            let told = self.hook("after").run(&report.task, &report.document().to_string(), &Silent);
            told.unwrap_or_else(|error| self.watcher.warns(&error));
        }
        // What was broken off says nothing: the run is known not to have ended.
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let written = self.night.journal.add(&report, (self.night.clock)());
        written.unwrap_or_else(|error| self.watcher.warns(&error));
        Ok(report.grade())
    }

    fn hook(&self, when: &'static str) -> Hook<'a> {
        let settings = &self.night.project.config.nightly;
        let command = if when == "before" { &settings.before } else { &settings.after };
        Hook { when, command, dir: &self.night.project.dir, patience: settings.hook_timeout.0 }
    }

    /// The steps of one service. Nothing of it is deleted unless all before went well.
    fn service(&mut self, service: &'a str) -> Result<()> {
        let (night, settings) = (self.night, &self.night.project.config.nightly);
        let turn = match night.journal.wait_for_turn(service) {
            Ok(Some(turn)) => Some(turn),
            Ok(None) => {
                // What that run has come to stays in the journal as it wrote it.
                let outcome = Outcome::Skipped("another run of it is still at work".to_owned());
                let task = Task::of(Step::Create, service);
                let monitor = self.watcher.begins(&task);
                self.watcher.ended(&StepReport { task, outcome, duration: Duration::ZERO });
                return if monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) };
            }
            // Where nothing can be written beside the index, the night is not given up.
            Err(error) => {
                self.watcher.warns(&error);
                None
            }
        };
        let begun = night.journal.begin(service, (night.clock)());
        begun.unwrap_or_else(|error| self.watcher.warns(&error));

        let mut new = None;
        self.step(Task::of(Step::Create, service), None, |_, monitor| {
            let created = night.capture(service, monitor)?;
            new = Some(created.id);
            Ok(Outcome::Created(Box::new(created)))
        })?;
        let mut against = if new.is_none() { Some("there is no new snapshot") } else { None };
        let verified = self.step(Task::of(Step::Verify, service), against, |_, monitor| {
            new.map_or_else(nothing, |id| night.read_back(&id, &**monitor))
        })?;
        if verified == Grade::Failed {
            self.damage = true;
            against = Some("the new snapshot was not found right");
        }
        if settings.prove.is_some() && (against.is_some() || night.wants_proof(service)) {
            let proved = self.step(Task::of(Step::Prove, service), against, |_, monitor| {
                new.map_or_else(nothing, |id| night.prove(&id, &**monitor))
            })?;
            if proved == Grade::Failed {
                against = Some("the new snapshot could not be restored");
            }
        }
        let mut unsent = None;
        for remote in &settings.push {
            let task = Task::of(Step::Push, service).at(remote);
            let pushed = self.step(task, against, |walk, monitor| walk.push(service, remote, &**monitor))?;
            if pushed == Grade::Failed {
                unsent = Some("not all of it is where it was to be pushed");
            }
        }
        let unbounded = Some("no policy says what to keep");
        let unbounded = unbounded.filter(|_| night.project.config.policies(service).is_none());
        let against = against.or(unsent).or(unbounded);
        self.step(Task::of(Step::Prune, service), against, |_, monitor| {
            night.prune(night.store, night.place, service, &**monitor)
        })?;
        for remote in &settings.prune_remotes {
            self.step(Task::of(Step::Prune, service).at(remote), against, |walk, monitor| {
                let (store, place) = (walk.remote(remote)?, night.place_of(remote)?);
                night.refuse_others(&store, service)?;
                night.prune(&store, &place, service, &**monitor)
            })?;
        }
        let ended = night.journal.end(service, (night.clock)());
        ended.unwrap_or_else(|error| self.watcher.warns(&error));
        drop(turn);
        Ok(())
    }

    /// The steps of the whole store.
    fn store(&mut self) -> Result<()> {
        let (night, settings) = (self.night, &self.night.project.config.nightly);
        let against = if self.damage { Some("a snapshot of this night was not found right") } else { None };
        self.step(Task::of_store(Step::Gc), against, |_, monitor| {
            night.collect(night.store, night.place, &**monitor)
        })?;
        for remote in &settings.prune_remotes {
            self.step(Task::of_store(Step::Gc).at(remote), against, |walk, monitor| {
                let place = night.place_of(remote)?;
                night.collect(&walk.remote(remote)?, &place, &**monitor)
            })?;
        }
        if settings.verify.0 > 0 {
            self.step(Task::of_store(Step::Sample), None, |_, monitor| {
                night.verify(None, VerifyExtent::Budget(settings.verify.0), &**monitor)
            })?;
        }
        Ok(())
    }

    /// Sends what a remote lacks of a service: all since the oldest that it has, so that a night without it is made up for.
    fn push(&mut self, service: &str, remote: &'a str, monitor: &dyn Monitor) -> Result<Outcome> {
        let there = match self.remotes.get(remote) {
            Some(there) => Arc::clone(there),
            None => self.night.open_remote(remote)?,
        };
        self.remotes.insert(remote, Arc::clone(&there));
        let of_service = |snapshot: &Snapshot| snapshot.info().source == service && !is_safety(snapshot);
        let present: BTreeSet<SnapshotId> = there.snapshots()?.0.iter().map(|snapshot| snapshot.id).collect();
        let (own, _) = self.night.store.snapshots()?;
        let own: Vec<&Snapshot> = own.iter().filter(|snapshot| of_service(snapshot)).collect();
        // What is there already may have been named since; and what is lacking between two that are there failed some other night.
        let oldest = own.iter().rposition(|snapshot| present.contains(&snapshot.id));
        let wanted = own.iter().take(oldest.map_or(own.len(), |oldest| oldest + 1));
        let ids: Vec<SnapshotId> = wanted.map(|snapshot| snapshot.id).collect();
        let options = TransferOptions { host: self.night.host.to_owned() };
        let transfer = Transfer::push(Arc::clone(self.night.store), there, options)?;
        let plan = transfer.plan(&ids, monitor)?;
        Ok(Outcome::Pushed(transfer.carry_out(plan, monitor)?))
    }

    fn remote(&mut self, remote: &'a str) -> Result<Arc<Store>> {
        if let Some(there) = self.remotes.get(remote) {
            return Ok(Arc::clone(there));
        }
        let there = open_as(self.night.store, &self.night.place_of(remote)?, self.night.around)?;
        self.remotes.insert(remote, Arc::clone(&there));
        Ok(there)
    }
}

impl Night<'_> {
    /// Where nothing was ever pushed to, the store is made. One that was there and is not is no reason to make another: a disk may not be mounted.
    fn open_remote(&self, remote: &str) -> Result<Arc<Store>> {
        let place = self.place_of(remote)?;
        if self.journal.read().pushed.contains_key(remote) && !is_store(&place, self.around)? {
            return Err(Error::Unfitting(format!(
                "there was a store at {place}, and there is none now: is it mounted? `icecore push {remote}` makes a new one there"
            )));
        }
        open_same(self.store, &place, self.around)
    }

    fn capture(&self, service: &str, monitor: &Arc<dyn Monitor>) -> Result<Created> {
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
    fn read_back(&self, id: &SnapshotId, monitor: &dyn Monitor) -> Result<Outcome> {
        self.verify(Some(&[self.snapshot(id)?]), VerifyExtent::Unverified, monitor)
    }

    /// Whether it is long enough since a snapshot of a service was restored for a test, and could be.
    fn wants_proof(&self, service: &str) -> bool {
        let every = self.project.config.nightly.prove.unwrap_or_default().0;
        let Ok((snapshots, _)) = self.store.snapshots() else { return true };
        let own = snapshots.iter().filter(|snapshot| snapshot.info().source == service);
        let proofs = own.filter_map(|snapshot| snapshot.labels.restored()).filter(|proof| proof.is_ok());
        let entries = self.journal.read();
        let remembered = entries.proofs.get(service).filter(|record| record.grade == Grade::Done);
        let times = proofs.filter_map(|proof| proof.at.parse().ok());
        // One of a time that is yet to come was made by a clock that was wrong.
        let past = times.chain(remembered.map(|record| record.at)).filter(|at| *at <= (self.clock)());
        let newest = past.max();
        // What comes a little early is not put off to the next night.
        let due = newest.and_then(|newest| newest.checked_add(every.saturating_sub(EARLY)).ok());
        due.is_none_or(|due| due <= (self.clock)())
    }

    fn prove(&self, id: &SnapshotId, monitor: &dyn Monitor) -> Result<Outcome> {
        let options = ProofOptions { scratch: None, store_dir: self.store_dir.to_owned() };
        let witness = Witness { host: self.host.to_owned(), now: (self.clock)() };
        match prove(self.store, &self.snapshot(id)?, &options, &witness, monitor) {
            Ok(evidence) => Ok(Outcome::Proved(Box::new(evidence))),
            Err(error @ Error::NoProof { .. }) => Ok(Outcome::Untried(error)),
            Err(error) => Err(error),
        }
    }

    fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot> {
        let (snapshots, _) = self.store.snapshots()?;
        let found = snapshots.into_iter().find(|snapshot| snapshot.id == *id);
        found.ok_or_else(|| StoreError::NoSnapshot { id: *id }.into())
    }

    fn verify(
        &self,
        snapshots: Option<&[Snapshot]>,
        extent: VerifyExtent,
        monitor: &dyn Monitor,
    ) -> Result<Outcome> {
        let now = u64::try_from((self.clock)().as_second()).unwrap_or(0);
        Ok(Outcome::Verified(self.store.verify(snapshots, extent, now, monitor)?))
    }

    /// What several machines have under one name is not one series, and what one of them keeps says nothing about the others.
    fn refuse_others(&self, store: &Store, service: &str) -> Result<()> {
        let (snapshots, _) = store.snapshots()?;
        let of_service = snapshots.iter().map(Snapshot::info).filter(|info| info.source == service);
        match of_service.map(|info| &info.host).find(|host| *host != self.host) {
            Some(host) => Err(Error::Unfitting(format!(
                "snapshots of {service} that {host} took lie there, too, and this machine's policy is not theirs: nothing was deleted; give the service a name of its own on each machine, or prune there by hand"
            ))),
            None => Ok(()),
        }
    }

    fn prune(
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
        if plan.going().next().is_some() && !self.exclusive {
            check_conditions(place, self.around, "pruning")?;
        }
        Ok(Outcome::Pruned(prune(store, config, &options, clock, &plan, monitor)?))
    }

    fn collect(&self, store: &Arc<Store>, place: &Place, monitor: &dyn Monitor) -> Result<Outcome> {
        if !self.exclusive {
            check_conditions(place, self.around, "collecting")?;
        }
        match store.gc(&GcOptions::default(), monitor) {
            Err(StoreError::Busy { what }) => {
                Ok(Outcome::Skipped(format!("{what} is running on this store")))
            }
            done => Ok(Outcome::Collected(done?)),
        }
    }

    fn was_collected_lately(&self) -> bool {
        let entries = self.journal.read();
        let is_due = |record: &Record| {
            let age = (self.clock)().duration_since(record.at);
            record.grade == Grade::Failed || age.is_negative() || age > STORE_EVERY
        };
        !entries.store.is_empty() && !entries.store.iter().any(is_due)
    }

    fn place_of(&self, remote: &str) -> Result<Place> {
        self.remotes.place(remote, &self.project.dir)
    }
}

fn nothing() -> Result<Outcome> {
    Ok(Outcome::Skipped("there is nothing to do".to_owned()))
}
