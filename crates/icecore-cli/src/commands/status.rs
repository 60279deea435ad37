//! `icecore status`

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use icecore::{Grade, Health, Journal, Project, Record, Shrunk, State, StoreHealth};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::nightly::journal;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::paths::tidy;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::{Bytes, counted, printable};

/// Tell whether the snapshots of all services are as they should be
///
/// Of each service of icecore.toml: its newest good snapshot, whether its schedule wants a newer one, when one was last read back and restored for a test,
/// and whether a step of its last run on this machine failed. The exit status is 3 if somebody should look.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Only these
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    metrics: MetricsArgs,
}

/// Where Prometheus finds what there is to know.
#[derive(Debug, clap::Args)]
pub(crate) struct MetricsArgs {
    /// Write it to this file, too, for Prometheus: what node_exporter's textfile collector reads
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &StatusArgs) -> Result<ExitStatus> {
    let project = context.project_or_fail()?;
    project.check_services(&args.services)?;
    let opened = context.open()?;
    let mut health = examine(ui, context, &project, &opened)?;
    args.metrics.write(&health)?;
    health.services.retain(|it| args.services.is_empty() || args.services.contains(&it.service));
    if ui.json {
        ui.document(&document(&opened, &health))?;
    } else {
        tell(ui, context, &health)?;
    }
    Ok(if health.is_good() { ExitStatus::Success } else { ExitStatus::Findings })
}

/// Looks at all services of a store.
pub(super) fn examine(
    ui: &mut Ui,
    context: &Context,
    project: &Project,
    opened: &Opened,
) -> Result<StoreHealth> {
    examine_with(ui, context, project, opened, &journal(context, opened))
}

/// The same by a journal that may know what could not be written.
pub(super) fn examine_with(
    ui: &mut Ui,
    context: &Context,
    project: &Project,
    opened: &Opened,
    journal: &Journal,
) -> Result<StoreHealth> {
    let listing = opened.listing(ui)?;
    let (stats, entries) = (opened.store.stats()?, journal.read());
    let clock = (context.time(), &context.zone);
    Ok(icecore::examine(&project.config, (&listing.snapshots, stats), &entries, clock, &context.host()))
}

impl MetricsArgs {
    pub(crate) fn file(&self) -> Option<&Path> {
        self.metrics_file.as_deref()
    }

    /// Puts a whole file where one was before: whoever reads it sees the old one or the new one.
    pub(crate) fn write(&self, health: &StoreHealth) -> Result<()> {
        let Some(path) = &self.metrics_file else { return Ok(()) };
        let failed = || format!("cannot write {}", path.display());
        let place = place_of_file(path).map_err(CommandError::io(failed()))?;
        let dir = place.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(CommandError::io(failed()))?;
        file.write_all(icecore::metrics(health).as_bytes())
            .and_then(|()| file.as_file().sync_all())
            // Whoever collects is somebody else.
            .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(0o644)))
            .map_err(CommandError::io(failed()))?;
        file.persist(&place).map_err(|error| CommandError::io(failed())(error.error))?;
        Ok(())
    }
}

/// Where a file is to be replaced: where a link leads to. What is no file stays what it is, be it `/dev/null` and we root.
fn place_of_file(path: &Path) -> io::Result<PathBuf> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
        Ok(_) if path.metadata()?.is_file() => path.canonicalize(),
        Ok(_) => Err(io::Error::other("it is there, and is no file")),
    }
}

fn tell(ui: &mut Ui, context: &Context, health: &StoreHealth) -> Result<()> {
    let now = health.at;
    let rows = health.services.iter().map(|it| {
        let newest = it.newest.as_ref();
        vec![
            printable(&it.service),
            it.state.as_str().to_owned(),
            newest.map(|it| ago(it.taken, now)).unwrap_or_default(),
            newest.map(|it| Bytes(it.logical_bytes).to_string()).unwrap_or_default(),
            newest.map(|it| Bytes(it.stored_bytes).to_string()).unwrap_or_default(),
            tried(it.verified, now),
            tried(it.restored, now),
            it.next_run.map(|next| context.local_time(&icecore::format_time(next))).unwrap_or_default(),
        ]
    });
    let (left, right) = (Column::Left, Column::Right);
    let head = [
        ("SERVICE", left),
        ("STATE", left),
        ("NEWEST", right),
        ("SIZE", right),
        ("ADDED", right),
        ("VERIFIED", right),
        ("RESTORED", right),
        ("NEXT RUN", left),
    ];
    if health.services.is_empty() {
        ui.line("There is no service in icecore.toml")?;
    } else {
        ui.table(&head, rows.collect())?;
    }
    ui.line(format_args!(
        "Store: {} in {}; {} added in 7 days, {} in 30",
        Bytes(health.stats.stored_bytes),
        counted(health.stats.snapshots, "snapshot"),
        Bytes(health.growth.week),
        Bytes(health.growth.month),
    ))?;
    for it in &health.services {
        for line in complaints(context, it) {
            ui.warn(format_args!("{}: {line}", printable(&it.service)));
        }
    }
    if let Some(fault) = &health.journal_fault {
        ui.warn(printable(fault));
    }
    for record in health.failures() {
        ui.warn(format_args!("the store: {}", failed(context, record)));
    }
    Ok(())
}

/// What is not as it should be with a service, in sentences.
fn complaints(context: &Context, health: &Health) -> Vec<String> {
    let time = |time: Timestamp| context.local_time(&icecore::format_time(time));
    let mut lines = Vec::new();
    if health.state == State::Never {
        lines.push("there is no good snapshot of it".to_owned());
    }
    if let Some(record) = health.failure() {
        lines.push(failed(context, record));
    }
    if let (Some(since), Some(_)) = (health.late_since, &health.newest) {
        lines.push(format!("there should be a snapshot of {} or later", time(since)));
    }
    if let Some((at, false)) = health.restored {
        lines.push(format!("the test restore of {} failed", time(at)));
    }
    if let Some(Shrunk { from, left, .. }) = &health.shrunk {
        let (before, bytes) = (Bytes(from.logical_bytes), Bytes(left.logical_bytes));
        lines.push(format!("much smaller than the one of {}: {before}, {bytes} now", time(from.taken)));
    }
    if let (Some(other), Some(run)) = (&health.holds_up, &health.last_run) {
        let (other, begun) = (printable(other), time(run.begun));
        lines.push(format!("its run has gone on since {begun}, and {other} should have begun by now"));
    }
    lines.extend(health.faults.iter().map(|fault| printable(fault)));
    lines
}

fn failed(context: &Context, record: &Record) -> String {
    let how = if record.grade == Grade::Failed { "failed" } else { "warned" };
    let remote = record.task.remote.as_deref().map(|remote| format!(" of {}", printable(remote)));
    format!(
        "the step {}{} {how} at {}: {}",
        record.task.step,
        remote.unwrap_or_default(),
        context.local_time(&icecore::format_time(record.at)),
        printable(record.remark.as_deref().unwrap_or_default()),
    )
}

/// How long ago, in its largest unit.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn tried(outcome: Option<(Timestamp, bool)>, now: Timestamp) -> String {
    match outcome {
        None => "never".to_owned(),
        Some((at, true)) => ago(at, now),
        Some((at, false)) => format!("failed {}", ago(at, now)),
    }
}

fn document(opened: &Opened, health: &StoreHealth) -> Value {
    let time = icecore::format_time;
    let outcome =
        |it: Option<(Timestamp, bool)>| it.map(|(at, good)| json!({ "at": time(at), "good": good }));
    let record = |record: &Record| {
        json!({
            "step": record.task.step,
            "remote": record.task.remote,
            "at": time(record.at),
            "outcome": record.grade,
            "remark": record.remark,
        })
    };
    let records = |records: &[Record]| records.iter().map(record).collect::<Vec<_>>();
    let services = health.services.iter().map(|it| {
        json!({
            "service": it.service,
            "state": it.state.as_str(),
            "schedule": it.schedule.as_ref().map(ToString::to_string),
            "newest": it.newest.as_ref().map(|it| json!({
                "id": it.id,
                "created_at": time(it.taken),
                "age_seconds": health.at.duration_since(it.taken).as_secs(),
                "logical_bytes": it.logical_bytes,
                "stored_bytes": it.stored_bytes,
            })),
            "shrunk_from": it.shrunk.as_ref().map(|Shrunk { from, .. }| json!({
                "id": from.id,
                "created_at": time(from.taken),
                "logical_bytes": from.logical_bytes,
            })),
            "faults": it.faults,
            "late_since": it.late_since.map(time),
            "next_run": it.next_run.map(time),
            "verified": outcome(it.verified),
            "restored": outcome(it.restored),
            "last_run": it.last_run.as_ref().map(|run| json!({
                "begun": time(run.begun),
                "steps": records(&run.steps),
            })),
            "holds_up": it.holds_up,
        })
    });
    json!({
        "good": health.is_good(),
        "services": services.collect::<Vec<_>>(),
        "store": {
            "place": opened.place.as_directory().map_or_else(
                || opened.place.to_string(),
                |dir| tidy(dir).display().to_string(),
            ),
            "snapshots": health.stats.snapshots,
            "stored_bytes": health.stats.stored_bytes,
            "added_7d": health.growth.week,
            "added_30d": health.growth.month,
            "steps": records(&health.steps),
        },
    })
}
