//! `icecore gc`

use std::sync::Arc;
use std::time::Duration;

use icecore::{Counter, GcOptions, GcPlan, GcReport, Store};
use icecore_store::FencePolicy;
use serde_json::json;

use crate::args::ExclusiveArgs;
use crate::context::Context;
use crate::failure::Result;
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::{Column, Ui};
use crate::units::{Bytes, counted};

/// Remove what no snapshot needs
///
/// Snapshots may be taken and restored meanwhile. It asks nothing, for it removes only what nothing can reach; packs of which much
/// is dead are rewritten.
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Rewrite what lies deeper than so many deltas (8 if none is given), so that it is restored faster; takes room
    #[arg(long, value_name = "DEPTH", num_args = 0..=1, default_missing_value = "8", value_parser = clap::value_parser!(u8).range(1..=31))]
    flatten: Option<u8>,
    /// After how long without a sign of life a writer is given up
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = icecore::parse_duration)]
    fence_after: Duration,
    #[command(flatten)]
    alone: ExclusiveArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &GcArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    if !args.dry_run {
        args.alone.check(context, &opened, "collecting")?;
    }
    let store = opened.store;
    let fence = FencePolicy { after: args.fence_after, ..FencePolicy::default() };
    let mut options = GcOptions { fence, ..GcOptions::default() };
    options.depth_max = args.flatten.unwrap_or(options.depth_max);
    if args.dry_run {
        let drawing = Progress::begin(ui, context, Counter::StoredBytes, "Collecting");
        let plan = store.plan_gc(&options, &*drawing.monitor());
        drawing.end();
        show_plan(ui, &plan?)?;
    } else {
        let report = collect(ui, context, &store, &options)?;
        show_report(ui, &report)?;
        if tell_damage(ui, &report) {
            return Ok(ExitStatus::Findings);
        }
    }
    Ok(ExitStatus::Success)
}

/// Collects, and shows how far it is.
pub(super) fn collect(
    ui: &Ui,
    context: &Context,
    store: &Arc<Store>,
    options: &GcOptions,
) -> Result<GcReport> {
    let drawing = Progress::begin(ui, context, Counter::StoredBytes, "Collecting");
    let report = store.gc(options, &*drawing.monitor());
    drawing.end();
    Ok(report?)
}

fn show_plan(ui: &mut Ui, plan: &GcPlan) -> Result<()> {
    let freed = plan.freed_bytes();
    let there: u64 = [&plan.drop, &plan.rewrite, &plan.keep].into_iter().flatten().map(|pack| pack.len).sum();
    let deleted = plan.drop.len() + plan.rewrite.len();
    if ui.json {
        return ui.document(&json!({
            "packs_deleted": deleted,
            "packs_rewritten": plan.rewrite.len(),
            "bytes_freed": freed,
            "bytes_kept": there.saturating_sub(freed),
        }));
    }
    if plan.is_empty() {
        return ui
            .line(format_args!("Nothing to do: all of {} is needed", packs(plan.keep.len() as u64, there)));
    }
    let rows = [("drop", &plan.drop), ("rewrite", &plan.rewrite)].into_iter().flat_map(|(verdict, packs)| {
        packs.iter().map(move |pack| {
            let id = pack.id.brief();
            vec![
                id,
                Bytes(pack.len).to_string(),
                pack.chunks.to_string(),
                pack.live.to_string(),
                verdict.to_owned(),
            ]
        })
    });
    let right = Column::Right;
    let head = [
        ("PACK", Column::Left),
        ("SIZE", right),
        ("CHUNKS", right),
        ("NEEDED", right),
        ("PLAN", Column::Left),
    ];
    ui.table(&head, rows.collect())?;
    ui.line(format_args!(
        "Would free about {} and keep {}",
        Bytes(freed),
        packs(plan.keep.len() as u64, there.saturating_sub(freed))
    ))
}

fn show_report(ui: &mut Ui, report: &GcReport) -> Result<()> {
    if ui.json {
        return ui.document(&json!({
            "packs_deleted": report.packs_deleted,
            "packs_rewritten": report.packs_rewritten,
            "bytes_freed": report.bytes_freed,
            "bytes_kept": report.bytes_kept,
        }));
    }
    if !ui.quiet {
        let rewritten = match report.packs_rewritten {
            0 => String::new(),
            n => format!(", {n} of them rewritten"),
        };
        ui.line(format_args!(
            "Freed {}: {} deleted{rewritten}; {} kept",
            Bytes(report.bytes_freed),
            counted(report.packs_deleted, "pack"),
            Bytes(report.bytes_kept),
        ))?;
    }
    if report.full {
        ui.status(
            "The disk has too little room: not all that is partly dead was rewritten. There may be room for it now.",
        );
    }
    if report.packs_condemned > 0 {
        let condemned = counted(report.packs_condemned, "pack");
        ui.status(format_args!(
            "A running writer may need {condemned} more: the next collection removes them."
        ));
    }
    Ok(())
}

/// Whether there was damage to tell of. The collection did what it could; what it removed was not needed.
pub(super) fn tell_damage(ui: &mut Ui, report: &GcReport) -> bool {
    for pack in &report.packs_damaged {
        ui.warn(format_args!("pack {pack} is damaged and was left as it is"));
    }
    for id in &report.harmed {
        ui.warn(format_args!("snapshot {} needs chunks that no pack holds", id.brief()));
    }
    if report.bases_lost > 0 {
        let chunks = counted(report.bases_lost, "chunk");
        ui.warn(format_args!("{chunks} that deltas are coded on lie in no pack"));
    }
    let damaged = !report.packs_damaged.is_empty() || !report.harmed.is_empty() || report.bases_lost > 0;
    if damaged {
        ui.hint("`icecore verify` tells what is damaged, `icecore repair` sets it aside");
    }
    damaged
}

fn packs(count: u64, bytes: u64) -> String {
    format!("{} with {}", counted(count, "pack"), Bytes(bytes))
}
