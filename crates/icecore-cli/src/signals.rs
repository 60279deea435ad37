//! Ctrl-C and its relatives.
//!
//! The first signal asks the work to stop, which it does cleanly: children end, temporary files go, the claim is withdrawn. A second one,
//! or five seconds without an end, ends the program at once, as a crash would; the store does not mind crashes.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::status::ExitStatus;

/// How long work may take to stop, in milliseconds.
static PATIENCE_MS: AtomicU64 = AtomicU64::new(5_000);

/// Somebody is asked something, and nothing else goes on: there is nothing to stop cleanly.
static PROMPTING: AtomicBool = AtomicBool::new(false);

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

/// Starts to listen.
pub(crate) fn listen() -> Interrupt {
    let interrupt = Interrupt::default();
    let wanted: Vec<_> =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)).collect();
    // Without a handler the signals still end the program, only less cleanly.
    let Ok(mut signals) = Signals::new(wanted) else { return interrupt };
    // A prompt for a password hides what is typed; the terminal must not stay so.
    let terminal = tcgetattr(rustix::stdio::stdin()).ok();
    let flag = Arc::clone(&interrupt);
    let listener = move || {
        for _ in signals.forever() {
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
