//! Waiting for a program that has our terminal.

use std::io;
use std::process::{Command, ExitStatus};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::signals::{Attended, has_terminal};

/// Starts a program and waits until it has ended. Until then signals are its, not ours. The outer error is that it cannot be started.
pub(super) fn run(command: &mut Command) -> io::Result<io::Result<ExitStatus>> {
    let stdin = rustix::stdio::stdin();
    let modes = tcgetattr(stdin).ok();
    let attended = Attended::begin();
    let mut child = command.spawn()?;
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        attended.attend(pid);
        // It is left to be taken: as long as it is there, nobody else gets its number, to which signals go on.
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        }
    }
    drop(attended);
    let ended = match child.wait() {
        Ok(ended) => ended,
        Err(error) => return Ok(Err(error)),
    };
    // An editor that was killed, say, leaves a terminal on which nobody can answer.
    if let Some(modes) = modes.filter(|_| !ended.success() && has_terminal()) {
        tcsetattr(stdin, OptionalActions::Drain, &modes).unwrap_or_default();
    }
    Ok(Ok(ended))
}
