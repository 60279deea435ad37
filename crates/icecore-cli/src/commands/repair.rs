//! `icecore repair`

use std::sync::Arc;
use std::time::Duration;

use icecore::{
    BrokenSnapshot, Counter, RepairOptions, RepairPlan, RepairReport, SnapshotId, Transfer, TransferOptions,
};
use icecore_format::names;
use icecore_store::{FencePolicy, FetchPlan, FindingKind};
use serde_json::{Value, json};

use crate::args::ExclusiveArgs;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result, sentence};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, counted, printable};

/// Parts named in one line.
const PARTS_SHOWN_MAX: usize = 5;

/// What is said of a snapshot that cannot be restored whole.
const NOT_WHOLE: &str = "is not whole";

/// What becomes of a snapshot whose manifest cannot be read.
const LOST: &str = "; this snapshot is lost, and the next gc frees what only it needs";

/// Make a damaged store usable again
///
/// Makes the index anew (the next night then costs what changed since its rows were stored whole, once), reads everything, and heals
/// damaged packs by their parity, if the store has any (`init --parity`). It copies what can be read of the others, and moves these and
/// other records that cannot be read below `damaged/` in the store. Nothing is deleted. What was lost is stored again when a snapshot that
/// has it is taken, which makes older snapshots whole again too; so repair, then take new snapshots. With `--from`, what is damaged or
/// missing comes from the same store elsewhere, as far as that has it and it is right there.
#[derive(Debug, clap::Args)]
pub(crate) struct RepairArgs {
    /// Only show what is damaged and what would be done
    #[arg(long)]
    dry_run: bool,
    /// Fetch what is damaged or missing from a remote: its name, a URL, or a path from / or ./
    #[arg(long, value_name = "REMOTE")]
    from: Option<String>,
    /// Delete the snapshots that are not whole at the end; `gc` then gives their space back
    #[arg(long)]
    drop_broken: bool,
    /// After how long without a sign of life a writer is given up
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = icecore::parse_duration)]
    fence_after: Duration,
    #[command(flatten)]
    alone: ExclusiveArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RepairArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    if !args.dry_run {
        args.alone.check(context, &opened, "repairing")?;
    }
    // Whether it can be reached is found out before everything is read here.
    let from = args.from.as_deref().map(|text| Elsewhere::open(context, &opened, text)).transpose()?;
    let store = opened.store;
    let now = u64::try_from(context.now.as_second()).unwrap_or(0);
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Reading");
    let plan = match args.dry_run {
        true => store.preview_repair(now, &*drawing.monitor()),
        false => store.plan_repair(now, &*drawing.monitor()),
    };
    let fetch = plan.as_ref().ok().filter(|plan| args.dry_run && !plan.is_empty()).zip(from.as_ref());
    let fetch = fetch.map(|(plan, from)| from.transfer.plan_repair(plan, &*drawing.monitor())).transpose();
    drawing.end();
    let (plan, fetch) = (plan?, fetch?);
    if args.dry_run && ui.json {
        ui.document(&plan_entry(&plan, fetch.as_ref()))?;
    } else if args.dry_run {
        show_plan(ui, context, &plan, fetch.as_ref().zip(from.as_ref()))?;
    }
    if args.dry_run {
        return Ok(if plan.is_empty() { ExitStatus::Success } else { ExitStatus::Findings });
    }
    if args.drop_broken && !plan.broken.is_empty() {
        for broken in &plan.broken {
            ui.status(broken_line(context, broken));
        }
        let what = counted(plan.broken.len() as u64, "broken snapshot");
        ui.confirm(
            &format!("Delete up to {what}, if they cannot be made whole?"),
            &format!("to delete {what} needs a confirmation; nothing was done"),
        )?;
    }
    let fence = FencePolicy { after: args.fence_after, ..FencePolicy::default() };
    let options = RepairOptions { drop_broken: args.drop_broken, fence };
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Repairing");
    let report = match &from {
        Some(from) => from.transfer.repair(&plan, &options, now, &*drawing.monitor()),
        None => store.repair(&plan, &options, now, &*drawing.monitor()),
    };
    drawing.end();
    let report = report?;
    show_report(ui, context, &plan, &report, from.as_ref())?;
    for missed in &report.not_fetched {
        let (object, message) = (not_fetched(&missed.object), printable(&missed.message));
        let there = from.as_ref().map(|from| from.place.as_str()).unwrap_or_default();
        ui.warn(format_args!("{object} could not be had from {there}: {message}"));
    }
    for pack in &report.unread {
        ui.warn(format_args!(
            "pack {pack} could not be read and was left as it is: look at the disk, or move the pack away"
        ));
    }
    let lost = lost_snapshots(&report);
    for manifest in &lost {
        ui.warn(format_args!("{} could not be read{LOST}", printable(manifest)));
    }
    for record in &plan.unread_records {
        let (object, message) = (printable(&record.object), printable(&record.message));
        ui.warn(format_args!("{object} was left as it is: {message}"));
    }
    for record in &report.left {
        ui.warn(format_args!("{} was left as it is: a writer that runs may need it", printable(record)));
    }
    if let (Some(text), false) = (&args.from, lost.is_empty()) {
        ui.hint(format_args!("`icecore pull {text} --all` brings back what is there and not here"));
    }
    let whole = report.broken.is_empty()
        && report.not_fetched.is_empty()
        && report.unread.is_empty()
        && plan.unread_records.is_empty()
        && report.left.is_empty()
        && lost.is_empty();
    Ok(if whole { ExitStatus::Success } else { ExitStatus::Findings })
}

/// The same store elsewhere, from which good copies come.
struct Elsewhere {
    transfer: Transfer,
    place: String,
}

impl Elsewhere {
    fn open(context: &Context, opened: &Opened, text: &str) -> Result<Self> {
        let place = context.remote_place(text)?;
        let is_same = match (place.as_directory(), opened.place.as_directory()) {
            (Some(there), Some(here)) => there.canonicalize().ok() == here.canonicalize().ok(),
            _ => place.to_string() == opened.place.to_string(),
        };
        if is_same {
            return Err(CommandError::usage(format!("{place} is the store itself")));
        }
        let there = Context::open_same(&opened.store, &place, &context.surroundings())?;
        let options = TransferOptions { host: context.host() };
        // What is repaired counts as near, wherever it is: it is asked first.
        let transfer = Transfer::pull(Arc::clone(&opened.store), there, options)?;
        Ok(Self { transfer, place: place.to_string() })
    }
}

/// An object, or the id of a snapshot, as people see it.
fn not_fetched(object: &str) -> String {
    match object.parse::<SnapshotId>() {
        Ok(id) => format!("what snapshot {} lacks", id.brief()),
        Err(_) => printable(object),
    }
}

/// The manifests that were set aside.
fn lost_snapshots(report: &RepairReport) -> Vec<&String> {
    report.set_aside.iter().filter(|name| name.starts_with(names::SNAPSHOTS)).collect()
}

fn show_plan(
    ui: &mut Ui,
    context: &Context,
    plan: &RepairPlan,
    fetch: Option<(&FetchPlan, &Elsewhere)>,
) -> Result<()> {
    if plan.is_empty() {
        return ui.line("Nothing is damaged");
    }
    for record in &plan.records {
        let lost = if record.kind == FindingKind::Manifest { LOST } else { "" };
        let (object, message) = (printable(&record.object), printable(&record.message));
        ui.line(format_args!("set aside {object}: {message}{lost}"))?;
    }
    for record in &plan.renewed {
        let (object, message) = (printable(&record.object), printable(&record.message));
        ui.line(format_args!("clear {object}, or make it anew: {message}"))?;
    }
    for record in &plan.unread_records {
        let (object, message) = (printable(&record.object), printable(&record.message));
        ui.line(format_args!("leave {object} as it is: {message}"))?;
    }
    for pack in plan.packs.iter().filter(|pack| pack.healable) {
        ui.line(format_args!("heal pack {} by its parity: {}", pack.id, pack.message))?;
    }
    for copy in &plan.copies {
        let (object, message) = (printable(&copy.object), printable(&copy.message));
        ui.line(format_args!("make {object} anew: {message}"))?;
    }
    for id in &plan.parity {
        ui.line(format_args!("make the parity of pack {id} anew"))?;
    }
    let comes = |id| fetch.is_some_and(|(fetch, _)| fetch.replaced.contains(id));
    for pack in plan.packs.iter().chain(&plan.unread).filter(|pack| comes(&pack.id)) {
        ui.line(format_args!("fetch pack {}: {}", pack.id, pack.message))?;
    }
    for pack in plan.packs.iter().filter(|pack| !pack.healable && !comes(&pack.id)) {
        ui.line(format_args!(
            "copy what can be read of pack {}, then set it aside: {}",
            pack.id, pack.message
        ))?;
    }
    for pack in plan.unread.iter().filter(|pack| !comes(&pack.id)) {
        ui.line(format_args!("leave pack {} as it is: {}", pack.id, pack.message))?;
    }
    for broken in &plan.broken {
        let outlook =
            if mends(broken, fetch.map(|(fetch, _)| fetch)) { "would be whole again" } else { NOT_WHOLE };
        ui.line(snapshot_line(context, broken, outlook))?;
    }
    if let Some((fetch, Elsewhere { place, .. })) = fetch {
        let (packs, bytes) = (counted(fetch.packs, "pack"), Bytes(fetch.bytes));
        ui.line(format_args!(
            "Would fetch up to {bytes} in {packs} from {place}, each checked when it arrives"
        ))?;
        for lacking in &fetch.lacking {
            let (id, error) = (not_fetched(&lacking.id.to_string()), sentence(&lacking.error));
            ui.warn(format_args!("{id} cannot be had from {place}: {error}"));
        }
    }
    Ok(())
}

fn show_report(
    ui: &mut Ui,
    context: &Context,
    plan: &RepairPlan,
    report: &RepairReport,
    from: Option<&Elsewhere>,
) -> Result<()> {
    if ui.json {
        return ui.document(&json!({
            "healed": report.healed,
            "fetched": report.fetched,
            "fetched_bytes": report.fetched_bytes,
            "records_fetched": report.records_fetched,
            "not_fetched": report.not_fetched.iter().map(|it| json!({ "object": it.object, "reason": it.message })).collect::<Vec<_>>(),
            "parity_made": report.parity_made,
            "copies_made": report.copies_made,
            "set_aside": report.set_aside.len(),
            "lost": lost_snapshots(report),
            "unread": report.unread.iter().map(names::pack).chain(unread_records(plan)).collect::<Vec<_>>(),
            "left": report.left,
            "chunks_saved": report.chunks_saved,
            "chunks_lost": report.chunks_lost,
            "dropped": report.dropped.iter().map(broken_entry).collect::<Vec<_>>(),
            "broken": report.broken.iter().map(broken_entry).collect::<Vec<_>>(),
        }));
    }
    for broken in &report.broken {
        ui.line(broken_line(context, broken))?;
    }
    for dropped in &report.dropped {
        ui.line(format_args!("deleted: {}", broken_line(context, dropped)))?;
    }
    if ui.quiet {
        return Ok(());
    }
    if plan.is_empty() {
        return ui.line("Nothing was damaged; the index was made anew");
    }
    if report.healed > 0 {
        ui.line(format_args!("Healed {} by parity", counted(report.healed, "pack")))?;
    }
    if let Some(Elsewhere { place, .. }) = from
        && report.fetched + report.records_fetched > 0
    {
        let (packs, bytes) = (counted(report.fetched, "pack"), Bytes(report.fetched_bytes));
        let records = match report.records_fetched {
            0 => String::new(),
            records => format!(" and {}", counted(records, "record")),
        };
        ui.line(format_args!("Fetched {packs}{records} from {place}: {bytes}"))?;
    }
    if report.parity_made > 0 {
        ui.line(format_args!("Made the parity of {} anew", counted(report.parity_made, "pack")))?;
    }
    if report.copies_made > 0 {
        let copies = match report.copies_made {
            1 => "1 second copy".to_owned(),
            n => format!("{n} second copies"),
        };
        ui.line(format_args!("Made {copies} anew"))?;
    }
    if !plan.renewed.is_empty() {
        ui.line(format_args!("Cleared or made anew {}", counted(plan.renewed.len() as u64, "record")))?;
    }
    if !report.set_aside.is_empty() {
        // What cannot be saved here may have come from there.
        let rest = if from.is_some() { "could not be read" } else { "lost" };
        ui.line(format_args!(
            "Set {} aside below damaged/: {} saved, {} {rest}",
            counted(report.set_aside.len() as u64, "object"),
            counted(report.chunks_saved, "chunk"),
            counted(report.chunks_lost, "chunk"),
        ))?;
    }
    if !report.broken.is_empty() {
        let help = if from.is_none() { context.help_from_elsewhere() } else { None };
        let help = help.map(|help| format!("; {help}")).unwrap_or_default();
        ui.hint(format_args!("take new snapshots of these sources: what they have again makes the old ones whole; or `icecore repair --drop-broken`{help}"));
    }
    Ok(())
}

/// Whether a snapshot that is not whole would be, after what the plan shows.
fn mends(broken: &BrokenSnapshot, fetch: Option<&FetchPlan>) -> bool {
    let has_it = |fetch: &FetchPlan| fetch.lacking.iter().all(|lacking| lacking.id != broken.id);
    broken.healable || fetch.is_some_and(has_it)
}

fn broken_line(context: &Context, broken: &BrokenSnapshot) -> String {
    snapshot_line(context, broken, NOT_WHOLE)
}

fn snapshot_line(context: &Context, broken: &BrokenSnapshot, outlook: &str) -> String {
    let shown = broken.parts.iter().take(PARTS_SHOWN_MAX).filter(|part| !part.is_empty());
    let shown = shown.map(|part| printable(part)).collect::<Vec<_>>().join(", ");
    let more = match broken.parts.len().saturating_sub(PARTS_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let separator = if shown.is_empty() { "" } else { ": " };
    format!(
        "{}  {} of {} {outlook}{separator}{shown}{more}",
        broken.id.brief(),
        printable(&broken.source),
        context.local_time(&broken.created_at),
    )
}

fn unread_records(plan: &RepairPlan) -> impl Iterator<Item = String> {
    plan.unread_records.iter().map(|record| record.object.clone())
}

fn plan_entry(plan: &RepairPlan, fetch: Option<&FetchPlan>) -> Value {
    let records = plan.records.iter().chain(&plan.renewed).chain(&plan.copies);
    let records = records.map(|record| json!({ "kind": record.kind.as_str(), "object": record.object }));
    let packs = plan
        .packs
        .iter()
        .map(|pack| json!({ "id": pack.id.to_string(), "reason": pack.message, "healable": pack.healable }));
    let (mended, broken): (Vec<_>, Vec<_>) = plan.broken.iter().partition(|broken| mends(broken, fetch));
    let lacking = fetch.iter().flat_map(|fetch| &fetch.lacking);
    let lacking = lacking.map(|it| json!({ "id": it.id, "reason": sentence(&it.error) }));
    json!({
        "records": records.collect::<Vec<_>>(),
        "packs": packs.collect::<Vec<_>>(),
        "unread": plan.unread.iter().map(|pack| names::pack(&pack.id)).chain(unread_records(plan)).collect::<Vec<_>>(),
        "fetch_packs": fetch.map_or(0, |fetch| fetch.packs),
        "fetch_bytes": fetch.map_or(0, |fetch| fetch.bytes),
        "lacking": lacking.collect::<Vec<_>>(),
        "parity": plan.parity.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "mended": mended.into_iter().map(broken_entry).collect::<Vec<_>>(),
        "broken": broken.into_iter().map(broken_entry).collect::<Vec<_>>(),
    })
}

fn broken_entry(broken: &BrokenSnapshot) -> Value {
    json!({ "id": broken.id, "source": broken.source, "created_at": broken.created_at, "parts": broken.parts })
}
