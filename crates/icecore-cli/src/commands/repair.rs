//! `icecore repair`

use std::time::Duration;

use icecore::{BrokenSnapshot, Counter, RepairOptions, RepairPlan, RepairReport};
use icecore_format::names;
use icecore_store::{FencePolicy, FindingKind};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Result;
use crate::progress::Progress;
use crate::select::shortened;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{counted, parse_duration, printable};

/// Parts named in one line.
const PARTS_SHOWN_MAX: usize = 5;

/// What becomes of a snapshot whose manifest cannot be read.
const LOST: &str = "; this snapshot is lost, and the next gc frees what only it needs";

/// Make a damaged store usable again
///
/// Makes the index anew (the next night then costs what changed since its rows were stored whole, once), reads everything, and heals
/// damaged packs by their parity, if the store has any (`init --parity`). It copies what can be read of the others, and moves these and
/// other records that cannot be read below `damaged/` in the store. Nothing is deleted. What was lost is stored again when a snapshot that
/// has it is taken, which makes older snapshots whole again too; so repair, then take new snapshots.
#[derive(Debug, clap::Args)]
pub(crate) struct RepairArgs {
    /// Only show what is damaged and what would be done
    #[arg(long)]
    dry_run: bool,
    /// Delete the snapshots that are not whole at the end; `gc` then gives their space back
    #[arg(long)]
    drop_broken: bool,
    /// After how long without a sign of life a writer is given up
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    fence_after: Duration,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RepairArgs) -> Result<ExitStatus> {
    let store = context.open()?.store;
    let now = u64::try_from(context.now.as_second()).unwrap_or(0);
    let drawing = Progress::begin(ui, context, Counter::ReadBytes, "Reading");
    let plan = match args.dry_run {
        true => store.preview_repair(now, &*drawing.monitor()),
        false => store.plan_repair(now, &*drawing.monitor()),
    };
    drawing.end();
    let plan = plan?;
    if args.dry_run && ui.json {
        ui.document(&plan_entry(&plan))?;
    } else if args.dry_run {
        show_plan(ui, context, &plan)?;
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
    let report = store.repair(&plan, &options, now, &*drawing.monitor());
    drawing.end();
    let report = report?;
    show_report(ui, context, &plan, &report)?;
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
    let whole = report.broken.is_empty()
        && report.unread.is_empty()
        && plan.unread_records.is_empty()
        && report.left.is_empty()
        && lost.is_empty();
    Ok(if whole { ExitStatus::Success } else { ExitStatus::Findings })
}

/// The manifests that were set aside.
fn lost_snapshots(report: &RepairReport) -> Vec<&String> {
    report.set_aside.iter().filter(|name| name.starts_with(names::SNAPSHOTS)).collect()
}

fn show_plan(ui: &mut Ui, context: &Context, plan: &RepairPlan) -> Result<()> {
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
    for id in &plan.parity {
        ui.line(format_args!("make the parity of pack {id} anew"))?;
    }
    for pack in plan.packs.iter().filter(|pack| !pack.healable) {
        ui.line(format_args!(
            "copy what can be read of pack {}, then set it aside: {}",
            pack.id, pack.message
        ))?;
    }
    for pack in &plan.unread {
        ui.line(format_args!("leave pack {} as it is: {}", pack.id, pack.message))?;
    }
    for broken in &plan.broken {
        ui.line(broken_line(context, broken))?;
    }
    Ok(())
}

fn show_report(ui: &mut Ui, context: &Context, plan: &RepairPlan, report: &RepairReport) -> Result<()> {
    if ui.json {
        return ui.document(&json!({
            "healed": report.healed,
            "parity_made": report.parity_made,
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
    if report.parity_made > 0 {
        ui.line(format_args!("Made the parity of {} anew", counted(report.parity_made, "pack")))?;
    }
    if !plan.renewed.is_empty() {
        ui.line(format_args!("Cleared or made anew {}", counted(plan.renewed.len() as u64, "record")))?;
    }
    if !report.set_aside.is_empty() {
        ui.line(format_args!(
            "Set {} aside below damaged/: {} saved, {} lost",
            counted(report.set_aside.len() as u64, "object"),
            counted(report.chunks_saved, "chunk"),
            counted(report.chunks_lost, "chunk"),
        ))?;
    }
    if !report.broken.is_empty() {
        ui.hint("take new snapshots of these sources: what they have again makes the old ones whole; or `icecore repair --drop-broken`");
    }
    Ok(())
}

fn broken_line(context: &Context, broken: &BrokenSnapshot) -> String {
    let shown = broken.parts.iter().take(PARTS_SHOWN_MAX).filter(|part| !part.is_empty());
    let shown = shown.map(|part| printable(part)).collect::<Vec<_>>().join(", ");
    let more = match broken.parts.len().saturating_sub(PARTS_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let separator = if shown.is_empty() { "" } else { ": " };
    format!(
        "{}  {} of {} is not whole{separator}{shown}{more}",
        shortened(&broken.id.to_string()),
        printable(&broken.source),
        context.local_time(&broken.created_at),
    )
}

fn unread_records(plan: &RepairPlan) -> impl Iterator<Item = String> {
    plan.unread_records.iter().map(|record| record.object.clone())
}

fn plan_entry(plan: &RepairPlan) -> Value {
    let records = plan.records.iter().chain(&plan.renewed);
    let records = records.map(|record| json!({ "kind": record.kind.as_str(), "object": record.object }));
    let packs = plan
        .packs
        .iter()
        .map(|pack| json!({ "id": pack.id.to_string(), "reason": pack.message, "healable": pack.healable }));
    json!({
        "records": records.collect::<Vec<_>>(),
        "packs": packs.collect::<Vec<_>>(),
        "unread": plan.unread.iter().map(|pack| names::pack(&pack.id)).chain(unread_records(plan)).collect::<Vec<_>>(),
        "parity": plan.parity.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "broken": plan.broken.iter().map(broken_entry).collect::<Vec<_>>(),
    })
}

fn broken_entry(broken: &BrokenSnapshot) -> Value {
    json!({ "id": broken.id, "source": broken.source, "created_at": broken.created_at, "parts": broken.parts })
}
