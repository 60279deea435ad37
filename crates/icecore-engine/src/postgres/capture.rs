//! All of a database at one moment, as the script that `pg_dump` would write.
//!
//! One transaction holds every table against changes of its definition, and exports what it sees; `pg_dump` tells the definitions by that
//! view, and several connections read the rows by it.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use icecore_chunk::Grain;
use icecore_dump::script;
use icecore_format::PartKind;

use super::copy::{LOCK_WAIT, copy_tables, join};
use super::endpoint::Endpoint;
use super::facts::Facts;
use super::programs::{output, program};
use super::session::{Session, Trouble, ident, literal, text};
use super::tables::{Table, oids};
use super::{aside, connections};
use crate::{CaptureError, PartEnd, PartStart, Sink};

/// How often the list of tables may change while they are locked, or somebody may come between.
const TRIES_MAX: usize = 8;
const PAUSE: Duration = Duration::from_millis(200);
/// More tables are not locked by every connection.
const LOCKED_MAX: usize = 1000;
/// How long `pg_dump` waits for a table that we hold, and somebody waits for.
const DUMP_LOCK_WAIT: &str = "5s";
/// Names in one statement.
const NAMES_MAX: usize = 200;
/// Bytes of a large object in one statement.
const PIECE_LEN: usize = 32 << 10;

const HEADER: &[u8] = b"--\n-- PostgreSQL database dump\n--\n\n";
const TRAILER: &[u8] = b"--\n-- PostgreSQL database dump complete\n--\n\n";

/// What is wanted of a database.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Definitions, but no rows.
    pub schema_only: bool,
    /// Roles and tablespaces of the server too.
    pub globals: bool,
    /// This table alone, named with its schema or, if only one is called so, without.
    pub table: Option<String>,
}

/// What was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The server's version.
    pub version: String,
}

/// The version of a server that lets us in.
pub fn version(endpoint: &Endpoint) -> Result<String, CaptureError> {
    Ok(Session::open(endpoint)?.value("SHOW server_version")?)
}

/// Captures a database.
pub fn capture(
    endpoint: &Endpoint,
    options: &Options,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    sink: &mut dyn Sink,
) -> Result<Report, CaptureError> {
    let mut session = Session::open(endpoint)?;
    let version = session.value("SHOW server_version")?;
    let pg_dump = program("pg_dump", session.major())?;
    let connections = if options.schema_only { 0 } else { connections() };
    let wanted = options.table.as_deref();
    let View { tables, snapshot, readers } = View::hold(&mut session, endpoint, connections, wanted)?;
    let alone = tables.first().filter(|_| wanted.is_some());
    let left_out = aside::all(&mut session)?;
    if !left_out.is_empty() && alone.is_none() {
        let names: Vec<&str> = left_out.iter().map(|schema| schema.name.as_str()).collect();
        sink.notice(format!("tables that a restore put aside are not taken: {}", names.join(", ")));
        for user in aside::users(&mut session, &left_out)? {
            sink.finding(format!(
                "{user} uses a table or sequence that a restore put aside, and cannot be restored without it"
            ));
        }
    }
    let encoding = session.encoding();
    let section = |section: &str, keep: &[&[u8]]| {
        let mut arguments = vec![
            format!("--encoding={encoding}"),
            "--no-password".to_owned(),
            // What a subscription says has a password in it.
            "--no-subscriptions".to_owned(),
            format!("--snapshot={snapshot}"),
            format!("--section={section}"),
            format!("--lock-wait-timeout={DUMP_LOCK_WAIT}"),
        ];
        if options.schema_only {
            arguments.push("--schema-only".to_owned());
        }
        match alone {
            Some(table) => arguments.push(format!("--table={}", table.quoted())),
            None => arguments.extend(aside::arguments(&left_out)),
        }
        definitions(&output(&pg_dump, &arguments, endpoint, is_cancelled)?, keep)
    };
    let (pre_data, post_data) = thread::scope(|scope| {
        // Whoever starts a program must live as long as it does.
        let post_data = scope.spawn(|| section("post-data", &[b"SET default_"]));
        let pre_data = section("pre-data", &[b"SET ", b"SELECT "]);
        let post_data = post_data.join().map_err(|_| session.says("pg_dump was lost"))?;
        Ok::<_, CaptureError>((pre_data?, post_data?))
    })?;
    let mut facts = Facts::ask(&mut session)?;
    facts.table = alone.map(Table::part_name);
    schema(sink, "database", &[HEADER, facts.comment().as_bytes(), b"\n"].concat())?;
    if options.globals {
        let pg_dumpall = program("pg_dumpall", session.major())?;
        let arguments = ["--globals-only", "--no-password"].map(str::to_owned);
        schema(sink, "globals", &server(&output(&pg_dumpall, &arguments, endpoint, is_cancelled)?))?;
    }
    // Its schema is told with whole databases only.
    let place = alone.filter(|table| table.schema != "public");
    let place = place.map(|table| format!("CREATE SCHEMA IF NOT EXISTS {};\n\n", ident(&table.schema)));
    schema(sink, "pre-data", &[place.unwrap_or_default().as_bytes(), &pre_data].concat())?;
    if !options.schema_only {
        copy_tables(&tables, &names(&tables), endpoint, readers, sink)?;
        sequences(&mut session, alone, sink)?;
        if alone.is_none() {
            large_objects(&mut session, sink)?;
        }
    }
    schema(sink, "post-data", &[&post_data, TRAILER].concat())?;
    Ok(Report { version })
}

/// What all connections see, and hold.
struct View {
    tables: Vec<Table>,
    snapshot: String,
    readers: Vec<Session>,
}

impl View {
    /// Begins the transaction, and holds all tables in it *before* it sees anything: what is rewritten or emptied between the moment that is
    /// seen and the lock would look empty. Then lets the others in, who hold the tables too: somebody who wants to change one would
    /// wait for the first, and they behind him.
    fn hold(
        session: &mut Session,
        endpoint: &Endpoint,
        connections: usize,
        wanted: Option<&str>,
    ) -> Result<Self, Trouble> {
        session.run(&format!("SET lock_timeout = '{LOCK_WAIT}'"))?;
        let mut last = None;
        for _ in 0..TRIES_MAX {
            match Self::try_hold(session, endpoint, connections, wanted) {
                Ok(Some(view)) => return Ok(view),
                Ok(None) => (),
                // A table that is gone by now, or that somebody waits for; anything else is final.
                Err(error) if matches!(error.code.as_deref(), Some("42P01" | "55P03")) => last = Some(error),
                Err(error) => return Err(error),
            }
            session.run("ROLLBACK")?;
            thread::sleep(PAUSE);
        }
        Err(last.unwrap_or_else(|| session.says("tables come and go faster than they can be locked")))
    }

    /// `None` if the list of tables changed.
    fn try_hold(
        session: &mut Session,
        endpoint: &Endpoint,
        connections: usize,
        wanted: Option<&str>,
    ) -> Result<Option<Self>, Trouble> {
        let before = Table::wanted(session, wanted)?;
        session.run("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
        lock(session, &before, "")?;
        let tables = Table::wanted(session, wanted)?;
        if oids(&tables) != oids(&before) {
            return Ok(None);
        }
        let snapshot = session.value("SELECT pg_export_snapshot()")?;
        let mut readers = Vec::new();
        for _ in 0..connections {
            let mut reader = join(endpoint, &snapshot)?;
            // The server's table of locks has room for some thousand.
            if tables.len() <= LOCKED_MAX {
                lock(&mut reader, &tables, "NOWAIT")?;
            }
            readers.push(reader);
        }
        Ok(Some(Self { tables, snapshot, readers }))
    }
}

fn lock(session: &mut Session, tables: &[Table], how: &str) -> Result<(), Trouble> {
    tables.chunks(NAMES_MAX).try_for_each(|tables| {
        let names: Vec<_> = tables.iter().map(|table| format!("ONLY {}", table.ident)).collect();
        session.run(&format!("LOCK TABLE {} IN ACCESS SHARE MODE {how}", names.join(", ")))
    })
}

/// Each table's part has a name of its own.
fn names(tables: &[Table]) -> Vec<Vec<u8>> {
    let mut taken = BTreeSet::new();
    let mut unique = |name: String| {
        let mut numbered = name.clone();
        let mut number = 1;
        while !taken.insert(numbered.clone()) {
            number += 1;
            numbered = format!("{name} ({number})");
        }
        numbered.into_bytes()
    };
    tables.iter().map(|table| unique(table.part_name())).collect()
}

/// One part of definitions.
fn schema(sink: &mut dyn Sink, name: &str, script: &[u8]) -> Result<(), CaptureError> {
    begin(sink, name)?;
    sink.write(script)?;
    Ok(sink.end(PartEnd::default())?)
}

fn begin(sink: &mut dyn Sink, name: &str) -> Result<(), CaptureError> {
    sink.check_cancelled()?;
    let (name, kind) = (name.as_bytes().to_vec(), PartKind::Schema);
    Ok(sink.begin(PartStart { name, kind, grain: Grain::Line, own_chunks: false })?)
}

/// What a script of `pg_dump` defines, with those of its first settings that `keep` wants: without what says only when, by what and for
/// whom it was made.
pub(super) fn definitions(output: &[u8], keep: &[&[u8]]) -> Result<Vec<u8>, CaptureError> {
    let end = memchr::memmem::rfind(output, TRAILER.trim_ascii_end());
    let text = end.and_then(|end| output.get(..end));
    let text = text.ok_or_else(|| CaptureError::Incomplete {
        what: "the output of pg_dump".to_owned(),
        expected: "its end marker".to_owned(),
    })?;
    let entries = script::entries(text);
    let (head, rest) = match entries.split_first() {
        Some((first, rest)) if first.kind.is_empty() => (first.text, rest),
        _ => (&[][..], &entries[..]),
    };
    let mut kept = Vec::with_capacity(text.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        // Servers before version 17 do not know it, and nobody needs it.
        let is_known = !line.starts_with(b"SET transaction_timeout");
        if is_known && keep.iter().any(|start| line.starts_with(start)) {
            kept.extend_from_slice(line);
        }
    }
    if !kept.is_empty() {
        kept.push(b'\n');
    }
    rest.iter().for_each(|entry| kept.extend_from_slice(entry.text));
    Ok(kept)
}

/// What `pg_dumpall` says of the server, without its first and last words and the random key that newer ones add.
fn server(output: &[u8]) -> Vec<u8> {
    let kept = output
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"\\") && !line.starts_with(b"-- PostgreSQL database cluster dump"));
    kept.flatten().copied().collect()
}

/// Where each sequence stands; of a table alone, each of its own.
fn sequences(session: &mut Session, alone: Option<&Table>, sink: &mut dyn Sink) -> Result<(), CaptureError> {
    let mut sequences = Table::sequences(session)?;
    if let Some(table) = alone {
        let own = table.own_sequences(session)?;
        sequences.retain(|sequence| own.contains(&sequence.oid));
    }
    if sequences.is_empty() {
        return Ok(());
    }
    begin(sink, "sequences")?;
    for some in sequences.chunks(NAMES_MAX) {
        let selects = some.iter().enumerate().map(|(number, sequence)| {
            format!("SELECT {number} AS number, last_value, is_called FROM {}", sequence.ident)
        });
        let rows =
            session.rows(&format!("{} ORDER BY 1", selects.collect::<Vec<_>>().join(" UNION ALL ")))?;
        for (row, sequence) in rows.iter().zip(some) {
            let (name, called) = (literal(&sequence.ident), text(row, 2) == "t");
            let line = format!("SELECT pg_catalog.setval({name}, {}, {called});\n", text(row, 1));
            sink.write(line.as_bytes())?;
        }
    }
    sink.write(b"\n\n")?;
    Ok(sink.end(PartEnd::default())?)
}

/// The bytes of large objects; what else they have is among the definitions.
fn large_objects(session: &mut Session, sink: &mut dyn Sink) -> Result<(), CaptureError> {
    let mut last = 0_u32;
    let mut begun = false;
    loop {
        sink.check_cancelled()?;
        let rows = session.rows(&format!(
            "SELECT oid, encode(lo_get(oid, 0, {PIECE_LEN}), 'hex') FROM pg_largeobject_metadata WHERE oid > {last} ORDER BY oid LIMIT 64"
        ))?;
        for row in &rows {
            last = text(row, 0).parse().map_err(|_| session.says("gave no number of a large object"))?;
            if !begun {
                begin(sink, "large objects")?;
                begun = true;
            }
            // From version 17 on, pg_dump takes them for data.
            let made = format!(
                "SELECT pg_catalog.lo_create({last}) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata WHERE oid = {last});\n"
            );
            sink.write(made.as_bytes())?;
            let (mut hex, mut at) = (text(row, 1), 0);
            while !hex.is_empty() {
                sink.write(format!("SELECT pg_catalog.lo_put({last}, {at}, '\\x{hex}');\n").as_bytes())?;
                if hex.len() < 2 * PIECE_LEN {
                    break;
                }
                at += PIECE_LEN;
                hex = session.value(&format!("SELECT encode(lo_get({last}, {at}, {PIECE_LEN}), 'hex')"))?;
                sink.check_cancelled()?;
            }
        }
        if rows.is_empty() {
            break;
        }
    }
    if begun {
        sink.write(b"\n\n")?;
        sink.end(PartEnd::default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_keeps_nothing_that_changes_by_itself() {
        let output = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n-- Dumped from database version 15\n\nSET a = 1;\nSET default_x = y;\n\n\
            --\n-- Name: t; Type: TABLE; Schema: public; Owner: me\n--\n\nCREATE TABLE t;\n\n\n\
            --\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n";
        let text = |keep: &[&[u8]]| String::from_utf8(definitions(output.as_bytes(), keep).unwrap()).unwrap();
        let table = "--\n-- Name: t; Type: TABLE; Schema: public; Owner: me\n--\n\nCREATE TABLE t;\n\n\n";
        assert_eq!(text(&[b"SET "]), format!("SET a = 1;\nSET default_x = y;\n\n{table}"));
        assert_eq!(text(&[b"SET default_"]), format!("SET default_x = y;\n\n{table}"));
        let cut = output.len() - 40;
        assert!(matches!(definitions(&output.as_bytes()[..cut], &[]), Err(CaptureError::Incomplete { .. })));
    }
}
