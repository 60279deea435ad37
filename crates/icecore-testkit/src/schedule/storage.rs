//! One storage, and how each machine sees it.

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

use super::{Fate, Schedule};
use crate::Call;

/// What all machines share.
#[derive(Debug)]
pub struct SharedStorage {
    objects: MemoryStorage,
    /// Whether it can be told if the maker of an object lives.
    tells_holders: bool,
    /// Whether it answers to every condition that it was met, and overwrites.
    ignores_conditions: bool,
    state: Mutex<SharedState>,
}

#[derive(Debug, Default)]
struct SharedState {
    /// Objects that say that their makers live: which machines those are.
    held: BTreeMap<String, usize>,
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
    /// An empty one.
    pub fn new(tells_holders: bool, ignores_conditions: bool) -> Arc<Self> {
        let (objects, state) = (MemoryStorage::new(), Mutex::default());
        Arc::new(Self { objects, tells_holders, ignores_conditions, state })
    }

    /// What there is, for somebody who is no machine.
    pub fn objects(&self) -> &MemoryStorage {
        &self.objects
    }

    /// Whether it can be told if the maker of an object lives.
    pub fn tells_holders(&self) -> bool {
        self.tells_holders
    }

    /// All changes that are still on their way arrive.
    pub fn settle(&self) {
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
        let fate = self.schedule.turn(self.machine, call, name);
        self.shared.arrive(self.schedule.clock());
        if fate.is_death() {
            self.shared.state().held.retain(|_, holder| *holder != self.machine);
            (self.dies)();
        }
        fate
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
        self.shared.state().held.insert(name.to_owned(), self.machine);
        Ok(Box::new(ScheduledHold { storage: self.clone(), name: name.to_owned() }))
    }

    fn holder(&self, name: &str) -> Result<Holder> {
        self.look(Call::Holder, name, |objects| {
            objects.len(name)?;
            let is_held = self.shared.state().held.contains_key(name);
            Ok(match (self.shared.tells_holders, is_held) {
                (false, _) => Holder::Unknown,
                (true, true) => Holder::Alive,
                (true, false) => Holder::Dead,
            })
        })
    }

    fn concurrency(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

#[derive(Debug)]
struct ScheduledHold {
    storage: ScheduledStorage,
    name: String,
}

impl Hold for ScheduledHold {
    fn update(&mut self, bytes: &[u8]) -> Result<()> {
        self.storage.put(&self.name, bytes, PutMode::Overwrite)
    }
}

impl Drop for ScheduledHold {
    fn drop(&mut self) {
        let _ = self.storage.delete(&self.name);
        self.storage.shared.state().held.remove(&self.name);
    }
}
