//! A command as a source: its output is captured, and its exit status decides.
//!
//! The command runs in its own process group without an input. A source that is dropped before it is finished ends the
//! whole group, politely first; nothing of the group outlives the source either way. A `kill -9` of ourselves ends the
//! command too, where the system has a `setpriv` for it.

mod launch;
mod messages;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

pub(crate) use launch::{PASSWORD_VARIABLE, parent_death};
pub(crate) use messages::Messages;

use crate::CaptureError;
use crate::poll::{PollReader, WaitsForTerminal, waits_for_terminal};

/// How long a group may take to end after a polite request.
const GRACE: Duration = Duration::from_secs(2);
const WAIT_STEP_MAX: Duration = Duration::from_millis(100);

/// A running command.
///
/// The system ends the command when the *thread* that spawned it ends: spawn it on the one that captures.
#[derive(Debug)]
pub struct CommandSource {
    /// The command as a person would name it.
    name: String,
    child: Child,
    pid: Pid,
    output: Option<ChildStdout>,
    reaped: bool,
}

impl CommandSource {
    /// Starts a command. Its messages go where ours go; its output waits to be read.
    pub fn spawn(argv: &[OsString]) -> Result<Self, CaptureError> {
        Self::spawn_with(argv, &[])
    }

    /// The same with these variables in its environment: a place for what others must not see.
    pub(crate) fn spawn_with(
        argv: &[OsString],
        variables: &[(&'static str, String)],
    ) -> Result<Self, CaptureError> {
        Self::launch(argv, variables, Stdio::inherit())
    }

    /// The same; what it has to say is kept, until it is known what that means.
    pub(crate) fn spawn_telling(
        argv: &[OsString],
        variables: &[(&'static str, String)],
        messages: &Messages,
    ) -> Result<Self, CaptureError> {
        Self::launch(argv, variables, messages.stdio()?)
    }

    fn launch(
        argv: &[OsString],
        variables: &[(&'static str, String)],
        messages: Stdio,
    ) -> Result<Self, CaptureError> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(CaptureError::Source("there is no command to run".to_owned()));
        };
        let name = program.to_string_lossy().into_owned();
        let mut child = launch::launch(program, arguments, variables, messages)?;
        let output = child.stdout.take();
        let pid = Pid::from_child(&child);
        running().push(pid);
        Ok(Self { name, child, pid, output, reaped: false })
    }

    /// Its output, whose end says nothing of success: see [`CommandSource::finish`].
    pub fn reader<'a>(&'a mut self, is_cancelled: &'a dyn Fn() -> bool) -> PollReader<'a> {
        let output =
            self.output.as_ref().expect("the output is closed by finish alone, which takes the source");
        PollReader::of_child(output.as_fd(), self.pid, is_cancelled)
    }

    /// Waits for the command to end. Only `Ok` allows what it has written to become a snapshot.
    pub fn finish(mut self, is_cancelled: &dyn Fn() -> bool) -> Result<(), CaptureError> {
        // A command that still writes is told so by a broken pipe, and cannot wait for us while we wait for it.
        self.output = None;
        let mut pause = Duration::from_millis(1);
        while !self.has_ended() {
            if is_cancelled() {
                return Err(CaptureError::Cancelled);
            }
            if waits_for_terminal(self.pid) {
                return Err(CaptureError::Source(format!("{}: {WaitsForTerminal}", self.name)));
            }
            sleep(pause);
            pause = (pause * 2).min(WAIT_STEP_MAX);
        }
        let status = self.reap().map_err(|error| {
            CaptureError::Source(format!("the exit status of {} is unknown: {error}", self.name))
        })?;
        judge(&self.name, status)
    }

    /// Whether the command itself has ended. It is not reaped, so its group's number stays taken.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that there is nothing to wait for.
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None) | Err(rustix::io::Errno::INTR))
    }

    /// Ends what is left of the group, then the command's own entry in the process table, which kept the group's
    /// number from being given to somebody else.
    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        let _ = kill_process_group(self.pid, Signal::KILL);
        // Before it is reaped: its number may be somebody else's then.
        running().retain(|pid| *pid != self.pid);
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for CommandSource {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        let _ = kill_process_group(self.pid, Signal::TERM);
        // A stopped process hears the request only when it runs again.
        let _ = kill_process_group(self.pid, Signal::CONT);
        let deadline = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < deadline {
            sleep(Duration::from_millis(10));
        }
        let _ = self.reap();
    }
}

/// The groups of the commands that run.
pub(crate) fn running() -> MutexGuard<'static, Vec<Pid>> {
    static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends all running commands at once, with their children: for a program that is about to exit without dropping anything.
pub fn kill_running_commands() {
    for pid in running().iter() {
        let _ = kill_process_group(*pid, Signal::KILL);
    }
}

fn judge(name: &str, status: ExitStatus) -> Result<(), CaptureError> {
    use std::os::unix::process::ExitStatusExt as _;

    if status.success() {
        return Ok(());
    }
    let end = match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("ended with {status}"),
    };
    Err(CaptureError::Source(format!("{name} {end}")))
}
