//! Where an export goes: a file that takes its place when it is whole, or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use icecore_engine::RestoreError;
use icecore_engine::files::file_beside;
use tempfile::NamedTempFile;

use crate::{Error, Result};

/// How many bytes are written at once.
const WRITE_LEN: usize = 256 << 10;

/// Takes an export's bytes. Dropped unfinished, it leaves no file.
#[derive(Debug)]
pub(super) enum Output {
    File { beside: BufWriter<NamedTempFile>, path: PathBuf, parent: PathBuf, replace: bool },
    Stdout(BufWriter<Stdout>),
}

impl Output {
    /// A file at `path`; one that is there goes only with `replace`.
    pub(super) fn file(path: &Path, replace: bool) -> Result<Self> {
        let write = |error| failed("cannot write", path, error);
        let found = path.symlink_metadata().ok();
        if found.is_some() && !replace {
            return Err(Error::TargetExists { path: path.to_owned() });
        }
        // What a link leads to is replaced, not the link.
        let path = match &found {
            Some(_) => path.canonicalize(),
            None => std::path::absolute(path),
        };
        let path = path.map_err(write)?;
        // A device or a pipe would go, and a file come in its place.
        let is_other = found.is_some() && !path.is_file();
        let (Some(parent), Some(name), false) = (path.parent(), path.file_name(), is_other) else {
            return Err(Error::Unfitting(format!("{} is no place for a file", path.display())));
        };
        let parent = parent.to_owned();
        let beside = file_beside(&parent, name);
        let beside = beside.map_err(|error| failed("cannot create a file in", &parent, error))?;
        let beside = BufWriter::with_capacity(WRITE_LEN, beside);
        Ok(Self::File { beside, path, parent, replace })
    }

    pub(super) fn stdout() -> Self {
        Self::Stdout(BufWriter::with_capacity(WRITE_LEN, io::stdout()))
    }

    /// The file itself, for who writes at places of his choice.
    pub(super) fn unbuffered(&self) -> Result<File> {
        match self {
            Self::Stdout(_) => Err(Error::Unfitting("a store cannot go to standard output".to_owned())),
            Self::File { beside, path, .. } => {
                beside.get_ref().as_file().try_clone().map_err(|error| failed("cannot write", path, error))
            }
        }
    }

    /// Makes everything durable, then visible.
    pub(super) fn finish(self) -> Result<()> {
        let (beside, path, parent, replace) = match self {
            Self::Stdout(mut out) => return Ok(out.flush().map_err(|error| failure(None, error))?),
            Self::File { beside, path, parent, replace } => (beside, path, parent, replace),
        };
        let write = |error| failed("cannot write", &path, error);
        let beside = beside.into_inner().map_err(|error| write(error.into_error()))?;
        beside.as_file().sync_all().map_err(write)?;
        let persisted = if replace { beside.persist(&path) } else { beside.persist_noclobber(&path) };
        persisted.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Error::TargetExists { path: path.clone() },
            _ => write(error.error),
        })?;
        let sync = File::open(&parent).and_then(|directory| directory.sync_all());
        sync.map_err(|error| failed("cannot sync", &parent, error))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { beside, .. } => beside.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { beside, .. } => beside.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

/// What a failed write means to a file, or to standard output.
pub(super) fn failure(path: Option<&Path>, error: io::Error) -> RestoreError {
    let path = match (path, error.kind()) {
        (None, io::ErrorKind::BrokenPipe) => return RestoreError::Closed,
        (None, _) => Path::new("standard output"),
        (Some(path), _) => path,
    };
    RestoreError::Write { action: "cannot write", path: path.to_owned(), source: error }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    RestoreError::Write { action, path: path.to_owned(), source }.into()
}
