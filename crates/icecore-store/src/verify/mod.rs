//! Reading back, and checking.

mod bases;
mod finding;
mod incomplete;
mod packs;
mod records;
mod walk;

use std::sync::Arc;

use icecore_format::PackId;

use finding::Damage;
pub use finding::{Finding, FindingKind};

use crate::index::IndexReader;
use crate::snapshots::Snapshot;
use crate::store::Store;
use crate::{Monitor, Result};

/// How much of the data is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Extent {
    /// Manifests, catalogs, trees, tables of contents; no data.
    Structure,
    /// A share of the packs, between 0 and 1: those that were not verified for longest, drawn by lot where that is equal.
    Share(f64),
    /// As many packs as have this many bytes, chosen in the same way.
    Budget(u64),
    /// The packs that were never verified here.
    Unverified,
    /// All packs.
    Everything,
}

/// What a verification saw.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Snapshots whose structure was walked.
    pub snapshots: u64,
    /// Chunks that were decoded and hashed, or, without data, looked up.
    pub chunks: u64,
    /// Stored bytes that were read.
    pub bytes_read: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Store {
    /// Checks `snapshots`, or the whole store if there are none given. `now` is in seconds since 1970 and is remembered for the packs
    /// that were found right.
    pub fn verify(
        self: &Arc<Self>,
        snapshots: Option<&[Snapshot]>,
        extent: Extent,
        now: u64,
        monitor: &dyn Monitor,
    ) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let (all, damaged) = self.stored_snapshots()?;
        if snapshots.is_none() {
            report.findings.extend(damaged.iter().filter_map(Finding::of_listed));
            report.findings.extend(self.check_records()?);
        }
        let copies = if snapshots.is_none() { self.copy_findings()? } else { Vec::new() };
        let mut damage = Damage::default();
        // Everything counts, condemned or not: a condemned pack may hold what was published since.
        let lost = self.lost_packs()?;
        let chosen = snapshots.unwrap_or(&all);
        report.snapshots = chosen.len() as u64;

        let mut needed = self.walk(chosen, &lost, &mut damage, &mut report, monitor)?;
        self.follow_bases(&mut needed, &lost, &mut damage, monitor)?;
        let packs = self.index.read(IndexReader::packs)?;
        let packs: Vec<_> = packs
            .into_iter()
            .map(|(_, record)| record)
            .filter(|record| snapshots.is_none() || needed.contains(&record.id))
            .collect();
        self.check_unknown_packs(&mut damage)?;
        let (right, wrong) = self.check_packs(packs, extent, &mut damage, &mut report, monitor)?;
        self.note_vanished(&mut damage)?;
        self.name_the_affected(&all, &mut damage)?;
        self.find_healable(&mut damage)?;
        report.findings.extend(damage.findings.into_iter().map(|damage| damage.finding));
        if !copies.is_empty() {
            // Whoever adds or removes a key puts the copy after it, and takes it away before it: what lasts is damage.
            let still = self.copy_findings()?;
            report.findings.extend(copies.into_iter().filter(|finding| still.contains(finding)));
        }
        self.remember_verified(&right, now)?;
        // What was found damaged comes first the next time, however little of the rest is read then.
        self.remember_verified(&wrong, 0)?;
        Ok(report)
    }

    /// A store that may only be read is verified as well, only that nobody will know of it.
    fn remember_verified(&self, packs: &[PackId], now: u64) -> Result<()> {
        match self.index.write(|index| index.set_verified(packs, now)) {
            Err(error) if error.is_denied() => Ok(()),
            done => done,
        }
    }
}
