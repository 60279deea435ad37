//! `icecore run`: a command between two snapshots, and the way back if it fails.

mod attended;
mod offer;
mod program;
mod report;
mod steps;
mod subject;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use icecore::{AFTER_RUN_TAG, Error, Snapshot};

use self::offer::Undone;
use self::report::{Ran, Report};
use self::subject::Subject;
use crate::args::{ServiceArgs, parse_line};
use crate::commands::restore::chosen::Chosen;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Run a command between two snapshots
///
/// Takes a snapshot first; if that does not work, the command never starts. If the command fails, the snapshot brings back what was there: --rollback restores it, on a terminal you
/// are asked, elsewhere the command that restores it is printed. If it succeeds, a second snapshot is taken, and what has changed from the one to the other is told.
///
/// The exit status is that of the command, 128 and the signal's number if one ended it, and 127 if there is no such command; otherwise what icecore itself could not do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore run shop -- ./migrate up
  icecore run --rollback --tag before-2.0 shop -- alembic upgrade head
  icecore run --plan release.toml shop
  icecore run --plan release.toml --rollback=add-orders shop\n")]
pub(crate) struct RunArgs {
    /// A service of icecore.toml, a URL, or a path, as `create` takes them
    #[arg(value_name = "SOURCE")]
    source: Option<PathBuf>,
    /// The command, which has the terminal to itself
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
    /// Several commands, one after the other: a file of [[step]]s, each with a name and a command; before each a snapshot is taken, tagged with the step's name
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    plan: Option<PathBuf>,
    /// Tag the snapshot before; may be repeated [default: before-run]
    #[arg(long = "tag", value_name = "TAG", value_parser = parse_line)]
    tags: Vec<String>,
    /// If it fails, restore the snapshot; of a plan, the one before the failed step, or before the step that is named
    #[arg(long, value_name = "STEP", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    rollback: Option<String>,
    /// Take no snapshot afterwards, and so tell nothing of what has changed
    #[arg(long)]
    no_after: bool,
    /// Run it even if the source could not be captured whole, such as a directory with unreadable files. If the snapshot is restored, what could not be captured is lost
    #[arg(long)]
    allow_incomplete: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What every part of a run needs.
struct Run<'a> {
    context: &'a Context,
    opened: &'a Opened,
    subject: &'a Subject,
    args: &'a RunArgs,
}

impl Run<'_> {
    fn chosen<'s>(&'s self, snapshot: &'s Snapshot) -> Chosen<'s> {
        Chosen { context: self.context, opened: self.opened, snapshot }
    }
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RunArgs) -> Result<ExitStatus> {
    // Standard output is the command's; with --json it is the document's, and the command's goes to standard error.
    ui.stdout_taken = !ui.json;
    let steps = steps::of(context, args)?;
    let subject = &Subject::find(ui, context, args)?;
    if let Some(first) = steps.first()
        && let Err(missing) = first.command.find(context)
    {
        return Err(missing.failure());
    }
    let opened = &context.open()?;
    let run = Run { context, opened, subject, args };
    let mut ran = Vec::new();
    for step in &steps {
        let saved = subject.save(ui, &run, step.tags(args));
        let saved = saved.and_then(|snapshot| subject.refuse_partial(&snapshot, args).map(|()| snapshot));
        let before = saved.map_err(|error| offer::left_half_way(&run, &ran, step, error))?;
        if context.interrupt.load(Ordering::SeqCst) {
            return Err(Error::Cancelled.into());
        }
        step.tell_begin(ui, ran.len(), steps.len());
        let outcome = step.command.run(ui)?;
        let has_failed = !outcome.is_success();
        ran.push(Ran { name: step.name.clone(), before, outcome });
        if has_failed {
            let undone = offer::after_failure(ui, &run, &ran, steps.len())?;
            return finish(ui, &run, &ran, &undone, &After::default());
        }
    }
    let after = look_afterwards(ui, &run, &ran);
    finish(ui, &run, &ran, &Undone::default(), &after)
}

/// What was found when all had succeeded.
#[derive(Default)]
struct After {
    snapshot: Option<Snapshot>,
    changes: Option<icecore::Changes>,
    /// Whether it could not be looked at, or not at all of it.
    is_unknown: bool,
}

/// Takes the second snapshot, and compares it with the first. The command has succeeded, whatever comes of that.
fn look_afterwards(ui: &mut Ui, run: &Run<'_>, ran: &[Ran]) -> After {
    let Some(first) = ran.first().filter(|_| !run.args.no_after) else { return After::default() };
    let mut after = After::default();
    let looked = run.subject.save(ui, run, vec![AFTER_RUN_TAG.to_owned()]).and_then(|snapshot| {
        let pair = (&first.before, after.snapshot.insert(snapshot) as &Snapshot);
        let compare =
            |monitor: &dyn icecore::Monitor| icecore::compare_snapshots(&run.opened.store, pair, monitor);
        Ok(run.chosen(&first.before).show(ui, "Comparing", compare)?)
    });
    match looked {
        Ok(changes) => {
            after.changes = changes;
            let is_partial = after.snapshot.as_ref().is_some_and(|it| !it.info().findings.is_empty());
            after.is_unknown = is_partial && !run.args.allow_incomplete;
        }
        Err(error) => {
            after.is_unknown = true;
            let why = match error {
                CommandError::Failure(failure) => format!(": {}", printable(&failure.message)),
                CommandError::StreamClosed => String::new(),
            };
            ui.warn(format_args!("the command succeeded, but nobody knows what it changed{why}"));
        }
    }
    after
}

fn finish(ui: &mut Ui, run: &Run<'_>, ran: &[Ran], undone: &Undone, after: &After) -> Result<ExitStatus> {
    let Some(last) = ran.last() else { return Ok(ExitStatus::Success) };
    let status = match last.outcome.code() {
        0 if after.is_unknown => ExitStatus::Findings,
        code => ExitStatus::of_command(code),
    };
    Report { run, ran, undone, after, status }.tell(ui)?;
    Ok(status)
}
