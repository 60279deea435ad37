//! `icecore rollback`

use std::path::{Path, PathBuf};

use icecore::{Snapshot, Source};
use icecore_engine::postgres::restore;
use serde_json::json;

use super::restore_database::{self, DatabaseArgs, SAFETY_TAG};
use super::restore_redis;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undo the last restore of a database on a server
///
/// What the restore put aside takes its place again, in an instant; what was restored is put aside instead, so that another rollback brings
/// that back. Where nothing was put aside, the snapshot that the restore took of it before is restored.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore rollback shop
  icecore rollback postgres://localhost/shop\n")]
pub(crate) struct RollbackArgs {
    /// A service of icecore.toml, or a URL [default: the only service on a server]
    #[arg(value_name = "SERVICE")]
    source: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RollbackArgs) -> Result<ExitStatus> {
    let (source, name) = source(context, args.source.as_deref())?;
    if let Source::Postgres(endpoint) = &source {
        let shown = printable(&endpoint.to_string()).to_string();
        let question = format!("Bring back what the last restore of the database {shown} put aside?");
        ui.confirm(&question, &format!("the database {shown} was not touched"))?;
        if let Some(undone) = restore::rollback(endpoint).map_err(icecore::Error::from)? {
            if ui.json {
                ui.document(&json!({ "target": endpoint.url(), "kept": undone.kept }))?;
            } else {
                ui.line(format_args!(
                    "Rolled back {shown}; what was there is kept as {}",
                    printable(&undone.kept)
                ))?;
            }
            return Ok(ExitStatus::Success);
        }
    }
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let is_of = |snapshot: &&Snapshot| {
        snapshot.info().source == name && snapshot.labels.tags.iter().any(|tag| tag == SAFETY_TAG)
    };
    let Some(before) = listing.snapshots.iter().find(is_of) else {
        let error = format!("there is nothing to bring back of {}", printable(&name));
        return Err(CommandError::new(ExitStatus::NotFound, error)
            .hint("no restore put anything aside, and there is no snapshot with the tag before-restore"));
    };
    match &source {
        Source::Postgres(endpoint) => {
            restore_database::run(ui, context, &opened, before, endpoint, &DatabaseArgs::default())
        }
        Source::Redis(endpoint) => restore_redis::run(ui, context, &opened, before, endpoint),
        _ => Err(CommandError::usage("only what is on a server can be rolled back")),
    }
}

/// What is meant, and what its snapshots are called.
fn source(context: &Context, named: Option<&Path>) -> Result<(Source, String)> {
    let is_server = |source: &Source| matches!(source, Source::Postgres(_) | Source::Redis(_));
    if let Some(named) = named {
        let (source, name) = context.source(named)?;
        let name = name.unwrap_or_else(|| source.default_name());
        return match is_server(&source) {
            true => Ok((source, name)),
            false => Err(CommandError::usage("only what is on a server can be rolled back")
                .hint("of a file, restore the snapshot before: icecore restore NAME~1")),
        };
    }
    let mut found = Vec::new();
    if let Some(project) = context.project()? {
        for name in project.config.services.keys() {
            if let Some(source) = project.source(name, &context.environment())?.filter(is_server) {
                found.push((source, name.clone()));
            }
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(found), true) => Ok(found),
        _ => {
            Err(CommandError::usage("say which database")
                .hint("name a service of icecore.toml, or give a URL"))
        }
    }
}
