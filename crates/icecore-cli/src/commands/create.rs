//! `icecore create`

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use icecore::{Counter, CreateOptions, Created, Monitor as _, PHYSICAL_SUFFIX, Source};
use serde_json::json;

use crate::args::{ServiceArgs, parse_line, parse_name, parse_note};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable, saved_percent};

/// Findings told one by one; the snapshot has them all.
const FINDINGS_MAX: usize = 20;

/// Take a snapshot
///
/// Of a PostgreSQL, MySQL, MariaDB or SQLite database, a Redis server, a dump, a file, a directory, standard input, or what a command prints. Nothing is stored unless the
/// source was complete: a command that fails or a dump that was cut off makes no snapshot.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore create shop.db
  icecore create /var/lib/shop --tag before-migration
  icecore create postgres://localhost/shop
  icecore create redis://localhost --name cache
  icecore create --name shop -- pg_dump shop
  mysqldump --single-transaction shop | icecore create - --name shop\n")]
pub(crate) struct CreateArgs {
    /// A service of icecore.toml, postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, redis://HOST:PORT, sqlite:PATH, a path, or - for standard input
    #[arg(value_name = "SOURCE")]
    source: Option<PathBuf>,
    /// A command whose output is stored if it succeeds
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
    /// The name of the source [default: the service's, database's, file's or command's name]
    #[arg(long, value_parser = parse_name)]
    name: Option<String>,
    /// Tag the snapshot; may be repeated
    #[arg(long = "tag", value_name = "TAG", value_parser = parse_line)]
    tags: Vec<String>,
    /// Write a note to the snapshot
    #[arg(long, value_name = "TEXT", value_parser = parse_note)]
    note: Option<String>,
    /// Of a PostgreSQL database, store the definitions without the rows
    #[arg(long)]
    schema_only: bool,
    /// With a PostgreSQL database, store the roles and tablespaces of its server too
    #[arg(long)]
    globals: bool,
    /// Of a PostgreSQL database, store this table alone, named with its schema or, if only one is called so, without
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Of a PostgreSQL server, store the whole cluster, as the files of a base backup
    #[arg(long, conflicts_with_all = ["schema_only", "globals", "table"])]
    physical: bool,
    /// Store the bytes as they are, without unpacking or looking into them
    #[arg(long)]
    raw: bool,
    /// Accept an empty input
    #[arg(long)]
    allow_empty: bool,
    /// Accept a dump or tarball that was cut off, or a damaged RDB; of a compressed stream that was cut off, --raw stores the bytes
    #[arg(long)]
    allow_incomplete: bool,
    /// Store what is new by itself, not by how it differs from what is there: more bytes, and the fastest restore
    #[arg(long)]
    no_delta: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: CreateArgs) -> Result<ExitStatus> {
    let (source, service) = source(ui, context, &args)?;
    let of_postgres = args.schema_only || args.globals || args.physical || args.table.is_some();
    if of_postgres && !matches!(source, Source::Postgres(_)) {
        return Err(CommandError::usage(
            "--schema-only, --globals, --table and --physical are for databases of a PostgreSQL server",
        ));
    }
    let opened = context.open()?;
    if (args.schema_only || args.table.is_some()) && args.name.is_none() {
        ui.hint("a restore of the whole database has no use for such a snapshot, which is the newest of its name now: --name gives it one of its own");
    }
    let series = |service: String| if args.physical { service + PHYSICAL_SUFFIX } else { service };
    let options = CreateOptions {
        name: args.name.or(service.map(series)),
        tags: args.tags,
        note: args.note.filter(|note| !note.is_empty()),
        raw: args.raw,
        allow_empty: args.allow_empty,
        allow_incomplete: args.allow_incomplete,
        origin: None,
        schema_only: args.schema_only,
        globals: args.globals,
        table: args.table,
        physical: args.physical,
        no_delta: args.no_delta,
        host: context.host(),
        store_dir: opened.real_dir(),
    };
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Reading");
    let monitor = drawing.monitor();
    if let Source::Path(path) | Source::Sqlite(path) = &source {
        let file = path.metadata().ok().filter(std::fs::Metadata::is_file);
        monitor.expect(file.map_or(0, |file| file.len()));
    }
    let created = icecore::create(&opened.store, &source, &options, context.now, monitor);
    drawing.end();
    report(ui, &created?)
}

/// What to capture, and its name if it is a service.
fn source(ui: &mut Ui, context: &Context, args: &CreateArgs) -> Result<(Source, Option<String>)> {
    let positional = args.source.as_deref();
    // `--service` is text; a path need not be.
    let service = args.service.or_positional(positional.map(|_| ""))?.filter(|name| !name.is_empty());
    let named = service.as_ref().map(Path::new).or(positional);
    match (named, args.command.is_empty()) {
        (Some(_), false) => Err(CommandError::usage("give a source or a command, not both")),
        (Some(text), true) => {
            if Source::shows_password(text) {
                ui.warn("the password in the URL can be seen by others on this machine; PGPASSWORD, MYSQL_PWD, REDISCLI_AUTH and icecore.toml keep it to yourself");
            }
            context.source(text)
        }
        (None, false) => Ok((Source::Command(args.command.clone()), None)),
        (None, true) => Err(CommandError::usage("nothing to take a snapshot of")
            .hint("give a path, `-` for standard input, or `-- COMMAND` for what a command prints")),
    }
}

fn report(ui: &mut Ui, created: &Created) -> Result<ExitStatus> {
    let info = &created.info;
    let id = created.id;
    if ui.json {
        ui.document(&json!({
            "id": id,
            "source": info.source,
            "engine": info.engine,
            "created_at": info.created_at,
            "parent": info.parent,
            "parts": info.parts,
            "logical_bytes": info.logical_bytes,
            "changed_bytes": info.changed_bytes,
            "stored_bytes": created.stored_bytes,
            "chunks": info.chunks,
            "new_chunks": info.new_chunks,
            "delta_chunks": info.delta_chunks,
            "duration_ms": info.duration_ms,
        }))?;
    } else if ui.quiet {
        ui.line(id)?;
    } else {
        let saved = saved_percent(info.logical_bytes, created.stored_bytes);
        ui.line(format_args!(
            "Saved {} as {}: {}, {} added, {}{}",
            printable(&info.source),
            created.id.brief(),
            Bytes(info.logical_bytes),
            Bytes(created.stored_bytes),
            saved.map(|percent| format!("{percent} saved, ")).unwrap_or_default(),
            Millis(info.duration_ms),
        ))?;
        if ui.verbose {
            ui.status(format_args!(
                "{} in {}; {} of {} new, {} as deltas; id {id}",
                counted(info.parts, "part"),
                counted(info.chunks, "chunk"),
                Bytes(info.changed_bytes),
                counted(info.new_chunks, "chunk"),
                info.delta_chunks,
            ));
        }
    }
    if created.findings.is_empty() {
        return Ok(ExitStatus::Success);
    }
    for finding in created.findings.iter().take(FINDINGS_MAX) {
        ui.warn(printable(finding));
    }
    if created.findings.len() > FINDINGS_MAX {
        let more = created.findings.len() - FINDINGS_MAX;
        // Of very many the snapshot keeps the first.
        let all = if created.info.findings.len() == created.findings.len() { "all" } else { "the first" };
        ui.warn(format_args!("{more} more; `icecore show {}` lists {all} of them", created.id.brief()));
    }
    Ok(ExitStatus::Findings)
}
