//! Reading rows on several connections at once, and handing them over in order.
//!
//! Large tables are read in ranges of pages, so that one table keeps all connections busy. Each range has a queue of its own, which holds a
//! bounded number of bytes; whoever reads ahead waits when it is full.

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use icecore_chunk::Grain;
use icecore_format::PartKind;
use postgres::CancelToken;

use super::connect::in_time;
use super::endpoint::Endpoint;
use super::session::{Session, Trouble, trouble};
use super::tables::Table;
use crate::tls::Connector;
use crate::{CaptureError, PartEnd, PartStart, Sink};

/// How many bytes of rows are handed over at once.
const BLOCK_LEN: usize = 256 << 10;
/// How many of those may wait in all ranges together.
const BLOCKS_MAX: usize = 96;
/// A range has so many pages; as text they seldom take more than their queue holds.
const RANGE_PAGES: u32 = 512;
/// How long a connection waits for a table that somebody else holds for himself.
pub(super) const LOCK_WAIT: &str = "30s";
const POLL: Duration = Duration::from_millis(100);

/// What comes of a range.
enum Rows {
    Block(Vec<u8>),
    /// All came: so many rows.
    End(u64),
    Failed(Trouble),
}

/// What one connection reads at a time.
struct Job {
    statement: String,
    rows: Sender<Rows>,
}

/// Hands the rows of all tables to the sink, each a part.
pub(super) fn copy_tables(
    tables: &[Table],
    names: &[Vec<u8>],
    endpoint: &Endpoint,
    sessions: Vec<Session>,
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let connections = sessions.len();
    let (jobs, queue) = bounded::<Job>(connections);
    let stop = |session: &Session| (session.client.cancel_token(), session.tls.clone());
    let stops: Vec<(CancelToken, Connector)> = sessions.iter().map(stop).collect();
    thread::scope(|scope| {
        for session in sessions {
            let queue = queue.clone();
            scope.spawn(move || work(session, endpoint, &queue));
        }
        // So that it is noticed if all of them are gone.
        drop(queue);
        let handed = hand_over(tables, names, connections, jobs, sink);
        if handed.is_err() {
            // Who waits for the server waits no longer; who waits for us sees that nobody listens.
            for (stop, tls) in stops {
                let _ = in_time(move || stop.cancel_query(tls));
            }
        }
        handed
    })
}

/// A connection that sees what `snapshot` sees.
pub(super) fn join(endpoint: &Endpoint, snapshot: &str) -> Result<Session, Trouble> {
    let mut session = Session::open(endpoint)?;
    session.run(&format!(
        "SET lock_timeout = '{LOCK_WAIT}'; BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'"
    ))?;
    Ok(session)
}

fn work(mut session: Session, endpoint: &Endpoint, queue: &Receiver<Job>) {
    for Job { statement, rows } in queue {
        match read(&mut session, endpoint, &statement, &rows) {
            Ok(Some(count)) => drop(rows.send(Rows::End(count))),
            Ok(None) => return,
            Err(error) => drop(rows.send(Rows::Failed(error))),
        }
    }
}

/// Reads what a statement copies, and counts its lines: each row is one. `None` if nobody listens any more.
fn read(
    session: &mut Session,
    endpoint: &Endpoint,
    statement: &str,
    rows: &Sender<Rows>,
) -> Result<Option<u64>, Trouble> {
    let mut reader = session.client.copy_out(statement).map_err(|error| trouble(endpoint, &error))?;
    let mut block = Vec::with_capacity(BLOCK_LEN);
    let mut count = 0;
    loop {
        let bytes = reader.fill_buf().map_err(|error| of_io(endpoint, error))?;
        // A row may be longer than all blocks together.
        let len = bytes.len().min(BLOCK_LEN);
        if len > 0 {
            let bytes = bytes.get(..len).unwrap_or_default();
            // A message is a row, or what is left of one; only its last byte can be the end of a line.
            count += u64::from(bytes.ends_with(b"\n"));
            block.extend_from_slice(bytes);
            reader.consume(len);
        }
        if len == 0 || block.len() >= BLOCK_LEN {
            let full = std::mem::replace(&mut block, Vec::with_capacity(BLOCK_LEN));
            if rows.send(Rows::Block(full)).is_err() {
                return Ok(None);
            }
        }
        if len == 0 {
            return Ok(Some(count));
        }
    }
}

fn of_io(endpoint: &Endpoint, error: std::io::Error) -> Trouble {
    match error.downcast::<postgres::Error>() {
        Ok(error) => trouble(endpoint, &error),
        Err(error) => Trouble { what: format!("the database {endpoint}: {error}"), code: None },
    }
}

/// All jobs in order, a few ahead of the one that is handed over: one in each connection's hands, and one that waits for it.
fn hand_over(
    tables: &[Table],
    names: &[Vec<u8>],
    connections: usize,
    jobs: Sender<Job>,
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let most = 2 * connections;
    let all = tables.iter().zip(names);
    let mut rest = all.flat_map(|table| ranges(table.0).map(move |range| (table, range)));
    let mut jobs = Some(jobs);
    let mut ahead = VecDeque::new();
    let mut count = 0;
    loop {
        while ahead.len() < most
            && let Some(sender) = &jobs
        {
            let Some((table, range)) = rest.next() else {
                // Whoever is done goes home.
                jobs = None;
                break;
            };
            let (rows, receiver) = bounded(BLOCKS_MAX / most);
            // If nobody takes it any more, its rows end too early.
            let _ = sender.send(Job { statement: table.0.copy(range.pages), rows });
            ahead.push_back((table, range, receiver));
        }
        let Some(((table, name), range, rows)) = ahead.pop_front() else { return Ok(()) };
        if range.is_first {
            let (name, kind, grain) = (name.clone(), PartKind::Table, Grain::Line);
            sink.begin(PartStart { name, kind, grain, own_chunks: true })?;
            sink.write(table.heading().as_bytes())?;
            count = 0;
        }
        count += drain(table, &rows, sink)?;
        if range.is_last {
            sink.write(b"\\.\n\n\n")?;
            sink.end(PartEnd { rows: Some(count), file: None })?;
        }
    }
}

/// Some of a table's pages.
struct Range {
    /// The first one, and the one after the last; the last range has no end. All of the table if it is not given.
    pages: Option<(u32, Option<u32>)>,
    is_first: bool,
    is_last: bool,
}

/// A table's pages, range by range.
fn ranges(table: &Table) -> impl Iterator<Item = Range> + use<> {
    let is_split = table.pages > RANGE_PAGES && table.filter.is_empty() && !table.columns.is_empty();
    let count = if is_split { table.pages.div_ceil(RANGE_PAGES) } else { 1 };
    (0..count).map(move |number| {
        let (is_first, is_last) = (number == 0, number + 1 == count);
        // The table may have grown since its pages were counted.
        let end = (!is_last).then_some((number + 1) * RANGE_PAGES);
        Range { pages: is_split.then_some((number * RANGE_PAGES, end)), is_first, is_last }
    })
}

fn drain(table: &Table, rows: &Receiver<Rows>, sink: &mut dyn Sink) -> Result<u64, CaptureError> {
    loop {
        match rows.recv_timeout(POLL) {
            Ok(Rows::Block(block)) => sink.write(&block)?,
            Ok(Rows::End(count)) => return Ok(count),
            Ok(Rows::Failed(Trouble { what, .. })) => {
                return Err(CaptureError::Source(format!(
                    "cannot read the table {}: {what}",
                    table.part_name()
                )));
            }
            Err(RecvTimeoutError::Timeout) => sink.check_cancelled()?,
            Err(RecvTimeoutError::Disconnected) => {
                let table = table.part_name();
                return Err(CaptureError::Source(format!("the rows of the table {table} ended too early")));
            }
        }
    }
}
