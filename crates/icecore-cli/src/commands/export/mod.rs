//! `icecore export`

mod store;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use icecore::{Counter, Error, ExportOptions, Exported, Packing, Snapshot};
use serde_json::json;

use crate::args::ServiceArgs;
use crate::context::{Context, Opened};
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
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
    let Some(packing) = args.packing()? else { return store::run(ui, context, args) };
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
            snapshot.id.brief(),
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
