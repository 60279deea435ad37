//! Reading back all that snapshots need.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_format::{Check, Evidence, EvidenceKind, SnapshotId};
use icecore_store::{Finding, FindingKind, Monitor, Snapshot, Store, VerifyExtent, VerifyReport};

use super::Witness;
use crate::Result;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What was read, and what is wrong.
    pub report: VerifyReport,
    /// What was written down, by snapshot. Of those whose data could not be read now, which says nothing about them, there is nothing.
    pub evidence: BTreeMap<SnapshotId, Evidence>,
}

/// Reads all data that these snapshots need, or the whole store if there are none given, and writes down for each whether it was well.
///
/// # Errors
/// If the storage does not take what is written down: nobody would know of it.
pub fn verify_and_record(
    store: &Arc<Store>,
    snapshots: Option<&[Snapshot]>,
    witness: &Witness,
    monitor: &dyn Monitor,
) -> Result<Verified> {
    let now = u64::try_from(witness.now.as_second()).unwrap_or(0);
    // Listed before: what is published meanwhile was not verified.
    let all = if snapshots.is_none() { store.snapshots()?.0 } else { Vec::new() };
    let report = store.verify(snapshots, VerifyExtent::Everything, now, monitor)?;
    let mut evidence = BTreeMap::new();
    for snapshot in snapshots.unwrap_or(&all) {
        let Some(found) = evidence_of(snapshot, &report.findings, witness) else { continue };
        store.record_evidence(&snapshot.id, found.clone())?;
        evidence.insert(snapshot.id, found);
    }
    Ok(Verified { report, evidence })
}

/// Nothing if all that is wrong is that something could not be read now.
pub(super) fn evidence_of(snapshot: &Snapshot, findings: &[Finding], witness: &Witness) -> Option<Evidence> {
    let of_it: Vec<&Finding> =
        findings.iter().filter(|finding| finding.snapshots.contains_key(&snapshot.id)).collect();
    let says_something = |finding: &&Finding| {
        !matches!(
            finding.kind,
            FindingKind::PackUnread | FindingKind::RecordUnread | FindingKind::TooNew { .. }
        )
    };
    let fault = of_it.iter().copied().find(|finding| says_something(finding));
    if fault.is_none() && !of_it.is_empty() {
        return None;
    }
    let info = snapshot.info();
    Some(Evidence {
        chunks: info.chunks,
        bytes: info.logical_bytes,
        checks: vec![Check { name: "chunks".to_owned(), count: info.chunks }],
        fault: fault.map(|finding| format!("{}: {}", finding.object, finding.message)),
        ..witness.evidence(EvidenceKind::Verified)
    })
}
