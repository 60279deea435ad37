//! What others are told of a service's night, or of the store's.

use serde_json::{Value, json};

use super::step::{StepReport, Task};

/// Bytes of a text that others are told. Who looks after many machines reads no more, and some servers take no more.
const TEXT_MAX: usize = 10_000;

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
        self.steps.push(report.document());
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

    /// For programs.
    pub(super) fn document(&self) -> Value {
        json!({
            "host": self.host,
            "service": self.service,
            "ok": self.is_good(),
            "text": self.text(),
            "steps": self.steps,
        })
    }
}
