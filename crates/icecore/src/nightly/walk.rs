//! The way through a night: which steps are done, in which order, and what speaks against one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use icecore_format::SnapshotId;
use icecore_store::{Monitor, Silent, Snapshot, Store, Transfer, TransferOptions, VerifyExtent};
use jiff::SignedDuration;

use super::hook::Hook;
use super::night::Night;
use super::notice::Notice;
use super::step::{Grade, Outcome, Step, StepReport, Task};
use super::teller::Teller;
use crate::config::WebUrl;
use crate::{Error, Result, is_safety, open_as, sentence};

/// A run that has been at work for so long, while the next one waits, hangs.
const STUCK: SignedDuration = SignedDuration::from_hours(24);

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
    /// What others are to be told of what is going on.
    notice: Notice,
    teller: Teller<'a>,
    /// That of the last step: it knows whether all is to stop.
    monitor: Arc<dyn Monitor>,
}

/// Goes through the steps of these services, or of all there are, and of the store. What each came to, the watcher hears.
///
/// # Errors
/// If there is no such service, or if it was interrupted.
pub fn nightly(night: &Night<'_>, services: &[String], watcher: &mut dyn Watcher) -> Result<()> {
    night.project.check_services(services)?;
    let known = &night.project.config.services;
    let (notice, teller) = (Notice::new(night.host, None), Teller::new(night.project, night.environment));
    let (remotes, monitor) = (BTreeMap::new(), Arc::new(Silent));
    let mut walk = Walk { night, watcher, remotes, damage: false, notice, teller, monitor };
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
        self.monitor = Arc::clone(&monitor);
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
        self.notice.add(&report);
        if !matches!(report.outcome, Outcome::Skipped(_)) {
            // What the one before has begun, this one must end, even if somebody wants it all to stop.
            let told = self.hook("after").run(&report.task, &report.document().to_string(), &Silent);
            told.unwrap_or_else(|error| self.warn(&error));
        }
        // What was broken off says nothing: the run is known not to have ended.
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let written = self.night.journal.add(&report, (self.night.clock)());
        written.unwrap_or_else(|error| self.warn(&error));
        Ok(report.grade())
    }

    fn warn(&mut self, error: &Error) {
        self.watcher.warns(error);
        self.notice.warn(sentence(error));
    }

    fn hook(&self, when: &'static str) -> Hook<'a> {
        let settings = &self.night.project.config.nightly;
        let command = if when == "before" { &settings.before } else { &settings.after };
        Hook { when, command, dir: &self.night.project.dir, patience: settings.hook_timeout.0 }
    }

    /// The steps of one service. Nothing of it is deleted unless all before went well.
    fn service(&mut self, service: &'a str) -> Result<()> {
        let (night, settings) = (self.night, &self.night.project.config.nightly);
        self.notice = Notice::new(night.host, Some(service));
        let ping = self.teller.ping(Some(service));
        let turn = match night.journal.wait_for_turn(service) {
            Ok(Some(turn)) => Some(turn),
            Ok(None) => {
                // What that run has come to stays in the journal as it wrote it.
                let outcome = night.still_at_work(service, STUCK);
                let task = Task::of(Step::Create, service);
                let monitor = self.watcher.begins(&task);
                self.monitor = Arc::clone(&monitor);
                let report = StepReport { task, outcome, duration: Duration::ZERO };
                self.watcher.ended(&report);
                self.notice.add(&report);
                if !self.notice.is_good() {
                    self.tell(ping);
                }
                return if monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) };
            }
            // Where nothing can be written beside the index, the night is not given up.
            Err(error) => {
                self.warn(&error);
                None
            }
        };
        self.teller.announce(ping, &*self.monitor);
        let begun = night.journal.begin(service, (night.clock)());
        begun.unwrap_or_else(|error| self.warn(&error));

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
            // A store in a bucket is everybody's.
            if night.place.as_directory().is_none() {
                night.refuse_others(night.store, service)?;
            }
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
        ended.unwrap_or_else(|error| self.warn(&error));
        drop(turn);
        self.tell(ping);
        Ok(())
    }

    /// The steps of the whole store.
    fn store(&mut self) -> Result<()> {
        let (night, settings) = (self.night, &self.night.project.config.nightly);
        self.notice = Notice::new(night.host, None);
        let ping = self.teller.ping(None);
        self.teller.announce(ping, &*self.monitor);
        // Services that are run one by one tell each other by what is remembered.
        let is_damaged = self.damage || night.remembers_damage();
        let against = if is_damaged { Some("a newest snapshot was not found right") } else { None };
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
        self.tell(ping);
        Ok(())
    }

    /// Others are told what it has come to.
    fn tell(&mut self, ping: Option<&WebUrl>) {
        let now = (self.night.clock)();
        let posted = self.teller.post(&self.notice, now, &*self.monitor);
        posted.unwrap_or_else(|error| self.warn(&error));
        let answered = self.teller.answer(ping, &self.notice, &*self.monitor);
        answered.unwrap_or_else(|error| self.warn(&error));
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

fn nothing() -> Result<Outcome> {
    Ok(Outcome::Skipped("there is nothing to do".to_owned()))
}
