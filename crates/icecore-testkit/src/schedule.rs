//! Machines that take turns, in an order that a seed decides.
//!
//! Each machine is a thread, and exactly one of them runs at any time: until its next request, where the schedule decides whose turn it is
//! and what becomes of the request. As long as a machine's own thread makes all its requests, the same seed gives the same run, request
//! by request.

mod storage;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use storage::{ScheduledStorage, SharedStorage};

use crate::Call;

/// What the threads of machines are called.
pub const MACHINE_THREAD: &str = "machine";
/// How much time a request takes.
pub const REQUEST_TIME: Duration = Duration::from_secs(20);
/// What machines come to know of each other by, and how they take things from each other: it is at these requests that who comes first matters.
const TURNING_POINTS: [&str; 4] = ["epoch", "claims", "condemned", "snapshots"];
/// A run that takes more requests than this does not end.
const REQUESTS_MAX: u64 = 60_000;
/// Requests that are remembered word by word.
const LINES_MAX: usize = 4000;

/// What can go wrong, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// In how many of a hundred cases the machine that had the last turn has the next one as well.
    pub sticky: u32,
    /// After how many of ten thousand requests a machine stands still for a while.
    pub stalls: u32,
    /// In how many of ten thousand requests a machine dies.
    pub crashes: u32,
    /// How many of ten thousand requests fail.
    pub failures: u32,
    /// Whether changes of which the caller learns nothing may still take effect much later, where they go far.
    pub wandering: bool,
}

/// How far a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It stays on the machine, or in the house: what failed is over.
    Short,
    /// Through networks, where it may be under way still when nobody waits for it any more.
    Long,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It fails, and nothing happens.
    Refused,
    /// It takes effect, and fails all the same.
    AnswerLost,
    /// It fails, and takes effect some time later.
    Wanders(Duration),
    /// The machine dies before it has sent the request.
    DiesBefore,
    /// The machine dies before it has seen the answer.
    DiesAfter,
    /// The machine dies, and the request takes effect some time later.
    DiesAndWanders(Duration),
    /// The machine was dead already.
    Dead,
}

impl Fate {
    /// Whether the machine dies of it.
    pub fn is_death(self) -> bool {
        matches!(self, Self::DiesBefore | Self::DiesAfter | Self::DiesAndWanders(_))
    }
}

/// What happened to the requests of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Requests in all.
    pub requests: u64,
    /// Requests that failed without effect.
    pub refused: u64,
    /// Requests that took effect although they failed.
    pub answers_lost: u64,
    /// Changes that took effect long after their callers had given them up.
    pub wandered: u64,
    /// Deaths of machines.
    pub deaths: u64,
}

/// Whose turn it is.
pub struct Schedule {
    state: Mutex<State>,
    /// One for each machine, which waits for its turn there.
    turns: Vec<Condvar>,
}

struct State {
    random: fastrand::Rng,
    weather: Weather,
    clock: Duration,
    current: usize,
    machines: Vec<MachineState>,
    /// Kinds of changes that there have been.
    kinds: Vec<Kind>,
    /// Who has waited for what has just happened.
    next: Option<usize>,
    fates: Fates,
    hasher: Hasher,
    lines: Option<VecDeque<String>>,
}

/// A change, and of what: the folder that the object lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind(Call, String);

impl Kind {
    fn new(call: Call, name: &str) -> Self {
        Self(call, name.split('/').next().unwrap_or_default().to_owned())
    }

    /// Whether what another machine does next may depend on it.
    fn is_turning_point(&self) -> bool {
        let Self(call, place) = self;
        let folder = place.rsplit(':').next().unwrap_or_default();
        TURNING_POINTS.contains(&folder) || (*call == Call::Delete && folder == "packs")
    }
}

#[derive(Debug, Clone, Default)]
struct MachineState {
    /// It does nothing before.
    wakes_at: Duration,
    /// Unless somebody makes a change of this kind: the how many-th one.
    wakes_after: Option<(Kind, u32)>,
    has_ended: bool,
    is_dead: bool,
    /// How often it has died.
    deaths: u64,
    /// Whether its last request was a turning point.
    has_turned: bool,
    /// Requests that failed, deaths among them.
    faults: u64,
}

/// FNV-1a: a few words a request, and no secret.
struct Hasher(u64);

impl Hasher {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("machines", &self.turns.len()).finish_non_exhaustive()
    }
}

impl Schedule {
    /// A schedule for so many machines. It keeps the last requests word by word if it is to `tell` of them.
    pub fn new(seed: u64, machines: usize, weather: Weather, tell: bool) -> Arc<Self> {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            weather,
            clock: Duration::ZERO,
            current: 0,
            machines: vec![MachineState::default(); machines],
            kinds: Vec::new(),
            next: None,
            fates: Fates::default(),
            hasher: Hasher(0xcbf2_9ce4_8422_2325),
            lines: tell.then(VecDeque::new),
        };
        let turns = (0..machines).map(|_| Condvar::new()).collect();
        Arc::new(Self { state: Mutex::new(state), turns })
    }

    /// Runs all machines to their ends. Returns what those said that panicked.
    pub fn run<'scope>(&self, machines: Vec<Box<dyn FnOnce() + Send + 'scope>>) -> Vec<String> {
        assert_eq!(machines.len(), self.turns.len(), "one piece of work for each machine");
        {
            let mut state = self.lock();
            state.current = state.pick().unwrap_or(0);
        }
        thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(machines)
                .map(|(me, work)| {
                    let thread = thread::Builder::new().name(MACHINE_THREAD.to_owned());
                    let spawned = thread.spawn_scoped(scope, move || {
                        drop(self.wait_for(self.lock(), me));
                        let outcome = panic::catch_unwind(AssertUnwindSafe(work));
                        self.end(me);
                        outcome.map_err(|panic| format!("machine {me}: {}", said(&*panic)))
                    });
                    spawned.expect("a thread for each machine")
                })
                .collect();
            let outcomes = threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(())));
            outcomes.filter_map(Result::err).collect()
        })
    }

    /// Waits for the machine's next turn, and says what becomes of its request. All that wandered and has arrived by now is for the
    /// caller to apply first.
    pub fn turn(&self, me: usize, call: Call, name: &str, line: Line) -> Fate {
        let mut state = self.lock();
        if state.machines[me].is_dead || state.is_endless() {
            return Fate::Dead;
        }
        let kind = Kind::new(call, name);
        let turns = kind.is_turning_point();
        // Before such a request and after it. Reading packs is most of what machines do, and the least of what they can do to each other.
        let attention = match call {
            _ if turns || state.machines[me].has_turned => 12,
            Call::GetRange | Call::Len => 1,
            _ => 4,
        };
        state.machines[me].has_turned = turns;
        let stalls = state.weather.stalls * attention;
        if state.chance(stalls) {
            state.stall(me);
        }
        let mut state = self.pass_on(state, me);
        state.machines[me].wakes_after = None;
        if state.is_endless() {
            return Fate::Dead;
        }
        state.fates.requests += 1;
        let fate = state.fate(call, line);
        match fate {
            Fate::Answered | Fate::Dead => (),
            Fate::Refused => state.fates.refused += 1,
            Fate::AnswerLost => state.fates.answers_lost += 1,
            Fate::Wanders(_) => state.fates.wandered += 1,
            Fate::DiesBefore | Fate::DiesAfter | Fate::DiesAndWanders(_) => {
                state.machines[me].is_dead = true;
                state.machines[me].deaths += 1;
                state.fates.deaths += 1;
            }
        }
        if fate != Fate::Answered {
            state.machines[me].faults += 1;
        } else if call.changes() {
            state.tell_of(kind);
        }
        state.note(&format!("{me} {} {name} {fate:?}", call.as_str()));
        fate
    }

    /// Lets time pass for a machine.
    pub fn sleep(&self, me: usize, time: Duration) {
        let mut state = self.lock();
        if state.machines[me].is_dead || state.is_endless() {
            return;
        }
        state.machines[me].wakes_at = state.clock + time;
        let mut state = self.pass_on(state, me);
        state.note(&format!("{me} wakes"));
    }

    /// The time since the beginning, the same for all machines.
    pub fn clock(&self) -> Duration {
        self.lock().clock
    }

    /// Whether the machine has died and not come back.
    pub fn is_dead(&self, me: usize) -> bool {
        self.lock().machines[me].is_dead
    }

    /// Which of its lives the machine has, if it lives.
    pub fn life(&self, me: usize) -> Option<u64> {
        let state = self.lock();
        let machine = state.machines.get(me)?;
        (!machine.is_dead && !machine.has_ended).then_some(machine.deaths)
    }

    /// Brings a dead machine back, some time later.
    pub fn revive(&self, me: usize, after: Duration) {
        self.lock().machines[me].is_dead = false;
        self.sleep(me, after);
    }

    /// How many requests of a machine have failed.
    pub fn faults(&self, me: usize) -> u64 {
        self.lock().machines[me].faults
    }

    /// Whether there were more requests than any run should take: all fail from then on.
    pub fn is_endless(&self) -> bool {
        self.lock().is_endless()
    }

    /// Adds something to the trace that is no request.
    pub fn note(&self, line: &str) {
        self.lock().note(line);
    }

    /// What happened to the requests.
    pub fn fates(&self) -> Fates {
        self.lock().fates
    }

    /// A hash of the whole trace.
    pub fn hash(&self) -> u64 {
        self.lock().hasher.0
    }

    /// The last requests, if they were to be told.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().flatten().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        while state.current != me {
            state = self.turns[me].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    /// Gives the turn to whom the seed chooses, and returns when it is this machine's again.
    fn pass_on<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        if let Some(next) = state.pick() {
            state.current = next;
            if next != me {
                self.turns[next].notify_one();
            }
        }
        self.wait_for(state, me)
    }

    fn end(&self, me: usize) {
        let mut state = self.lock();
        state.machines[me].has_ended = true;
        if let Some(next) = state.pick() {
            state.current = next;
            self.turns[next].notify_one();
        }
    }
}

impl State {
    /// Lets a machine stand still, for some time, or until somebody does something.
    fn stall(&mut self, me: usize) {
        let requests = match self.random.u32(..10) {
            0 => self.random.u32(..20_000),
            1..7 => self.random.u32(..400),
            _ => self.random.u32(..60),
        };
        self.machines[me].wakes_at = self.clock + REQUEST_TIME * requests;
        if self.random.u8(..4) > 0 {
            let turning_points = self.kinds.iter().filter(|kind| kind.is_turning_point());
            let kind = match self.random.bool() {
                true => self.random.choice(turning_points.collect::<Vec<_>>()).cloned(),
                false => self.random.choice(&self.kinds).cloned(),
            };
            let count = self.random.u32(1..3);
            self.machines[me].wakes_after = kind.map(|kind| (kind, count));
        }
    }

    /// Wakes who waits for a change of this kind.
    fn tell_of(&mut self, kind: Kind) {
        for (at, machine) in (0..).zip(&mut self.machines) {
            match &mut machine.wakes_after {
                Some((awaited, count)) if *awaited == kind && *count > 1 => *count -= 1,
                Some((awaited, _)) if *awaited == kind => {
                    machine.wakes_at = self.clock;
                    self.next = Some(at);
                }
                _ => (),
            }
        }
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }

    /// Who has the next turn; nobody if all have ended. Where everybody sleeps, time jumps to when the first wakes.
    fn pick(&mut self) -> Option<usize> {
        self.clock += REQUEST_TIME;
        let running = |machine: &&MachineState| !machine.has_ended;
        let first = self.machines.iter().filter(running).map(|machine| machine.wakes_at).min()?;
        self.clock = self.clock.max(first);
        if let Some(next) = self.next.take().filter(|next| !self.machines[*next].has_ended)
            && self.random.bool()
        {
            return Some(next);
        }
        let is_awake = |machine: &MachineState| !machine.has_ended && machine.wakes_at <= self.clock;
        if self.machines.get(self.current).is_some_and(is_awake)
            && self.random.u32(..100) < self.weather.sticky
        {
            return Some(self.current);
        }
        let awake: Vec<usize> =
            (0..).zip(&self.machines).filter(|(_, machine)| is_awake(machine)).map(|(at, _)| at).collect();
        self.random.choice(awake)
    }

    fn fate(&mut self, call: Call, line: Line) -> Fate {
        let may_wander = self.weather.wandering && line == Line::Long && call.changes();
        let wanders = may_wander && self.random.u8(..3) == 0;
        if self.chance(self.weather.crashes) {
            let before = self.random.bool();
            return match wanders {
                true => Fate::DiesAndWanders(self.distance()),
                false if before => Fate::DiesBefore,
                false => Fate::DiesAfter,
            };
        }
        if self.chance(self.weather.failures) {
            let refused = self.random.bool();
            return match wanders {
                true => Fate::Wanders(self.distance()),
                false if refused => Fate::Refused,
                false => Fate::AnswerLost,
            };
        }
        Fate::Answered
    }

    /// How long a change wanders.
    fn distance(&mut self) -> Duration {
        REQUEST_TIME * self.random.u32(1..200)
    }

    fn chance(&mut self, of_ten_thousand: u32) -> bool {
        self.random.u32(..10_000) < of_ten_thousand
    }

    fn is_endless(&self) -> bool {
        self.fates.requests > REQUESTS_MAX
    }

    fn note(&mut self, line: &str) {
        self.hasher.add(line.as_bytes());
        self.hasher.add(b"\n");
        if let Some(lines) = &mut self.lines {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{:>7} {line}", self.clock.as_secs()));
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use icecore_storage::{PutMode, Storage as _};

    use super::*;

    fn run(seed: u64) -> (u64, Fates) {
        let weather = Weather { sticky: 50, stalls: 300, crashes: 50, failures: 200, wandering: true };
        let schedule = Schedule::new(seed, 3, weather, false);
        let shared = SharedStorage::new("", false, false);
        let work = |me: usize| {
            let storage = ScheduledStorage::new(Arc::clone(&shared), Arc::clone(&schedule), me, || ());
            let schedule = Arc::clone(&schedule);
            Box::new(move || {
                for n in 0..50 {
                    let _ = storage.put(&format!("a/{}", n % 7), &[0], PutMode::CreateNew);
                    let _ = storage.delete(&format!("a/{}", n % 5));
                    schedule.sleep(me, Duration::from_secs(n));
                }
            }) as Box<dyn FnOnce() + Send>
        };
        assert_eq!(schedule.run((0..3).map(work).collect()), [""; 0]);
        (schedule.hash(), schedule.fates())
    }

    #[test]
    fn the_same_seed_gives_the_same_run_and_another_one_another() {
        let runs: Vec<_> = (0..20).map(run).collect();
        assert_eq!((0..20).map(run).collect::<Vec<_>>(), runs);
        let hashes: std::collections::BTreeSet<_> = runs.iter().map(|(hash, _)| *hash).collect();
        assert_eq!(hashes.len(), runs.len());
        let has_all = |fates: &Fates| {
            [fates.deaths, fates.wandered, fates.refused, fates.answers_lost].iter().all(|n| *n > 0)
        };
        assert!(runs.iter().any(|(_, fates)| has_all(fates)), "{runs:?}");
    }

    #[test]
    fn in_fair_weather_a_scheduled_storage_keeps_the_contract() {
        let schedule = Schedule::new(1, 1, Weather::default(), false);
        let storage =
            ScheduledStorage::new(SharedStorage::new("", true, false), Arc::clone(&schedule), 0, || ());
        let said = schedule.run(vec![Box::new(|| icecore_storage::conformance::run(&storage))]);
        assert_eq!(said, [""; 0]);
    }
}
