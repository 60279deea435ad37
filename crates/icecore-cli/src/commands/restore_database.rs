//! Restoring to a database server, a way of `icecore restore`.

use std::path::Path;
use std::time::Instant;

use icecore::{Counter, CreateOptions, Snapshot, Source};
use icecore_engine::postgres::Endpoint;
use icecore_engine::postgres::restore::{Keep, Options, Plan, Restored};
use serde_json::json;

use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::short_id;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// The tag of a snapshot that was taken of what a restore replaced.
pub(crate) const SAFETY_TAG: &str = "before-restore";
/// More connections than this write no faster.
const CONNECTIONS_MAX: usize = 4;

/// Options for databases of PostgreSQL.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "For databases of PostgreSQL")]
pub(crate) struct DatabaseArgs {
    /// Keep the database that is there under a name of its own, for longer than until the next restore
    #[arg(long, conflicts_with = "replace")]
    preserve: bool,
    /// Drop the database that is there at the end; a snapshot of it is taken before
    #[arg(long)]
    replace: bool,
    /// Make roles that are missing, without a password
    #[arg(long)]
    create_roles: bool,
    /// Go back if this query fails on what was restored, or says false; may be repeated
    #[arg(long = "check", value_name = "SQL")]
    checks: Vec<String>,
}

impl DatabaseArgs {
    /// Refuses what means nothing for files.
    pub(crate) fn refuse_others(&self) -> Result<()> {
        match self.preserve || self.replace || self.create_roles || !self.checks.is_empty() {
            true => Err(CommandError::usage(
                "--preserve, --replace, --create-roles and --check are for databases of PostgreSQL",
            )),
            false => Ok(()),
        }
    }
}

/// The server that a snapshot goes to, if it goes to one: that of --to, of the service it is of, or where it came from.
pub(crate) fn server(context: &Context, snapshot: &Snapshot, to: Option<&Path>) -> Result<Option<Source>> {
    let source = match to {
        Some(to) if to.to_str().is_some_and(|to| to.contains("://")) => Some(context.source(to)?.0),
        Some(_) => None,
        None => {
            let info = snapshot.info();
            let named = match context.project()? {
                Some(project) => project.source(&info.source, &context.environment())?,
                None => None,
            };
            match (named, info.origin.as_deref().filter(|origin| origin.contains("://"))) {
                (Some(source), _) => Some(source),
                (None, Some(origin)) => Some(Source::parse(Path::new(origin), &context.environment())?),
                (None, None) => None,
            }
        }
    };
    Ok(source.filter(|source| matches!(source, Source::Postgres(_) | Source::Redis(_))))
}

pub(crate) fn run(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    args: &DatabaseArgs,
) -> Result<ExitStatus> {
    let options = options(context, endpoint, args);
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Looking");
    let plan = icecore::plan_database(&opened.store, snapshot, endpoint, &options, &*drawing.monitor());
    drawing.end();
    let plan = plan?;
    for notice in &plan.notices {
        ui.status(format_args!("note: {}", printable(notice)));
    }
    if !plan.blockers.is_empty() {
        let why = plan.blockers.iter().map(|why| printable(why).to_string()).collect::<Vec<_>>().join("; ");
        let error = CommandError::new(ExitStatus::Refused, format!("cannot restore {endpoint}: {why}"));
        return Err(error.hint("nothing was written; --to postgres://HOST/DATABASE restores elsewhere"));
    }
    confirm(ui, &plan, &options)?;
    let mut warnings = Vec::new();
    if args.replace && plan.existing.is_some() {
        let there = Source::Postgres(endpoint.clone());
        warnings.extend(take_safety_snapshot(ui, context, opened, snapshot, &there)?);
    }
    let started = Instant::now();
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Restoring");
    let restored = icecore::restore_database(&opened.store, snapshot, &plan, &options, &*drawing.monitor());
    drawing.end();
    let mut restored = restored?;
    restored.warnings.extend(warnings);
    report(
        ui,
        snapshot,
        endpoint,
        &restored,
        u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    )
}

fn options(context: &Context, endpoint: &Endpoint, args: &DatabaseArgs) -> Options {
    let keep = match (args.preserve, args.replace) {
        (true, _) => {
            let time = context.now.to_zoned(context.zone.clone()).strftime("_%Y%m%d_%H%M%S").to_string();
            let name = endpoint.database.chars().take(40 - time.len()).collect::<String>();
            Keep::As(name + &time)
        }
        (_, true) => Keep::Nothing,
        _ => Keep::ForRollback,
    };
    let connections =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(CONNECTIONS_MAX));
    Options { keep, create_roles: args.create_roles, checks: args.checks.clone(), connections }
}

/// Names exactly what would be replaced, and what becomes of it.
fn confirm(ui: &mut Ui, plan: &Plan, options: &Options) -> Result<()> {
    let Some(existing) = &plan.existing else { return Ok(()) };
    let endpoint = printable(&plan.endpoint.to_string()).to_string();
    let sessions = match existing.sessions {
        0 => String::new(),
        sessions => format!("; {} will be ended", counted(sessions, "session")),
    };
    let fate = match &options.keep {
        Keep::ForRollback => "it is kept for `icecore rollback`".to_owned(),
        Keep::As(name) => format!("it is kept as {}", printable(name)),
        Keep::Nothing => "it is dropped".to_owned(),
    };
    let what = format!("the database {endpoint} ({}{sessions})", Bytes(existing.bytes));
    ui.confirm(
        &format!("Replace {what}? {fate}."),
        &format!("the database {endpoint} is there, and was not touched"),
    )
    .map_err(|error| match ui.can_ask() {
        true => error,
        false => error
            .hint(format!("--yes replaces {what}; {fate}; --to postgres://HOST/DATABASE restores elsewhere")),
    })
}

/// What is replaced can be brought back from the store. Returns what could not be captured of it as it should be.
pub(crate) fn take_safety_snapshot(
    ui: &mut Ui,
    context: &Context,
    opened: &Opened,
    snapshot: &Snapshot,
    there: &Source,
) -> Result<Vec<String>> {
    let options = CreateOptions {
        name: Some(snapshot.info().source.clone()),
        tags: vec![SAFETY_TAG.to_owned()],
        host: context.host(),
        store_dir: opened.dir.canonicalize().unwrap_or_else(|_| opened.dir.clone()),
        ..CreateOptions::default()
    };
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Saving what is there");
    let created = icecore::create(&opened.store, there, &options, context.now, drawing.monitor());
    drawing.end();
    Ok(created?.findings)
}

fn report(
    ui: &mut Ui,
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    restored: &Restored,
    duration_ms: u64,
) -> Result<ExitStatus> {
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "target": endpoint.url(),
            "parts": snapshot.info().parts,
            "bytes": snapshot.info().logical_bytes,
            "written_bytes": snapshot.info().logical_bytes,
            "tables": restored.tables,
            "rows": restored.rows,
            "kept": restored.kept,
            "duration_ms": duration_ms,
            "warnings": restored.warnings,
        }))?;
    } else if ui.quiet {
        ui.line(endpoint.url())?;
    } else {
        ui.line(format_args!(
            "Restored {} {} to {}: {}, {} as captured, {}",
            printable(&snapshot.info().source),
            short_id(snapshot),
            printable(&endpoint.to_string()),
            counted(restored.tables, "table"),
            counted(restored.rows, "row"),
            Millis(duration_ms),
        ))?;
        if let Some(kept) = &restored.kept {
            ui.hint(format_args!(
                "what was there is kept as {}; `icecore rollback` brings it back",
                printable(kept)
            ));
        }
    }
    for warning in &restored.warnings {
        ui.warn(printable(warning));
    }
    Ok(if restored.warnings.is_empty() { ExitStatus::Success } else { ExitStatus::Findings })
}
