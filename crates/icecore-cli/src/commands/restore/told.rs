//! What is told before and after a restore.

use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

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

/// How `rollback` is told what is meant: by the service, or by the URL.
pub(crate) fn rollback_command(context: &Context, name: &str, url: &str) -> String {
    let is_service =
        context.project().ok().flatten().is_some_and(|project| project.config.services.contains_key(name));
    format!("icecore rollback {}", quoted(if is_service { name } else { url }))
}

/// As a shell reads it as one word.
fn quoted(text: &str) -> String {
    let text = printable(text).to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,~".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
