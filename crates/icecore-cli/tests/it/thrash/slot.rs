//! A place for one running command, where it can be killed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long any command may take.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Holds one child until it was waited for: whoever kills it under the lock kills nobody else.
#[derive(Default)]
pub(super) struct Slot(Mutex<Option<Running>>);

struct Running {
    child: Child,
    since: Instant,
    /// When it is to be killed.
    doom: Option<Instant>,
}

impl Slot {
    /// Waits for a child, which is killed when its `doom` comes. Returns its exit status, or the signal's negative number; `None` if it hung.
    pub(super) fn wait(&self, child: Child, doom: Option<Duration>) -> Option<i32> {
        let since = Instant::now();
        *self.0.lock().unwrap() = Some(Running { child, since, doom: doom.map(|doom| since + doom) });
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let mut slot = self.0.lock().unwrap();
            let running = slot.as_mut().unwrap();
            if let Some(status) = running.child.try_wait().unwrap() {
                *slot = None;
                return Some(status.code().unwrap_or_else(|| -status.signal().unwrap()));
            }
            if running.since.elapsed() > HANGS_AFTER {
                running.child.kill().unwrap();
                running.child.wait().unwrap();
                *slot = None;
                return None;
            }
        }
    }

    /// Kills the child if its time has come.
    pub(super) fn reap(&self) {
        if let Some(running) = self.0.lock().unwrap().as_mut()
            && running.doom.is_some_and(|doom| Instant::now() >= doom)
        {
            running.child.kill().unwrap();
            running.doom = None;
        }
    }
}
