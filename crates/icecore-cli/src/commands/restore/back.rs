//! Restores to where a source is.

use icecore::{Database, Destination, RestoreOptions, Source};

use super::chosen::Chosen;
use super::database_args::DatabaseArgs;
use super::sqlite::{self, Allowed};
use super::{database, files, redis};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;

/// What a restore to where a source is may do without being asked.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Leave {
    /// Restore what there is of a snapshot that was not taken whole.
    pub(crate) incomplete: bool,
    /// Restore what reaches out of a directory: whoever asks captured it there himself.
    pub(crate) trusted: bool,
}

/// Restores a snapshot to where a source is that is called `name`, as `restore` does.
pub(crate) fn restore(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (source, name): (&Source, &str),
    leave: Leave,
) -> Result<ExitStatus> {
    restore_as(ui, chosen, (source, name), leave).map_err(CommandError::of_all_or_nothing)
}

fn restore_as(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    (source, name): (&Source, &str),
    Leave { incomplete, trusted }: Leave,
) -> Result<ExitStatus> {
    let args = DatabaseArgs::default();
    if let Some(database) = Database::of(source) {
        return database::run(ui, chosen, (&database, name), &args, incomplete);
    }
    match source {
        Source::Redis(endpoint) => redis::run(ui, chosen, (endpoint, name), incomplete),
        Source::Sqlite(path) | Source::Path(path) if chosen.snapshot.info().form == "sqlite" => {
            sqlite::run(ui, chosen, (path, name), &args, Allowed { incomplete, ..Allowed::default() })
        }
        Source::Sqlite(path) | Source::Path(path) => {
            let options = RestoreOptions {
                to: Destination::Path(path.clone()),
                part: None,
                in_place: files::is_mount_point(path),
                replace: false,
                allow_damaged: false,
                allow_incomplete: incomplete,
                trusted,
                store_dir: chosen.opened.real_dir(),
            };
            files::run(ui, chosen, options)
        }
        Source::Postgres(_) | Source::Mysql(_) | Source::Stdin | Source::Command(_) => {
            Err(CommandError::usage("that cannot be restored to where it is"))
        }
    }
}
