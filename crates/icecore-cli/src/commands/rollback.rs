//! `icecore rollback`

use std::path::{Path, PathBuf};

use icecore::Source;
use icecore_engine::postgres::{Endpoint, restore};
use serde_json::json;

use super::restore_database::SAFETY_TAG;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

/// Undo the last restore of a database
///
/// What the restore put aside takes its place again, in an instant; what was restored is put aside instead, so that another rollback brings
/// that back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore rollback shop
  icecore rollback postgres://localhost/shop\n")]
pub(crate) struct RollbackArgs {
    /// A service of icecore.toml, or a URL [default: the only PostgreSQL service]
    #[arg(value_name = "SERVICE")]
    source: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RollbackArgs) -> Result<ExitStatus> {
    let (endpoint, name) = endpoint(context, args.source.as_deref())?;
    let shown = printable(&endpoint.to_string()).to_string();
    let question = format!("Bring back what the last restore of the database {shown} put aside?");
    ui.confirm(&question, &format!("the database {shown} was not touched"))?;
    let undone = restore::rollback(&endpoint).map_err(icecore::Error::from)?;
    let Some(undone) = undone else {
        let error = format!("there is nothing to bring back for the database {shown}");
        let hint = format!("a restore with --replace left a snapshot: icecore restore {name}@{SAFETY_TAG}");
        return Err(CommandError::new(ExitStatus::NotFound, error).hint(hint));
    };
    if ui.json {
        ui.document(&json!({ "target": endpoint.url(), "kept": undone.kept }))?;
    } else {
        ui.line(format_args!("Rolled back {shown}; what was there is kept as {}", printable(&undone.kept)))?;
    }
    Ok(ExitStatus::Success)
}

/// The database that is meant, and what its snapshots are called.
fn endpoint(context: &Context, named: Option<&Path>) -> Result<(Endpoint, String)> {
    let of = |source: Source, name: Option<String>| match source {
        Source::Postgres(endpoint) => Ok((endpoint.clone(), name.unwrap_or(endpoint.database))),
        _ => Err(CommandError::usage(
            "only restores of PostgreSQL databases can be rolled back by this version",
        )),
    };
    if let Some(named) = named {
        let (source, name) = context.source(named)?;
        return of(source, name);
    }
    let mut found = Vec::new();
    if let Some(project) = context.project()? {
        for name in project.config.services.keys() {
            if let Some(source @ Source::Postgres(_)) = project.source(name, &context.environment())? {
                found.push((source, name.clone()));
            }
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some((source, name)), true) => of(source, Some(name)),
        _ => {
            Err(CommandError::usage("say which database")
                .hint("name a service of icecore.toml, or give a URL"))
        }
    }
}
