//! `icecore rollback`

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use icecore::{Database, Destination, RestoreOptions, Snapshot, Source};
use icecore_engine::database::Undone;
use serde_json::json;

use super::restore_database::{self, DatabaseArgs, safety_name};
use super::restore_files::{self, is_cluster};
use super::restore_sqlite::{self, Allowed};
use super::{restore_redis, restore_table};
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::printable;

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
    if args.emergency && args.table.is_none() {
        return emergency(ui, context, &meant);
    }
    let Meant { source, name, .. } = &meant;
    if let Some(table) = &args.table {
        return match source {
            Source::Postgres(endpoint) => restore_table::roll_back(ui, endpoint, table),
            _ => Err(CommandError::usage("--table is for databases of PostgreSQL")),
        };
    }
    if let Some(database) = Database::of(source) {
        let shown = printable(&database.to_string()).to_string();
        let question = format!("Bring back what the last restore of the database {shown} put aside?");
        ui.confirm(&question, &format!("the database {shown} was not touched"))?;
        if let Some(undone) = database.rollback()? {
            return report(ui, &database, &undone);
        }
    }
    if let Some(path) = restore_sqlite::path_of(source)
        && !is_cluster(path)
        && let Some(status) = restore_sqlite::rollback(ui, path)?
    {
        return Ok(status);
    }
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let before_restore = safety_name(name);
    let url = match (source, Database::of(source)) {
        (_, Some(database)) => database.url(),
        (Source::Redis(endpoint), _) => endpoint.url(),
        (Source::Sqlite(path) | Source::Path(path), _) => real(path).display().to_string(),
        _ => String::new(),
    };
    // Whatever it was called, it knows where it belongs.
    let is_of = |snapshot: &&Snapshot| {
        let info = snapshot.info();
        let is_named = info.source == before_restore && !meant.is_elsewhere(context, snapshot);
        let is_from_here = |origin: &String| *origin == url || is_same_place(context, origin, source);
        icecore::is_safety(snapshot) && (is_named || info.origin.as_ref().is_some_and(is_from_here))
    };
    let Some(before) = listing.snapshots.iter().find(is_of) else {
        let error = format!("there is nothing to bring back of {}", printable(name));
        return Err(CommandError::new(ExitStatus::NotFound, error).hint(format!(
            "no restore put anything aside, and there is no snapshot {}",
            printable(&before_restore)
        )));
    };
    let by = context.described(before);
    ui.status(format_args!("note: nothing is put aside; what a restore before took a snapshot of is {by}"));
    restore_to(ui, context, &opened, before, (source, name))
}

fn report(ui: &mut Ui, database: &Database, undone: &Undone) -> Result<ExitStatus> {
    let shown = printable(&database.to_string()).to_string();
    if ui.json {
        ui.document(&json!({
            "target": database.url(),
            "kept": undone.kept,
            "was_unfinished": undone.was_unfinished,
            "warnings": undone.warnings,
        }))?;
    } else if undone.was_unfinished {
        ui.line(format_args!(
            "The last restore of {shown} ended before it replaced anything: what was there is there, and what the restore left is gone"
        ))?;
    } else {
        let kept = undone.kept.as_ref();
        let kept = kept.map(|kept| format!("; what was there is kept as {}", printable(kept)));
        ui.line(format_args!("Rolled back {shown}{}", kept.unwrap_or_default()))?;
    }
    for warning in &undone.warnings {
        ui.warn(printable(warning));
    }
    Ok(if undone.warnings.is_empty() { ExitStatus::Success } else { ExitStatus::Findings })
}

fn restore_to(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    (source, name): (&Source, &str),
) -> Result<ExitStatus> {
    if let Some(database) = Database::of(source) {
        let args = DatabaseArgs::default();
        return restore_database::run(ui, context, opened, snapshot, (&database, name), &args, false);
    }
    match source {
        Source::Path(path) if is_cluster(path) || icecore::is_base_backup(snapshot) => {
            let options = RestoreOptions {
                to: Destination::Path(path.clone()),
                part: None,
                in_place: is_mount_point(path),
                replace: false,
                allow_damaged: false,
                allow_incomplete: false,
                trusted: false,
                store_dir: opened.dir.canonicalize().unwrap_or_else(|_| opened.dir.clone()),
            };
            restore_files::run(ui, context, opened, snapshot, options)
        }
        Source::Redis(endpoint) => restore_redis::run(ui, context, opened, snapshot, (endpoint, name), false),
        Source::Sqlite(path) | Source::Path(path) => {
            let (args, allowed) = (DatabaseArgs::default(), Allowed::default());
            restore_sqlite::run(ui, context, opened, snapshot, (path, name), &args, allowed)
        }
        _ => Err(CommandError::usage("only a restore of a database can be undone")),
    }
}

/// The newest snapshot that can be restored, whatever became of those after it.
fn emergency(ui: &mut Ui, context: &Context, meant: &Meant) -> Result<ExitStatus> {
    ui.assume_yes = true;
    let Meant { source, name, .. } = meant;
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let path = restore_sqlite::path_of(source);
    let cluster = path.filter(|path| is_cluster(path)).map(|path| real(path).display().to_string());
    let is_whole = |snapshot: &&Snapshot| {
        let info = snapshot.info();
        let is_named = info.source == *name && !meant.is_elsewhere(context, snapshot);
        let is_of = is_named || (cluster.is_some() && info.origin == cluster);
        let has_rows = match (&cluster, path) {
            (Some(_), _) => icecore::is_base_backup(snapshot),
            (None, Some(_)) => info.form == "sqlite",
            (None, None) => match source {
                Source::Postgres(_) => info.form == "pg_dump",
                Source::Mysql(_) => info.form == "mysqldump",
                _ => info.form == "rdb",
            },
        };
        is_of && info.findings.is_empty() && has_rows
    };
    for snapshot in listing.snapshots.iter().filter(is_whole) {
        match restore_to(ui, context, &opened, snapshot, (source, name)) {
            Err(CommandError::Failure(failure)) if failure.status == ExitStatus::Damaged => {
                ui.warn(format_args!("{}; trying the one before", failure.message));
            }
            done => return done,
        }
    }
    let error = format!("there is no whole snapshot of {}", printable(name));
    let is_other =
        |snapshot: &Snapshot| snapshot.info().source == *name && meant.is_elsewhere(context, snapshot);
    let hint = match listing.snapshots.iter().any(is_other) {
        true => "those of that name are of another place; `icecore restore NAME --to URL` restores one here",
        false => "`icecore list` shows what there is",
    };
    Err(CommandError::new(ExitStatus::NotFound, error).hint(hint))
}

/// The database that is meant.
struct Meant {
    source: Source,
    /// What its snapshots are called.
    name: String,
    /// Whether it is known by that name, wherever it is; otherwise one elsewhere may be called the same.
    is_service: bool,
}

impl Meant {
    fn find(context: &Context, named: Option<&Path>) -> Result<Self> {
        let is_database = |source: &Source| {
            Database::of(source).is_some() || matches!(source, Source::Redis(_) | Source::Sqlite(_))
        };
        if let (Some(series), Some(project)) = (named.and_then(Path::to_str), context.project()?)
            && let Some(directory) = project.data_directory(series)
        {
            return Ok(Self { source: Source::Path(directory), name: series.to_owned(), is_service: true });
        }
        if let Some(named) = named {
            let (source, service) = context.source(named)?;
            let is_service = service.is_some();
            let name = service.unwrap_or_else(|| source.default_name());
            let is_one = matches!(&source, Source::Path(path) if !path.is_dir() || is_cluster(path));
            return match is_database(&source) || is_one {
                true => Ok(Self { source, name, is_service }),
                false => Err(CommandError::usage("only a restore of a database can be undone")
                    .hint("of a directory, restore the snapshot before: icecore restore NAME~1")),
            };
        }
        let mut found = Vec::new();
        if let Some(project) = context.project()? {
            for name in project.config.services.keys() {
                if let Some(source) = project.source(name, &context.environment())?.filter(is_database) {
                    found.push(Self { source, name: name.clone(), is_service: true });
                }
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(found), true) => Ok(found),
            _ => Err(CommandError::usage("say which database")
                .hint("name a service of icecore.toml, or give a URL")),
        }
    }

    /// Whether a snapshot says that it is of another place.
    fn is_elsewhere(&self, context: &Context, snapshot: &Snapshot) -> bool {
        let Some(origin) = snapshot.info().origin.as_deref().filter(|_| !self.is_service) else {
            return false;
        };
        match (restore_sqlite::path_of(&self.source), origin.contains("://")) {
            (Some(path), false) => real(path) != Path::new(origin),
            (None, true) => Source::parse(Path::new(origin), &context.environment())
                .is_ok_and(|origin| place(&origin) != place(&self.source)),
            // A dump that lay in a file, or anything else that was called so.
            _ => false,
        }
    }
}

/// Whether nothing can be put in a directory's place.
fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    let above = path.canonicalize().ok().and_then(|real| device(real.parent()?));
    above.is_some_and(|above| device(path) != Some(above))
}

/// Where something is, whoever asks for it.
fn place(source: &Source) -> String {
    Database::of(source).map_or_else(|| source.place(), |database| database.to_string())
}

/// Whether a URL that a snapshot has is of this source, however it is reached.
fn is_same_place(context: &Context, origin: &str, source: &Source) -> bool {
    let parse = || Source::parse(Path::new(origin), &context.environment());
    origin.contains("://")
        && parse().is_ok_and(|it| it.engine() == source.engine() && place(&it) == place(source))
}

/// Where a file is, or was.
fn real(path: &Path) -> PathBuf {
    let beside = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(|| beside(path)).unwrap_or_else(|| path.to_owned())
}
