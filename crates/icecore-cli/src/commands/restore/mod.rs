//! `icecore restore`: finds the snapshot, and which way it goes; each way is a file.

pub(crate) mod back;
pub(crate) mod chosen;
pub(crate) mod database;
pub(crate) mod database_args;
pub(crate) mod files;
pub(crate) mod preserved;
pub(crate) mod redis;
pub(crate) mod safety;
mod server_target;
pub(crate) mod sqlite;
mod sqlite_table;
mod table;
pub(crate) mod told;

use std::path::{Path, PathBuf};

use icecore::{Destination, RestoreOptions, Snapshot};

use self::chosen::Chosen;
use self::database_args::DatabaseArgs;
use self::server_target::{ServerPlace, ServerTarget};
use self::sqlite::Allowed;
use crate::args::ServiceArgs;
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::select::Wanted;
use crate::status::ExitStatus;
use crate::ui::Ui;

/// Restore a snapshot
///
/// To where it came from, or to --to. It is written beside the target and checked before it takes the target's place; what is there already is
/// replaced only when you confirm it. A database that was replaced is kept: `icecore rollback` brings it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore restore shop.db --to shop-copy.db
  icecore restore shop~1 --in-place
  icecore restore shop --to postgres://localhost/shop_copy
  icecore restore shop --at \"2 hours ago\" --to - | psql shop_new
  icecore restore shop --table orders
  icecore restore latest --part public.orders --to orders.sql\n")]
pub(crate) struct RestoreArgs {
    /// Which: an id's first digits, latest, NAME, NAME~2, NAME@TAG, NAME@TIME, '#3'
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    /// Restore to this path or database, or - for standard output
    #[arg(long, value_name = "TARGET")]
    to: Option<PathBuf>,
    /// Restore only this part: a file of a directory, a table of a dump
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// Restore this table into the database that is there, with its indexes, constraints and triggers
    #[arg(long, value_name = "NAME", conflicts_with = "part")]
    table: Option<String>,
    /// Rewrite only the blocks that differ, and remove from a directory what the snapshot does not have; not undone if it is interrupted
    #[arg(long)]
    in_place: bool,
    /// Restore what can be read of a damaged snapshot, with zeros in place of the rest; tells what that is
    #[arg(long, conflicts_with = "in_place")]
    allow_damaged: bool,
    /// Replace what is there even by a snapshot that was not taken whole, such as one of a directory with unreadable files
    #[arg(long)]
    allow_incomplete: bool,
    /// Restore links that lead out of the target, devices and setuid programs too: when you know who made the store
    #[arg(long)]
    trusted: bool,
    #[command(flatten)]
    database: DatabaseArgs,
    /// The newest snapshot of all
    #[arg(long, conflicts_with_all = ["snapshot", "index", "at"])]
    latest: bool,
    /// The newest with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// The one with this number in `list`
    #[arg(long, value_name = "N", conflicts_with_all = ["snapshot", "tag", "at"])]
    index: Option<usize>,
    /// The newest at or before this time
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
}

impl RestoreArgs {
    fn is_to_stdout(&self) -> bool {
        self.to.as_ref().is_some_and(|to| to.as_os_str() == "-")
    }
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &RestoreArgs) -> Result<ExitStatus> {
    ui.stdout_taken = args.is_to_stdout();
    let selector = args.service.or_positional(args.snapshot.as_deref())?;
    let wanted = Wanted {
        text: selector.as_deref(),
        index: args.index,
        tag: args.tag.as_deref(),
        at: args.at.as_deref(),
    };
    if wanted.text.is_none()
        && !args.latest
        && args.index.is_none()
        && args.tag.is_none()
        && args.at.is_none()
    {
        return Err(CommandError::usage("say which snapshot")
            .hint("`icecore restore latest` takes the newest; a number must be quoted for the shell: '#3'"));
    }
    let opened = &context.open()?;
    let listing = opened.listing(ui)?;
    let snapshot = wanted.find(context, &listing)?;
    if icecore::is_yet_to_come(snapshot, context.time()) {
        ui.warn(format_args!(
            "{} is of a time that is yet to come: whose clock was wrong? What was taken since is older for `latest` and for names",
            context.described(snapshot)
        ));
    }
    let chosen = Chosen { context, opened, snapshot };
    if args.part.is_none() {
        server_target::refuse_bare_name(context, snapshot, args.to.as_deref())?;
    }
    if let Some(target) = ServerTarget::find(ui, context, snapshot, args.to.as_deref())? {
        return to_server(ui, chosen, &target, args).map_err(CommandError::of_all_or_nothing);
    }
    match sqlite::find(context, snapshot, args.to.as_deref())? {
        Some((path, name)) => to_sqlite(ui, chosen, (&path, &name), args),
        None if args.table.is_some() => Err(no_table()),
        None => to_files(ui, chosen, args),
    }
}

fn to_server(
    ui: &mut Ui,
    chosen: Chosen<'_>,
    target: &ServerTarget,
    args: &RestoreArgs,
) -> Result<ExitStatus> {
    if args.part.is_some() || args.in_place || args.allow_damaged || args.trusted {
        return Err(CommandError::usage(
            "a database on a server is restored whole, and beside what is there",
        )
        .hint("--to PATH gives a script or an RDB, of which --part is one part"));
    }
    let name = target.name.as_str();
    match (&target.place, &args.table) {
        (ServerPlace::Database(database), Some(table)) => {
            table::run(ui, chosen, (database, table), &args.database)
        }
        (ServerPlace::Redis(_), Some(_)) => Err(no_table()),
        (ServerPlace::Database(database), None) => {
            database::run(ui, chosen, (database, name), &args.database, args.allow_incomplete)
        }
        (ServerPlace::Redis(endpoint), None) => {
            args.database.refuse_others()?;
            redis::run(ui, chosen, (endpoint, name), args.allow_incomplete)
        }
    }
}

fn no_table() -> CommandError {
    CommandError::usage("--table is for databases of PostgreSQL, MySQL, MariaDB and SQLite")
        .hint("--part gives a table of a dump")
}

fn to_sqlite(ui: &mut Ui, chosen: Chosen<'_>, to: (&Path, &str), args: &RestoreArgs) -> Result<ExitStatus> {
    if args.part.is_some() || args.in_place {
        return Err(CommandError::usage(
            "a SQLite database is restored whole, and beside what is there: without --part and --in-place",
        ));
    }
    if let Some(table) = &args.table {
        if args.allow_damaged || args.trusted {
            return Err(CommandError::usage("--allow-damaged and --trusted are not for one table"));
        }
        return sqlite_table::run(ui, chosen, to, table, &args.database, args.allow_incomplete);
    }
    let allowed = Allowed { damaged: args.allow_damaged, incomplete: args.allow_incomplete };
    sqlite::run(ui, chosen, to, &args.database, allowed)
}

fn to_files(ui: &mut Ui, chosen: Chosen<'_>, args: &RestoreArgs) -> Result<ExitStatus> {
    args.database.refuse_others()?;
    let Chosen { context, opened, snapshot } = chosen;
    let to = match &args.to {
        Some(_) if args.is_to_stdout() => Destination::Stdout,
        Some(path) => Destination::Path(path.clone()),
        None => origin(context, snapshot)?,
    };
    let options = RestoreOptions {
        to,
        part: args.part.clone(),
        in_place: args.in_place,
        replace: false,
        allow_damaged: args.allow_damaged,
        allow_incomplete: args.allow_incomplete,
        trusted: args.trusted,
        store_dir: opened.real_dir(),
    };
    files::run(ui, chosen, options)
}

/// Where a snapshot came from; for a cluster of a service, the directory that it has now.
fn origin(context: &Context, snapshot: &Snapshot) -> Result<Destination> {
    let directory = match context.project()? {
        Some(project) if icecore::is_base_backup(snapshot) => project.data_directory(&snapshot.info().source),
        _ => None,
    };
    Ok(directory.map_or(Destination::Origin, Destination::Path))
}
