//! `icecore verify`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use icecore::{Counter, Snapshot, SnapshotId, Store, VerifyExtent, VerifyReport, Witness};
use icecore_store::{Finding, FindingKind};
use serde_json::json;

use crate::args::ServiceArgs;
use crate::commands::proof;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::Listing;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, counted, parse_budget, parse_share, printable};

/// Parts named in one line.
const PARTS_SHOWN_MAX: usize = 5;
/// Chunks named in one line.
const CHUNKS_SHOWN_MAX: usize = 3;

/// Read back what is stored and check it
///
/// Everything, unless a share is asked for. What was not verified for longest comes first, so that a small share every night checks all of
/// it in time. Damage is named with the snapshots and parts it affects, and the exit status is 13. `verify REMOTE`, with the name of a
/// remote or a URL, verifies what lies there, as `verify --remote REMOTE` does.
///
/// --restore proves more: it restores snapshots, or the newest of each source, into something that is thrown away, looks at it there, and
/// writes down what it found, which `list` and `show` tell. PostgreSQL, MySQL, MariaDB and Redis run as servers of our own, from the
/// programs on this machine, or databases are made on the server of --scratch; SQLite needs nothing, and what is no database is read whole.
/// The exit status is 3 if one cannot be restored, and 13 if that is for damage in the store.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Only what these snapshots need; or a remote
    #[arg(value_name = "SNAPSHOT|REMOTE")]
    snapshots: Vec<String>,
    /// Read only this share of the data, in whole packs and at least one: 10% or 0.1
    #[arg(long, value_name = "P", value_parser = parse_share, group = "extent")]
    sample: Option<f64>,
    /// Read only about this much data: 10GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_budget, group = "extent")]
    budget: Option<u64>,
    /// Check only that everything is there, without reading data
    #[arg(long, group = "extent")]
    structure: bool,
    /// Write down for each snapshot whether all of it was well
    #[arg(long, group = "extent")]
    record: bool,
    /// Restore into something that is thrown away, look at it, and write down what was found
    #[arg(long, group = "extent")]
    restore: bool,
    /// With --restore: make and drop databases on this server of PostgreSQL, MySQL or MariaDB
    #[arg(long, value_name = "URL", requires = "restore")]
    scratch: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &VerifyArgs) -> Result<ExitStatus> {
    let mut selectors = args.snapshots.clone();
    if let Some(service) = args.service.or_positional(None)? {
        selectors.push(service);
    }
    if args.restore {
        return proof::run(ui, context, &selectors, args.scratch.as_deref());
    }
    let extent = match (args.sample, args.budget) {
        _ if args.structure => VerifyExtent::Structure,
        (Some(share), _) => VerifyExtent::Share(share),
        (None, Some(budget)) => VerifyExtent::Budget(budget),
        (None, None) => VerifyExtent::Everything,
    };
    let (store, selectors) = match meant_remote(context, &selectors)? {
        Some(store) => {
            ui.remote = selectors.into_iter().next();
            (store, Vec::new())
        }
        None => {
            let opened = context.open().map_err(|error| or_remote(context, &selectors, error))?;
            (opened.store, selectors)
        }
    };
    // What cannot be listed is among the findings of the whole; it need not be told twice.
    let (snapshots, errors) = store.snapshots()?;
    let listing = Listing { snapshots, damaged: errors.len() };
    let chosen = listing.resolve_all(context, &selectors);
    let chosen = chosen.map_err(|error| or_remote(context, &selectors, error))?;
    let chosen: Vec<Snapshot> = chosen.into_iter().cloned().collect();
    let chosen = (!selectors.is_empty()).then_some(chosen.as_slice());
    let now = u64::try_from(context.now.as_second()).unwrap_or(0);
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Verifying");
    let report = match args.record {
        true => {
            let witness = Witness { host: context.host(), now: context.now };
            icecore::verify_and_record(&store, chosen, &witness, &*drawing.monitor()).map(|it| it.report)
        }
        false => store.verify(chosen, extent, now, &*drawing.monitor()).map_err(icecore::Error::from),
    };
    drawing.end();
    let report = report?;
    let help = if ui.remote.is_none() { context.help_from_elsewhere() } else { None };
    tell(ui, &report, &listing.snapshots, extent, help)?;
    Ok(if report.findings.is_empty() { ExitStatus::Success } else { ExitStatus::Damaged })
}

/// The store elsewhere that is meant, if the only argument is the URL of one, or the name of a remote.
fn meant_remote(context: &Context, selectors: &[String]) -> Result<Option<Arc<Store>>> {
    let [text] = selectors else { return Ok(None) };
    if context.is_remote_named() {
        return Ok(None);
    }
    if ["s3://", "file://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(Some(context.open_at(context.remote_place(text)?)?.store));
    }
    if !context.remotes()?.iter().any(|(name, _)| name == text) {
        return Ok(None);
    }
    let place = context.remote_place(text)?;
    let own = match context.open() {
        // With the name of a remote in icecore.toml there need not be a store here.
        Err(CommandError::Failure(failure)) if failure.status == ExitStatus::NotFound => {
            return Ok(Some(context.open_at(place)?.store));
        }
        own => own?.store,
    };
    let (snapshots, errors) = own.snapshots()?;
    if (Listing { snapshots, damaged: errors.len() }).resolve(context, text).is_ok() {
        let message = format!("{text} is a snapshot here, and a remote");
        return Err(CommandError::usage(message).hint(format!(
            "`icecore verify {text}~0` verifies the snapshot, `icecore verify --remote {text}` the remote"
        )));
    }
    Context::open_same(&own, &place, &context.surroundings()).map(Some)
}

/// What is no snapshot may have been meant for a remote.
fn or_remote(context: &Context, selectors: &[String], error: CommandError) -> CommandError {
    let [text] = selectors else { return error };
    if context.is_remote_named() {
        return error;
    }
    let shown = printable(text);
    let looks_like = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    if icecore::is_plain_path(text) {
        return error.if_not_found(format!(
            "`icecore verify --remote {shown}` verifies a store that lies there; `icecore list` shows the snapshots here"
        ));
    }
    if looks_like(&["s3:", "file:"]) {
        return error
            .if_not_found("a store elsewhere is s3://BUCKET/PREFIX, file:///PATH or the name of a remote");
    }
    let Ok(remotes) = context.remotes() else { return error };
    let names: Vec<&str> = remotes.iter().map(|(name, _)| name).collect();
    match icecore::nearest(text, names.iter().copied()) {
        Some(near) => error.if_not_found(format!(
            "did you mean the remote {near}? `icecore verify {near}` verifies it; `icecore list` shows the snapshots there are"
        )),
        None if names.is_empty() => error,
        None => error.if_not_found(
            "`icecore list` shows the snapshots there are, `icecore remote list` the remotes",
        ),
    }
}

fn tell(
    ui: &mut Ui,
    report: &VerifyReport,
    all: &[Snapshot],
    extent: VerifyExtent,
    help: Option<String>,
) -> Result<()> {
    let source_of =
        |id| all.iter().find(|snapshot| snapshot.id == id).map(|snapshot| snapshot.info().source.as_str());
    if ui.json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|finding| {
                let affected = finding.snapshots.iter();
                let affected =
                    affected.map(|(id, parts)| json!({ "id": id, "source": source_of(*id), "parts": parts }));
                json!({
                    "kind": finding.kind.as_str(),
                    "object": finding.object,
                    "snapshots": affected.collect::<Vec<_>>(),
                })
            })
            .collect();
        return ui.document(&json!({
            "ok": report.findings.is_empty(),
            "snapshots": report.snapshots,
            "chunks": report.chunks,
            "bytes_read": report.bytes_read,
            "findings": findings,
        }));
    }
    let (missing, others): (Vec<&Finding>, Vec<&Finding>) =
        report.findings.iter().partition(|finding| finding.kind == FindingKind::ChunkMissing);
    for finding in others {
        let healable = if finding.healable { "; `icecore repair` can heal it" } else { "" };
        ui.line(format_args!("{}: {}{healable}", printable(&finding.object), printable(&finding.message)))?;
        for (id, parts) in &finding.snapshots {
            ui.line(affected_line(*id, source_of(*id), parts))?;
        }
    }
    for MissingChunks { names, message, snapshots } in missing_together(&missing) {
        ui.line(format_args!("{}: {}", listed(&names), printable(message)))?;
        for (id, parts) in &snapshots {
            ui.line(affected_line(*id, source_of(*id), parts))?;
        }
    }
    let checked =
        format!("{} and {}", counted(report.snapshots, "snapshot"), counted(report.chunks, "chunk"));
    let read = match extent {
        VerifyExtent::Structure => "looked for, no data was read".to_owned(),
        _ => format!("checked, {} read", Bytes(report.bytes_read)),
    };
    match (report.findings.len(), extent) {
        (0, _) if ui.quiet => Ok(()),
        (0, VerifyExtent::Structure) => {
            ui.line(format_args!("All is well: {checked} are there; no data was read"))
        }
        (0, _) => ui.line(format_args!("All is well: {checked} {read}")),
        (n, _) => {
            let found = counted(n as u64, "finding");
            ui.line(format_args!("Damage: {found}{}; {checked} {read}", harm(report)))?;
            let more = help.filter(|_| report.findings.iter().any(may_be_whole_elsewhere));
            let more = more.map(|more| format!("; {more}")).unwrap_or_default();
            ui.hint(format_args!("{}{more}", advice(&report.findings)));
            Ok(())
        }
    }
}

/// Whom it harms: damage of one snapshot's packs is damage of all that share them, whichever of them was asked about.
fn harm(report: &VerifyReport) -> String {
    let harmed: BTreeSet<SnapshotId> =
        report.findings.iter().flat_map(|finding| finding.snapshots.keys().copied()).collect();
    let verb = if report.findings.len() == 1 { "harms" } else { "harm" };
    match harmed.len() as u64 {
        0 => String::new(),
        n => format!(" that {verb} {}", counted(n, "snapshot")),
    }
}

fn affected_line(id: SnapshotId, source: Option<&str>, parts: &BTreeSet<String>) -> String {
    let shown = parts.iter().take(PARTS_SHOWN_MAX).map(|part| printable(part));
    let shown = shown.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let more = match parts.len().saturating_sub(PARTS_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let separator = if shown.is_empty() { "" } else { ": " };
    let source = printable(source.unwrap_or_default());
    format!("  {} {source} is damaged{separator}{shown}{more}", id.brief())
}

/// Chunks that are in no pack, and that the same snapshots need.
struct MissingChunks<'a> {
    names: Vec<&'a str>,
    message: &'a str,
    snapshots: BTreeMap<SnapshotId, BTreeSet<String>>,
}

/// What was lost with one pack is told at once, and not chunk by chunk.
fn missing_together<'a>(findings: &[&'a Finding]) -> Vec<MissingChunks<'a>> {
    let mut groups: Vec<MissingChunks<'a>> = Vec::new();
    let mut places: HashMap<Vec<SnapshotId>, usize> = HashMap::new();
    for finding in findings {
        let place = *places.entry(finding.snapshots.keys().copied().collect()).or_insert(groups.len());
        if place == groups.len() {
            let (message, snapshots) = (finding.message.as_str(), BTreeMap::new());
            groups.push(MissingChunks { names: Vec::new(), message, snapshots });
        }
        let Some(group) = groups.get_mut(place) else { continue };
        group.names.push(&finding.object);
        for (id, parts) in &finding.snapshots {
            group.snapshots.entry(*id).or_default().extend(parts.iter().cloned());
        }
    }
    groups
}

fn listed(names: &[&str]) -> String {
    let shown =
        names.iter().take(CHUNKS_SHOWN_MAX).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(CHUNKS_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether a repair may fetch it.
fn may_be_whole_elsewhere(finding: &Finding) -> bool {
    match finding.kind {
        FindingKind::Pack | FindingKind::PackUnread | FindingKind::Label | FindingKind::Key => true,
        FindingKind::PackMissing | FindingKind::ChunkMissing | FindingKind::Catalog => true,
        FindingKind::Manifest | FindingKind::RecordUnread | FindingKind::TooNew { .. } => false,
        FindingKind::Parity | FindingKind::Epoch | FindingKind::Claim => false,
        FindingKind::Condemned | FindingKind::Copy => false,
    }
}

/// What helps against what was found.
fn advice(findings: &[Finding]) -> &'static str {
    let harms = findings.iter().any(|finding| !finding.snapshots.is_empty());
    if findings.iter().any(|finding| finding.healable) {
        "`icecore repair` heals what parity can heal"
    } else if harms {
        "what is not named can be restored; `icecore repair`, then new snapshots of the damaged sources make the old ones whole"
    } else if findings.iter().any(|finding| matches!(finding.kind, FindingKind::TooNew { .. })) {
        "update icecore: what is of a newer format is none of this version's business"
    } else if findings.iter().any(|finding| finding.kind == FindingKind::Manifest) {
        "a snapshot whose manifest cannot be read is lost; `icecore repair` sets it aside"
    } else if findings.iter().all(|finding| finding.kind == FindingKind::Copy) {
        "nothing is lost, only what would take its place; `icecore repair` puts it back"
    } else if findings.iter().all(|f| matches!(f.kind, FindingKind::PackUnread | FindingKind::RecordUnread)) {
        "what could not be read may be right: look at the disk, and at the permissions"
    } else {
        "no snapshot is known to be harmed; `icecore repair` mends what is named, or sets it aside"
    }
}
