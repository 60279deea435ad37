//! Restoring to a Redis server, a way of `icecore restore`.

use std::time::Instant;

use icecore::{Error, RestoredKeys, Snapshot, Source};
use icecore_engine::redis::Endpoint;
use icecore_engine::redis::restore::Plan;
use serde_json::json;

use super::chosen::Chosen;
use super::safety::{Replaced, safety_name};
use super::told::{refuse, rollback_command};
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Millis, counted, printable};

/// Restores all that a server has, after a snapshot of what is there, and asks before that is replaced.
pub(crate) fn run(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (endpoint, name): (&Endpoint, &str),
    allow_incomplete: bool,
) -> Result<ExitStatus> {
    let Chosen { context, opened, snapshot } = chosen;
    let plan = icecore::plan_redis(&opened.store, snapshot, endpoint, allow_incomplete)?;
    let address = printable(&endpoint.address.to_string()).to_string();
    refuse(ui, &plan.notices, &plan.blockers, &format!("the Redis server at {}", endpoint.address))?;
    confirm(ui, &plan, (&address, &chosen.described()))?;
    let mut saved = None;
    if !plan.replaces_nothing() {
        let source = &Source::Redis(endpoint.clone());
        saved = Some(Replaced { name, source, origin: &endpoint.url() }.save(ui, chosen)?);
    }
    let started = Instant::now();
    let restored = chosen
        .show(ui, "Restoring", |monitor| icecore::restore_redis(&opened.store, snapshot, &plan, monitor));
    let mut restored = restored.inspect_err(|error| {
        // The server never got the end of it.
        let is_as_it_was = plan.swaps && matches!(error, Error::Damaged { .. });
        if let Some(saved) = saved.as_ref().filter(|_| is_as_it_was) {
            saved.withdraw(opened);
        }
    })?;
    restored.warnings.extend(saved.map(|saved| saved.findings).unwrap_or_default());
    let undo = rollback_command(context, name, &endpoint.url());
    report(ui, snapshot, &plan, (&address, name, &undo), &restored, Millis::since(started))
}

/// Names exactly what would be replaced.
fn confirm(ui: &mut Ui, plan: &Plan, (address, by): (&str, &str)) -> Result<()> {
    if plan.replaces_nothing() {
        return Ok(());
    }
    let libraries = match plan.libraries {
        0 => String::new(),
        1 => ", 1 library of functions".to_owned(),
        libraries => format!(", {libraries} libraries of functions"),
    };
    let what =
        format!("all data of the Redis server at {address} ({}{libraries})", counted(plan.keys, "key"));
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
    duration: Millis,
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
            "kept": (!plan.replaces_nothing()).then(|| safety_name(name)),
            "notes": ui.notes,
            "duration_ms": duration.0,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(address)?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to the Redis server at {address}: {}, {}",
            printable(&snapshot.info().source),
            snapshot.id.brief(),
            counted(restored.keys, "key"),
            duration,
        ))?;
        if !plan.replaces_nothing() {
            let name = safety_name(name);
            ui.hint(format_args!(
                "what was there is the snapshot {}; `{undo}` brings it back",
                printable(&name)
            ));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
