//! What is done, and what came of it.

use std::fmt;
use std::time::Duration;

use icecore_format::{Evidence, SnapshotId};
use icecore_storage::without_secret;
use icecore_store::{GcReport, Sent, VerifyReport};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Created, Error, Pruned, sentence};

/// What is done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A snapshot is taken.
    Create,
    /// What it added is read back.
    Verify,
    /// It is restored into something that is thrown away, and looked at there.
    Prove,
    /// It goes to a remote.
    Push,
    /// Snapshots go that no policy keeps.
    Prune,
    /// What no snapshot needs goes.
    Gc,
    /// What was not verified for longest is read back.
    Sample,
}

/// One step: of a service or of the whole store, here or in a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What is done.
    pub step: Step,
    /// For which service, if it is for one.
    pub service: Option<String>,
    /// In which remote, if not here.
    pub remote: Option<String>,
}

/// What came of a step.
#[derive(Debug)]
pub enum Outcome {
    /// A snapshot was taken.
    Created(Box<Created>),
    /// So much was read back.
    Verified(VerifyReport),
    /// It was restored, well or not.
    Proved(Box<Evidence>),
    /// It could not be tried whether it can be restored, which says nothing of the snapshot.
    Untried(Error),
    /// A remote has what it lacked.
    Pushed(Sent),
    /// Some snapshots are gone.
    Pruned(Pruned),
    /// So much room is free again.
    Collected(GcReport),
    /// It was not begun, for this reason.
    Skipped(String),
    /// It failed.
    Failed(Error),
}

/// How a step ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should.
    Done,
    /// It was not begun.
    Skipped,
    /// It is done, and something was seen on the way.
    Warned,
    /// It failed, or found damage.
    Failed,
}

/// A step that is over.
#[derive(Debug)]
pub struct StepReport {
    /// Which.
    pub task: Task,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
}

impl Step {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Verify => "verify",
            Self::Prove => "prove",
            Self::Push => "push",
            Self::Prune => "prune",
            Self::Gc => "gc",
            Self::Sample => "sample",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Task {
    /// For one service, here.
    pub(super) fn of(step: Step, service: &str) -> Self {
        Self { step, service: Some(service.to_owned()), remote: None }
    }

    /// For the whole store.
    pub(super) fn of_store(step: Step) -> Self {
        Self { step, service: None, remote: None }
    }

    /// The same in a remote. Whoever writes a URL there may have written a secret into it, and this is told to many.
    pub(super) fn at(self, remote: &str) -> Self {
        Self { remote: Some(without_secret(remote)), ..self }
    }
}

impl Grade {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Warned => "warned",
            Self::Failed => "failed",
        }
    }

    /// Whether somebody should look.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Warned | Self::Failed)
    }
}

impl StepReport {
    /// How it ended.
    pub fn grade(&self) -> Grade {
        match &self.outcome {
            Outcome::Skipped(_) => Grade::Skipped,
            Outcome::Failed(_) => Grade::Failed,
            Outcome::Verified(report) if !report.findings.is_empty() => Grade::Failed,
            Outcome::Proved(evidence) if !evidence.is_ok() => Grade::Failed,
            Outcome::Pushed(sent) if !sent.failed.is_empty() => Grade::Failed,
            _ if self.remarks().is_empty() => Grade::Done,
            _ => Grade::Warned,
        }
    }

    /// The snapshot that it is about, if it is about one.
    pub fn snapshot(&self) -> Option<SnapshotId> {
        match &self.outcome {
            Outcome::Created(created) => Some(created.id),
            _ => None,
        }
    }

    /// All of it as JSON.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "service": self.task.service,
            "step": self.task.step,
            "remote": self.task.remote,
            "outcome": self.grade(),
            "remarks": self.remarks(),
            "duration_ms": u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
        });
        let more = match &self.outcome {
            Outcome::Created(created) => json!({
                "snapshot": created.id,
                "logical_bytes": created.info.logical_bytes,
                "stored_bytes": created.stored_bytes,
            }),
            Outcome::Verified(report) => json!({ "chunks": report.chunks, "bytes_read": report.bytes_read }),
            Outcome::Pushed(sent) => json!({ "snapshots": sent.published, "bytes": sent.bytes }),
            Outcome::Pruned(pruned) => json!({ "deleted": pruned.deleted }),
            Outcome::Collected(report) => {
                json!({ "bytes_freed": report.bytes_freed, "bytes_kept": report.bytes_kept })
            }
            Outcome::Proved(evidence) => json!({
                "engine": evidence.engine,
                "tables": evidence.tables,
                "rows": evidence.rows,
            }),
            Outcome::Skipped(_) | Outcome::Untried(_) | Outcome::Failed(_) => json!({}),
        };
        if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
            document.extend(more);
        }
        document
    }

    /// Why it was skipped or failed, or what was seen on the way: sentences.
    pub fn remarks(&self) -> Vec<String> {
        match &self.outcome {
            Outcome::Created(created) => created.findings.clone(),
            Outcome::Verified(report) => {
                let findings = report.findings.iter();
                findings.map(|finding| format!("{}: {}", finding.object, finding.message)).collect()
            }
            Outcome::Pushed(sent) => {
                let failed = sent
                    .failed
                    .iter()
                    .map(|it| format!("snapshot {} was not pushed: {}", it.id.brief(), sentence(&it.error)));
                let labels = sent.label_errors.iter();
                failed
                    .chain(labels.map(|error| format!("a label was not pushed: {}", sentence(error))))
                    .collect()
            }
            Outcome::Pruned(pruned) => {
                let incomplete = pruned.plan.incomplete.iter().map(|id| {
                    format!("something of snapshot {} is missing; an older one stays instead", id.brief())
                });
                pruned.plan.unread.iter().map(|error| sentence(error)).chain(incomplete).collect()
            }
            Outcome::Collected(report) => {
                let packs = report
                    .packs_damaged
                    .iter()
                    .map(|id| format!("pack {id} is damaged and was left as it is"));
                let harmed = report
                    .harmed
                    .iter()
                    .map(|id| format!("snapshot {} needs chunks that no pack holds", id.brief()));
                let bases = (report.bases_lost > 0)
                    .then(|| format!("{} chunks that deltas are coded on lie in no pack", report.bases_lost));
                let full = report.full.then(|| {
                    "the disk has too little room: not all that is partly dead was rewritten".to_owned()
                });
                packs.chain(harmed).chain(bases).chain(full).collect()
            }
            Outcome::Skipped(why) => vec![why.clone()],
            Outcome::Proved(evidence) => evidence.fault.clone().into_iter().collect(),
            Outcome::Untried(error) | Outcome::Failed(error) => vec![sentence(error)],
        }
    }
}
