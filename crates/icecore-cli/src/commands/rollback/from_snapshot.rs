//! Rollbacks to a snapshot, where nothing was put aside or nothing else helps.

use icecore::{Database, Destination, RestoreOptions, Source};

use super::meant::Meant;
use crate::commands::restore::chosen::Chosen;
use crate::commands::restore::database_args::DatabaseArgs;
use crate::commands::restore::files::{self, is_cluster};
use crate::commands::restore::sqlite::{self, Allowed};
use crate::commands::restore::{database, redis};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Restores a snapshot to where what is meant is.
pub(super) fn restore(ui: &mut Ui, chosen: Chosen<'_>, meant: &Meant) -> Result<ExitStatus> {
    let (name, args) = (meant.name.as_str(), DatabaseArgs::default());
    if let Some(database) = Database::of(&meant.source) {
        return database::run(ui, chosen, (&database, name), &args, false);
    }
    match &meant.source {
        Source::Path(path) if is_cluster(path) || icecore::is_base_backup(chosen.snapshot) => {
            let options = RestoreOptions {
                to: Destination::Path(path.clone()),
                part: None,
                in_place: files::is_mount_point(path),
                replace: false,
                allow_damaged: false,
                allow_incomplete: false,
                trusted: false,
                store_dir: chosen.opened.real_dir(),
            };
            files::run(ui, chosen, options)
        }
        Source::Redis(endpoint) => redis::run(ui, chosen, (endpoint, name), false),
        Source::Sqlite(path) | Source::Path(path) => {
            sqlite::run(ui, chosen, (path, name), &args, Allowed::default())
        }
        _ => Err(CommandError::usage("only a restore of a database can be undone")),
    }
}
