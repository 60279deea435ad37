//! What a command says besides its output, kept in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::CaptureError;

/// What is read of it at most, from its end.
const LEN_MAX: u64 = 64 << 10;

/// Where a command's messages go.
#[derive(Debug)]
pub(crate) struct Messages(File);

impl Messages {
    pub(crate) fn new() -> Result<Self, CaptureError> {
        let made = memfd_create("messages", MemfdFlags::CLOEXEC);
        made.map(|fd| Self(fd.into())).map_err(|error| failed(&error.into()))
    }

    pub(super) fn stdio(&self) -> Result<Stdio, CaptureError> {
        self.0.try_clone().map(Stdio::from).map_err(|error| failed(&error))
    }

    /// What has been said so far.
    pub(crate) fn text(&self) -> String {
        let len = self.0.metadata().map_or(0, |meta| meta.len());
        let mut bytes = vec![0; usize::try_from(len.min(LEN_MAX)).unwrap_or_default()];
        let read = self.0.read_exact_at(&mut bytes, len.saturating_sub(LEN_MAX));
        read.map(|()| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

fn failed(error: &io::Error) -> CaptureError {
    CaptureError::Source(format!("there is no room for what a program has to say: {error}"))
}
