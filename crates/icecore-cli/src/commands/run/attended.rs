//! Waiting for a program that has our terminal.

use std::io;
use std::process::{Child, ExitStatus};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::signals::Attended;

/// Waits until it has ended. Until then signals are its, not ours.
pub(super) fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _attended = Attended::begin(pid);
        // It is left to be taken: as long as it is there, nobody else gets its number, to which signals are sent on.
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        }
    }
    child.wait()
}
