//! The way back, when a command has failed.

use std::io::{self, Write as _};
use std::mem::{replace, take};

use icecore::Snapshot;
use rustix::termios::{QueueSelector, tcflush};
use serde_json::Value;

use super::Run;
use super::report::Ran;
use super::steps::Step;
use crate::commands::show::restore_command;
use crate::failure::{CommandError, Failure, Result};
use crate::signals::has_terminal;
use crate::ui::Ui;
use crate::units::printable;

/// What was done about a failure.
#[derive(Default)]
pub(super) struct Undone {
    /// The snapshot that was restored.
    pub(super) to: Option<Snapshot>,
    /// What the restore had to say.
    pub(super) restored: Option<Value>,
}

/// Restores what --rollback says or somebody chooses, or else says how that is done.
pub(super) fn after_failure(ui: &mut Ui, run: &Run<'_>, ran: &[Ran], count: usize) -> Result<Undone> {
    let Some(failed) = ran.last() else { return Ok(Undone::default()) };
    ui.warn(failed.told(ran.len(), count));
    let wanted = match &run.args.rollback {
        Some(step) => Some(named(ui, ran, step)),
        None if ui.assume_yes => Some(ran.len().saturating_sub(1)),
        None => {
            // Before a question, which may never be answered.
            for way in ways(run, ran) {
                ui.hint_always(way);
            }
            ask(ui, run, ran)?
        }
    };
    match wanted.and_then(|at| ran.get(at)) {
        Some(to) => restore(ui, run, failed, &to.before),
        None => Ok(Undone::default()),
    }
}

/// The checkpoint before a step, by its name; before the failed one if none is named, or if it did not come to the named one.
fn named(ui: &mut Ui, ran: &[Ran], step: &str) -> usize {
    let last = ran.len().saturating_sub(1);
    let found = ran.iter().position(|it| it.name.as_deref() == Some(step));
    if found.is_none() && !step.is_empty() {
        ui.note(format!("the plan did not come to {step}; what was before the failed step is restored"));
    }
    found.unwrap_or(last)
}

/// Asks whether to go back, and to which of several checkpoints. None if nobody wants to, or nobody is there.
fn ask(ui: &mut Ui, run: &Run<'_>, ran: &[Ran]) -> Result<Option<usize>> {
    if !ui.can_ask() || !has_terminal() {
        return Ok(None);
    }
    // What was typed before was for the command.
    tcflush(io::stdin(), QueueSelector::IFlush).unwrap_or_default();
    if let [only] = ran
        && only.name.is_none()
    {
        let snapshot = run.context.described(&only.before);
        let answer = ui.ask(&format!("Restore {snapshot}, as it was before the command? [y/N] "))?;
        return Ok(is_yes(&answer).then_some(0));
    }
    let mut stderr = io::stderr();
    for (at, it) in ran.iter().enumerate() {
        let name = printable(it.name.as_deref().unwrap_or_default()).to_string();
        let snapshot = run.context.described(&it.before);
        let mark = if at + 1 == ran.len() { ", the step that failed" } else { "" };
        drop(writeln!(stderr, "{:>3}  before {name}{mark}: {snapshot}", at + 1));
    }
    loop {
        let answer =
            ui.ask("Restore which of them? A number or a step, or Enter to leave everything as it is: ")?;
        let answer = answer.trim();
        if answer.is_empty() || answer.eq_ignore_ascii_case("n") {
            return Ok(None);
        }
        let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let of_name = ran.iter().position(|it| it.name.as_deref() == Some(answer));
        match of_name.or(number.filter(|at| *at < ran.len())) {
            Some(at) => return Ok(Some(at)),
            None => ui.warn(format_args!("{} is none of them", printable(answer))),
        }
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

/// Restores it. That somebody wants it was said.
fn restore(ui: &mut Ui, run: &Run<'_>, failed: &Ran, to: &Snapshot) -> Result<Undone> {
    // What it notes is told with it.
    let notes = take(&mut ui.notes);
    let assumed = replace(&mut ui.assume_yes, true);
    ui.held = Some(Vec::new());
    let restored = run.subject.restore(ui, run.chosen(to), run.args.allow_incomplete);
    ui.assume_yes = assumed;
    ui.notes = notes;
    let held = ui.held.take().unwrap_or_default();
    match restored {
        Ok(_) => Ok(Undone { to: Some(to.clone()), restored: held.into_iter().next() }),
        Err(CommandError::Failure(failure)) => Err(CommandError::Failure(Failure {
            message: format!(
                "the command {}, and snapshot {} could not be restored: {}",
                failed.outcome.told(),
                to.id.brief(),
                failure.message
            ),
            hint: Some(format!("{}, once that is put right", way(run, to))),
            ..failure
        })),
        Err(other) => Err(other),
    }
}

/// What a person or a script can do to go back.
fn ways(run: &Run<'_>, ran: &[Ran]) -> Vec<String> {
    let many = ran.len() > 1;
    let way = |it: &Ran| match it.name.as_deref().filter(|_| many) {
        Some(name) => format!("{}, to before {}", way(run, &it.before), printable(name)),
        None => way(run, &it.before),
    };
    ran.iter().rev().map(way).collect()
}

fn way(run: &Run<'_>, to: &Snapshot) -> String {
    format!("`{} --yes` brings back what was there", restore_command(run.context, to))
}

/// A checkpoint of a plan could not be taken: what was done before that is done, and can be undone.
pub(super) fn left_half_way(run: &Run<'_>, ran: &[Ran], step: &Step, error: CommandError) -> CommandError {
    let Some(done) = ran.last() else { return error };
    let failure = match error {
        CommandError::Failure(failure) => failure,
        other => return other,
    };
    let name = |name: &Option<String>| printable(name.as_deref().unwrap_or_default()).to_string();
    let message = format!(
        "there is no snapshot before {}, which was not started; {} is done: {}",
        name(&step.name),
        name(&done.name),
        failure.message
    );
    CommandError::Failure(Failure { message, hint: ways(run, ran).into_iter().next(), ..failure })
}
