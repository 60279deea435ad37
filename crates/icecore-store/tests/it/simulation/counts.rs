//! How often what a simulation is for really happened.

use std::collections::BTreeMap;
use std::fmt;

use icecore_testkit::Fates;

/// What must have happened at least once among some thousand seeds.
const EXPECTED: [&str; 39] = [
    "answers lost",
    "chunks coded as deltas",
    "claims made anew",
    "claims of dead writers cleared",
    "collections",
    "collections that gave way",
    "collectors fenced",
    "commits in doubt that failed",
    "commits in doubt that were published",
    "conditions ignored",
    "deaths",
    "deaths of collectors",
    "deaths of pullers",
    "deaths of pushers",
    "deaths of writers",
    "deletions",
    "fences put",
    "labels sent",
    "packs acquitted",
    "packs condemned for later",
    "packs deleted",
    "packs of which some is sent",
    "packs rewritten",
    "packs sent whole",
    "parts reused",
    "pullers fenced",
    "pulls",
    "pushers fenced",
    "pushes",
    "requests refused",
    "requests that wandered",
    "restores",
    "restores that met a deletion",
    "snapshots published",
    "snapshots published as their parents",
    "snapshots published in spite of a failed request",
    "snapshots sent",
    "transfers that met a deletion",
    "writers fenced",
];

#[derive(Debug, Clone, Default)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn count(&mut self, what: &'static str, n: u64) {
        *self.0.entry(what).or_default() += n;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, n) in &other.0 {
            self.count(what, *n);
        }
    }

    pub(super) fn add_fates(&mut self, fates: Fates) {
        self.count("requests", fates.requests);
        self.count("requests refused", fates.refused);
        self.count("answers lost", fates.answers_lost);
        self.count("requests that wandered", fates.wandered);
        self.count("deaths", fates.deaths);
    }

    /// What should have happened, and never did.
    pub(super) fn never(&self) -> Vec<&'static str> {
        EXPECTED.into_iter().filter(|what| self.0.get(what).is_none_or(|n| *n == 0)).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, n)| writeln!(f, "{n:>12} {what}"))
    }
}
