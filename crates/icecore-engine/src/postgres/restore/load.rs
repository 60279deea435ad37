//! Filling a new database: definitions, rows on several connections, then what builds on rows.

use std::io::{Read, Write as _};
use std::sync::{Mutex, PoisonError};

use icecore_dump::script::{self, CopyRows, Entry};
use icecore_format::{Part, PartKind};

use super::super::connections;
use super::super::endpoint::Endpoint;
use super::super::session::{Session, Trouble, text};
use super::super::unreached::Unreached;
use super::rows::{self, Within};
use super::{post_data, read_all};
use crate::RestoreError;
use crate::database::{Content, Restored, check_cancelled};
use crate::pool;

/// Nothing of this is live before it is whole, so no commit waits for the disk; the server writes all of it down before names change.
const SETTINGS: &str = "SET synchronous_commit = off; SET check_function_bodies = false; SET lock_timeout = 0; SET default_transaction_read_only = off;";
/// Statements of one line each are sent in pieces of about this.
const LINES_LEN: usize = 1 << 20;
/// The part whose lines are statements.
const LARGE_OBJECTS: &[u8] = b"large objects";

/// Fills an empty database.
pub(super) fn load(endpoint: &Endpoint, content: &dyn Content) -> Result<Restored, RestoreError> {
    let mut session = open(endpoint)?;
    let (mut tables, mut states, mut post) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = 0;
    for part in content.parts() {
        match part.name.as_slice() {
            _ if part.kind == PartKind::Table => tables.push(part),
            // What belongs to the server is not this database's business; what its own facts are is known.
            b"globals" | b"database" => (),
            b"sequences" | LARGE_OBJECTS => states.push(part),
            name if name.starts_with(b"post-data") || !tables.is_empty() => {
                post.push(read_all(content, part)?);
            }
            _ => {
                let script = read_all(content, part)?;
                made += script::entries(&script).iter().filter(|entry| entry.kind == "TABLE").count();
                define(&mut session, content, &script)?;
            }
        }
    }
    let loaded = fill_all(endpoint, content, &tables)?;
    for part in states {
        match part.name.as_slice() {
            LARGE_OBJECTS => lines(&mut session, content, part)?,
            _ => batch(&mut session, "the state of sequences", &read_all(content, part)?)?,
        }
    }
    // What a dump says behind the rows of a table: where its sequences stand.
    for rest in &loaded.rests {
        define(&mut session, content, rest)?;
    }
    post_data::build(endpoint, content, &post)?;
    analyze(&mut session, content)?;
    // Of definitions alone, what was made is all that there is to tell.
    let tables = if tables.is_empty() { made } else { tables.len() };
    Ok(Restored { tables: tables as u64, rows: loaded.rows, ..Restored::default() })
}

/// Lets the server look at what it has now, so that its first plans are good ones. What is elsewhere is not looked at.
fn analyze(session: &mut Session, content: &dyn Content) -> Result<(), RestoreError> {
    let tables = session.rows(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
    )?;
    for (done, table) in tables.iter().map(|row| text(row, 0)).enumerate() {
        content.stage("looking at tables", done, tables.len());
        check_cancelled(content)?;
        match session.run(&format!("ANALYZE {table}")) {
            // One with a part that lies elsewhere cannot be looked at; the server will, if it can.
            Err(trouble) if trouble.code.is_some() => (),
            looked => looked?,
        }
    }
    Ok(())
}

/// A connection on which a database is filled.
pub(super) fn open(endpoint: &Endpoint) -> Result<Session, Unreached> {
    let mut session = Session::open(endpoint)?;
    session.run(SETTINGS)?;
    Ok(session)
}

/// Runs definitions one after the other.
pub(super) fn define(
    session: &mut Session,
    content: &dyn Content,
    script: &[u8],
) -> Result<(), RestoreError> {
    for entry in script::entries(script) {
        check_cancelled(content)?;
        run(session, &entry)?;
    }
    Ok(())
}

/// Runs the statements of an entry.
pub(super) fn run(session: &mut Session, entry: &Entry<'_>) -> Result<(), RestoreError> {
    try_run(session, entry)?.map_err(|trouble| failed_entry(entry, &trouble))
}

/// An entry could not be restored.
pub(super) fn failed_entry(entry: &Entry<'_>, trouble: &Trouble) -> RestoreError {
    let what = format!("{} {}", entry.kind.to_lowercase(), entry.name);
    RestoreError::Server(format!("cannot restore {}: {}", what.trim(), trouble.what))
}

/// The same; the inner error is the server's.
pub(super) fn try_run(session: &mut Session, entry: &Entry<'_>) -> Result<Result<(), Trouble>, RestoreError> {
    let what = format!("{} {}", entry.kind.to_lowercase(), entry.name);
    if entry.kind.is_empty() {
        return settings(session, entry.text).map(Ok);
    }
    if entry.is_of_database() {
        // It means the database that was dumped, wherever this one is.
        return Ok(Ok(()));
    }
    match script::copy_statement(entry.text) {
        // A table whose name takes several lines, which is not found in a dump that was piped.
        Some((statement, start)) if entry.kind == "TABLE DATA" => {
            let rows = entry.text.get(start..).unwrap_or_default();
            let (len, passed, _) = CopyRows::default().read(rows, true);
            copy(session, &what, statement, rows.get(..len).unwrap_or_default())?;
            batch(session, &what, rows.get(passed..).unwrap_or_default()).map(Ok)
        }
        _ => {
            let statements = script::without_commands(entry.text);
            let text = std::str::from_utf8(&statements);
            let text =
                text.map_err(|_| RestoreError::Server(format!("cannot restore {what}: it is not UTF-8")))?;
            Ok(session.run(text))
        }
    }
}

/// What stands before the first object: settings, of which an older server may not know one.
fn settings(session: &mut Session, head: &[u8]) -> Result<(), RestoreError> {
    let starts = ["--", "SET ", "SELECT pg_catalog.set_config('search_path'", "\\", "DROP DATABASE "];
    let is_known = |line: &&[u8]| {
        line.trim_ascii().is_empty() || starts.iter().any(|start| line.starts_with(start.as_bytes()))
    };
    if !head.split(|byte| *byte == b'\n').all(|line| is_known(&line)) {
        return batch(session, "what comes before the first object", &script::without_commands(head));
    }
    for line in head.split(|byte| *byte == b'\n').map(String::from_utf8_lossy) {
        let Some(setting) = line.strip_prefix("SET ") else { continue };
        if let Some(encoding) = setting.strip_prefix("client_encoding = ") {
            if !matches!(encoding.trim_end_matches(';'), "'UTF8'" | "'SQL_ASCII'") {
                return Err(RestoreError::Refused(
                    "the dump is not in UTF-8, and psql restores it: icecore restore SNAPSHOT --to - | psql -d NEW_DATABASE".to_owned(),
                ));
            }
            // The session speaks what its database needs.
            continue;
        }
        match session.run(&line) {
            Err(trouble) if trouble.code.as_deref() == Some("42704") => (),
            set => set?,
        }
    }
    Ok(())
}

fn copy(session: &mut Session, what: &str, statement: &[u8], rows: &[u8]) -> Result<(), RestoreError> {
    let failed = |why: String| RestoreError::Server(format!("cannot restore {what}: {why}"));
    let statement = String::from_utf8_lossy(statement);
    let mut writer = session.client.copy_in(&*statement).map_err(|error| failed(error.to_string()))?;
    writer.write_all(rows).map_err(|error| failed(error.to_string()))?;
    writer.finish().map_err(|error| failed(error.to_string()))?;
    Ok(())
}

fn batch(session: &mut Session, what: &str, statements: &[u8]) -> Result<(), RestoreError> {
    let failed = |why: &str| RestoreError::Server(format!("cannot restore {what}: {why}"));
    let statements = std::str::from_utf8(statements).map_err(|_| failed("it is not UTF-8"))?;
    session.run(statements).map_err(|trouble| failed(&trouble.what))
}

/// Runs a part whose every line is a statement, some at a time: it may be long.
fn lines(session: &mut Session, content: &dyn Content, part: &Part) -> Result<(), RestoreError> {
    let mut reader = content.open(part)?;
    let mut held = Vec::new();
    loop {
        check_cancelled(content)?;
        let before = held.len();
        let read = reader.by_ref().take(LINES_LEN as u64).read_to_end(&mut held);
        let read = read.map_err(RestoreError::of_content)?;
        let end = match read {
            0 => before,
            _ => memchr::memrchr(b'\n', &held).map_or(0, |end| end + 1),
        };
        batch(session, &part.display_name(), held.get(..end).unwrap_or_default())?;
        held.drain(..end);
        if read == 0 {
            return Ok(());
        }
    }
}

/// What came of all tables.
#[derive(Default)]
struct Loaded {
    rows: u64,
    /// What stands behind the rows of each, in the tables' order.
    rests: Vec<Vec<u8>>,
}

/// Fills tables, the largest first.
fn fill_all(endpoint: &Endpoint, content: &dyn Content, tables: &[&Part]) -> Result<Loaded, RestoreError> {
    let mut order: Vec<(usize, &&Part)> = tables.iter().enumerate().collect();
    order.sort_by_key(|(_, part)| std::cmp::Reverse(part.len));
    let loaded = Mutex::new(Loaded { rows: 0, rests: vec![Vec::new(); tables.len()] });
    pool::for_each(
        || Ok(open(endpoint)?),
        content,
        connections(),
        &order,
        |session, (number, part)| {
            let (count, rest) = rows::fill(session, endpoint, content, part, Within::Own)?;
            let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.rows += count;
            if let Some(slot) = loaded.rests.get_mut(*number) {
                *slot = rest;
            }
            Ok(())
        },
    )?;
    Ok(loaded.into_inner().unwrap_or_else(PoisonError::into_inner))
}
