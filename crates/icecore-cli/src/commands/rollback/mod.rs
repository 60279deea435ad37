//! `icecore rollback`: what a restore put aside takes its place again, or else a snapshot does.

mod before_restore;
mod emergency;
mod meant;
mod place;
mod report;
mod table;
mod whole;

use std::path::PathBuf;

use self::before_restore::BeforeRestore;
use self::meant::Meant;
use self::place::Place;
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
    /// A service of icecore.toml, a URL, or a path [default: the only service that is a database]
    #[arg(value_name = "SOURCE")]
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
    let place = Place::of(&meant.source);
    match (place, &args.table) {
        (Some(place), Some(table)) => table::run(ui, context, &place, table),
        (None, Some(_)) => {
            Err(CommandError::usage("--table is for databases of PostgreSQL, MySQL, MariaDB and SQLite"))
        }
        _ if args.emergency => emergency::newest_whole(ui, context, &meant),
        (Some(place), None) => whole::run(ui, context, &meant, &place),
        (None, None) => BeforeRestore::find(ui, context, &meant)?.restore(ui, context, &meant),
    }
}
