//! Restoring one table of a SQLite database, a way of `icecore restore`.

use std::path::Path;
use std::time::Instant;

use icecore::SqliteOptions;
use icecore_engine::sqlite::Keep;

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::sqlite::refuse_of_servers;
use super::table::Told;
use super::told::{refuse, rollback_command};
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted};

/// Restores one table of a database, and asks before it is replaced.
pub(crate) fn run(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (path, name): (&Path, &str),
    table: &str,
    args: &DatabaseArgs,
    allow_incomplete: bool,
) -> Result<ExitStatus> {
    refuse_of_servers(args)?;
    let Chosen { context, opened, snapshot } = chosen;
    let options = SqliteOptions {
        keep: Keep::ForRollback,
        checks: args.of_table()?.checks,
        allow_damaged: false,
        allow_incomplete,
        store_dir: opened.real_dir(),
    };
    let plan = chosen.show(ui, "Looking", |monitor| {
        icecore::plan_sqlite_table(&opened.store, snapshot, (path, table), &options, monitor)
    })?;
    let target = &plan.path.display().to_string();
    refuse(ui, &plan.notices, &plan.blockers, &format!("{} in {target}", plan.table))?;
    let told = Told { table: &plan.table, place: target, target };
    if let Some(existing) = plan.existing {
        let size = format!("{}, {}", counted(existing.rows, "row"), Bytes(existing.bytes));
        let by = format!("{} ({})", chosen.described(), counted(plan.comes.rows, "row"));
        told.confirm(ui, (&size, &by), "whoever writes to the database")?;
    }
    let started = Instant::now();
    let restored =
        chosen.show(ui, "Restoring", |monitor| icecore::restore_sqlite_table(&plan, &options, monitor))?;
    let undo = rollback_command(context, name, &format!("sqlite:{target}"));
    told.report(ui, snapshot, &undo, &restored, Millis::since(started))
}
