//! `icecore import`

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use icecore::{Brought, CarriedStore, Counter, ImportOptions, Imported, Monitor, Store, Unlock};
use serde_json::json;

use crate::args::parse_name;
use crate::commands::transfer::{Words, judge, show_sent};
use crate::context::Context;
use crate::failure::{CommandError, Result};
use crate::progress::Progress;
use crate::status::ExitStatus;
use crate::ui::Ui;
use crate::units::{Bytes, Millis, printable, saved_percent};

/// What is read at once.
const READ_LEN: usize = 256 << 10;

/// Bring back a snapshot that was exported
///
/// It becomes the snapshot that it was, with its time, tags, note and parts. All of it is read and compared with its hashes first: what was cut off or changed is refused, and
/// nothing of it is listed. One that is there already is left as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Give it this source's name
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, context: &Context, args: &ImportArgs) -> Result<ExitStatus> {
    let is_stdin = args.file.as_os_str() == "-";
    let what = if is_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    // Before a password is asked for.
    let file = match is_stdin {
        true => None,
        false => Some(open(&args.file, &what)?),
    };
    if let Some(file) = &file
        && is_store(file)
    {
        return store(ui, context, args);
    }
    let opened = context.open()?;
    let started = Instant::now();
    let options =
        ImportOptions { what, name: args.name.clone(), host: context.host(), store_dir: opened.real_dir() };
    let drawing = Progress::begin(ui, context, Counter::PlainBytes, "Importing");
    let monitor: Arc<dyn Monitor> = drawing.monitor();
    let imported = match file {
        Some(file) => {
            let packed = BufReader::with_capacity(READ_LEN, file);
            icecore::import(&opened.store, packed, &options, &monitor)
        }
        None => {
            let is_cancelled = || monitor.is_cancelled();
            let packed = BufReader::with_capacity(READ_LEN, icecore_engine::stdin_reader(&is_cancelled));
            icecore::import(&opened.store, packed, &options, &monitor)
        }
    };
    drawing.end();
    report(ui, &imported?, Millis::since(started))
}

/// Whether a file begins as a store. What cannot be read is told later.
fn is_store(file: &File) -> bool {
    let mut head = [0; 16];
    file.read_exact_at(&mut head, 0).is_ok_and(|()| icecore::is_store_file(&head))
}

/// Brings all snapshots of a store in a file into the store at hand.
fn store(ui: &mut Ui, context: &Context, args: &ImportArgs) -> Result<ExitStatus> {
    if args.name.is_some() {
        return Err(CommandError::usage("--name is for an archive of one snapshot, and this is a store"));
    }
    let opened = context.open()?;
    let key = Unlock::Key(opened.store.key().clone());
    let carried = icecore::open_store_file(&args.file, key, Some(&opened.store))?;
    bring(ui, context, &opened.store, &carried, &opened.place.to_string())
}

/// The same, into any store, and tells of it.
pub(crate) fn bring(
    ui: &mut Ui,
    context: &Context,
    store: &Arc<Store>,
    carried: &CarriedStore,
    to: &str,
) -> Result<ExitStatus> {
    let drawing = Progress::begin(ui, context, Counter::StoredBytes, "Importing");
    let brought = icecore::import_store(store, carried, context.host(), &*drawing.monitor());
    drawing.end();
    let Brought { sent, present, damaged } = brought?;
    let words = Words {
        done: "Imported",
        would: "Would import",
        undone: "was not imported",
        there: to.to_owned(),
        from: None,
    };
    show_sent(ui, &sent, (present, damaged.as_deref().ok()), &words)?;
    let status = judge(ui, &sent, 0, &words);
    // What has come stays, even if the rest of the file could not be read.
    let damaged = damaged?;
    for name in &damaged {
        ui.warn(format_args!("{name} in the file is damaged"));
    }
    Ok(if damaged.is_empty() { status } else { ExitStatus::Damaged })
}

fn open(path: &std::path::Path, what: &str) -> Result<File> {
    let cannot = |error| CommandError::io(format!("cannot read {}", printable(what)))(error);
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            CommandError::new(ExitStatus::NotFound, format!("there is no file {:?}", printable(what)))
        }
        _ => cannot(error),
    })?;
    match file.metadata().map_err(cannot)?.is_dir() {
        true => Err(CommandError::usage(format!("{} is a directory, and no archive", printable(what)))
            .hint("`icecore create` takes a snapshot of a directory; a store elsewhere is pulled from")),
        false => Ok(file),
    }
}

fn report(ui: &mut Ui, imported: &Imported, duration: Millis) -> Result<ExitStatus> {
    let info = &imported.info;
    let id = imported.id;
    if ui.json {
        ui.document(&json!({
            "id": id,
            "exported_id": imported.exported_id,
            "source": info.source,
            "engine": info.engine,
            "created_at": info.created_at,
            "parts": info.parts,
            "logical_bytes": info.logical_bytes,
            "stored_bytes": imported.added_bytes,
            "is_new": imported.is_new,
            "duration_ms": duration.0,
        }))?;
    } else if ui.quiet {
        ui.line(id)?;
    } else if imported.is_new {
        let saved = saved_percent(info.logical_bytes, imported.added_bytes);
        ui.line(format_args!(
            "Imported {} as {}: {}, {} added, {}{duration}",
            printable(&info.source),
            imported.id.brief(),
            Bytes(info.logical_bytes),
            Bytes(imported.added_bytes),
            saved.map(|percent| format!("{percent} saved, ")).unwrap_or_default(),
        ))?;
        if imported.id != imported.exported_id {
            let before = imported.exported_id.brief();
            ui.status(format_args!("Where it came from it was {before}."));
        }
    } else {
        let (source, id) = (printable(&info.source), imported.id.brief());
        match imported.added_bytes {
            0 => ui.line(format_args!("Nothing to do: {source} {id} is there already")),
            lost => ui.line(format_args!(
                "{source} {id} is there already; what it had lost is there again: {} added",
                Bytes(lost)
            )),
        }?;
    }
    Ok(ui.warn_of(&imported.findings))
}
