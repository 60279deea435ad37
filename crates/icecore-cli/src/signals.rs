//! Ctrl-C and its relatives.
//!
//! The first signal asks the work to stop, which it does cleanly: children end, temporary files go, the claim is withdrawn. A second one,
//! or five seconds without an end, ends the program at once, as a crash would; the store does not mind crashes.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGURG};
use signal_hook::iterator::Signals;

use crate::status::ExitStatus;

/// How long work may take to stop, in milliseconds.
static PATIENCE_MS: AtomicU64 = AtomicU64::new(5_000);

/// Somebody is asked something, and nothing else goes on: there is nothing to stop cleanly.
static PROMPTING: AtomicBool = AtomicBool::new(false);

/// The process that has the terminal instead of us; 0 if none has.
static ATTENDED: AtomicI32 = AtomicI32::new(0);
/// One is being started, and has no number yet.
const STARTING: i32 = -1;
/// How often the listener was told to say that it has come this far.
static COME_BY: AtomicU32 = AtomicU32::new(0);

/// Whether the terminal is ours again, once another process had it.
static ALONE: OnceLock<Interrupt> = OnceLock::new();

/// Set once the user wants the program to stop.
pub(crate) type Interrupt = Arc<AtomicBool>;

/// While it lives, the program waits for a person.
#[derive(Debug)]
pub(crate) struct Prompt(());

impl Prompt {
    pub(crate) fn begin() -> Self {
        PROMPTING.store(true, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        PROMPTING.store(false, Ordering::SeqCst);
    }
}

/// Gives work that long to stop from now on.
pub(crate) fn wait_for(patience: Duration) {
    PATIENCE_MS.store(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
}

/// While it lives, another process has the terminal, and signals are its: we wait for it.
#[derive(Debug)]
pub(crate) struct Attended(());

impl Attended {
    /// Before the process is started: a key may be pressed as soon as it runs.
    pub(crate) fn begin() -> Self {
        // Ctrl-\ ends us as it always did, but for now.
        ALONE.get_or_init(|| {
            let alone = Interrupt::default();
            if !is_ignored(SIGQUIT) {
                drop(signal_hook::flag::register_conditional_default(SIGQUIT, Arc::clone(&alone)));
            }
            alone
        });
        set_alone(false);
        ATTENDED.store(STARTING, Ordering::SeqCst);
        Self(())
    }

    /// Signals go on to `child`, which must not be reaped before this is dropped.
    pub(crate) fn attend(&self, child: Pid) {
        ATTENDED.store(child.as_raw_pid(), Ordering::SeqCst);
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        if ATTENDED.load(Ordering::SeqCst) != STARTING {
            // What was pressed while it ran was for it, even if the listener comes to that only now. It goes through the signals in the order of
            // their numbers, so that the second time it has seen all.
            (0..2).for_each(|_| wait_for_listener());
        }
        ATTENDED.store(0, Ordering::SeqCst);
        set_alone(true);
    }
}

/// Waits until the listener has come to a signal that is sent now. If there is none, not for long.
fn wait_for_listener() {
    let before = COME_BY.load(Ordering::SeqCst);
    kill_process(getpid(), Signal::URG).unwrap_or_default();
    for _ in 0..1000 {
        if COME_BY.load(Ordering::SeqCst) != before {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The process that signals are for, if they are not for us.
fn attended() -> Option<Pid> {
    loop {
        match ATTENDED.load(Ordering::SeqCst) {
            STARTING => thread::sleep(Duration::from_millis(1)),
            pid => return Pid::from_raw(pid),
        }
    }
}

fn set_alone(is_so: bool) {
    if let Some(alone) = ALONE.get() {
        alone.store(is_so, Ordering::SeqCst);
    }
}

/// Tells `child` of a signal. Of keys that were pressed the terminal tells it, as everybody in our group.
fn send_on(signal: i32, child: Pid) {
    if signal == SIGINT && has_terminal() {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(signal) {
        kill_process(child, signal).unwrap_or_default();
    }
}

/// Whether what is typed comes to us.
pub(crate) fn has_terminal() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}

/// Starts to listen.
pub(crate) fn listen() -> Interrupt {
    let interrupt = Interrupt::default();
    let wanted: Vec<_> =
        [SIGINT, SIGTERM, SIGHUP, SIGURG].into_iter().filter(|signal| !is_ignored(*signal)).collect();
    // Without a handler the signals still end the program, only less cleanly.
    let Ok(mut signals) = Signals::new(wanted) else { return interrupt };
    // A prompt for a password hides what is typed; the terminal must not stay so.
    let terminal = tcgetattr(rustix::stdio::stdin()).ok();
    let flag = Arc::clone(&interrupt);
    let listener = move || {
        for signal in signals.forever() {
            if signal == SIGURG {
                COME_BY.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            if let Some(child) = attended() {
                send_on(signal, child);
                continue;
            }
            if PROMPTING.load(Ordering::SeqCst) {
                // The question's line was not ended by an answer.
                drop(writeln!(std::io::stderr()));
                exit_now(terminal.as_ref());
            }
            if flag.swap(true, Ordering::SeqCst) {
                exit_now(terminal.as_ref());
            }
            let terminal = terminal.clone();
            let killer = thread::Builder::new().name("patience".to_owned());
            drop(killer.spawn(move || {
                thread::sleep(Duration::from_millis(PATIENCE_MS.load(Ordering::SeqCst)));
                exit_now(terminal.as_ref());
            }));
        }
    };
    drop(thread::Builder::new().name("signals".to_owned()).spawn(listener));
    interrupt
}

#[expect(clippy::exit, reason = "the one place that must not wait for anything")]
fn exit_now(terminal: Option<&Termios>) {
    if let Some(terminal) = terminal {
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, terminal).unwrap_or_default();
    }
    icecore_engine::kill_running_commands();
    std::process::exit(i32::from(ExitStatus::Interrupted.code()));
}

/// `nohup` and shells' background jobs start programs with signals ignored, and mean it.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}
