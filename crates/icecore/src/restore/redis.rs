//! Giving a snapshot back to a Redis server.

use std::sync::Arc;

use icecore_engine::redis::{self, restore as engine};
use icecore_format::PartKind;
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store};

use super::part_reader::Reader;
use super::{blame, first_finding};
use crate::{Error, Result};

/// `redis-cli --rdb -` leaves this many digits behind the end, which a server that loads from a connection would not understand.
const MARK_LEN: usize = 40;
/// The end marker of an RDB, and its checksum.
const END_LEN: usize = 9;
const END: u8 = 0xff;
/// The name and the version with which an RDB begins.
const HEAD_LEN: u64 = 9;

/// An RDB in a snapshot: its content without what may lie behind it.
struct Rdb {
    reader: SnapshotReader,
    format: u32,
    len: u64,
    keys: Option<u64>,
}

impl Rdb {
    fn of(store: &Arc<Store>, snapshot: &Snapshot) -> Result<Self> {
        let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
        let whole = reader.manifest().content.len();
        let head = read(&reader, 0, whole.min(HEAD_LEN))?;
        let head = std::str::from_utf8(&head).unwrap_or_default();
        let format = head.strip_prefix("REDIS").or_else(|| head.strip_prefix("VALKEY"));
        let format = format.and_then(|format| format.parse().ok()).ok_or_else(|| {
            Error::Unfitting(format!(
                "snapshot {} is no RDB, which a Redis server could load",
                snapshot.id.brief()
            ))
        })?;
        let tail_len = (MARK_LEN + END_LEN) as u64;
        let tail = read(&reader, whole.saturating_sub(tail_len), whole.min(tail_len))?;
        let has_mark = tail.len() == MARK_LEN + END_LEN
            && tail.first() == Some(&END)
            && tail.iter().skip(END_LEN).all(u8::is_ascii_hexdigit);
        let len = if has_mark { whole - MARK_LEN as u64 } else { whole };
        let mut keys = (snapshot.info().form == "rdb").then_some(0);
        for part in reader.parts() {
            let part = part?;
            if part.kind == PartKind::Table {
                keys = keys.zip(part.rows).map(|(sum, rows)| sum + rows);
            }
        }
        Ok(Self { reader, format, len, keys })
    }
}

fn read(reader: &SnapshotReader, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for piece in reader.range(offset, len)? {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Finds out what restoring a snapshot to a server would do, and what stands in its way.
pub fn plan_redis(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    endpoint: &redis::Endpoint,
    allow_incomplete: bool,
) -> Result<engine::Plan> {
    let planned = || -> Result<engine::Plan> {
        let rdb = Rdb::of(store, snapshot)?;
        let mut plan = engine::plan(endpoint, rdb.format)?;
        if let Some((finding, _)) =
            first_finding(snapshot).filter(|_| !plan.replaces_nothing() && !allow_incomplete)
        {
            plan.blockers.push(format!(
                "the snapshot was not taken whole ({finding}), and what it lacks may be there: --allow-incomplete takes it all the same"
            ));
        }
        Ok(plan)
    };
    planned().map_err(|error| blame(store, snapshot, None, error))
}

/// What a server was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredKeys {
    /// How many keys it has now.
    pub keys: u64,
    /// How many were captured, if that is known.
    pub captured: Option<u64>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
}

/// Carries out the plan: the server has what it had until the new data are loaded.
pub fn restore_redis(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    plan: &engine::Plan,
    monitor: &dyn Monitor,
) -> Result<RestoredKeys> {
    let restored = || -> Result<RestoredKeys> {
        let Rdb { reader, len, keys: expected, .. } = Rdb::of(store, snapshot)?;
        monitor.expect(len);
        let mut bytes = Reader::of(&reader, 0, len, monitor)?;
        let keys = engine::restore(plan, &mut bytes, len, &|| monitor.is_cancelled())?;
        let mut warnings = Vec::new();
        if let Some(expected) = expected.filter(|expected| *expected != keys) {
            warnings.push(format!(
                "the server has {keys} keys, and {expected} were captured: some may have expired"
            ));
        }
        Ok(RestoredKeys { keys, captured: expected, warnings })
    };
    restored().map_err(|error| blame(store, snapshot, None, error))
}
