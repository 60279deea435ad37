//! `icecore stats`

use serde_json::json;

use crate::context::Context;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, saved_percent};

/// Show how much is stored
#[derive(Debug, clap::Args)]
pub(crate) struct StatsArgs {}

pub(crate) fn run(ui: &mut Ui, context: &Context, _args: &StatsArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    let stats = opened.store.stats()?;
    if ui.json {
        ui.document(&json!({
            "snapshots": stats.snapshots,
            "logical_bytes": stats.logical_bytes,
            "stored_bytes": stats.stored_bytes,
            "packs": stats.packs,
            "chunks": stats.chunks,
            "delta_bytes": stats.delta_bytes,
            "delta_stored_bytes": stats.delta_stored_bytes,
            "delta_saved_bytes": stats.delta_saved_bytes,
        }))?;
        return Ok(ExitStatus::Success);
    }
    let saved = saved_percent(stats.logical_bytes, stats.stored_bytes);
    ui.line(format_args!("Store      {}", opened.place))?;
    ui.line(format_args!("Snapshots  {}", stats.snapshots))?;
    ui.line(format_args!("Content    {} in all snapshots", Bytes(stats.logical_bytes)))?;
    let saved = saved.map(|percent| format!(", {percent} saved")).unwrap_or_default();
    ui.line(format_args!("Stored     {}{saved}", Bytes(stats.stored_bytes)))?;
    if stats.delta_bytes > 0 {
        ui.line(format_args!(
            "Deltas     {} of content in {}, about {} saved",
            Bytes(stats.delta_bytes),
            Bytes(stats.delta_stored_bytes),
            Bytes(stats.delta_saved_bytes)
        ))?;
    }
    ui.line(format_args!("Packs      {}", stats.packs))?;
    ui.line(format_args!("Chunks     {}", stats.chunks))?;
    Ok(ExitStatus::Success)
}
