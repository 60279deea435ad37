//! Bars on the terminal, and the user's wish to stop.

use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use icecore::{Counter, Monitor, Traffic};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;
use crate::signals::Interrupt;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, printable};

/// What takes less than this shows no bar.
const DELAY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);
/// So long a place may be silent before it is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// Counts what an operation does; a thread of its own draws it.
#[derive(Debug)]
pub(crate) struct Progress {
    counter: Counter,
    done: AtomicU64,
    total: AtomicU64,
    /// How far it was when that was last shown.
    shown: AtomicU64,
    traffic: Arc<Traffic>,
    /// What is done after all was counted.
    stage: Mutex<Option<Stage>>,
    interrupt: Interrupt,
    /// Hidden until there is something to show.
    bar: ProgressBar,
    notices: bool,
    /// Set at the end, to wake the drawing thread.
    ended: Mutex<bool>,
    wake: Condvar,
}

/// Work of which no bytes tell how far it is.
#[derive(Debug, Clone, Copy)]
struct Stage {
    what: &'static str,
    done: usize,
    all: usize,
}

/// Draws a [`Progress`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Drawing {
    progress: Arc<Progress>,
    drawer: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show what `counter` counts.
    pub(crate) fn begin(ui: &Ui, context: &Context, counter: Counter, what: &'static str) -> Drawing {
        let progress = Arc::new(Self {
            counter,
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            shown: AtomicU64::new(0),
            traffic: Arc::clone(&context.traffic),
            stage: Mutex::new(None),
            interrupt: Arc::clone(&context.interrupt),
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
                .with_style(style("{prefix} {spinner} {msg}"))
                .with_prefix(what),
            notices: !ui.quiet && !ui.json,
            ended: Mutex::new(false),
            wake: Condvar::new(),
        });
        let drawer = progress.notices.then(|| {
            let progress = Arc::clone(&progress);
            let show: fn(&Self) = if io::stderr().is_terminal() { Self::draw } else { Self::tell };
            thread::Builder::new().name("progress".to_owned()).spawn(move || show(&progress)).ok()
        });
        Drawing { progress, drawer: drawer.flatten() }
    }

    fn draw(&self) {
        let started = Instant::now();
        if self.wait(DELAY) {
            return;
        }
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        loop {
            self.update(started.elapsed());
            if self.wait(TICK) {
                break;
            }
        }
        self.bar.finish_and_clear();
    }

    /// Without a terminal nothing is told but what keeps it waiting; once, until that is over.
    fn tell(&self) {
        let mut is_told = false;
        while !self.wait(TICK) {
            let silent = self.traffic.silent_for(PATIENCE);
            if let (false, Some(place)) = (is_told, &silent) {
                self.notice(&waits_for(place));
            }
            is_told = silent.is_some();
        }
    }

    fn update(&self, elapsed: Duration) {
        let stage = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.traffic.silent_for(PATIENCE), stage) {
            (Some(place), _) => self.show_silence(&place),
            (None, Some(stage)) => self.show_stage(stage, elapsed),
            (None, None) => self.show_bytes(elapsed),
        }
    }

    fn show_silence(&self, place: &str) {
        let bar = &self.bar;
        bar.set_style(style("{prefix} {spinner} {msg}"));
        bar.unset_length();
        bar.set_message(waits_for(place));
        bar.tick();
    }

    fn show_stage(&self, Stage { what, done, all }: Stage, elapsed: Duration) {
        let bar = &self.bar;
        let (done, all) = (done as u64, all as u64);
        bar.set_style(style("{prefix} {bar:24} {msg}"));
        bar.set_length(all);
        bar.set_position(done);
        let elapsed = Millis(elapsed.as_secs() * 1000);
        bar.set_message(format!("{what} {done}/{all}, {elapsed}"));
    }

    fn show_bytes(&self, elapsed: Duration) {
        let bar = &self.bar;
        let total = self.total.load(Ordering::Relaxed);
        let done = self.done_by_now(total);
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let bytes_per_ms = done / ms;
        let speed = Bytes(bytes_per_ms.saturating_mul(1000));
        // Compressed input yields more than its file's length promised.
        if 0 < total && done <= total {
            let left = match bytes_per_ms {
                0 => String::new(),
                speed => format!(", {} left", Millis(((total - done) / speed).next_multiple_of(1000))),
            };
            if bar.length() != Some(total) {
                bar.set_style(style("{prefix} {bar:24} {msg}"));
                bar.set_length(total);
            }
            bar.set_message(format!("{} of {}, {speed}/s{left}", Bytes(done), Bytes(total)));
        } else {
            if bar.length().is_some() {
                bar.set_style(style("{prefix} {spinner} {msg}"));
                bar.unset_length();
            }
            bar.set_message(format!("{}, {speed}/s, {}", Bytes(done), Millis(ms / 1000 * 1000)));
        }
        bar.set_position(done);
    }

    /// With what requests have moved so far that have not ended. What moves again after one has failed is no progress before it is as far as
    /// the first time.
    fn done_by_now(&self, total: u64) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        if total == 0 || self.counter == Counter::PlainBytes {
            return done;
        }
        // Not all that moves counts in the end.
        let by_now = (done + self.traffic.under_way()).min(total.max(done));
        self.shown.fetch_max(by_now, Ordering::Relaxed).max(by_now)
    }

    /// Waits; true if the operation has ended.
    fn wait(&self, time: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(ended, time, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn waits_for(place: &str) -> String {
    format!("no answer from {place}, still trying")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Monitor for Progress {
    fn count(&self, counter: Counter, n: u64) {
        if counter == self.counter {
            self.done.fetch_add(n, Ordering::Relaxed);
        }
    }

    fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn stage(&self, what: &'static str, done: usize, all: usize) {
        // Nothing to do is nothing to show.
        let stage = (all > 0).then_some(Stage { what, done, all });
        let mut shown = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = stage.or(*shown);
    }

    fn notice(&self, sentence: &str) {
        // At once: it may be the reason for a long wait.
        if self.notices {
            self.bar.suspend(|| drop(writeln!(io::stderr(), "note: {}", printable(sentence))));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.interrupt.load(Ordering::SeqCst)
    }
}

impl Drawing {
    /// For the operation.
    pub(crate) fn monitor(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Removes the bar.
    pub(crate) fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        *self.progress.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.progress.wake.notify_all();
        if let Some(drawer) = self.drawer.take() {
            drop(drawer.join());
        }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.stop();
    }
}
