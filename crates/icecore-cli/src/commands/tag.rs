//! `icecore tag`

use std::collections::BTreeSet;

use icecore_format::Label;
use serde_json::json;

use crate::args::parse_line;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum TagCommand {
    /// Tag a snapshot
    Add(TagArgs),
    /// Take tags away
    Remove(TagArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TagArgs {
    /// Which: an id's first digits, latest, NAME, NAME~2, NAME@TAG, NAME@TIME, '#3'
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// The tags
    #[arg(value_name = "TAG", required = true, value_parser = parse_line)]
    tags: Vec<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, command: &TagCommand) -> Result<ExitStatus> {
    let (TagCommand::Add(args) | TagCommand::Remove(args)) = command;
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let snapshot = listing.resolve(context, &args.snapshot)?;
    let mut tags = snapshot.labels.tags.clone();
    if let TagCommand::Remove(_) = command
        && let Some(missing) = args.tags.iter().find(|tag| !tags.contains(*tag))
    {
        let near = icecore::did_you_mean(missing, tags.iter().map(String::as_str));
        let message = format!("snapshot {} has no tag {missing:?}{near}", snapshot.id.brief());
        return Err(CommandError::new(ExitStatus::NotFound, message).hint(it_has(&tags)));
    }
    for tag in &args.tags {
        let label = Label::Tag(tag.clone());
        match command {
            TagCommand::Add(_) => {
                opened.store.add_label(&snapshot.id, &label)?;
                tags.insert(tag.clone());
            }
            TagCommand::Remove(_) => {
                opened.store.remove_label(&snapshot.id, &label)?;
                tags.remove(tag);
            }
        }
    }
    if ui.json {
        ui.document(&json!({ "id": snapshot.id, "tags": tags }))?;
    } else if !ui.quiet {
        ui.line(format_args!(
            "{} {}: {}",
            snapshot.id.brief(),
            printable(&snapshot.info().source),
            it_has(&tags)
        ))?;
    }
    Ok(ExitStatus::Success)
}

fn it_has(tags: &BTreeSet<String>) -> String {
    match tags.is_empty() {
        true => "it has no tags".to_owned(),
        false => format!("it has {}", tags.iter().map(|tag| printable(tag)).collect::<Vec<_>>().join(", ")),
    }
}
