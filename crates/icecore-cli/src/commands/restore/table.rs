//! Restoring one table of a database on a server, a way of `icecore restore`.

use std::time::Instant;

use icecore::{Database, Snapshot};
use icecore_engine::database::Restored;
use serde_json::json;

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::told::{refuse, rollback_command};
use crate::failure::Result;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// Restores one table of a database, and asks before it is replaced.
pub(crate) fn run(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (database, table): (&Database, &str),
    args: &DatabaseArgs,
) -> Result<ExitStatus> {
    let options = args.of_table()?;
    let Chosen { context, opened, snapshot } = chosen;
    let plan = chosen.show(ui, "Looking", |monitor| {
        icecore::plan_table(&opened.store, snapshot, database, table, &options, monitor)
    })?;
    let (place, target) = (&database.to_string(), &database.url());
    refuse(ui, &plan.notices, &plan.blockers, &format!("{} in {place}", plan.table))?;
    let told = Told { table: &plan.table, place, target };
    if let Some(bytes) = plan.existing {
        told.confirm(ui, (&Bytes(bytes).to_string(), &chosen.described()), "whoever uses it")?;
    }
    let started = Instant::now();
    let restored = chosen.show(ui, "Restoring", |monitor| {
        icecore::restore_table(&opened.store, snapshot, database, &plan, &options, monitor)
    })?;
    // The service of that name may be elsewhere, and another one may be here.
    let project = context.project()?;
    let (source, environment) = (&snapshot.info().source, context.environment());
    let service = project.as_ref().and_then(|project| project.service_at(target, source, &environment));
    let undo = rollback_command(context, service.unwrap_or_default(), target);
    told.report(ui, snapshot, &undo, &restored, Millis::since(started))
}

/// What is told of a table before and after it is restored.
pub(super) struct Told<'a> {
    pub(super) table: &'a str,
    /// The database, as people call it, and as a URL or a path.
    pub(super) place: &'a str,
    pub(super) target: &'a str,
}

impl Told<'_> {
    /// Names exactly what would be replaced, and what becomes of it.
    pub(super) fn confirm(&self, ui: &mut Ui, (size, by): (&str, &str), who_waits: &str) -> Result<()> {
        let (table, place) = (printable(self.table), printable(self.place));
        let what = format!("the table {table} of the database {place} ({size})");
        let fate = format!("it is kept for a rollback, and {who_waits} waits meanwhile");
        ui.confirm_effect(
            &format!("Replace {what} by that of {by} ({fate})?"),
            &format!("the table {table} is there, and was not touched"),
            &format!("replaces {what} by that of {by} ({fate})"),
        )
    }

    /// Tells what was done, and how `undo` undoes it.
    pub(super) fn report(
        &self,
        ui: &mut Ui,
        snapshot: &Snapshot,
        undo: &str,
        restored: &Restored,
        duration: Millis,
    ) -> Result<ExitStatus> {
        let table = printable(self.table);
        if ui.json {
            ui.document(&json!({
                "id": snapshot.id,
                "source": snapshot.info().source,
                "target": self.target,
                "table": self.table,
                "rows": restored.rows,
                "kept": restored.kept,
                "duration_ms": duration.0,
                "notes": ui.notes,
                "warnings": restored.warnings,
            }))?;
        } else if ui.quiet {
            ui.line(table)?;
        } else {
            ui.line(format_args!(
                "Restored {table} of {} {} to {}: {}, as captured, {duration}",
                printable(&snapshot.info().source),
                snapshot.id.brief(),
                printable(self.place),
                counted(restored.rows, "row"),
            ))?;
            if let Some(kept) = &restored.kept {
                ui.hint(format_args!(
                    "what was there is kept as {}; `{undo} --table {table}` brings it back",
                    printable(kept),
                ));
            }
        }
        Ok(ui.warn_of(&restored.warnings))
    }
}
