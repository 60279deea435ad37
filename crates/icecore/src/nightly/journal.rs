//! What happened last, on this machine.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use icecore_format::{Digest, SnapshotId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::step::{Grade, Step, StepReport, Task};
use crate::{Error, Result, io_message};

/// A machine's record of its last runs. It lies beside the index, and like that it may be lost: then nobody knows when something failed, and what is due is
/// told by the snapshots alone.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
    file: String,
}

/// What it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entries {
    /// The last run of each service.
    pub services: BTreeMap<String, Run>,
    /// The last steps for the whole store.
    pub store: Vec<Record>,
    /// The last test restore of each service: the evidence goes with the snapshot that it is of.
    pub proofs: BTreeMap<String, Record>,
    /// The last time that a snapshot of each service was read back.
    pub verified: BTreeMap<String, Record>,
    /// When something last arrived in each remote.
    pub pushed: BTreeMap<String, Timestamp>,
    /// Why it cannot be read, if it cannot.
    #[serde(skip)]
    pub fault: Option<String>,
}

/// The last run of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub begun: Timestamp,
    /// When it ended, if it did.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// Whether it neither ended nor goes on.
    #[serde(skip)]
    pub died: bool,
    /// What it came to; of a run that died, what it had come to.
    pub steps: Vec<Record>,
}

/// A step that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which.
    #[serde(flatten)]
    pub task: Task,
    /// When it was over.
    pub at: Timestamp,
    /// How it ended.
    pub grade: Grade,
    /// Why, or what was seen: the first sentence.
    pub remark: Option<String>,
    /// The snapshot that it is about.
    pub snapshot: Option<SnapshotId>,
}

/// Held while a service's steps are done: nobody else does them.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "closing it lets others in")] File);

impl Run {
    fn begun(now: Timestamp) -> Self {
        Self { begun: now, ended: None, died: false, steps: Vec::new() }
    }
}

impl Entries {
    /// What is remembered longer than until the next run.
    fn keep(&mut self, record: &Record) {
        if !matches!(record.grade, Grade::Done | Grade::Failed) {
            return;
        }
        let Task { step, service, remote } = &record.task;
        match (step, service, remote) {
            (Step::Prove, Some(service), _) => drop(self.proofs.insert(service.clone(), record.clone())),
            (Step::Verify, Some(service), _) => drop(self.verified.insert(service.clone(), record.clone())),
            (Step::Push, _, Some(remote)) if record.grade == Grade::Done => {
                self.pushed.insert(remote.clone(), record.at);
            }
            _ => (),
        }
    }
}

impl Journal {
    /// That of the machine `host`, in `dir`, which is made when something is written.
    pub fn new(dir: &Path, host: &str) -> Self {
        let name: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Self { dir: dir.to_owned(), file: format!("{name}.json") }
    }

    /// What it says; nothing, if there is none.
    pub fn read(&self) -> Entries {
        let fault = |why: String| {
            let fault = format!("cannot use {}: {why}; it may be deleted", self.path().display());
            Entries { fault: Some(fault), ..Entries::default() }
        };
        let mut entries: Entries = match fs::read(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::default(),
            Err(error) => fault(io_message(&error)),
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| fault(error.to_string())),
        };
        for (service, run) in &mut entries.services {
            run.died = run.ended.is_none() && matches!(self.turn(service), Ok(Some(_)));
        }
        entries
    }

    /// A service's run has ended.
    pub(super) fn end(&self, service: &str, now: Timestamp) -> Result<()> {
        self.change(|entries| {
            if let Some(run) = entries.services.get_mut(service) {
                run.ended = Some(now);
            }
        })
    }

    /// A service's run begins.
    pub(super) fn begin(&self, service: &str, now: Timestamp) -> Result<()> {
        self.change(|entries| {
            entries.services.insert(service.to_owned(), Run::begun(now));
        })
    }

    /// A step is over.
    pub(super) fn add(&self, report: &StepReport, now: Timestamp) -> Result<()> {
        let record = Record {
            task: report.task.clone(),
            at: now,
            grade: report.grade(),
            remark: report.remarks().into_iter().next(),
            snapshot: report.snapshot(),
        };
        self.change(|entries| {
            entries.keep(&record);
            let steps = match &record.task.service {
                Some(service) => {
                    let none = || Run::begun(now);
                    &mut entries.services.entry(service.clone()).or_insert_with(none).steps
                }
                None => &mut entries.store,
            };
            steps.retain(|known| known.task != record.task);
            steps.push(record);
        })
    }

    /// The turn of a service; `None` while somebody else has it for longer than it takes to look whether somebody has.
    pub(super) fn wait_for_turn(&self, service: &str) -> Result<Option<Turn>> {
        for _ in 0..20 {
            if let Some(turn) = self.turn(service)? {
                return Ok(Some(turn));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }

    fn turn(&self, service: &str) -> Result<Option<Turn>> {
        let digest = Digest::of(service.as_bytes()).to_hex();
        let file = self.lock_file(&format!("{}.lock", digest.get(..16).unwrap_or(&digest)));
        match file.map(|file| (file.try_lock(), file)).map_err(|error| self.fault(error))? {
            (Ok(()), file) => Ok(Some(Turn(file))),
            (Err(TryLockError::WouldBlock), _) => Ok(None),
            (Err(TryLockError::Error(error)), _) => Err(self.fault(error)),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(&self.file)
    }

    fn change(&self, change: impl FnOnce(&mut Entries)) -> Result<()> {
        let lock = self.lock_file("journal.lock").and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|error| self.fault(error))?;
        let mut entries = self.read();
        change(&mut entries);
        let written = self.write(&entries).map_err(|error| self.fault(error));
        drop(lock);
        written
    }

    /// A lock on a file that never goes: one on a file without a name keeps nobody out.
    fn lock_file(&self, name: &str) -> io::Result<File> {
        fs::create_dir_all(&self.dir)?;
        File::options().create(true).truncate(false).write(true).open(self.dir.join(name))
    }

    fn write(&self, entries: &Entries) -> io::Result<()> {
        let new = self.dir.join(format!("{}.new", self.file));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(entries)?)?;
        file.sync_all()?;
        fs::rename(&new, self.path())
    }

    fn fault(&self, source: io::Error) -> Error {
        Error::Journal { path: self.path(), source }
    }
}
