//! What a store takes from the machine it runs on, beside a place for bytes.

use std::fmt;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::{Result, StoreError, random};

/// Chance, time, and hands. Everybody works on [`ThisMachine`]; only a simulation has others, which do the same again and again.
pub trait Machine: fmt::Debug + Send + Sync {
    /// Thirty-two bytes that nobody can foresee. Nonces depend on it.
    fn salt(&self) -> [u8; 32];

    /// The time of day. Names that sort by time depend on it, and nothing else.
    fn time_of_day(&self) -> SystemTime;

    /// How long the machine has been running, or the process: it only grows.
    fn uptime(&self) -> Duration;

    /// Returns when this much time has passed.
    fn sleep(&self, time: Duration);

    /// Who does what can be done at the same time.
    fn hands(&self) -> Hands;
}

/// Who does what can be done at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hands {
    /// Threads and the pool.
    Many,
    /// The caller's thread, one thing after the other: requests then come in the same order every time.
    One,
}

/// The machine that the process runs on.
#[derive(Debug)]
pub(crate) struct ThisMachine {
    started: Instant,
}

impl Default for ThisMachine {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Machine for ThisMachine {
    fn salt(&self) -> [u8; 32] {
        random::salt()
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }

    fn hands(&self) -> Hands {
        Hands::Many
    }
}

/// A part of a pipeline, which takes from one queue and puts into the next.
pub(crate) enum Stage<T> {
    /// It runs beside the others.
    Running(JoinHandle<T>),
    /// It runs when it is waited for: by then its queue has all that will come.
    Waiting(Box<dyn FnOnce() -> T + Send>),
}

impl<T> Stage<T> {
    /// What came of it; an error if it panicked.
    pub(crate) fn join(self) -> thread::Result<T> {
        match self {
            Self::Running(thread) => thread.join(),
            Self::Waiting(work) => Ok(work()),
        }
    }
}

impl Hands {
    /// A queue between two stages, which holds `len` items; as many as come where nobody empties it meanwhile.
    pub(crate) fn queue<T>(self, len: usize) -> (Sender<T>, Receiver<T>) {
        match self {
            Self::Many => bounded(len),
            Self::One => unbounded(),
        }
    }

    /// Begins a stage.
    pub(crate) fn stage<T: Send + 'static>(
        self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Stage<T>> {
        match self {
            Self::Many => {
                let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
                spawned.map(Stage::Running).map_err(|source| StoreError::Thread { source })
            }
            Self::One => Ok(Stage::Waiting(Box::new(work))),
        }
    }

    /// Has a job done, on the pool if there is one.
    pub(crate) fn spawn(self, job: impl FnOnce() + Send + 'static) {
        match self {
            Self::Many => rayon::spawn(job),
            Self::One => job(),
        }
    }

    /// How many threads may wait for answers side by side, of `most`.
    pub(crate) fn waiting(self, most: usize) -> usize {
        match self {
            Self::Many => most,
            Self::One => 1,
        }
    }

    /// How many threads may do the same thing side by side, of `most`.
    pub(crate) fn count(self, most: usize) -> usize {
        match self {
            Self::Many => thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get).min(most),
            Self::One => 1,
        }
    }
}
