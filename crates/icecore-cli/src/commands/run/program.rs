//! A program that runs with our terminal: it gets what is typed and the signals of the keys, and we wait for it.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use icecore::io_message;
use rustix::fs::{Access, access};
use signal_hook::low_level::signal_name;

use super::attended;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Millis, printable};

/// What shells end with if there is no such program.
const NOT_FOUND: u8 = 127;
/// And if there is one that cannot be run.
const NOT_RUN: u8 = 126;

/// A program and its arguments.
pub(super) struct Program(Vec<OsString>);

/// How it ended.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// What it ended with, unless a signal ended it.
    pub(super) status: Option<u8>,
    /// The signal that did.
    pub(super) signal: Option<i32>,
    /// Why it did not even begin.
    missing: Option<String>,
    pub(super) duration: Millis,
}

/// Why a program cannot be started.
pub(super) struct Missing {
    code: u8,
    why: String,
}

impl Missing {
    fn of(program: &Path, error: &io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN };
        Self {
            code,
            why: format!("cannot run {}: {}", printable(&program.display().to_string()), io_message(error)),
        }
    }

    /// As an error, with the status that a shell would end with.
    pub(super) fn failure(self) -> CommandError {
        CommandError::new(ExitStatus::of_command(self.code), self.why)
            .hint("nothing was done; a line for the shell is run by `sh -c 'LINE'`")
    }
}

impl Program {
    pub(super) fn new(words: Vec<OsString>) -> Self {
        Self(words)
    }

    fn path(&self) -> &Path {
        self.0.first().map_or(Path::new(""), Path::new)
    }

    /// Looks whether it is there. Who misspelt it need not wait for a snapshot.
    pub(super) fn find(&self, context: &Context) -> std::result::Result<(), Missing> {
        let name = self.path();
        let is_program = |path: &Path| match path.metadata() {
            Ok(meta) if meta.is_dir() => Err(io::ErrorKind::PermissionDenied.into()),
            Ok(_) => access(path, Access::EXEC_OK).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        let places: Vec<PathBuf> = match name.as_os_str().as_bytes().contains(&b'/') {
            true => vec![context.cwd.join(name)],
            false => {
                let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
                std::env::split_paths(&path).map(|dir| context.cwd.join(dir).join(name)).collect()
            }
        };
        let mut why = io::Error::from(io::ErrorKind::NotFound);
        for place in places {
            match is_program(&place) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => why = error,
                Err(_) => (),
            }
        }
        match why.kind() {
            io::ErrorKind::NotFound => {
                let name = printable(&name.display().to_string()).to_string();
                Err(Missing { code: NOT_FOUND, why: format!("there is no program {name}") })
            }
            _ => Err(Missing::of(name, &why)),
        }
    }

    /// Runs it to its end. With --json its standard output goes to standard error.
    pub(super) fn run(&self, ui: &Ui) -> Result<Outcome> {
        let Some((program, arguments)) = self.0.split_first() else {
            return Err(CommandError::usage("say what to run"));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        if ui.json {
            let stderr = io::stderr().as_fd().try_clone_to_owned();
            command.stdout(Stdio::from(stderr.map_err(CommandError::io("cannot write to standard error"))?));
        }
        let started = Instant::now();
        let ended = match attended::run(&mut command) {
            Ok(ended) => ended.map_err(CommandError::io("cannot wait for the command"))?,
            Err(error) => {
                let Missing { code, why } = Missing::of(Path::new(program), &error);
                let duration = Millis::since(started);
                return Ok(Outcome { status: Some(code), signal: None, missing: Some(why), duration });
            }
        };
        Ok(Outcome {
            status: ended.code().map(|code| u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            signal: ended.signal(),
            missing: None,
            duration: Millis::since(started),
        })
    }
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        self.status == Some(0)
    }

    /// What a shell would say: the status, or 128 and the signal's number.
    pub(super) fn code(&self) -> u8 {
        let of_signal =
            || u8::try_from(self.signal.unwrap_or(0)).map_or(u8::MAX, |signal| signal.saturating_add(128));
        self.status.unwrap_or_else(of_signal)
    }

    /// How it ended, as the end of a sentence.
    pub(super) fn told(&self) -> String {
        match (&self.missing, self.status, self.signal) {
            (Some(why), _, _) => format!("was not started: {why}"),
            (None, Some(0), _) => format!("succeeded in {}", self.duration),
            (None, Some(status), _) => format!("failed with status {status} after {}", self.duration),
            (None, None, signal) => {
                let signal = signal.unwrap_or(0);
                let name = signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned);
                format!("was ended by {name} after {}", self.duration)
            }
        }
    }
}
