//! Restoring to a database server, a way of `icecore restore`.

use std::path::Path;
use std::time::Instant;

use icecore::{Counter, CreateOptions, Database, DatabasePlan, Snapshot, Source};
use icecore_engine::Check;
use icecore_engine::database::{Keep, Options, Restored};
use icecore_engine::postgres::Host;
use icecore_engine::redis::Address;
use serde_json::json;

use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// The tag of a snapshot that was taken of what a restore replaced.
const SAFETY_SUFFIX: &str = ".before-restore";

/// Options for databases of PostgreSQL, MySQL, MariaDB and SQLite.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "For databases of PostgreSQL, MySQL, MariaDB and SQLite")]
pub(crate) struct DatabaseArgs {
    /// Keep the database that is there under a name of its own, for longer than until the next restore
    #[arg(long, conflicts_with = "replace")]
    pub(crate) preserve: bool,
    /// Drop the database that was there, when a snapshot of it has been taken
    #[arg(long)]
    pub(crate) replace: bool,
    /// Make roles that are missing, without a password (PostgreSQL)
    #[arg(long)]
    pub(crate) create_roles: bool,
    /// Make subscriptions, disabled, and replication slots again (PostgreSQL)
    #[arg(long)]
    pub(crate) with_cdc: bool,
    /// Make who connects the definer of views, triggers, routines and events (MySQL, MariaDB)
    #[arg(long)]
    pub(crate) without_definers: bool,
    /// Go back if this query fails on what was restored, or says false, or if this command fails: '!psql -f smoke.sql'; may be repeated
    #[arg(long = "check", value_name = "SQL|!CMD")]
    pub(crate) checks: Vec<String>,
}

impl DatabaseArgs {
    /// What the restored database must stand.
    pub(crate) fn checks(&self) -> Vec<Check> {
        self.checks.iter().map(|text| Check::from(text.as_str())).collect()
    }

    /// Refuses a check that asks nothing.
    pub(crate) fn refuse_empty(&self) -> Result<()> {
        match self.checks.iter().any(|check| check.trim_start_matches('!').trim().is_empty()) {
            true => {
                Err(CommandError::usage("--check asks nothing").hint("give it a query, or '!' and a command"))
            }
            false => Ok(()),
        }
    }

    /// What they mean for one table.
    pub(crate) fn of_table(&self) -> Result<Options> {
        self.refuse_empty()?;
        match self.preserve || self.replace {
            true => Err(CommandError::usage("--preserve and --replace are for whole databases")
                .hint("a table that was replaced is kept until it is restored once more")),
            false => {
                Ok(Options { create_roles: self.create_roles, checks: self.checks(), ..Options::default() })
            }
        }
    }

    /// Whether anything is asked for that only databases have.
    pub(crate) fn is_used(&self) -> bool {
        self.preserve || self.replace || self.is_of_a_server() || !self.checks.is_empty()
    }

    /// Whether anything is asked for that only servers have.
    pub(crate) fn is_of_a_server(&self) -> bool {
        self.create_roles || self.with_cdc || self.without_definers
    }

    /// Refuses what means nothing for files.
    pub(crate) fn refuse_others(&self) -> Result<()> {
        match self.is_used() {
            true => Err(CommandError::usage(
                "--preserve, --replace, --create-roles, --with-cdc, --without-definers and --check are for databases of PostgreSQL, MySQL, MariaDB and SQLite",
            )),
            false => Ok(()),
        }
    }
}

/// What is added to the name of what is kept for good.
pub(crate) fn time_suffix(context: &Context) -> String {
    context.now.to_zoned(context.zone.clone()).strftime("_%Y%m%d_%H%M%S").to_string()
}

/// What a snapshot goes to, if it goes to a server.
pub(crate) struct ServerTarget {
    pub(crate) source: Source,
    /// What its snapshots are called: as the service, or by default.
    pub(crate) name: String,
}

impl ServerTarget {
    /// That of --to, of the service that the snapshot is of, or where it came from.
    pub(crate) fn find(
        ui: &mut Ui,
        context: &Context,
        snapshot: &Snapshot,
        to: Option<&Path>,
    ) -> Result<Option<Self>> {
        let info = snapshot.info();
        let (source, name) = match to {
            Some(to) if to.to_str().is_some_and(|to| to.contains("://")) => context.source(to)?,
            Some(to) => match service(context, to)? {
                Some(source) => (source, to.to_str().map(str::to_owned)),
                None => return Ok(None),
            },
            None => {
                let project = context.project()?;
                let service = project
                    .map(|project| project.source(&info.source, &context.environment()))
                    .transpose()?;
                match (service.flatten(), info.origin.as_deref().filter(|origin| origin.contains("://"))) {
                    (Some(source), _) => (source, Some(info.source.clone())),
                    (None, Some(origin)) => {
                        let source = Source::parse(Path::new(origin), &context.environment())?;
                        ask_about_origin(ui, &source)?;
                        (source, Some(info.source.clone()))
                    }
                    (None, None) => return Ok(None),
                }
            }
        };
        let name = name.unwrap_or_else(|| source.default_name());
        let is_server = matches!(source, Source::Postgres(_) | Source::Mysql(_) | Source::Redis(_));
        Ok(is_server.then_some(Self { source, name }))
    }
}

/// The service that --to names, if it names one: nobody wants a file that is called so.
fn service(context: &Context, to: &Path) -> Result<Option<Source>> {
    let (Some(name), Some(project)) = (to.to_str(), context.project()?) else { return Ok(None) };
    match project.source(name, &context.environment())? {
        Some(Source::Sqlite(path) | Source::Path(path)) => Err(CommandError::usage(format!(
            "{} is a service of icecore.toml; name its path, {}, or ./{} for a file here",
            printable(name),
            printable(&path.display().to_string()),
            printable(name)
        ))),
        source => Ok(source),
    }
}

/// How `rollback` is told what is meant: by the service, or by the URL.
pub(crate) fn rollback_command(context: &Context, name: &str, url: &str) -> String {
    let is_service =
        context.project().ok().flatten().is_some_and(|project| project.config.services.contains_key(name));
    format!("icecore rollback {}", printable(if is_service { name } else { url }))
}

/// A snapshot may be a stranger's, and who connects gives a password away. This machine is no stranger.
fn ask_about_origin(ui: &mut Ui, source: &Source) -> Result<()> {
    let is_here = match source {
        Source::Postgres(endpoint) => match &endpoint.host {
            Host::Folder(_) => true,
            Host::Tcp(name) => is_this_machine(name),
        },
        Source::Redis(endpoint) => match &endpoint.address {
            Address::Unix(_) => true,
            Address::Tcp(name, _) => is_this_machine(name),
        },
        Source::Mysql(endpoint) => endpoint.host.as_deref().is_none_or(is_this_machine),
        _ => true,
    };
    if is_here {
        return Ok(());
    }
    let place = printable(&source.place()).to_string();
    ui.confirm(
        &format!("Connect to {place}, where the snapshot says that it came from?"),
        &format!("the snapshot came from {place}, which is no service of icecore.toml"),
    )
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

pub(crate) fn run(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    (database, name): (&Database, &str),
    args: &DatabaseArgs,
    allow_incomplete: bool,
) -> Result<ExitStatus> {
    args.refuse_empty()?;
    let options = options(context, database, args)?;
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Looking");
    let monitor = drawing.monitor();
    let plan =
        icecore::plan_database(&opened.store, snapshot, database, &options, allow_incomplete, &*monitor);
    drawing.end();
    let plan = plan?;
    refuse(ui, &plan.notices, &plan.blockers, &database.to_string())?;
    confirm(ui, database, &plan, &options, (args.replace, &context.described(snapshot)))?;
    let started = Instant::now();
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Restoring");
    let restored =
        icecore::restore_database(&opened.store, snapshot, database, &plan, &options, &*drawing.monitor());
    drawing.end();
    let mut restored = restored?;
    if args.replace {
        replace(ui, context, opened, (database, name), &mut restored);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let undo = rollback_command(context, name, &database.url());
    let told = Told { keep: &options.keep, undo: &undo, notes: &plan.notices };
    report(ui, snapshot, database, &told, &restored, duration_ms)
}

/// Tells what will not be as it was, and stops if something is in the way: nothing has been written yet.
pub(crate) fn refuse(ui: &mut Ui, notices: &[String], blockers: &[String], target: &str) -> Result<()> {
    for notice in notices {
        ui.status(format_args!("note: {}", printable(notice)));
    }
    if blockers.is_empty() {
        return Ok(());
    }
    let why = blockers.iter().map(|why| printable(why).to_string()).collect::<Vec<_>>().join("; ");
    let error =
        CommandError::new(ExitStatus::Refused, format!("cannot restore {}: {why}", printable(target)));
    Err(error.hint("nothing was written; --to URL or --to PATH restores elsewhere"))
}

/// Drops what was put aside once it is in the store: nobody writes to it any more.
fn replace(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    (database, name): (&Database, &str),
    restored: &mut Restored,
) {
    let Some(kept) = restored.kept.clone() else { return };
    let aside = database.beside(&kept);
    let saved = take_safety_snapshot(ui, context, opened, name, &aside, &database.url())
        .and_then(|findings| Ok((findings, database.forget(restored)?)));
    match saved {
        Ok((findings, ())) => {
            restored.warnings.extend(findings);
            restored.kept = None;
        }
        Err(CommandError::Failure(failure)) => {
            restored.warnings.push(format!("what was there is still there, as {kept}: {}", failure.message));
        }
        Err(_) => restored.warnings.push(format!("what was there is still there, as {kept}")),
    }
}

fn options(context: &Context, database: &Database, args: &DatabaseArgs) -> Result<Options> {
    /// What a server allows, less than the time takes.
    const NAME_LEN_MAX: usize = 47;
    let keep = if args.preserve {
        let mut name = database.name().to_owned();
        while name.len() > NAME_LEN_MAX {
            name.pop();
        }
        Keep::As(name + &time_suffix(context))
    } else {
        Keep::ForRollback
    };
    let (create_roles, with_cdc, without_definers) =
        (args.create_roles, args.with_cdc, args.without_definers);
    let is_fitting = match database {
        Database::Postgres(_) => !without_definers,
        Database::Mysql(_) => !create_roles && !with_cdc,
    };
    if !is_fitting {
        return Err(CommandError::usage(
            "--create-roles is for databases of PostgreSQL, and --without-definers for those of MySQL and MariaDB",
        ));
    }
    Ok(Options { keep, create_roles, with_cdc, without_definers, checks: args.checks() })
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(
    ui: &mut Ui,
    database: &Database,
    plan: &DatabasePlan,
    options: &Options,
    (drops, by): (bool, &str),
) -> Result<()> {
    let Some(existing) = &plan.existing else { return Ok(()) };
    let shown = printable(&database.to_string()).to_string();
    let sessions = match existing.sessions {
        0 => String::new(),
        sessions => format!("; {} will be ended", counted(sessions, "session")),
    };
    let fate = match &options.keep {
        _ if drops => "It is dropped, after a snapshot of it".to_owned(),
        Keep::ForRollback => "It is kept for a rollback".to_owned(),
        Keep::As(name) => format!("It is kept as {}", printable(name)),
    };
    let what = format!("the database {shown} ({}{sessions})", Bytes(existing.bytes));
    ui.confirm_effect(
        &format!("Replace {what} by {by}? {fate}."),
        &format!("the database {shown} is there, and was not touched"),
        &format!("replaces {what} by {by}; {fate}; --to URL restores elsewhere"),
    )
}

/// What the snapshots of a source are called that are taken of what a restore replaces: a series of their own, so that the newest of the source stays
/// what somebody meant to keep.
pub(crate) fn safety_name(name: &str) -> String {
    // What is rolled back is of the same series.
    format!("{}{SAFETY_SUFFIX}", name.strip_suffix(SAFETY_SUFFIX).unwrap_or(name))
}

/// What is replaced can be brought back from the store. Returns what could not be captured of it as it should be.
pub(crate) fn take_safety_snapshot(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    name: &str,
    there: &Source,
    origin: &str,
) -> Result<Vec<String>> {
    let options = CreateOptions {
        name: Some(safety_name(name)),
        tags: vec![icecore::SAFETY_TAG.to_owned()],
        host: context.host(),
        store_dir: opened.dir.canonicalize().unwrap_or_else(|_| opened.dir.clone()),
        origin: Some(origin.to_owned()),
        ..CreateOptions::default()
    };
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Saving what is there");
    let created = icecore::create(&opened.store, there, &options, context.now, drawing.monitor());
    drawing.end();
    Ok(created?.findings)
}

/// What a report says besides what was restored.
struct Told<'a> {
    keep: &'a Keep,
    undo: &'a str,
    notes: &'a [String],
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    database: &Database,
    told: &Told<'_>,
    restored: &Restored,
    duration_ms: u64,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": database.url(),
            "parts": snapshot.info().parts,
            "bytes": snapshot.info().logical_bytes,
            "written_bytes": snapshot.info().logical_bytes,
            "tables": restored.tables,
            "rows": restored.rows,
            "kept": restored.kept,
            "notes": told.notes,
            "duration_ms": duration_ms,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(database.url())?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to {}: {}, {} as captured, {}",
            printable(&snapshot.info().source),
            short_id(snapshot),
            printable(&database.to_string()),
            counted(restored.tables, "table"),
            counted(restored.rows, "row"),
            Millis(duration_ms),
        ))?;
        if let Some(kept) = &restored.kept {
            let back = match told.keep {
                Keep::ForRollback => format!("; `{}` brings it back", told.undo),
                Keep::As(_) => ", until you drop it; a rollback does not bring it back".to_owned(),
            };
            ui.hint(format_args!("what was there is kept as {}{back}", printable(kept)));
        }
    }
    Ok(ui.warn_of(&restored.warnings))
}
