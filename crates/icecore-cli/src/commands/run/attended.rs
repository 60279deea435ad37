//! Waiting for a program that has our terminal.

use std::io;
use std::process::{Child, ExitStatus};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::signals::{Attended, has_terminal};

/// Waits until it has ended. Until then signals are its, not ours.
pub(super) fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let stdin = rustix::stdio::stdin();
    let modes = tcgetattr(stdin).ok();
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _attended = Attended::begin(pid);
        // It is left to be taken: as long as it is there, nobody else gets its number, to which signals go on.
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        }
    }
    let ended = child.wait()?;
    // An editor that was killed, say, leaves a terminal on which nobody can answer.
    if let Some(modes) = modes.filter(|_| !ended.success() && has_terminal()) {
        tcsetattr(stdin, OptionalActions::Drain, &modes).unwrap_or_default();
    }
    Ok(ended)
}
