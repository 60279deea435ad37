//! What is printed of a pruning.

use std::collections::BTreeSet;

use icecore::{GcReport, Judged, PrunePlan, Pruned, SeriesPlan, SnapshotId};
use serde_json::{Value, json};

use crate::commands::list::remarks;
use crate::context::Context;
use crate::failure::Result;
use crate::ui::{Column, Ui};
use crate::units::{Bytes, counted, printable};

const HEAD: [(&str, Column); 8] = [
    ("#", Column::Right),
    ("ID", Column::Left),
    ("CREATED", Column::Left),
    ("SIZE", Column::Right),
    ("ADDED", Column::Right),
    ("PLAN", Column::Left),
    ("WHY", Column::Left),
    ("TAGS, NOTE", Column::Left),
];

/// What would be done. `freed` is what a collection would free now, and what then.
pub(super) fn plan(
    ui: &mut Ui,
    context: &Context,
    plan: &PrunePlan,
    freed: Option<(u64, u64)>,
) -> Result<()> {
    let going: BTreeSet<SnapshotId> = plan.going().map(|judged| judged.snapshot.id).collect();
    if ui.json {
        let bytes = freed.map(|(_, then)| then);
        return ui.document(&document(plan, &going, true, bytes));
    }
    if ui.quiet {
        return going.iter().try_for_each(|id| ui.line(id));
    }
    for series in &plan.series {
        ui.line(heading(series))?;
        table(ui, context, series)?;
        ui.line("")?;
    }
    let stay: usize = plan.series.iter().map(|series| series.snapshots.len()).sum();
    let stay = (stay - going.len()) as u64;
    ui.line(format_args!("Would delete {} and keep {stay}", counted(going.len() as u64, "snapshot")))?;
    if let Some((now, then)) = freed.filter(|_| !going.is_empty()) {
        let now = match now {
            0 => String::new(),
            now => format!(", {} of it already now", Bytes(now)),
        };
        ui.line(format_args!("A collection would free about {} then{now}", Bytes(then)))?;
    }
    Ok(())
}

/// What was done.
pub(super) fn pruned(
    ui: &mut Ui,
    context: &Context,
    pruned: &Pruned,
    collected: Option<&GcReport>,
) -> Result<()> {
    let Pruned { plan, deleted } = pruned;
    if ui.json {
        let bytes = collected.map(|report| report.bytes_freed);
        return ui.document(&document(plan, deleted, false, bytes));
    }
    if ui.quiet {
        return deleted.iter().try_for_each(|id| ui.line(id));
    }
    for series in &plan.series {
        let gone = series.snapshots.iter().filter(|judged| deleted.contains(&judged.snapshot.id)).count();
        let kept = series.snapshots.iter().filter(|judged| !judged.verdict.goes()).count();
        if ui.verbose {
            ui.line(heading(series))?;
            table(ui, context, series)?;
        }
        ui.line(format_args!("{}: {gone} deleted, {kept} kept", printable(&series.source)))?;
    }
    match collected {
        Some(report) => ui.line(format_args!("Freed {}", Bytes(report.bytes_freed)))?,
        None if !deleted.is_empty() => ui.hint("`icecore gc` gives their space back"),
        None => (),
    }
    Ok(())
}

/// Whose snapshots follow, and what is kept of them.
fn heading(series: &SeriesPlan) -> String {
    let policies = &series.policies;
    format!(
        "{}: {}; of named ones: {}",
        printable(&series.source),
        printable(&policies.automatic.to_string()),
        printable(&policies.named.to_string())
    )
}

fn table(ui: &mut Ui, context: &Context, series: &SeriesPlan) -> Result<()> {
    let row = |judged: &Judged| {
        let (snapshot, info) = (&judged.snapshot, judged.snapshot.info());
        let (plan, why) = match judged.verdict.goes() {
            true => ("delete", "no rule keeps it".to_owned()),
            false => ("keep", reasons(judged).join("; ")),
        };
        vec![
            judged.index.to_string(),
            snapshot.id.brief(),
            context.local_time(&info.created_at),
            Bytes(info.logical_bytes).to_string(),
            Bytes(snapshot.stored_bytes()).to_string(),
            plan.to_owned(),
            printable(&why),
            remarks(snapshot),
        ]
    };
    ui.table(&HEAD, series.snapshots.iter().map(row).collect())
}

fn reasons(judged: &Judged) -> Vec<String> {
    judged.verdict.reasons.iter().map(ToString::to_string).collect()
}

fn document(plan: &PrunePlan, gone: &BTreeSet<SnapshotId>, is_dry: bool, bytes_freed: Option<u64>) -> Value {
    let snapshot = |judged: &Judged| {
        json!({
            "index": judged.index,
            "id": judged.snapshot.id,
            "created_at": judged.snapshot.info().created_at,
            "kept": !gone.contains(&judged.snapshot.id),
            "reasons": reasons(judged),
        })
    };
    let series = plan.series.iter().map(|series| {
        json!({
            "source": series.source,
            "policy": series.policies.automatic.to_string(),
            "named_policy": series.policies.named.to_string(),
            "snapshots": series.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        })
    });
    json!({
        "dry_run": is_dry,
        "sources": series.collect::<Vec<_>>(),
        "without_policy": plan.without_policy,
        "deleted": gone.len(),
        "bytes_freed": bytes_freed,
    })
}
