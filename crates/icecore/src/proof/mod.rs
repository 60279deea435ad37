//! Finding out whether a snapshot would do if it were needed, and keeping what was found in the store.
//!
//! [`verify_and_record`] reads all that some snapshots need; [`prove`] restores one into something that is thrown away, and looks at it
//! there: a server of our own, a database beside others, a file. What comes of it is [`Evidence`], well or not; what could not be tried is
//! an error, and says nothing of the snapshot.

mod database;
mod failure;
mod files;
mod physical;
mod read;
mod redis;
mod room;
mod verify;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use icecore_engine::scratch::Examined;
use icecore_format::{Check, Evidence, EvidenceKind};
use icecore_store::{Monitor, Snapshot, Store};
use jiff::Timestamp;

pub use verify::{Verified, verify_and_record};

use crate::time::format_time;
use crate::{Database, Error, Result};
use failure::Failure;
use watch::Watch;

/// Who looks, and when.
#[derive(Debug, Clone)]
pub struct Witness {
    /// The machine's name.
    pub host: String,
    /// The time now.
    pub now: Timestamp,
}

impl Witness {
    /// Evidence of nothing yet.
    fn evidence(&self, kind: EvidenceKind) -> Evidence {
        Evidence {
            kind,
            at: format_time(self.now),
            host: self.host.clone(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: None,
            chunks: 0,
            bytes: 0,
            tables: None,
            rows: None,
            checks: Vec::new(),
            unproved: Vec::new(),
            fault: None,
        }
    }
}

/// How snapshots are proved.
#[derive(Debug, Clone)]
pub struct ProofOptions {
    /// A server on which databases are made, looked at and dropped, instead of one of our own; the database that it names does not matter.
    pub scratch: Option<Database>,
    /// The store's own directory, which no restore may harm.
    pub store_dir: PathBuf,
}

/// What came of trying one snapshot.
#[derive(Debug, Clone)]
pub struct Proof {
    /// What was written down.
    pub evidence: Evidence,
    /// Whether it cannot be restored because what the store has of it is damaged. Any other fault is of what was captured.
    pub is_damaged: bool,
}

/// What was found, before it is written down.
#[derive(Debug, Default)]
struct Found {
    /// What it was restored into.
    engine: Option<String>,
    examined: Examined,
    /// Whether there are tables.
    has_tables: bool,
    /// Whether there are rows, or keys.
    has_rows: bool,
}

/// What every proof needs.
struct Job<'a> {
    store: &'a Arc<Store>,
    snapshot: &'a Snapshot,
    options: &'a ProofOptions,
    watch: &'a Watch<'a>,
}

/// Restores a snapshot into something that is thrown away, looks at it there, and writes down what was found.
///
/// # Errors
/// If it could not be tried, or the storage does not take what is written down. A snapshot that cannot be restored is no error.
pub fn prove(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &ProofOptions,
    witness: &Witness,
    monitor: &dyn Monitor,
) -> Result<Proof> {
    let watch = Watch::new(monitor);
    let job = Job { store, snapshot, options, watch: &watch };
    let mut evidence = witness.evidence(EvidenceKind::Restored);
    let mut is_damaged = false;
    match job.run() {
        Ok(found) => fill(&mut evidence, found),
        Err(Failure::Fault { why, is_damage }) => (evidence.fault, is_damaged) = (Some(why), is_damage),
        Err(Failure::Impossible { why, hint }) => return Err(job.cannot(why, hint)),
        Err(Failure::Other(error)) => return Err(error),
    }
    let info = snapshot.info();
    evidence.bytes = watch.plain_bytes().min(info.logical_bytes);
    if evidence.bytes == info.logical_bytes && evidence.is_ok() {
        evidence.chunks = info.chunks;
    }
    let findings = info.findings.first();
    evidence.unproved.extend(findings.map(|finding| format!("the snapshot was not taken whole: {finding}")));
    store.record_evidence(&snapshot.id, evidence.clone())?;
    Ok(Proof { evidence, is_damaged })
}

fn fill(evidence: &mut Evidence, found: Found) {
    let Found { engine, examined, has_tables, has_rows } = found;
    evidence.engine = engine;
    evidence.tables = has_tables.then_some(examined.tables);
    evidence.rows = has_rows.then_some(examined.rows);
    let checks = examined.checks.into_iter().map(|(name, count)| Check { name: name.to_owned(), count });
    evidence.checks = checks.collect();
    evidence.unproved = examined.unproved;
    evidence.fault = examined.fault;
}

impl Job<'_> {
    fn run(&self) -> std::result::Result<Found, Failure> {
        let info = self.snapshot.info();
        let is_of_server = info.origin.as_deref().is_some_and(crate::is_url);
        match info.form.as_str() {
            "sqlite" => self.restore_sqlite(),
            "rdb" => self.restore_redis(),
            crate::create::BASE_BACKUP => self.restore_cluster(),
            "pg_dump" | "pg_schema" | "pg_table" if is_of_server => self.restore_postgres(),
            "mysqldump" if is_of_server => self.restore_mysql(),
            _ => self.read_all(),
        }
    }

    fn cannot(&self, why: String, hint: Option<String>) -> Error {
        let id = self.snapshot.id.brief();
        Error::NoProof { id, source_name: self.snapshot.info().source.clone(), why, hint }
    }

    fn is_cancelled(&self) -> bool {
        self.watch.is_cancelled()
    }
}
