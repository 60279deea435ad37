//! `icecore show`

use std::sync::Arc;

use icecore::{Depths, Snapshot, SnapshotReader};
use icecore_format::{Part, PartKind};
use serde_json::{Value, json};

use crate::args::ServiceArgs;
use crate::commands::restore::told::quoted;
use crate::context::Context;
use crate::evidence;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, percent, printable};

/// Show a snapshot and its parts
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Which: an id's first digits, latest, NAME, NAME~2, NAME@TAG, NAME@TIME, '#3'
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ShowArgs) -> Result<ExitStatus> {
    let Some(selector) = args.service.or_positional(args.snapshot.as_deref())? else {
        return Err(CommandError::usage("say which snapshot")
            .hint("`icecore show latest` shows the newest; a number must be quoted for the shell: '#3'"));
    };
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let snapshot = listing.resolve(context, &selector)?;
    let reader = SnapshotReader::new(Arc::clone(&opened.store), snapshot.manifest.clone());
    let told = |error| opened.store.unless_deleted(snapshot, error);
    if ui.json {
        let parts =
            reader.parts().map(|part| Ok(part_entry(&part.map_err(told)?))).collect::<Result<Vec<_>>>()?;
        let restore = restore_command(context, snapshot);
        ui.document(&entry(snapshot, &reader.depths().map_err(told)?, &parts, &restore))?;
        return Ok(ExitStatus::Success);
    }
    show_facts(ui, context, snapshot, &reader.depths().map_err(told)?)?;
    ui.line("")?;
    ui.line(format_args!("{:<10} {:>12} {:>9}  PART", "KIND", "ROWS", "SIZE"))?;
    // Line by line: a directory may have millions of files.
    for part in reader.parts() {
        let part = part.map_err(told)?;
        let rows = part.rows.map(|rows| rows.to_string()).unwrap_or_default();
        let name = match part.name.is_empty() {
            true if part.kind == PartKind::Directory => ".".to_owned(),
            true if snapshot.info().parts == 1 => "(all)".to_owned(),
            true => "(no name)".to_owned(),
            false => printable(&part.display_name()),
        };
        ui.line(format_args!("{:<10} {rows:>12} {:>9}  {name}", part.kind.as_str(), Bytes(part.len)))?;
    }
    Ok(ExitStatus::Success)
}

fn show_facts(ui: &mut Ui, context: &Context, snapshot: &Snapshot, depths: &Depths) -> Result<()> {
    let info = snapshot.info();
    let engine = match &info.engine_version {
        Some(version) => format!("{} {version}", info.engine),
        None => info.engine.clone(),
    };
    let mut facts = vec![
        ("Snapshot", snapshot.id.to_string()),
        ("Source", info.source.clone()),
        ("Engine", engine),
        ("Form", info.form.clone()),
        (
            "Created",
            format!(
                "{} on {}, in {}",
                context.local_time(&info.created_at),
                info.host,
                Millis(info.duration_ms)
            ),
        ),
        ("Size", format!("{} in {}", Bytes(info.logical_bytes), counted(info.chunks, "chunk"))),
        (
            "Added",
            format!(
                "{} for {} of new data in {}",
                Bytes(snapshot.stored_bytes()),
                Bytes(info.changed_bytes),
                counted(info.new_chunks, "chunk")
            ),
        ),
    ];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("Deltas", chains(depths));
    add("From", info.origin.clone());
    add("Unpacked", info.unpacked.as_ref().map(|format| format!("from {format}")));
    add("Parent", info.parent.map(|parent| parent.brief()));
    add(
        "Tags",
        Some(snapshot.labels.tags.iter().cloned().collect::<Vec<_>>().join(", "))
            .filter(|tags| !tags.is_empty()),
    );
    add("Note", snapshot.labels.note.clone());
    let (verified, restored) = (snapshot.labels.verified(), snapshot.labels.restored());
    add("Verified", verified.map(|found| evidence::line(context, found)));
    add("Restored", restored.map(|found| evidence::line(context, found)));
    for unproved in restored.into_iter().flat_map(|found| &found.unproved) {
        add("Unproved", Some(unproved.clone()));
    }
    add("Restore", Some(restore_command(context, snapshot)));
    add("Made by", Some(format!("icecore {}", info.tool_version)));
    for finding in &info.findings {
        add("Finding", Some(finding.clone()));
    }
    for (name, value) in facts {
        ui.line(format_args!("{name:<9} {}", printable(&value)))?;
    }
    Ok(())
}

/// How deep the snapshot lies, if any of it lies deep.
fn chains(depths: &Depths) -> Option<String> {
    let share = percent(depths.delta_bytes, depths.bytes)?;
    let (mean, max) = (depths.mean(), depths.max);
    (max > 0).then(|| format!("{share} of the content; {mean:.1} deep on average, {max} at most"))
}

/// What restores it, to be copied. What came from no place needs one to go to, and so does what is to take no whole database's place.
pub(crate) fn restore_command(context: &Context, snapshot: &Snapshot) -> String {
    let to = match snapshot.info().origin {
        Some(_) if icecore::is_of_a_part(snapshot) => " --to URL",
        Some(_) => "",
        None => " --to -",
    };
    let store = context.store_option().map(|(option, place)| format!(" {option} {}", quoted(place)));
    let config = context.config_option().map(|file| format!(" --config {}", quoted(file)));
    let password = context.password_option().map(|file| format!(" --password-file {}", quoted(file)));
    let options = [store, config, password].into_iter().flatten().collect::<String>();
    format!("icecore restore {}{to}{options}", snapshot.id.brief())
}

fn entry(snapshot: &Snapshot, depths: &Depths, parts: &[Value], restore: &str) -> Value {
    let info = snapshot.info();
    json!({
        "id": snapshot.id,
        "source": info.source,
        "engine": info.engine,
        "engine_version": info.engine_version,
        "form": info.form,
        "origin": info.origin,
        "unpacked": info.unpacked,
        "created_at": info.created_at,
        "host": info.host,
        "tool_version": info.tool_version,
        "parent": info.parent,
        "logical_bytes": info.logical_bytes,
        "changed_bytes": info.changed_bytes,
        "stored_bytes": snapshot.stored_bytes(),
        "chunks": info.chunks,
        "new_chunks": info.new_chunks,
        "delta_chunks": info.delta_chunks,
        "delta_bytes": depths.delta_bytes,
        "depth_mean": depths.mean(),
        "depth_max": depths.max,
        "duration_ms": info.duration_ms,
        "findings": info.findings,
        "tags": snapshot.labels.tags,
        "note": snapshot.labels.note,
        "verified": evidence::whole(snapshot.labels.verified()),
        "restored": evidence::whole(snapshot.labels.restored()),
        "restore": restore,
        "parts": parts,
    })
}

fn part_entry(part: &Part) -> Value {
    json!({
        "name": part.display_name(),
        "kind": part.kind.as_str(),
        "rows": part.rows,
        "bytes": part.len,
        "hash": part.hash.to_hex(),
    })
}
