//! The data directory of a server that is stopped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use icecore_format::Part;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::CONTROL;
use crate::files::{DirectoryTarget, Placement, Warnings};
use crate::{RestoreError, Survey, Target};

/// What a server that runs has in its directory: its process number comes first, its start third.
pub(super) const LOCK: &str = "postmaster.pid";
/// What `CONTROL` is called until all else is there.
const CONTROL_NEW: &str = "global/pg_control.ice_new";

/// A data directory that is being restored.
///
/// In place, all is looked at first. Then the file without which no server starts gets another name before anything else is changed, and its own back last: what was not finished cannot
/// be taken for whole. What is restored belongs to whom the directory belonged before.
#[derive(Debug)]
pub struct DataDirectory {
    files: DirectoryTarget,
    path: PathBuf,
    /// Whose it is, if it is there.
    owner: Option<(u32, u32)>,
    in_place: bool,
    begun: bool,
    /// What the file said when all was looked at: each server that starts writes to it.
    control: Option<Vec<u8>>,
}

impl DataDirectory {
    /// Prepares to restore to `path`; not to `protected` directories, such as the store's own.
    pub fn new(path: &Path, placement: Placement, protected: &[PathBuf]) -> Result<Self, RestoreError> {
        let there = fs::metadata(path).ok();
        Ok(Self {
            files: DirectoryTarget::new(path, placement)?.protect(protected)?,
            path: path.to_owned(),
            owner: there.as_ref().map(|there| (there.uid(), there.gid())),
            in_place: placement == Placement::InPlace && there.is_some(),
            begun: false,
            control: None,
        })
    }

    /// Takes away the file without which no server starts. One that was faster gets it back, and is left alone.
    fn hold_back_control(&self) -> Result<(), RestoreError> {
        let (control, held_back) = (self.path.join(CONTROL), self.path.join(CONTROL_NEW));
        match fs::rename(&control, &held_back) {
            Ok(()) => sync_above(&control)?,
            // An earlier restore was interrupted: the file of that is as good.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return refuse_server(&self.path),
            Err(error) => return Err(RestoreError::write("cannot rename", &control)(error)),
        }
        refuse_server(&self.path).and_then(|()| self.refuse_changed(&held_back)).or_else(|refused| {
            fs::rename(&held_back, &control).map_err(RestoreError::write("cannot bring back", &control))?;
            sync_above(&control)?;
            Err(refused)
        })
    }

    /// Refuses what is not as it was when it was looked at: a server may have come and gone.
    fn refuse_changed(&self, control: &Path) -> Result<(), RestoreError> {
        match self.control.is_none() || fs::read(control).ok() == self.control {
            true => Ok(()),
            false => Err(RestoreError::Refused(format!(
                "a PostgreSQL server has run on {} meanwhile",
                self.path.display()
            ))),
        }
    }

    /// What could not be restored as it should be; complete when `finish` has returned.
    pub fn warnings(&self) -> Warnings {
        self.files.warnings()
    }
}

impl Target for DataDirectory {
    fn survey(&mut self) -> Result<Option<Box<dyn Survey>>, RestoreError> {
        self.control = fs::read(self.path.join(CONTROL)).ok();
        self.files.survey()
    }

    fn begin(&mut self, part: &Part) -> Result<(), RestoreError> {
        if self.in_place && !self.begun {
            self.begun = true;
            self.hold_back_control()?;
        }
        let mut part = part.clone();
        if let (Some((uid, gid)), Some(file)) = (self.owner, &mut part.file) {
            (file.uid, file.gid) = (uid, gid);
        }
        if self.in_place && part.name == CONTROL.as_bytes() {
            part.name = CONTROL_NEW.into();
        }
        self.files.begin(&part)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        self.files.write(bytes)
    }

    fn existing(&mut self, len: usize) -> Result<Option<Vec<u8>>, RestoreError> {
        self.files.existing(len)
    }

    fn is_as_surveyed(&self) -> bool {
        self.files.is_as_surveyed()
    }

    fn keep(&mut self, len: usize) -> Result<(), RestoreError> {
        self.files.keep(len)
    }

    fn end(&mut self) -> Result<(), RestoreError> {
        self.files.end()
    }

    fn finish(self: Box<Self>) -> Result<(), RestoreError> {
        let Self { files, path, in_place, .. } = *self;
        // Building took its time.
        refuse_server(&path)?;
        Box::new(files).finish()?;
        if !in_place {
            return Ok(());
        }
        let control = path.join(CONTROL);
        fs::rename(path.join(CONTROL_NEW), &control).map_err(RestoreError::write("cannot make", &control))?;
        sync_above(&control)
    }
}

/// Makes a name in a directory durable.
fn sync_above(path: &Path) -> Result<(), RestoreError> {
    let directory = path.parent().unwrap_or(path);
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(RestoreError::write("cannot sync", directory))
}

/// What says that a server runs on a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLock {
    /// The server's process, as the server numbers it: in a container others have that number.
    pub pid: Option<i32>,
    /// Whether a process of that number runs here.
    pub runs: bool,
}

impl ServerLock {
    /// That of a directory, if it has one.
    pub fn of(directory: &Path) -> Option<Self> {
        let text = match fs::read(directory.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // One that may not be read is one.
            read => read.unwrap_or_default(),
        };
        let line = text.split(|byte| *byte == b'\n').next()?;
        let pid = std::str::from_utf8(line).ok().and_then(|line| line.trim().parse::<i32>().ok());
        let process = pid.filter(|pid| *pid > 0).and_then(Pid::from_raw);
        let runs = process.is_some_and(|process| test_kill_process(process) != Err(Errno::SRCH));
        Some(Self { pid, runs })
    }
}

/// What of a cluster lies elsewhere, by links that no restore makes again; in words.
pub fn lies_elsewhere(directory: &Path) -> Option<String> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if is_link(&directory.join("pg_wal")) {
        return Some(format!("the log of {} lies elsewhere, by the link pg_wal", directory.display()));
    }
    let mut tablespaces = fs::read_dir(directory.join("pg_tblspc")).ok()?.flatten();
    let tablespace = tablespaces.find(|entry| is_link(&entry.path()))?;
    Some(format!(
        "a tablespace of {} lies elsewhere, by the link {}",
        directory.display(),
        tablespace.path().display()
    ))
}

/// Refuses a directory that a server runs on, or may run on.
pub fn refuse_server(directory: &Path) -> Result<(), RestoreError> {
    let Some(lock) = ServerLock::of(directory) else { return Ok(()) };
    let shown = directory.display();
    Err(RestoreError::Refused(match lock {
        ServerLock { runs: true, pid: Some(pid) } => {
            format!("a PostgreSQL server runs on {shown}, process {pid}: stop it first")
        }
        _ => format!(
            "{} says that a PostgreSQL server runs on {shown}, which is not in sight: stop it if it runs in a container, remove the file if it crashed",
            directory.join(LOCK).display()
        ),
    }))
}

#[cfg(test)]
mod tests {
    use icecore_format::{Digest, PartKind};

    use super::*;

    #[test]
    fn a_server_that_starts_in_between_keeps_its_control_file() {
        let check = |meddle: &dyn Fn(&Path), said: &str, control: &str| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(CONTROL);
            fs::create_dir(directory.path().join("global")).unwrap();
            fs::write(&path, "what the server knows").unwrap();
            let mut target = DataDirectory::new(directory.path(), Placement::InPlace, &[]).unwrap();
            assert!(target.survey().unwrap().is_some());
            meddle(directory.path());
            let part = Part {
                name: b"PG_VERSION".to_vec(),
                kind: PartKind::File,
                offset: 0,
                len: 0,
                hash: Digest::of(b""),
                rows: None,
                file: None,
            };
            let refused = target.begin(&part).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
            assert_eq!(fs::read(&path).unwrap(), control.as_bytes());
            assert!(!directory.path().join(CONTROL_NEW).exists());
        };
        let runs = |directory: &Path| {
            fs::write(directory.join(LOCK), format!("{}\n", std::process::id())).unwrap();
        };
        check(&runs, "server runs on", "what the server knows");
        let has_run = |directory: &Path| fs::write(directory.join(CONTROL), "what it knows now").unwrap();
        check(&has_run, "server has run on", "what it knows now");
    }
}
