//! What is told before and after a restore.

use std::path::Path;

use icecore::{Restored, Snapshot};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Millis, printable};

/// Tells what will not be as it was, and stops if something is in the way: nothing has been written yet.
pub(super) fn refuse(ui: &mut Ui, notices: &[String], blockers: &[String], target: &str) -> Result<()> {
    for notice in notices {
        ui.note(notice);
    }
    if blockers.is_empty() {
        return Ok(());
    }
    let why = blockers.iter().map(|why| printable(why).to_string()).collect::<Vec<_>>().join("; ");
    let error =
        CommandError::new(ExitStatus::Refused, format!("cannot restore {}: {why}", printable(target)));
    Err(error.hint("nothing was touched; --to URL or --to PATH restores elsewhere"))
}

/// What became of what was there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It is put aside until the next restore.
    Aside,
    /// It is kept for longer.
    Preserved,
    /// A snapshot of it was taken, and it is gone.
    Snapshot,
}

impl Fate {
    /// Where it is, and how `undo` brings it back.
    pub(super) fn told(self, kept: &str, undo: &str) -> String {
        let kept = printable(kept);
        match self {
            Self::Aside => format!("what was there is kept as {kept}; `{undo}` brings it back"),
            Self::Preserved => {
                format!("what was there is kept as {kept} until you remove it; `{undo}` brings it back")
            }
            Self::Snapshot => format!("what was there is the snapshot {kept}; `{undo}` brings it back"),
        }
    }
}

/// What was restored to a path, or to standard output, `-`.
pub(super) fn document(
    ui: &Ui,
    snapshot: &Snapshot,
    (target, restored): (&Path, &Restored),
    kept: Option<&str>,
    duration: Millis,
) -> Value {
    json!({
        "id": snapshot.id,
        "source": snapshot.info().source,
        "target": target.to_string_lossy(),
        "parts": restored.parts,
        "bytes": restored.bytes,
        "written_bytes": restored.written_bytes,
        "kept": kept,
        "notes": ui.notes,
        "duration_ms": duration.0,
        "warnings": restored.warnings,
    })
}

/// How `rollback` is told what is meant: by the service, or by the URL.
pub(crate) fn rollback_command(context: &Context, name: &str, url: &str) -> String {
    let is_service =
        context.project().ok().flatten().is_some_and(|project| project.config.services.contains_key(name));
    format!("icecore rollback {}", quoted(if is_service { name } else { url }))
}

/// As a shell reads it as one word.
pub(crate) fn quoted(text: &str) -> String {
    let text = printable(text).to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,~".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
