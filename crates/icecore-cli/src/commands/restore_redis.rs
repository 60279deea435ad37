//! Restoring to a Redis server, a way of `icecore restore`.

use std::time::Instant;

use icecore::{Counter, RestoredKeys, Snapshot, Source};
use icecore_engine::redis::Endpoint;
use icecore_engine::redis::restore::Plan;
use serde_json::json;

use super::restore_database::{refuse, rollback_command, safety_name, take_safety_snapshot};
use crate::context::{Context, Opened};
use crate::failure::Result;
use crate::progress::Progress;
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Millis, counted, printable};

pub(crate) fn run(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    (endpoint, name): (&Endpoint, &str),
    allow_incomplete: bool,
) -> Result<ExitStatus> {
    let plan = icecore::plan_redis(&opened.store, snapshot, endpoint, allow_incomplete)?;
    let address = printable(&endpoint.address.to_string()).to_string();
    refuse(ui, &plan.notices, &plan.blockers, &format!("the Redis server at {}", endpoint.address))?;
    confirm(ui, &plan, (&address, &context.described(snapshot)))?;
    let mut warnings = Vec::new();
    if plan.keys > 0 {
        let there = Source::Redis(endpoint.clone());
        warnings = take_safety_snapshot(ui, context, opened, name, &there, &endpoint.url())?;
    }
    let started = Instant::now();
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Restoring");
    let restored = icecore::restore_redis(&opened.store, snapshot, &plan, &*drawing.monitor());
    drawing.end();
    let mut restored = restored?;
    restored.warnings.extend(warnings);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let undo = rollback_command(context, name, &endpoint.url());
    report(ui, snapshot, &plan, (&address, name, &undo), &restored, duration_ms)
}

/// Names exactly what would be replaced.
fn confirm(ui: &mut Ui, plan: &Plan, (address, by): (&str, &str)) -> Result<()> {
    if plan.keys == 0 {
        return Ok(());
    }
    let what = format!("all data of the Redis server at {address} ({})", counted(plan.keys, "key"));
    ui.confirm_effect(
        &format!("Replace {what} by {by}? A snapshot of them is taken before."),
        &format!("the Redis server at {address} has data, and was not touched"),
        &format!("replaces {what} by {by}, after a snapshot of them was taken; --to redis://HOST or --to PATH restores elsewhere"),
    )
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    plan: &Plan,
    (address, name, undo): (&str, &str, &str),
    restored: &RestoredKeys,
    duration_ms: u64,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": address,
            "parts": snapshot.info().parts,
            "bytes": snapshot.info().logical_bytes,
            "written_bytes": snapshot.info().logical_bytes,
            "keys": restored.keys,
            "duration_ms": duration_ms,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(address)?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to the Redis server at {address}: {}, {}",
            printable(&snapshot.info().source),
            short_id(snapshot),
            counted(restored.keys, "key"),
            Millis(duration_ms),
        ))?;
        if plan.keys > 0 {
            let name = safety_name(name);
            ui.hint(format_args!(
                "what was there is the snapshot {}; `{undo}` brings it back",
                printable(&name)
            ));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
