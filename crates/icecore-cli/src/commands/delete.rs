//! `icecore delete`

use serde_json::json;

use crate::args::{ExclusiveArgs, ServiceArgs};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{counted, printable};

/// Delete snapshots
///
/// Nothing is deleted unless all of them are found. Their space comes back with `icecore gc`.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// Which: an id's first digits, latest, NAME, NAME~2, NAME@TAG, NAME@TIME, '#3'
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    alone: ExclusiveArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &DeleteArgs) -> Result<ExitStatus> {
    let mut selectors = args.snapshots.clone();
    if let Some(service) = args.service.or_positional(None)? {
        selectors.push(service);
    }
    if selectors.is_empty() {
        return Err(CommandError::usage("say which snapshots")
            .hint("`icecore list` shows them; a number must be quoted for the shell: '#3'"));
    }
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let chosen = listing.resolve_all(context, &selectors)?;
    for snapshot in &chosen {
        let info = snapshot.info();
        let tags = snapshot.labels.tags.iter().map(|tag| printable(tag)).collect::<Vec<_>>().join(", ");
        let tags = if tags.is_empty() { tags } else { format!(" ({tags})") };
        let taken = context.local_time(&info.created_at);
        ui.status(format_args!("{}  {} of {taken}{tags}", snapshot.id.brief(), printable(&info.source)));
    }
    args.alone.check(context, &opened, "deleting")?;
    let count = counted(chosen.len() as u64, "snapshot");
    ui.confirm(
        &format!("Delete {count}?"),
        &format!("deleting {count} needs a confirmation; nothing was deleted"),
    )?;
    for snapshot in &chosen {
        opened.store.delete_snapshot(snapshot)?;
    }
    if ui.json {
        let ids: Vec<_> = chosen.iter().map(|snapshot| snapshot.id).collect();
        ui.document(&json!({ "deleted": ids }))?;
    } else if ui.quiet {
        for snapshot in &chosen {
            ui.line(snapshot.id)?;
        }
    } else {
        ui.line(format_args!("Deleted {count}"))?;
        ui.hint("`icecore gc` gives their space back");
    }
    Ok(ExitStatus::Success)
}
