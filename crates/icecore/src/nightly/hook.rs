//! Programs of the user's that are told of each step.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use icecore_store::Monitor;
use rustix::process::{Pid, Signal, kill_process_group};

use super::step::Task;
use crate::{Error, Result};

/// How soon a program is looked at that has just begun: most end at once.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// How often one is looked at that goes on: each look is put off twice as long as the one before, until it is so long.
const LOOK: Duration = Duration::from_millis(20);

/// A program to run before or after each step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook<'a> {
    /// `before` or `after`.
    pub(super) when: &'static str,
    /// It, and its arguments.
    pub(super) command: &'a [String],
    /// Where it runs.
    pub(super) dir: &'a Path,
    /// How long it may take.
    pub(super) patience: Duration,
}

impl Hook<'_> {
    /// Runs it to its end. It reads `document`, and what it prints is seen.
    ///
    /// # Errors
    /// If it fails, or takes too long: then it is killed, with what it started.
    pub(super) fn run(&self, task: &Task, document: &str, monitor: &dyn Monitor) -> Result<()> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(()) };
        let failed = |why: String| Error::Hook { when: self.when, program: program.clone(), why };
        let io_failed = |error: io::Error| failed(crate::io_message(&error));
        // What it prints must not get into a document on our standard output.
        let output = io::stderr().as_fd().try_clone_to_owned().map_err(io_failed)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir).process_group(0);
        command.env_remove("ICECORE_PASSWORD");
        command.env("ICECORE_STEP", task.step.as_str());
        command.env("ICECORE_SERVICE", task.service.as_deref().unwrap_or_default());
        command.env("ICECORE_REMOTE", task.remote.as_deref().unwrap_or_default());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::from(output)).spawn().map_err(io_failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            let document = document.to_owned();
            // It need not read it, and nobody waits for that: what it started may hold its input open for ever.
            thread::spawn(move || stdin.write_all(document.as_bytes()).unwrap_or_default());
        }
        match self.wait(&mut child, monitor).map_err(io_failed)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(failed(status.to_string())),
            None if monitor.is_cancelled() => Err(Error::Cancelled),
            None => Err(failed(format!("it took longer than {} s, and was killed", self.patience.as_secs()))),
        }
    }

    /// Its status; `None` if it was killed.
    fn wait(&self, child: &mut Child, monitor: &dyn Monitor) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + self.patience;
        let mut look = FIRST_LOOK;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if monitor.is_cancelled() || Instant::now() >= deadline {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    // It may have ended just now.
                    kill_process_group(group, Signal::KILL).unwrap_or_default();
                }
                child.wait()?;
                return Ok(None);
            }
            thread::sleep(look);
            look = LOOK.min(look * 2);
        }
    }
}
