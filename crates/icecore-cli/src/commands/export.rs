//! `icecore export`

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use icecore::{Counter, Error, ExportOptions, Exported, Packing, Snapshot, SnapshotId};
use jiff::Timestamp;
use serde_json::json;

use crate::args::ServiceArgs;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::select::{Listing, short_id};
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, counted, printable};

/// Write a snapshot to a file that needs no icecore
///
/// An archive holds the snapshot as its database's own tools restore it (psql, mariadb, redis-server, sqlite3, tar), a README with the commands, and its manifest as JSON.
/// `icecore import` makes the same snapshot of it again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  icecore export shop --output shop.tar.zst
  icecore export shop@before-migration --output shop.tar.gz
  icecore export --all --format store --output store.tar
  icecore export --all --format store --since 'shop~1' --output later.tar
  icecore export shop --output - --format tar | ssh db2 'tar -xO dump.sql | psql shop'\n")]
pub(crate) struct ExportArgs {
    /// Which: an id's first digits, latest, NAME, NAME~2, NAME@TAG, NAME@TIME, '#3'; several with `--format store` only
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<String>,
    /// All snapshots, with `--format store` only
    #[arg(long, conflicts_with = "snapshots")]
    all: bool,
    /// The file, or - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// What it becomes [default: as the file's name ends]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// With `--format store`: only what came after this, for a machine that has it and what came before
    #[arg(long, value_name = "SNAPSHOT|TIME")]
    since: Option<String>,
    /// Write what an encrypted store holds although the file is not encrypted
    #[arg(long)]
    decrypt: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// What an export becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A tarball, compressed by zstd
    #[value(name = "tar.zst")]
    TarZst,
    /// A tarball, compressed by gzip
    #[value(name = "tar.gz")]
    TarGz,
    /// A tarball
    #[value(name = "tar")]
    Tar,
    /// A store with these snapshots in one file, encrypted if the store is
    #[value(name = "store")]
    Store,
}

impl ExportArgs {
    fn is_to_stdout(&self) -> bool {
        self.output.as_os_str() == "-"
    }

    /// `None` for a store.
    fn packing(&self) -> Result<Option<Packing>> {
        let named = match self.format {
            Some(Format::Store) => return Ok(None),
            Some(Format::TarZst) => Some(Packing::Zstd),
            Some(Format::TarGz) => Some(Packing::Gzip),
            Some(Format::Tar) => Some(Packing::None),
            None => Packing::of_name(&self.output),
        };
        named.map(Some).ok_or_else(|| {
            let what = match self.is_to_stdout() {
                true => "standard output has no name that says what it becomes".to_owned(),
                false => {
                    let shown = printable(&self.output.display().to_string());
                    format!("the name {shown} does not say what it becomes")
                }
            };
            CommandError::usage(what)
                .hint("end it with .tar.zst, .tar.gz or .tar, or give one of them with --format")
        })
    }
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ExportArgs) -> Result<ExitStatus> {
    ui.stdout_taken = args.is_to_stdout();
    if args.is_to_stdout() && io::stdout().is_terminal() {
        return Err(CommandError::usage("an archive is nothing for a terminal")
            .hint("give --output FILE, or a pipe that takes it"));
    }
    let Some(packing) = args.packing()? else { return store(ui, context, args) };
    if args.since.is_some() {
        return Err(CommandError::usage("an archive holds one snapshot, all of it")
            .hint("--since is for --format store, for a machine that has what came before"));
    }
    let mut named = args.snapshots.iter();
    let selector = args.service.or_positional(named.next().map(String::as_str))?;
    if args.all || named.next().is_some() {
        return Err(CommandError::usage("an archive holds one snapshot")
            .hint("--format store takes several, and --all"));
    }
    let selector = selector.ok_or_else(|| {
        CommandError::usage("say which snapshot")
            .hint("`icecore export latest` takes the newest; a number must be quoted for the shell: '#3'")
    })?;
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let snapshot = listing.resolve(context, &selector)?;
    let options = ExportOptions {
        to: (!args.is_to_stdout()).then(|| args.output.clone()),
        packing,
        replace: false,
        decrypt: args.decrypt,
        store_dir: opened.real_dir(),
    };
    let (exported, duration) = write(ui, context, (&opened, snapshot), options)?;
    report(ui, snapshot, &exported, duration)
}

/// Exports, and asks before anything is replaced.
fn write(
    ui: &mut Ui,
    context: &Context,
    (opened, snapshot): (&Opened, &Snapshot),
    mut options: ExportOptions,
) -> Result<(Exported, Millis)> {
    let attempt = |ui: &Ui, options: &ExportOptions| {
        let started = Instant::now();
        let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Exporting");
        let exported = icecore::export(&opened.store, snapshot, options, &*drawing.monitor());
        drawing.end();
        exported.map(|exported| (exported, Millis::since(started)))
    };
    match attempt(ui, &options) {
        Err(Error::TargetExists { path }) => {
            confirm(ui, &path)?;
            options.replace = true;
            Ok(attempt(ui, &options)?)
        }
        exported => Ok(exported?),
    }
}

/// Writes a store.
fn store(ui: &mut Ui, context: &Context, args: &ExportArgs) -> Result<ExitStatus> {
    let named: Option<&str> = args.snapshots.first().map(String::as_str);
    let named = args.service.or_positional(named)?;
    if args.decrypt || args.is_to_stdout() || (named.is_none() && !args.all) {
        let what = match (args.decrypt, args.is_to_stdout()) {
            (true, _) => "a store is exported as it is, encrypted or not",
            (false, true) => "a store cannot go to standard output",
            (false, false) => "say which snapshots, or --all",
        };
        return Err(CommandError::usage(what).hint("icecore export --all --format store --output FILE"));
    }
    let opened = context.open()?;
    let listing = opened.listing(ui)?;
    let texts: Vec<String> =
        if args.snapshots.is_empty() { named.into_iter().collect() } else { args.snapshots.clone() };
    let mut chosen: Vec<&Snapshot> = match args.all {
        true => listing.snapshots.iter().collect(),
        false => listing.resolve_all(context, &texts)?,
    };
    let earlier = match &args.since {
        Some(since) => leave_out_earlier(context, &listing, &mut chosen, since, args.all)?,
        None => Vec::new(),
    };
    let ids: Vec<SnapshotId> = chosen.iter().map(|snapshot| snapshot.id).collect();
    let attempt = |ui: &Ui, replace: bool| {
        let started = Instant::now();
        let drawing = Progress::begin(ui, context, Counter::StoredBytes, "Exporting");
        let place = (args.output.as_path(), replace);
        let (here, monitor) = ((context.host(), opened.real_dir()), drawing.monitor());
        let carried =
            icecore::export_store(&opened.store, &ids, &earlier, place, (here.0, &here.1), &*monitor);
        drawing.end();
        carried.map(|carried| (carried, Millis::since(started)))
    };
    let (carried, duration) = match attempt(ui, false) {
        Err(Error::TargetExists { path }) => {
            confirm(ui, &path)?;
            attempt(ui, true)?
        }
        carried => carried?,
    };
    let target = carried.target.display().to_string();
    if ui.json {
        ui.document(&json!({
            "output": target,
            "snapshots": carried.sent.published,
            "packs": carried.sent.packs,
            "labels": carried.sent.labels,
            "earlier": carried.earlier,
            "written_bytes": carried.written_bytes,
            "duration_ms": duration.0,
        }))?;
    } else if ui.quiet {
        ui.line(target)?;
    } else {
        let what = if carried.earlier.is_empty() { " as a store" } else { "" };
        ui.line(format_args!(
            "Exported {}{what} to {}: {} written, {duration}",
            counted(carried.sent.published.len() as u64, "snapshot"),
            printable(&target),
            Bytes(carried.written_bytes),
        ))?;
        told_further(ui, &chosen, &earlier, args.since.is_some());
    }
    Ok(if listing.damaged > 0 { ExitStatus::Damaged } else { ExitStatus::Success })
}

/// Takes out of `chosen` what did not come after `since`; returns what of their sources is at hand from before, newest first.
fn leave_out_earlier(
    context: &Context,
    listing: &Listing,
    chosen: &mut Vec<&Snapshot>,
    since: &str,
    all: bool,
) -> Result<Vec<Snapshot>> {
    let first = first_earlier(context, listing, since)?;
    let (later, earlier) = listing.snapshots.split_at(first);
    let is_later = |snapshot: &&Snapshot| later.iter().any(|known| known.id == snapshot.id);
    if !all && let Some(old) = chosen.iter().find(|snapshot| !is_later(snapshot)) {
        let (id, since) = (short_id(old), printable(since));
        return Err(CommandError::usage(format!("snapshot {id} did not come after {since}"))
            .hint("with --since name what came after it, or --all"));
    }
    chosen.retain(is_later);
    if chosen.is_empty() {
        let message = format!("no snapshot came after {}", printable(since));
        return Err(CommandError::new(ExitStatus::NotFound, message).hint("nothing was written"));
    }
    let sources: BTreeSet<&str> = chosen.iter().map(|snapshot| snapshot.info().source.as_str()).collect();
    let of_these = |snapshot: &&Snapshot| sources.contains(snapshot.info().source.as_str());
    Ok(earlier.iter().filter(of_these).cloned().collect())
}

/// The place in the list, which is the newest first, of the first snapshot that did not come after a snapshot, or that was taken before a time.
fn first_earlier(context: &Context, listing: &Listing, since: &str) -> Result<usize> {
    let place = |is_earlier: &dyn Fn(&Snapshot) -> bool| {
        listing.snapshots.iter().position(is_earlier).unwrap_or(listing.snapshots.len())
    };
    let error = match listing.resolve(context, since) {
        Ok(snapshot) => return Ok(place(&|it| it.id == snapshot.id)),
        Err(error) => error,
    };
    match icecore::parse_time_point(since, context.now, &context.zone, false) {
        Ok(time) => {
            let taken = |it: &Snapshot| it.info().created_at.parse::<Timestamp>();
            Ok(place(&|it| taken(it).is_ok_and(|taken| taken < time)))
        }
        Err(_) => Err(error.if_not_found(
            "`icecore list` shows the snapshots there are; times look like 2026-11-20, 2026-11-20T10:00 or \"2 days ago\"",
        )),
    }
}

/// What the file is good for, and what comes next.
fn told_further(ui: &mut Ui, chosen: &[&Snapshot], earlier: &[Snapshot], is_later: bool) {
    match (earlier.first(), is_later) {
        (Some(newest), _) => ui.hint(format_args!(
            "`icecore import FILE` brings them to where {} {} and what came before it are",
            printable(&newest.info().source),
            short_id(newest),
        )),
        (None, true) => ui.status("Nothing of these sources came before: the file is a whole store."),
        (None, false) => ui.hint(
            "`icecore import FILE` brings them into the same store elsewhere, `icecore init --from FILE` makes it",
        ),
    }
    let newest = chosen.iter().max_by(|a, b| a.info().created_at.cmp(&b.info().created_at));
    if let Some(newest) = newest {
        ui.hint(format_args!("`--since {}` exports what comes after these, the next time", short_id(newest)));
    }
}

fn confirm(ui: &mut Ui, path: &std::path::Path) -> Result<()> {
    let shown = printable(&path.display().to_string());
    let len = path.metadata().map_or(0, |meta| meta.len());
    ui.confirm_effect(
        &format!("Replace {shown} ({})?", Bytes(len)),
        &format!("{shown} exists already, and was not touched"),
        "replaces it",
    )
}

fn report(ui: &mut Ui, snapshot: &Snapshot, exported: &Exported, duration: Millis) -> Result<ExitStatus> {
    let target = exported.target.as_ref().map(|path| path.display().to_string());
    if ui.json {
        ui.document(&json!({
            "id": snapshot.id,
            "source": snapshot.info().source,
            "output": target.as_deref().unwrap_or("-"),
            "parts": exported.parts,
            "logical_bytes": exported.bytes,
            "written_bytes": exported.written_bytes,
            "duration_ms": duration.0,
        }))?;
    } else if ui.quiet {
        if let Some(target) = &target {
            ui.line(target)?;
        }
    } else {
        ui.line(format_args!(
            "Exported {} {} to {}: {} in {}, {} written, {duration}",
            printable(&snapshot.info().source),
            short_id(snapshot),
            printable(target.as_deref().unwrap_or("standard output")),
            Bytes(exported.bytes),
            counted(exported.parts, "part"),
            Bytes(exported.written_bytes),
        ))?;
        if target.is_some() {
            ui.hint("README.md in it has the commands that restore it without icecore");
        }
    }
    Ok(ExitStatus::Success)
}
