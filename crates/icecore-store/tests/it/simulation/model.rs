//! What must be there in the end, by what the machines were told.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of what became of a snapshot. Each is known by its host: which machine wrote it, and as the how many-th.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// Its writer was told that it is published.
    Published,
    /// Its writer was told that it was fenced.
    Fenced,
    /// Its writer was told nothing.
    InDoubt,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) snapshots: BTreeMap<String, Fact>,
    /// What somebody has tried to delete.
    pub(super) deleting: BTreeSet<String>,
    /// What somebody was told is deleted.
    pub(super) deleted: BTreeSet<String>,
    /// Tags that somebody was told are there.
    pub(super) tagged: BTreeSet<String>,
}

impl Model {
    /// What is wrong with a list of the hosts of all snapshots that are there, and of those that are tagged.
    pub(super) fn compare(&self, listed: &BTreeSet<String>, tagged: &BTreeSet<String>) -> Vec<String> {
        let mut faults = Vec::new();
        for (host, fact) in &self.snapshots {
            let is_there = listed.contains(host);
            if *fact == Fact::Published && !is_there && !self.deleting.contains(host) {
                faults.push(format!("{host} was published and is not there"));
            }
            if *fact == Fact::Fenced && is_there {
                faults.push(format!("{host} was fenced and is there"));
            }
        }
        for host in listed.intersection(&self.deleted) {
            faults.push(format!("{host} was deleted and is there"));
        }
        for host in self.tagged.intersection(listed).filter(|host| !tagged.contains(*host)) {
            faults.push(format!("{host} has lost its tag"));
        }
        for host in listed.iter().filter(|host| !self.snapshots.contains_key(*host)) {
            faults.push(format!("nobody wrote {host}"));
        }
        faults
    }
}
