//! Reading from a descriptor that may stay silent, such that the wait can be interrupted.
//!
//! The interruption travels as an [`io::Error`] through whatever reads, and is told from real failures by
//! [`is_interruption`]. Its kind is not `Interrupted`, which the standard library's loops would retry.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

/// How long a wait lasts before the user's wish to stop is looked at again.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Reads a pipe or a terminal, and stops waiting for it when `is_cancelled` says so.
pub struct PollReader<'a> {
    fd: BorrowedFd<'a>,
    is_cancelled: &'a dyn Fn() -> bool,
    /// The process that should write, to notice that it waits for a person.
    writer: Option<Pid>,
    /// How long there may be nothing.
    silence_max: Option<Duration>,
    /// A terminal goes on after its end: whoever reads on would need a second Ctrl-D.
    ended: bool,
}

impl std::fmt::Debug for PollReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollReader")
            .field("fd", &self.fd)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// Standard input, unbuffered; nothing else may read it meanwhile.
pub fn stdin_reader<'a>(is_cancelled: &'a dyn Fn() -> bool) -> PollReader<'a> {
    PollReader { fd: rustix::stdio::stdin(), is_cancelled, writer: None, silence_max: None, ended: false }
}

impl<'a> PollReader<'a> {
    pub(crate) fn of_child(fd: BorrowedFd<'a>, writer: Pid, is_cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { fd, is_cancelled, writer: Some(writer), silence_max: None, ended: false }
    }

    /// Of a connection to somebody who should not be silent for so long.
    pub(crate) fn of_peer(
        fd: BorrowedFd<'a>,
        silence_max: Duration,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Self {
        Self { fd, is_cancelled, writer: None, silence_max: Some(silence_max), ended: false }
    }

    fn wait(&self) -> io::Result<()> {
        let since = Instant::now();
        loop {
            if (self.is_cancelled)() {
                return Err(io::Error::other(Interruption));
            }
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut fds, Some(&TICK)) {
                // The end of the input and errors are events too: `read` tells which.
                Ok(ready) if ready > 0 => return Ok(()),
                Ok(_) if self.silence_max.is_some_and(|max| since.elapsed() > max) => {
                    let silence = format!("nothing was heard for {} s", since.elapsed().as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, silence));
                }
                Ok(_) => self.check_writer()?,
                Err(rustix::io::Errno::INTR) => (),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn check_writer(&self) -> io::Result<()> {
        match self.writer {
            Some(pid) if waits_for_terminal(pid) => Err(io::Error::other(WaitsForTerminal)),
            _ => Ok(()),
        }
    }
}

impl Read for PollReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            self.wait()?;
            match rustix::io::read(self.fd, &mut *buf) {
                Ok(len) => {
                    self.ended = len == 0 && !buf.is_empty();
                    return Ok(len);
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}

/// Whether a child was stopped because it asked something on the terminal, which belongs to us: it would wait for ever.
pub(crate) fn waits_for_terminal(pid: Pid) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let stopped_by =
        waitid(WaitId::Pid(pid), options).ok().flatten().and_then(|status| status.stopping_signal());
    stopped_by.is_some_and(|signal| [Signal::TTIN.as_raw(), Signal::TTOU.as_raw()].contains(&signal))
}

/// Whether an error is not a failure but the user's wish to stop.
pub(crate) fn is_interruption(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Interruption>()).is_some()
}

#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interruption;

/// A command that asks a question; said here and by `finish`.
#[derive(Debug, thiserror::Error)]
#[error(
    "the command wants to ask something on the terminal; give it its password by a file or the environment"
)]
pub(crate) struct WaitsForTerminal;
