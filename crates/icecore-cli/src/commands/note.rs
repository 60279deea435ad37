//! `icecore note`

use icecore_format::Label;
use serde_json::json;

use crate::args::parse_note;
use crate::context::Context;
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Write a note to a snapshot
///
/// It takes the place of the one that was there. `list` shows it and searches in it; `prune` keeps what has one, unless it is told otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct NoteArgs {
    /// Which: an id's first digits, latest, NAME, NAME~2, NAME@TAG, NAME@TIME, '#3'
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// The note; an empty one, '', takes it away
    #[arg(value_name = "TEXT", value_parser = parse_note)]
    text: String,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &NoteArgs) -> Result<ExitStatus> {
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let snapshot = listing.resolve(context, &args.snapshot)?;
    let label = Label::Note(args.text.clone());
    let note = Some(args.text.as_str()).filter(|text| !text.trim().is_empty());
    match note {
        Some(_) => opened.store.add_label(&snapshot.id, &label)?,
        None => drop(opened.store.remove_label(&snapshot.id, &label)?),
    }
    if ui.json {
        ui.document(&json!({ "id": snapshot.id, "note": note }))?;
    } else if !ui.quiet {
        let says = note.map_or_else(|| "it has no note".to_owned(), printable);
        ui.line(format_args!("{} {}: {says}", snapshot.id.brief(), printable(&snapshot.info().source)))?;
    }
    Ok(ExitStatus::Success)
}
