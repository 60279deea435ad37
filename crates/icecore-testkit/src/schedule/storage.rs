//! A storage that machines share, and how each of them sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use icecore_storage::{
    Error, ErrorKind, Hold, Holder, MemoryStorage, ObjectMeta, PutMode, Result, Storage, Version,
};

use super::{Fate, Line, Schedule};
use crate::Call;

/// What all machines share.
#[derive(Debug)]
pub struct SharedStorage {
    /// What the schedule calls it, before the names of its objects.
    place: String,
    objects: MemoryStorage,
    /// Whether it can be told if the maker of an object lives.
    tells_holders: bool,
    /// Whether it answers to every condition that it was met, and overwrites.
    ignores_conditions: bool,
    state: Mutex<SharedState>,
}

#[derive(Debug, Default)]
struct SharedState {
    /// Objects that say that their makers live: which machines those are, and in which of their lives.
    held: BTreeMap<String, (usize, Option<u64>)>,
    /// Those that somebody else has deleted although their makers lived.
    robbed: Vec<String>,
    /// Changes on their way, and when they arrive.
    wandering: Vec<(Duration, Change)>,
}

/// A request that changes something.
#[derive(Debug, Clone)]
enum Change {
    Put(String, Bytes, Mode),
    Delete(String),
}

/// [`PutMode`], for itself.
#[derive(Debug, Clone)]
enum Mode {
    CreateNew,
    Replace(Version),
    Overwrite,
}

impl SharedStorage {
    /// An empty one. Where there are several, each has a `place` of its own, which the trace names.
    pub fn new(place: &str, tells_holders: bool, ignores_conditions: bool) -> Arc<Self> {
        let (place, objects, state) = (place.to_owned(), MemoryStorage::new(), Mutex::default());
        Arc::new(Self { place, objects, tells_holders, ignores_conditions, state })
    }

    /// What there is, for somebody who is no machine.
    pub fn objects(&self) -> &MemoryStorage {
        &self.objects
    }

    /// Whether it can be told if the maker of an object lives.
    pub fn tells_holders(&self) -> bool {
        self.tells_holders
    }

    /// Objects that were taken from living holders by somebody else.
    pub fn robbed(&self) -> Vec<String> {
        self.state().robbed.clone()
    }

    /// All machines have ended: nobody holds anything any more, and all changes that are still on their way arrive.
    pub fn settle(&self) {
        self.state().held.clear();
        self.arrive(Duration::MAX);
    }

    fn state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(&self, now: Duration) {
        let mut state = self.state();
        let (here, on_the_way) =
            std::mem::take(&mut state.wandering).into_iter().partition(|(at, _)| *at <= now);
        state.wandering = on_the_way;
        drop(state);
        for (_, change) in here {
            // Nobody is there any more to be told.
            let _ = self.apply(&change);
        }
    }

    fn apply(&self, change: &Change) -> Result<()> {
        match change {
            Change::Put(name, bytes, mode) => {
                let mode = match mode {
                    _ if self.ignores_conditions => PutMode::Overwrite,
                    Mode::CreateNew => PutMode::CreateNew,
                    Mode::Replace(version) => PutMode::Replace(version),
                    Mode::Overwrite => PutMode::Overwrite,
                };
                self.objects.put(name, bytes, mode)
            }
            Change::Delete(name) => self.objects.delete(name),
        }
    }
}

/// The shared storage as one machine sees it.
#[derive(Clone)]
pub struct ScheduledStorage {
    shared: Arc<SharedStorage>,
    schedule: Arc<Schedule>,
    machine: usize,
    /// Called in the moment of the machine's death.
    dies: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for ScheduledStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduledStorage").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl ScheduledStorage {
    /// What `machine` sees.
    pub fn new(
        shared: Arc<SharedStorage>,
        schedule: Arc<Schedule>,
        machine: usize,
        dies: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { shared, schedule, machine, dies: Arc::new(dies) }
    }

    fn turn(&self, call: Call, name: &str) -> Fate {
        let (line, name) = (self.line(), format!("{}{name}", self.shared.place));
        let fate = self.schedule.turn(self.machine, call, &name, line);
        self.shared.arrive(self.schedule.clock());
        if fate.is_death() {
            (self.dies)();
        }
        fate
    }

    /// Who can tell whether others live is near them.
    fn line(&self) -> Line {
        if self.shared.tells_holders { Line::Short } else { Line::Long }
    }

    /// Whether a living machine holds the object, and which one.
    fn living_holder(&self, name: &str) -> Option<usize> {
        let (holder, life) = *self.shared.state().held.get(name)?;
        (life.is_some() && self.schedule.life(holder) == life).then_some(holder)
    }

    fn note_robbery(&self, name: &str) {
        if self.living_holder(name).is_some_and(|holder| holder != self.machine) {
            self.shared.state().robbed.push(name.to_owned());
        }
    }

    fn look<T>(&self, call: Call, name: &str, look: impl FnOnce(&MemoryStorage) -> Result<T>) -> Result<T> {
        match self.turn(call, name) {
            Fate::Answered => look(&self.shared.objects),
            fate => Err(failed("cannot read", name, fate)),
        }
    }

    fn change(&self, call: Call, change: Change) -> Result<()> {
        let (Change::Put(name, ..) | Change::Delete(name)) = &change;
        let fate = self.turn(call, name);
        let error = failed(if call == Call::Delete { "cannot delete" } else { "cannot write" }, name, fate);
        if call == Call::Delete {
            self.note_robbery(name);
        }
        match fate {
            Fate::Answered => return self.shared.apply(&change),
            Fate::AnswerLost | Fate::DiesAfter => drop(self.shared.apply(&change)),
            Fate::Wanders(time) | Fate::DiesAndWanders(time) => {
                let arrives_at = self.schedule.clock() + time;
                self.shared.state().wandering.push((arrives_at, change));
            }
            Fate::Refused | Fate::DiesBefore | Fate::Dead => (),
        }
        Err(error)
    }
}

/// What a caller sees of a request that did not go well.
fn failed(action: &'static str, name: &str, fate: Fate) -> Error {
    let source = io::Error::other(format!("{fate:?}"));
    Error { kind: ErrorKind::Other, action, place: name.to_owned(), source }
}

fn put(name: &str, bytes: &[u8], mode: PutMode<'_>) -> Change {
    let mode = match mode {
        PutMode::CreateNew => Mode::CreateNew,
        PutMode::Replace(version) => Mode::Replace(version.clone()),
        PutMode::Overwrite => Mode::Overwrite,
    };
    Change::Put(name.to_owned(), Bytes::copy_from_slice(bytes), mode)
}

impl Storage for ScheduledStorage {
    fn get(&self, name: &str) -> Result<Bytes> {
        self.look(Call::Get, name, |objects| objects.get(name))
    }

    fn get_versioned(&self, name: &str) -> Result<(Bytes, Version)> {
        self.look(Call::Get, name, |objects| objects.get_versioned(name))
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.look(Call::GetRange, name, |objects| objects.get_range(name, range))
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> Result<()> {
        self.change(Call::Put, put(name, bytes, mode))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.look(Call::List, prefix, |objects| objects.list(prefix))
    }

    fn len(&self, name: &str) -> Result<u64> {
        self.look(Call::Len, name, |objects| objects.len(name))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.change(Call::Delete, Change::Delete(name.to_owned()))
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> Result<Box<dyn Hold>> {
        self.change(Call::Hold, put(name, bytes, PutMode::CreateNew))?;
        let holder = (self.machine, self.schedule.life(self.machine));
        self.shared.state().held.insert(name.to_owned(), holder);
        Ok(Box::new(ScheduledHold { storage: self.clone(), name: name.to_owned(), is_over: false }))
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        self.look(Call::Holder, name, |objects| {
            objects.len(name)?;
            Ok(match self.living_holder(name) {
                _ if !self.shared.tells_holders => Holder::Unknown,
                Some(_) => Holder::Alive,
                None => Holder::Dead,
            })
        })
    }

    fn knows_holders(&self) -> bool {
        self.shared.tells_holders
    }

    fn concurrency(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

#[derive(Debug)]
struct ScheduledHold {
    storage: ScheduledStorage,
    name: String,
    is_over: bool,
}

impl ScheduledHold {
    fn withdraw(&mut self) -> Result<()> {
        self.is_over = true;
        let deleted = self.storage.delete(&self.name);
        self.storage.shared.state().held.remove(&self.name);
        deleted
    }
}

impl Hold for ScheduledHold {
    fn update(&mut self, bytes: &[u8]) -> Result<()> {
        self.storage.put(&self.name, bytes, PutMode::Overwrite)
    }

    fn release(mut self: Box<Self>) -> Result<()> {
        match self.withdraw() {
            // Somebody else has.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

impl Drop for ScheduledHold {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.withdraw();
        }
    }
}
