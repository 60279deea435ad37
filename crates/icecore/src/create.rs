//! Capturing a source into a snapshot.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use icecore_engine::files::{ParentParts, attributes_of, capture_directory};
use icecore_engine::{
    CaptureError, CommandSource, Sink as _, StreamOptions, StreamReport, capture_stream, mysql, postgres,
    redis, sqlite,
};
use icecore_format::{Label, SnapshotId, SnapshotInfo};
use icecore_store::{
    Monitor, Snapshot, SnapshotHead, SnapshotReader, SnapshotWriter, Store, TreeReader, Written,
};
use jiff::Timestamp;

use crate::sink::SnapshotSink;
use crate::time::format_time;
use crate::{Error, Result, Source};

/// A cluster's snapshots form a series of their own beside those of the database that it was asked through.
pub const PHYSICAL_SUFFIX: &str = ".physical";
const SCHEMA_FORM: &str = "pg_schema";
const TABLE_FORM: &str = "pg_table";
/// What a base backup is stored as: a directory's files, in the order in which the server sent them.
pub(crate) const BASE_BACKUP: &str = "pg_base_backup";

/// Whether a snapshot was asked to have only a part of its source: the definitions, or one table.
pub fn is_of_a_part(snapshot: &Snapshot) -> bool {
    [SCHEMA_FORM, TABLE_FORM].contains(&snapshot.info().form.as_str())
}

/// What the user wants of a capture.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// The source's name, if not its default.
    pub name: Option<String>,
    /// Tags for the snapshot.
    pub tags: Vec<String>,
    /// A note for it.
    pub note: Option<String>,
    /// Store compressed input as it is.
    pub raw: bool,
    /// Accept an empty input.
    pub allow_empty: bool,
    /// Accept a dump that was cut off.
    pub allow_incomplete: bool,
    /// Where it goes back to, if that is not where it comes from.
    pub origin: Option<String>,
    /// Of a database's server, store what it is made of, but no rows.
    pub schema_only: bool,
    /// And what belongs to the whole server: roles, tablespaces.
    pub globals: bool,
    /// Of a database's server, this table alone.
    pub table: Option<String>,
    /// The server's whole cluster, as its files.
    pub physical: bool,
    /// Store what is new as it is, not as what it changes in something else.
    pub no_delta: bool,
    /// The machine's name.
    pub host: String,
    /// The store's own directory: left out of captures, and the place for temporary files.
    pub store_dir: PathBuf,
}

impl CreateOptions {
    /// The name of the snapshots that this one is the next of.
    fn series(&self, source: &Source) -> String {
        self.name.clone().unwrap_or_else(|| match self.physical {
            true => source.default_name() + PHYSICAL_SUFFIX,
            false => source.default_name(),
        })
    }
}

/// A snapshot that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its identity.
    pub id: SnapshotId,
    /// What its manifest says.
    pub info: SnapshotInfo,
    /// Bytes it added to the store, its manifest included.
    pub stored_bytes: u64,
    /// What could not be captured as it should have been.
    pub findings: Vec<String>,
}

/// What a capture found out about its source.
#[derive(Default)]
struct Captured {
    engine: Option<&'static str>,
    engine_version: Option<String>,
    form: String,
    origin: Option<PathBuf>,
    unpacked: Option<&'static str>,
}

/// Captures `source` and publishes it as a snapshot, once the source has said that it is complete.
pub fn create(
    store: &Arc<Store>,
    source: &Source,
    options: &CreateOptions,
    now: Timestamp,
    monitor: Arc<dyn Monitor>,
) -> Result<Created> {
    let started = Instant::now();
    refuse_store(source, &options.store_dir)?;
    let name = options.series(source);
    let (snapshots, _) = store.snapshots()?;
    let parent = snapshots.into_iter().find(|snapshot| snapshot.info().source == name);
    let head = SnapshotHead {
        source: name,
        created_at: format_time(now),
        host: options.host.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        parent: parent.as_ref().map(|parent| parent.id),
        deltas: !options.no_delta,
    };
    let mut writer = SnapshotWriter::begin(Arc::clone(store), head, Arc::clone(&monitor))?;
    let fingerprint = fingerprint(source, options, now);
    if let Some(parent) = parent.as_ref().filter(|parent| is_same(parent, fingerprint.as_ref())) {
        match writer.commit_same(parent, |info| info.duration_ms = elapsed_ms(started))? {
            Ok(written) => return created(store, written, Vec::new(), options),
            Err(begun) => writer = begun,
        }
    }
    let parent = parent.map(|parent: Snapshot| SnapshotReader::new(Arc::clone(store), parent.manifest));
    let tree: Option<TreeReader<'_>> = parent.as_ref().map(SnapshotReader::tree);
    let mut sink = SnapshotSink { writer, parent: tree, monitor, findings: Vec::new() };

    let captured = capture(source, options, parent.as_ref(), now, &mut sink)?;
    let SnapshotSink { writer, findings, .. } = sink;
    let written = writer.commit(|info| {
        if let Some(engine) = captured.engine {
            info.engine = engine.to_owned();
        }
        info.engine_version = captured.engine_version;
        info.form = captured.form;
        let origin = captured.origin.and_then(|path| path.into_os_string().into_string().ok());
        info.origin = options.origin.clone().or(origin);
        info.unpacked = captured.unpacked.map(str::to_owned);
        // What changed under our hands looks like nothing that could be seen again.
        info.fingerprint = fingerprint.filter(|_| findings.is_empty());
        info.duration_ms = elapsed_ms(started);
    })?;
    created(store, written, findings, options)
}

/// A store is no source: what it holds changes while it is read.
fn refuse_store(source: &Source, store_dir: &Path) -> Result<()> {
    let (Source::Path(path) | Source::Sqlite(path)) = source else { return Ok(()) };
    match (path.canonicalize(), store_dir.canonicalize()) {
        (Ok(real), Ok(store_dir)) if real.starts_with(&store_dir) => {
            Err(Error::Unfitting(format!("{} lies in the store itself", path.display())))
        }
        _ => Ok(()),
    }
}

/// Labels a published snapshot, and reports it.
fn created(
    store: &Store,
    written: Written,
    mut findings: Vec<String>,
    options: &CreateOptions,
) -> Result<Created> {
    let tags = options.tags.iter().map(|tag| Label::Tag(tag.clone()));
    for label in tags.chain(options.note.clone().map(Label::Note)) {
        // The snapshot is there: a script that took this for a failure would take it twice.
        if let Err(error) = store.add_label(&written.id, &label) {
            findings.push(format!("the snapshot is stored, but not labelled: {error}"));
        }
    }
    let stored_bytes = written.info.stored_bytes + written.manifest_len;
    Ok(Created { id: written.id, info: written.info, stored_bytes, findings })
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Whether the source looks as it did when `parent` was captured whole.
fn is_same(parent: &Snapshot, fingerprint: Option<&String>) -> bool {
    let info = parent.info();
    fingerprint.is_some() && info.fingerprint.as_ref() == fingerprint && info.findings.is_empty()
}

/// What a single regular file looks like from outside, and how it would be read. `None` for other sources, and for a file that changed so
/// recently that a further change might not show.
fn fingerprint(source: &Source, options: &CreateOptions, now: Timestamp) -> Option<String> {
    /// How far a file system's clock may be behind.
    const TICK_SECONDS: i64 = 2;
    let Source::Path(path) = source else { return None };
    let meta = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    // A SQLite database may have changed in its log alone.
    if meta.ctime() >= now.as_second() - TICK_SECONDS || sqlite::is_sqlite(path).ok()? {
        return None;
    }
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    // A newer version may see more in the same bytes.
    let reading = (options.raw, path.canonicalize().ok()?, env!("CARGO_PKG_VERSION"));
    Some(format!("{:?} {:?} {:?}", (meta.len(), meta.dev(), meta.ino()), times, reading))
}

fn capture(
    source: &Source,
    options: &CreateOptions,
    parent: Option<&SnapshotReader>,
    now: Timestamp,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    match source {
        Source::Stdin => {
            let monitor = Arc::clone(&sink.monitor);
            let is_cancelled = || monitor.is_cancelled();
            let mut reader = icecore_engine::stdin_reader(&is_cancelled);
            let stream = stream_options(options, b"stdin", "standard input");
            Ok(stream_captured(capture_stream(&mut reader, &stream, sink)?))
        }
        Source::Postgres(endpoint) if options.physical => capture_cluster(endpoint, sink),
        Source::Postgres(endpoint) => capture_postgres(endpoint, options, sink),
        Source::Mysql(endpoint) => capture_mysql(endpoint, options, sink),
        Source::Redis(endpoint) => capture_redis(endpoint, options, sink),
        Source::Command(argv) => capture_command(argv, options, sink),
        Source::Sqlite(path) => capture_sqlite(path, options, sink),
        Source::Path(path) => capture_path(path, options, parent, now, sink),
    }
}

fn capture_path(
    path: &Path,
    options: &CreateOptions,
    parent: Option<&SnapshotReader>,
    now: Timestamp,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let unreadable = |source| CaptureError::Read { action: "cannot read", path: path.to_owned(), source };
    let meta = path.metadata().map_err(unreadable)?;
    let origin = path.canonicalize().map_err(unreadable)?;
    if meta.is_dir() {
        if postgres::physical::ServerLock::of(path).is_some_and(|lock| lock.runs) {
            sink.finding(format!(
                "a PostgreSQL server runs on {}, so its files are not of one moment: `icecore create --physical postgres://HOST` takes them so",
                path.display()
            ));
        }
        let parts = parent.map(|parent| -> ParentParts<'_> {
            // A catalog that cannot be read only means that files are read again.
            Box::new(parent.parts().map_while(std::result::Result::ok))
        });
        let clock = (now.as_second(), u32::try_from(now.subsec_nanosecond().max(0)).unwrap_or(0));
        capture_directory(path, std::slice::from_ref(&options.store_dir), parts, sink, clock)?;
        return Ok(Captured { form: "directory".to_owned(), origin: Some(origin), ..Captured::default() });
    }
    if !options.raw && meta.is_file() && sqlite::is_sqlite(path).map_err(unreadable)? {
        return capture_sqlite(path, options, sink);
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let name = origin.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
    let mut stream = stream_options(options, &name, &path.display().to_string());
    if meta.is_file() {
        stream.file = Some(attributes_of(&origin).map_err(unreadable)?);
    }
    let before = meta.modified().ok().map(|modified| (modified, meta.len()));
    let report = capture_stream(&mut file, &stream, sink)?;
    let after = file.metadata().ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
    if meta.is_file() && before != after {
        sink.finding(format!("{} changed while it was read", path.display()));
    }
    let captured = stream_captured(report);
    // What was unpacked is not what lay there: it does not go back there by itself.
    let origin = (meta.is_file() && captured.unpacked.is_none()).then_some(origin);
    Ok(Captured { origin, ..captured })
}

fn capture_command(
    argv: &[std::ffi::OsString],
    options: &CreateOptions,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let source = CommandSource::spawn(argv)?;
    let program = argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    capture_output(source, &program, options, sink)
}

fn capture_mysql(
    endpoint: &mysql::Endpoint,
    options: &CreateOptions,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let monitor = Arc::clone(&sink.monitor);
    let server = mysql::server(endpoint, &|| monitor.is_cancelled())?;
    if !server.unsteady.is_empty() {
        let tables = server.unsteady.join(", ");
        sink.notice(format!("not all of this is of one moment if it is written meanwhile, for it has no transactions: {tables}"));
    }
    for what in &server.unseen {
        sink.finding(what.clone());
    }
    let dump = mysql::capture(endpoint, &server)?;
    let captured = capture_dump(dump, options, sink)?;
    let (engine, engine_version) = (Some(server.engine), Some(server.version));
    Ok(Captured { engine, engine_version, origin: Some(endpoint.url().into()), ..captured })
}

fn capture_dump(
    mut dump: mysql::Dump,
    options: &CreateOptions,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let monitor = Arc::clone(&sink.monitor);
    let is_cancelled = || monitor.is_cancelled();
    let program = dump.program;
    let stream = stream_options(options, program.as_bytes(), &format!("the output of {program}"));
    let captured = capture_stream(&mut dump.reader(&is_cancelled), &stream, sink);
    if_succeeded(captured, || {
        let said = dump.finish(&is_cancelled)?;
        said.into_iter().for_each(|line| sink.notice(line));
        Ok(())
    })
}

/// What a program prints, if it succeeds.
fn capture_output(
    mut source: CommandSource,
    program: &str,
    options: &CreateOptions,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let monitor = Arc::clone(&sink.monitor);
    let is_cancelled = || monitor.is_cancelled();
    let stream = stream_options(options, program.as_bytes(), &format!("the output of {program}"));
    let captured = capture_stream(&mut source.reader(&is_cancelled), &stream, sink);
    if_succeeded(captured, || source.finish(&is_cancelled))
}

fn if_succeeded(
    captured: std::result::Result<StreamReport, CaptureError>,
    finish: impl FnOnce() -> std::result::Result<(), CaptureError>,
) -> Result<Captured> {
    match captured {
        // A command that failed says more than the look of what it printed before.
        Ok(_)
        | Err(
            CaptureError::Source(_)
            | CaptureError::Empty { .. }
            | CaptureError::Incomplete { .. }
            | CaptureError::Damaged { .. },
        ) => {
            finish()?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(stream_captured(captured?))
}

fn capture_postgres(
    endpoint: &postgres::Endpoint,
    options: &CreateOptions,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let monitor = Arc::clone(&sink.monitor);
    let is_cancelled = move || monitor.is_cancelled();
    let wanted = postgres::Options {
        schema_only: options.schema_only,
        globals: options.globals,
        table: options.table.clone(),
    };
    let report = postgres::capture(endpoint, &wanted, &is_cancelled, sink)?;
    Ok(Captured {
        engine: Some("postgres"),
        engine_version: Some(report.version),
        form: match (options.schema_only, &options.table) {
            (true, _) => SCHEMA_FORM,
            (false, Some(_)) => TABLE_FORM,
            (false, None) => "pg_dump",
        }
        .to_owned(),
        origin: Some(endpoint.url().into()),
        unpacked: None,
    })
}

fn capture_cluster(endpoint: &postgres::Endpoint, sink: &mut SnapshotSink<'_>) -> Result<Captured> {
    let monitor = Arc::clone(&sink.monitor);
    let server = postgres::physical::server(endpoint)?;
    monitor.expect(server.bytes);
    postgres::physical::capture(endpoint, &server, &|| monitor.is_cancelled(), sink)?;
    Ok(Captured {
        engine: Some("postgres"),
        engine_version: Some(server.version),
        form: BASE_BACKUP.to_owned(),
        origin: server.data_directory,
        unpacked: None,
    })
}

fn capture_redis(
    endpoint: &redis::Endpoint,
    options: &CreateOptions,
    sink: &mut SnapshotSink<'_>,
) -> Result<Captured> {
    let monitor = Arc::clone(&sink.monitor);
    let is_cancelled = || monitor.is_cancelled();
    let stream = stream_options(options, b"dump.rdb", "");
    let captured = stream_captured(redis::capture(endpoint, &stream, &is_cancelled, sink)?);
    Ok(Captured { origin: Some(endpoint.url().into()), ..captured })
}

fn capture_sqlite(path: &Path, options: &CreateOptions, sink: &mut SnapshotSink<'_>) -> Result<Captured> {
    let scratch = options.store_dir.join("tmp");
    std::fs::create_dir_all(&scratch).map_err(|source| CaptureError::Read {
        action: "cannot create",
        path: scratch.clone(),
        source,
    })?;
    let report = sqlite::capture(path, &scratch, sink)?;
    Ok(Captured {
        engine: Some("sqlite"),
        engine_version: Some(report.version),
        form: "sqlite".to_owned(),
        origin: path.canonicalize().ok(),
        unpacked: None,
    })
}

fn stream_options(options: &CreateOptions, name: &[u8], what: &str) -> StreamOptions {
    StreamOptions {
        name: name.to_vec(),
        raw: options.raw,
        allow_incomplete: options.allow_incomplete,
        allow_empty: options.allow_empty,
        what: what.to_owned(),
        scratch: options.store_dir.join("tmp"),
        file: None,
    }
}

fn stream_captured(report: StreamReport) -> Captured {
    Captured {
        engine: report.engine,
        engine_version: report.engine_version,
        form: report.form,
        origin: None,
        unpacked: report.unpacked,
    }
}
