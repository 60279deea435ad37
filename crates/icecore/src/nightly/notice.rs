//! What others are told of a service's night, or of the store's.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::step::{StepReport, Task};
use crate::format_time;

/// Bytes of a text that others are told. Who looks after many machines reads no more, and some servers take no more.
const TEXT_MAX: usize = 10_000;
/// Remarks on one step, and ids, that others are told. What is too long is refused by some servers, and that on the night that matters.
const LISTED_MAX: usize = 20;
/// Bytes of one remark.
const REMARK_MAX: usize = 1_000;

/// The steps that are over, and what was wrong with them.
#[derive(Debug)]
pub(super) struct Notice {
    host: String,
    /// `None` for the store.
    service: Option<String>,
    steps: Vec<Value>,
    faults: Vec<String>,
}

impl Notice {
    /// Nothing has happened yet.
    pub(super) fn new(host: &str, service: Option<&str>) -> Self {
        let service = service.map(str::to_owned);
        Self { host: host.to_owned(), service, steps: Vec::new(), faults: Vec::new() }
    }

    /// A step is over.
    pub(super) fn add(&mut self, report: &StepReport) {
        self.steps.push(shortened(report.document()));
        if report.grade().is_bad() {
            let Task { step, remote, .. } = &report.task;
            let of = remote.as_ref().map_or_else(|| step.to_string(), |remote| format!("{step} {remote}"));
            self.faults.push(format!("{of}: {}", report.remarks().join("; ")));
        }
    }

    /// Something else is not as it should be.
    pub(super) fn warn(&mut self, warning: String) {
        self.faults.push(warning);
    }

    /// Whether nobody needs to look.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// For people: one line, and below it one for all that is wrong.
    pub(super) fn text(&self) -> String {
        let what = self.service.as_deref().unwrap_or("the store");
        let mut text = match self.faults.len() {
            0 => format!("icecore: {what} on {}: all went well", self.host),
            _ => format!("icecore: {what} on {}: not all went well", self.host),
        };
        for fault in &self.faults {
            text.push('\n');
            text.push_str(fault);
        }
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text
    }

    /// For programs, that are told `at` this time. What is told twice, for the first answer was lost, is the same both times.
    pub(super) fn document(&self, at: Timestamp) -> Value {
        json!({
            "at": format_time(at),
            "host": self.host,
            "service": self.service,
            "ok": self.is_good(),
            "text": self.text(),
            "steps": self.steps,
        })
    }
}

/// A step without what is too much of it, and how much that was.
fn shortened(mut step: Value) -> Value {
    let mut cut = |name: &str| {
        let Some(listed) = step.get_mut(name).and_then(Value::as_array_mut) else { return 0 };
        let left_out = listed.len().saturating_sub(LISTED_MAX);
        listed.truncate(LISTED_MAX);
        for text in listed {
            if let Value::String(text) = text {
                text.truncate(text.floor_char_boundary(REMARK_MAX));
            }
        }
        left_out
    };
    let (remarks, ids) = (cut("remarks"), cut("snapshots") + cut("deleted"));
    if let Some(step) = step.as_object_mut() {
        step.extend([
            ("remarks_left_out".to_owned(), remarks.into()),
            ("ids_left_out".to_owned(), ids.into()),
        ]);
    }
    step
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use icecore_format::SnapshotId;
    use icecore_store::{Finding, FindingKind, Sent, VerifyReport};

    use super::*;
    use crate::nightly::{Outcome, Step};

    fn over(step: Step, outcome: Outcome) -> StepReport {
        StepReport { task: Task::of(step, "shop"), outcome, duration: Duration::ZERO }
    }

    #[test]
    fn what_others_are_told_is_short_however_much_was_found() {
        let finding = |n: usize| Finding {
            kind: FindingKind::Pack,
            object: format!("packs/{n}"),
            message: "é".repeat(3_000),
            healable: false,
            snapshots: Default::default(),
        };
        let findings = (0..5_000).map(finding).collect();
        let published = vec![SnapshotId::from_bytes([7; 32]); 3_000];
        let mut notice = Notice::new("host", Some("shop"));
        notice.add(&over(
            Step::Verify,
            Outcome::Verified(VerifyReport { findings, ..VerifyReport::default() }),
        ));
        notice.add(&over(Step::Push, Outcome::Pushed(Sent { published, ..Sent::default() })));
        let document = notice.document(Timestamp::UNIX_EPOCH);
        assert!(document.to_string().len() < 64 << 10, "{}", document.to_string().len());
        assert_eq!(document["at"], "1970-01-01T00:00:00.000000Z");
        let [verify, push] = &document["steps"].as_array().unwrap()[..] else { panic!("{document}") };
        assert_eq!(verify["remarks"].as_array().unwrap().len(), 20);
        assert_eq!([&verify["remarks_left_out"], &verify["ids_left_out"]], [4_980, 0]);
        assert_eq!(push["snapshots"].as_array().unwrap().len(), 20);
        assert_eq!([&push["remarks_left_out"], &push["ids_left_out"]], [0, 2_980]);
    }
}
