//! What is told at the end of a run.

use icecore::{Changes, PartChange, PartSize, PartVerdict, Snapshot};
use serde_json::{Value, json};

use super::offer::Undone;
use super::program::Outcome;
use super::{After, Run};
use crate::commands::show::restore_command;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, counted, printable};

/// As many changed parts are shown on a terminal.
const SHOWN_MAX: usize = 20;

/// A command that was run, and the snapshot before it.
pub(super) struct Ran {
    pub(super) name: Option<String>,
    pub(super) before: Snapshot,
    pub(super) outcome: Outcome,
}

impl Ran {
    /// How it ended, as a sentence.
    pub(super) fn told(&self, number: usize, count: usize) -> String {
        let told = self.outcome.told();
        match &self.name {
            Some(name) => format!("step {number} of {count}, {}, {told}", printable(name)),
            None => format!("the command {told}"),
        }
    }
}

/// All that is to be told.
pub(super) struct Report<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) ran: &'a [Ran],
    pub(super) undone: &'a Undone,
    pub(super) after: &'a After,
    pub(super) status: ExitStatus,
}

impl Report<'_> {
    pub(super) fn tell(&self, ui: &mut Ui) -> Result<()> {
        if ui.json {
            return ui.document(&self.document(ui));
        }
        let After { snapshot, changes, .. } = self.after;
        match (snapshot, changes) {
            (Some(_), Some(changes)) => tell_changes(ui, changes),
            (Some(after), None) if !self.after.is_unknown => ui.status(format_args!(
                "There are too many parts to compare them one by one; {} are in new or changed chunks.",
                Bytes(after.info().changed_bytes)
            )),
            _ => (),
        }
        Ok(())
    }

    fn document(&self, ui: &Ui) -> Value {
        let steps: Vec<Value> = self.ran.iter().map(|it| self.step(it)).collect();
        json!({
            "source": self.run.subject.name,
            "status": self.status.code(),
            "steps": steps,
            "rolled_back_to": self.undone.to.as_ref().map(|snapshot| snapshot.id),
            "restored": self.undone.restored,
            "after": self.after.snapshot.as_ref().map(|snapshot| snapshot.id),
            "changes": self.after.changes.as_ref().map(changes),
            "notes": ui.notes,
        })
    }

    fn step(&self, it: &Ran) -> Value {
        json!({
            "name": it.name,
            "snapshot": it.before.id,
            "status": it.outcome.status,
            "signal": it.outcome.signal,
            "duration_ms": it.outcome.duration.0,
            "restore": format!("{} --yes", restore_command(self.run.context, &it.before)),
        })
    }
}

fn tell_changes(ui: &mut Ui, changes: &Changes) {
    if changes.count() == 0 {
        ui.status(format_args!("Nothing has changed in {}.", counted(changes.same, "part")));
        return;
    }
    let counts = [
        (changes.changed, "changed"),
        (changes.new, "new"),
        (changes.gone, "gone"),
        (changes.same, "the same"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    ui.status(format_args!("Parts compared with before: {}.", counts.join(", ")));
    for part in changes.parts.iter().take(SHOWN_MAX) {
        ui.status(format_args!("  {}", line(part)));
    }
    let more = changes.count().saturating_sub(SHOWN_MAX as u64);
    if more > 0 {
        ui.status(format_args!("  and {more} more"));
    }
}

fn line(part: &PartChange) -> String {
    let name = match part.name.is_empty() {
        true => format!("({})", part.kind),
        false => printable(&part.name).to_string(),
    };
    let rows = |size: Option<PartSize>| size.and_then(|size| size.rows);
    let sizes = match (part.before, part.after) {
        (Some(before), Some(after)) => {
            let rows = match (before.rows, after.rows) {
                (Some(was), Some(is)) if was != is => format!("{was} rows before, {is} now; "),
                _ => String::new(),
            };
            match before.bytes == after.bytes {
                true => format!("{rows}{}", Bytes(after.bytes)),
                false => format!("{rows}{} before, {} now", Bytes(before.bytes), Bytes(after.bytes)),
            }
        }
        (one, other) => {
            let rows = rows(one.or(other)).map(|rows| counted(rows, "row") + ", ").unwrap_or_default();
            format!("{rows}{}", Bytes(one.or(other).map_or(0, |size| size.bytes)))
        }
    };
    format!("{:<8} {name}: {sizes}", word(part.verdict))
}

fn word(verdict: PartVerdict) -> &'static str {
    match verdict {
        PartVerdict::New => "new",
        PartVerdict::Changed => "changed",
        PartVerdict::Gone => "gone",
    }
}

fn changes(changes: &Changes) -> Value {
    let size = |size: Option<PartSize>| size.map(|size| json!({ "bytes": size.bytes, "rows": size.rows }));
    let parts: Vec<Value> = changes
        .parts
        .iter()
        .map(|part| {
            json!({
                "name": part.name,
                "kind": part.kind,
                "change": word(part.verdict),
                "before": size(part.before),
                "after": size(part.after),
            })
        })
        .collect();
    json!({
        "new": changes.new,
        "changed": changes.changed,
        "gone": changes.gone,
        "same": changes.same,
        "parts": parts,
    })
}
