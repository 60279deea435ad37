//! Made-up snapshots to select from.

use std::collections::BTreeSet;

use icecore::Snapshot;
use icecore_format::{Catalog, Manifest, SnapshotId, SnapshotInfo, Tree};
use icecore_store::SnapshotLabels;

/// Names that look like something else.
const SOURCES: [&str; 8] = ["shop", "shop~1", "a@b", "latest", "#1", "0000", "", "caf\u{e9}"];

/// As many snapshots, newest first, of sources with awkward names.
pub(crate) fn snapshots(count: u8) -> Vec<Snapshot> {
    (0..count).map(snapshot).collect()
}

fn snapshot(number: u8) -> Snapshot {
    let source = SOURCES.get(usize::from(number) % SOURCES.len()).copied().unwrap_or_default();
    // Some share the beginning of their ids, and some have no time.
    let mut id = [0; 32];
    id[31] = number;
    id[1] = number % 3;
    let created_at = match number % 5 {
        4 => "some time".to_owned(),
        _ => format!("2026-11-{:02}T10:00:00.000000Z", 28 - number % 28),
    };
    let tags = if number.is_multiple_of(4) {
        BTreeSet::from(["2026-11-20".to_owned(), "v1".to_owned()])
    } else {
        BTreeSet::new()
    };
    Snapshot {
        id: SnapshotId::from_bytes(id),
        object: format!("snapshots/{number}"),
        copies: Vec::new(),
        manifest_len: 100,
        manifest: Manifest {
            info: info(source, created_at),
            content: Tree::default(),
            catalog: Catalog::Inline(Vec::new()),
        },
        labels: SnapshotLabels { tags, ..SnapshotLabels::default() },
    }
}

pub(crate) fn info(source: &str, created_at: String) -> SnapshotInfo {
    SnapshotInfo {
        source: source.to_owned(),
        engine: "files".to_owned(),
        engine_version: None,
        form: "directory".to_owned(),
        origin: None,
        unpacked: None,
        fingerprint: None,
        created_at,
        host: "db3".to_owned(),
        tool_version: "0.1.0".to_owned(),
        parent: None,
        parts: 1,
        logical_bytes: 0,
        changed_bytes: 0,
        stored_bytes: 0,
        chunks: 0,
        new_chunks: 0,
        delta_chunks: 0,
        duration_ms: 1,
        findings: Vec::new(),
    }
}
