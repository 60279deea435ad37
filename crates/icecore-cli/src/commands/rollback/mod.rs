//! `icecore rollback`: what a restore put aside takes its place again, or else a snapshot does.

mod database;
mod from_store;
mod meant;
mod sqlite;
mod sqlite_table;
mod table;

use std::path::PathBuf;

use icecore::{Database, Source};

use self::meant::Meant;
use super::restore::files::is_cluster;
use super::restore::sqlite::path_of;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;

/// What `--yes` does, as a hint says it.
const EFFECT: &str = "brings back what the last restore put aside, if it put anything aside";

/// Undo the last restore of a database
///
/// What the restore put aside takes its place again, in an instant; what was restored is put aside instead, so that another rollback brings
/// that back. Where nothing was put aside, the snapshot that the restore took of it before is restored.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore rollback shop
  icecore rollback postgres://localhost/shop
  icecore rollback sqlite:ledger.db
  icecore rollback /var/lib/postgresql/15/main
  icecore rollback shop --emergency\n")]
pub(crate) struct RollbackArgs {
    /// A service of icecore.toml, or a URL [default: the only service that is a database]
    #[arg(value_name = "SERVICE")]
    source: Option<PathBuf>,
    /// Restore the newest snapshot that is whole, without a question: one that was taken whole, has rows, and is not damaged
    #[arg(long)]
    emergency: bool,
    /// Undo the last restore of this table alone
    #[arg(long, value_name = "NAME", conflicts_with = "emergency")]
    table: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RollbackArgs) -> Result<ExitStatus> {
    let meant = Meant::find(context, args.source.as_deref())?;
    if let Some(table) = &args.table {
        return match (Database::of(&meant.source), path_of(&meant.source)) {
            (Some(database), _) => table::run(ui, &database, table),
            (None, Some(path)) if !is_cluster(path) => sqlite_table::run(ui, context, path, table),
            (None, _) => {
                Err(CommandError::usage("--table is for databases of PostgreSQL, MySQL, MariaDB and SQLite"))
            }
        };
    }
    if args.emergency {
        return from_store::newest_whole(ui, context, &meant);
    }
    match put_aside(ui, &meant.source)? {
        Some(status) => Ok(status),
        None => from_store::before_restore(ui, context, &meant).map_err(CommandError::of_all_or_nothing),
    }
}

/// Brings back what the last restore put aside, if it put anything aside.
fn put_aside(ui: &mut Ui, source: &Source) -> Result<Option<ExitStatus>> {
    match (Database::of(source), path_of(source)) {
        (Some(database), _) => database::run(ui, &database),
        (None, Some(path)) if !is_cluster(path) => sqlite::run(ui, path),
        (None, _) => Ok(None),
    }
}
