//! The programs of a server of our own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Folder;
use crate::RestoreError;
use crate::command::{parent_death, running};

/// What a program may need for what is no work.
const PATIENCE: Duration = Duration::from_secs(120);
/// And to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);
/// How long it may take from the end of its connections to its own.
const DEATH_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(25);
/// What is read of a log, from its end.
const LOG_LEN_MAX: u64 = 64 << 10;

/// Where programs are looked for.
pub(crate) struct Programs;

impl Programs {
    /// All that are called so, those in the `PATH` first. Servers lie where only administrators look.
    pub(crate) fn find(name: &str) -> Vec<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/sbin"].map(PathBuf::from);
        let folders = std::env::split_paths(&path).chain(usual);
        let mut found: Vec<PathBuf> =
            folders.map(|folder| folder.join(name)).filter(|path| path.is_file()).collect();
        found.dedup();
        found
    }

    /// What a program prints for `--version`.
    pub(crate) fn version(path: &Path) -> Option<String> {
        let mut command = Command::new(path);
        command.arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// A program that runs in a folder, and ends with this.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
    /// How it is asked to end.
    farewell: Signal,
    is_reaped: bool,
}

impl Process {
    /// Starts one, which knows nothing of our environment. The system ends it with the *thread* that starts it.
    pub(crate) fn start(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        folder: &Folder,
        farewell: Signal,
    ) -> Result<Self, RestoreError> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = folder.path().join(format!("{name}.log"));
        let started = || {
            let messages = File::options().append(true).create(true).open(&log)?;
            let mut wrapped: Vec<OsString> = parent_death().into_iter().map(OsString::from).collect();
            wrapped.push(program.into());
            wrapped.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
            let mut words = wrapped.into_iter();
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words).env_clear().current_dir(folder.path()).process_group(0);
            command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into()));
            command.env("LC_ALL", "C").env("TMPDIR", folder.path()).env("HOME", folder.path());
            command.stdin(Stdio::null()).stdout(messages.try_clone()?).stderr(messages);
            if let Some((user, group)) = folder.user {
                command.uid(user).gid(group);
            }
            command.spawn()
        };
        let child = started().map_err(RestoreError::write("cannot run", program))?;
        let pid = Pid::from_child(&child);
        running().push(pid);
        Ok(Self { name, child, pid, log, farewell, is_reaped: false })
    }

    /// Waits until it has ended, and well.
    pub(crate) fn finish(mut self, is_cancelled: &dyn Fn() -> bool) -> Result<(), RestoreError> {
        self.wait_until(is_cancelled, PATIENCE, || false)?;
        let status = self.reap();
        match status {
            Some(status) if status.success() => Ok(()),
            _ => Err(self.complaint("failed")),
        }
    }

    /// Waits until it answers.
    pub(crate) fn wait_ready(
        &mut self,
        is_cancelled: &dyn Fn() -> bool,
        most: Duration,
        is_ready: impl FnMut() -> bool,
    ) -> Result<(), RestoreError> {
        match self.wait_until(is_cancelled, most, is_ready)? {
            true => Ok(()),
            false => Err(self.complaint("ended before it answered")),
        }
    }

    /// True when it is so; false if the program has ended before.
    fn wait_until(
        &mut self,
        is_cancelled: &dyn Fn() -> bool,
        most: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<bool, RestoreError> {
        let since = Instant::now();
        loop {
            if is_cancelled() {
                return Err(RestoreError::Cancelled);
            }
            if self.has_ended() {
                return Ok(false);
            }
            if is_so() {
                return Ok(true);
            }
            if since.elapsed() > most {
                let what = format!("did not answer for {} seconds", most.as_secs());
                return Err(self.complaint(&what));
            }
            sleep(PAUSE);
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.is_reaped || {
            let has_ended = !matches!(self.child.try_wait(), Ok(None));
            if has_ended {
                self.forget();
            }
            has_ended
        }
    }

    /// What it died of, if it did. Whoever notices first that a connection is lost gives it a moment.
    pub(crate) fn death(&mut self) -> Option<RestoreError> {
        let deadline = Instant::now() + DEATH_MAX;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return None;
            }
            sleep(PAUSE);
        }
        Some(self.complaint("ended in the middle"))
    }

    /// What became of it, with the last that it has to say.
    pub(crate) fn complaint(&self, what: &str) -> RestoreError {
        let said = tail(&self.log).map(|said| format!(": {said}")).unwrap_or_default();
        RestoreError::Server(format!("the {} of our own {what}{said}", self.name))
    }

    fn forget(&mut self) {
        running().retain(|pid| *pid != self.pid);
        self.is_reaped = true;
    }

    fn reap(&mut self) -> Option<std::process::ExitStatus> {
        let status = self.child.wait().ok();
        self.forget();
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let _ = kill_process_group(self.pid, self.farewell);
        let deadline = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < deadline {
            sleep(PAUSE);
        }
        if !self.is_reaped {
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = self.reap();
        }
    }
}

/// The last line of a log that tells of something bad, or the last one.
fn tail(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let len = fs::metadata(log).map_or(0, |meta| meta.len());
    file.seek(SeekFrom::Start(len.saturating_sub(LOG_LEN_MAX))).ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_LEN_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    let is_bad = |line: &&str| ["FATAL", "PANIC", "ERROR", "error:"].iter().any(|bad| line.contains(bad));
    lines().find(is_bad).or_else(|| lines().next()).map(str::to_owned)
}
