//! `icecore nightly`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use icecore::{
    Counter, Error, Grade, Journal, Monitor, Night, Outcome, Sent, Step, StepReport, Task, VerifyReport,
    Watcher,
};
use serde_json::{Value, json};

use super::status::{self, MetricsArgs};
use crate::args::ExclusiveArgs;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result, sentence};
use crate::progress::{Drawing, Progress};
use crate::signals;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// Remarks on one step that are told one by one; `--json` has them all.
const REMARKS_MAX: usize = 20;

/// Do all that is to be done every night
///
/// Of each service of icecore.toml: take a snapshot, read back what is new, push it to the remotes that [nightly] names, and prune. Then, of the whole
/// store: collect what nothing needs, and read back some of what was not verified for longest. What fails keeps nothing else from being done, and the
/// exit status is 3; but of a service that was not captured, found right and pushed, nothing is deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore nightly
  icecore nightly shop ledger --json\n")]
pub(crate) struct NightlyArgs {
    /// Only these [default: all in icecore.toml]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// How many seconds a step may take to end once it is told to
    #[arg(long, hide = true, value_name = "SECONDS")]
    stop_within: Option<u64>,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    alone: ExclusiveArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &NightlyArgs) -> Result<ExitStatus> {
    if let Some(seconds) = args.stop_within {
        signals::wait_for(Duration::from_secs(seconds));
    }
    let project = context.project_or_fail()?;
    if project.config.services.is_empty() {
        let message = format!("there is no service in {}", printable(&project.file.display().to_string()));
        return Err(CommandError::usage(message).hint(
            "two lines make one: [services.shop] and url = \"postgres://HOST/shop\"; docs/services.md shows more",
        ));
    }
    project.check_services(&args.services)?;
    let opened = context.open().and_then(|opened| Ok((opened, context.remotes()?)));
    if let Err(CommandError::Failure(failure)) = &opened
        && failure.status != ExitStatus::Interrupted
    {
        // Who does not look hears of it nevertheless.
        let (environment, host) = (context.environment(), context.host());
        let told = (host.as_str(), context.time());
        let untold = icecore::tell_of_failure(&project, environment, told, &args.services, &failure.message);
        untold.iter().for_each(|error| ui.warn(sentence(error)));
    }
    let (opened, remotes) = opened?;
    let (host, store_dir, journal) = (context.host(), opened.real_dir(), journal(context, &opened));
    let night = Night {
        store: &opened.store,
        place: &opened.place,
        store_dir: &store_dir,
        project: &project,
        environment: context.environment(),
        remotes: &remotes,
        around: &context.surroundings(),
        journal: &journal,
        host: &host,
        clock: &|| context.time(),
        zone: &context.zone,
        exclusive: args.alone.exclusive || project.config.nightly.exclusive,
    };
    let mut log = Log {
        ui,
        context,
        drawing: None,
        heading: None,
        steps: Vec::new(),
        bad: 0,
        warned: BTreeSet::new(),
        failure: None,
    };
    let walked = icecore::nightly(&night, &args.services, &mut log);
    let status = log.end(walked)?;
    if args.metrics.file().is_some() {
        args.metrics.write(&status::examine_with(ui, context, &project, &opened, &journal)?)?;
    }
    Ok(status)
}

/// What is remembered on this machine of the nights of a store.
pub(super) fn journal(context: &Context, opened: &Opened) -> Journal {
    Journal::new(&opened.real_dir().join("nightly"), &context.host())
}

/// Tells of each step when it is over.
struct Log<'a> {
    ui: &'a mut Ui,
    context: &'a Context,
    drawing: Option<Drawing>,
    /// What the last lines were about.
    heading: Option<String>,
    steps: Vec<Value>,
    /// How many steps somebody should look at.
    bad: u64,
    /// What belongs to no step, and was told.
    warned: BTreeSet<String>,
    /// The output that failed.
    failure: Option<CommandError>,
}

impl Watcher for Log<'_> {
    fn begins(&mut self, task: &Task) -> Arc<dyn Monitor> {
        let (counter, what) = match task.step {
            Step::Create => (Counter::PlainBytes, "Reading"),
            Step::Verify | Step::Sample => (Counter::ReadBytes, "Verifying"),
            Step::Prove => (Counter::PlainBytes, "Restoring"),
            Step::Push => (Counter::StoredBytes, "Pushing"),
            Step::Prune => (Counter::ReadBytes, "Pruning"),
            Step::Gc => (Counter::StoredBytes, "Collecting"),
        };
        let drawing = Progress::begin(self.ui, self.context, counter, what);
        let monitor = drawing.monitor();
        self.drawing = Some(drawing);
        monitor
    }

    fn ended(&mut self, report: &StepReport) {
        self.drawing = None;
        self.bad += u64::from(report.grade().is_bad());
        if self.ui.json {
            self.steps.push(report.document());
        } else if let Err(error) = self.tell(report) {
            self.failure.get_or_insert(error);
        }
    }

    fn warns(&mut self, error: &Error) {
        let said = sentence(error);
        // A journal that cannot be written is told of once.
        if self.warned.insert(said.clone()) {
            self.bad += 1;
            self.ui.warn(said);
        }
    }
}

impl Log<'_> {
    fn tell(&mut self, report: &StepReport) -> Result<()> {
        let Task { step, service, remote } = &report.task;
        let grade = report.grade();
        if self.ui.quiet && !grade.is_bad() {
            return Ok(());
        }
        let heading = service.as_deref().map_or_else(|| "The store".to_owned(), printable);
        if self.heading.as_ref() != Some(&heading) {
            let shown = self.ui.bold(&heading);
            self.ui.line(shown)?;
            self.heading = Some(heading);
        }
        let to = match (step, remote) {
            (_, None) => String::new(),
            (Step::Push, Some(remote)) => format!(" to {}:", printable(remote)),
            (_, Some(remote)) => format!(" in {}:", printable(remote)),
        };
        let took = Millis(u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX));
        let what = match &report.outcome {
            Outcome::Skipped(why) => format!("skipped: {}", printable(why)),
            Outcome::Failed(error) => format!("failed: {}", printable(&sentence(error))),
            done => format!("{}, {took}", in_words(done)),
        };
        self.ui.line(format_args!("  {step:<7}{to} {what}"))?;
        if !matches!(grade, Grade::Skipped) && !matches!(report.outcome, Outcome::Failed(_)) {
            let remarks = report.remarks();
            for remark in remarks.iter().take(REMARKS_MAX) {
                self.ui.line(format_args!("          {}", printable(remark)))?;
            }
            if remarks.len() > REMARKS_MAX {
                self.ui.line(format_args!("          and {} more", remarks.len() - REMARKS_MAX))?;
            }
        }
        Ok(())
    }

    fn end(self, walked: icecore::Result<()>) -> Result<ExitStatus> {
        let Self { ui, steps, bad, failure, .. } = self;
        let ended = match (walked, failure) {
            // What was done is told even if it was not all.
            (Err(error), _) if steps.is_empty() => return Err(error.into()),
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(failure)) => Err(failure),
            (Ok(()), None) => Ok(()),
        };
        if ui.json {
            ui.document(&json!({ "ok": bad == 0 && ended.is_ok(), "steps": steps }))?;
        }
        ended?;
        if bad == 0 {
            return Ok(ExitStatus::Success);
        }
        ui.status(format_args!("{} did not go as it should", counted(bad, "step")));
        Ok(ExitStatus::Findings)
    }
}

/// What was done, in a few words.
fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created(created) => format!(
            "{}, {} added, as {}",
            Bytes(created.info.logical_bytes),
            Bytes(created.stored_bytes),
            created.id.brief(),
        ),
        Outcome::Verified(VerifyReport { findings, chunks, bytes_read, .. }) => {
            let checked = format!("{} checked, {} read", counted(*chunks, "chunk"), Bytes(*bytes_read));
            match findings.len() as u64 {
                0 => checked,
                n => format!("damage: {}; {checked}", counted(n, "finding")),
            }
        }
        Outcome::Proved(evidence) => match (&evidence.fault, evidence.rows) {
            (Some(_), _) => "it cannot be restored as it should".to_owned(),
            (None, Some(rows)) => format!("restored, {} there", counted(rows, "row")),
            (None, None) if evidence.engine.is_some() => "restored".to_owned(),
            // What has no server of its own is read to its end.
            (None, None) => "read back whole".to_owned(),
        },
        Outcome::Untried(_) => "could not be tried".to_owned(),
        Outcome::Pushed(Sent { published, failed, bytes, .. }) => {
            let sent = format!("{}, {}", counted(published.len() as u64, "snapshot"), Bytes(*bytes));
            match failed.len() {
                0 => sent,
                n => format!("{n} of {} failed; {sent}", counted((n + published.len()) as u64, "snapshot")),
            }
        }
        Outcome::Pruned(pruned) => {
            let all: usize = pruned.plan.series.iter().map(|series| series.snapshots.len()).sum();
            let gone = pruned.deleted.len();
            format!("{} deleted, {} stay", counted(gone as u64, "snapshot"), all.saturating_sub(gone))
        }
        Outcome::Collected(report) => {
            format!("{} freed, {} kept", Bytes(report.bytes_freed), Bytes(report.bytes_kept))
        }
        Outcome::Skipped(why) => why.clone(),
        Outcome::Failed(error) => sentence(error),
    }
}
