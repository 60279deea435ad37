//! The way through a night: which steps are done, in which order, and what speaks against one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use icecore_store::{Monitor, Silent, VerifyExtent};
use jiff::SignedDuration;

use super::hook::Hook;
use super::night::Night;
use super::notice::Notice;
use super::remotes::OpenRemotes;
use super::step::{Grade, Outcome, Step, StepReport, Task};
use super::teller::Teller;
use crate::config::WebUrl;
use crate::{Error, Result, sentence};

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
    remotes: OpenRemotes<'a>,
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
    let (remotes, monitor) = (OpenRemotes::of(night), Arc::new(Silent));
    let mut walk = Walk { night, watcher, remotes, damage: false, notice, teller, monitor };
    for service in known.keys().filter(|name| services.is_empty() || services.contains(name)) {
        walk.service(service)?;
    }
    // Whoever runs service by service does not collect and read back each time.
    let is_due = services.is_empty() || !night.was_collected_lately();
    if is_due { walk.store() } else { walk.skip_store() }
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
                let told = self.before().run(&task, "", &*monitor);
                told.and_then(|()| work(self, &monitor)).unwrap_or_else(Outcome::Failed)
            }
        };
        let report = StepReport { task, outcome, duration: started.elapsed() };
        self.watcher.ended(&report);
        self.notice.add(&report);
        if !matches!(report.outcome, Outcome::Skipped(_)) {
            // What the one before has begun, this one must end, even if somebody wants it all to stop.
            let told = self.after().run(&report.task, &report.document().to_string(), &Silent);
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

    fn before(&self) -> Hook<'a> {
        self.hook("before", &self.night.project.config.nightly.before)
    }

    fn after(&self) -> Hook<'a> {
        self.hook("after", &self.night.project.config.nightly.after)
    }

    fn hook(&self, when: &'static str, command: &'a [String]) -> Hook<'a> {
        let patience = self.night.project.config.nightly.hook_timeout.0;
        Hook { when, command, dir: &self.night.project.dir, patience }
    }

    /// What was not begun, and is told all the same. What the last one has come to stays in the journal.
    fn not_begun(&mut self, task: Task, outcome: Outcome) -> Result<()> {
        let monitor = self.watcher.begins(&task);
        self.monitor = Arc::clone(&monitor);
        let report = StepReport { task, outcome, duration: Duration::ZERO };
        self.watcher.ended(&report);
        self.notice.add(&report);
        if monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// A service's turn, unless another run has it.
    fn service(&mut self, service: &'a str) -> Result<()> {
        let night = self.night;
        self.notice = Notice::new(night.host, Some(service));
        let ping = self.teller.ping(Some(service));
        let turn = match night.journal.wait_for_turn(service) {
            Ok(Some(turn)) => Some(turn),
            Ok(None) => {
                let outcome = night.still_at_work(service, STUCK);
                self.not_begun(Task::of(Step::Create, service), outcome)?;
                if !self.notice.is_good() {
                    self.tell(ping);
                }
                return Ok(());
            }
            // Where nothing can be written beside the index, the night is not given up.
            Err(error) => {
                self.warn(&error);
                None
            }
        };
        // At once: another run that waits for this one judges by the journal whether it hangs.
        let begun = night.journal.begin(service, (night.clock)());
        begun.unwrap_or_else(|error| self.warn(&error));
        self.teller.announce(ping, &*self.monitor);
        self.steps(service)?;
        let ended = night.journal.end(service, (night.clock)());
        ended.unwrap_or_else(|error| self.warn(&error));
        drop(turn);
        self.tell(ping);
        Ok(())
    }

    /// What is done of one service, in its turn. Nothing of it is deleted unless all before went well.
    fn steps(&mut self, service: &'a str) -> Result<()> {
        let (night, settings) = (self.night, &self.night.project.config.nightly);
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
            let pushed =
                self.step(task, against, |walk, monitor| walk.remotes.push(service, remote, &**monitor))?;
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
                let (store, place) = (walk.remotes.get(remote)?, night.place_of(remote)?);
                night.refuse_others(&store, service)?;
                night.prune(&store, &place, service, &**monitor)
            })?;
        }
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
                night.collect(&walk.remotes.get(remote)?, &place, &**monitor)
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

    /// What is not done again so soon is told as what it is, and to nobody else: it is no news of the store.
    fn skip_store(&mut self) -> Result<()> {
        self.notice = Notice::new(self.night.host, None);
        let settings = &self.night.project.config.nightly;
        let sample = (settings.verify.0 > 0).then(|| Task::of_store(Step::Sample));
        let there = settings.prune_remotes.iter().map(|remote| Task::of_store(Step::Gc).at(remote));
        for task in std::iter::once(Task::of_store(Step::Gc)).chain(there).chain(sample) {
            self.not_begun(task, Outcome::Skipped("it went well a short time ago".to_owned()))?;
        }
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
}

fn nothing() -> Result<Outcome> {
    Ok(Outcome::Skipped("there is nothing to do".to_owned()))
}
