//! What is remembered of nights, and how it comes about.

use std::collections::BTreeMap;

use icecore_format::SnapshotId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::step::{Grade, Step, Task};

/// What the journal says.
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
    /// What is wrong with it, if something is.
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

/// What is written down of a night.
#[derive(Debug)]
pub(super) enum Event {
    /// A service's run begins.
    Begun { service: String, at: Timestamp },
    /// A step is over.
    Over(Box<Record>),
    /// A service's run has ended.
    Ended { service: String, at: Timestamp },
}

impl Record {
    /// Whether somebody should look. Whether it could be tried to restore something is judged by how long ago that was.
    pub(crate) fn is_bad(&self) -> bool {
        self.grade == Grade::Failed || (self.grade == Grade::Warned && self.task.step != Step::Prove)
    }
}

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

impl Event {
    /// Whose it is; `None` for the store.
    pub(super) fn service(&self) -> Option<&str> {
        match self {
            Self::Begun { service, .. } | Self::Ended { service, .. } => Some(service),
            Self::Over(record) => record.task.service.as_deref(),
        }
    }

    /// Whatever is known already is known once.
    pub(super) fn apply(&self, entries: &mut Entries) {
        match self {
            Self::Begun { service, at } => {
                entries.services.insert(service.clone(), Run::begun(*at));
            }
            Self::Ended { service, at } => {
                if let Some(run) = entries.services.get_mut(service) {
                    run.ended = Some(*at);
                }
            }
            Self::Over(record) => {
                entries.keep(record);
                let steps = match &record.task.service {
                    Some(service) => {
                        let none = || Run::begun(record.at);
                        &mut entries.services.entry(service.clone()).or_insert_with(none).steps
                    }
                    None => &mut entries.store,
                };
                steps.retain(|known| known.task != record.task);
                steps.push((**record).clone());
            }
        }
    }
}
