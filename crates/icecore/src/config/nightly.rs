//! What happens every night, in `icecore.toml`.

use std::time::Duration;

use serde::Deserialize;

use crate::quantity::{Length, Size};

/// What is done after the captures of a night.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NightlySettings {
    /// The remotes that snapshots are pushed to.
    pub push: Vec<String>,
    /// Those of them in which snapshots are pruned, and collected, as in the store here.
    pub prune_remotes: Vec<String>,
    /// How much of what was not verified for longest is read back: `1GB`, if nothing is said.
    pub verify: Size,
    /// How often a new snapshot is restored into something that is thrown away, to see whether it can be: `7d`; never, if nothing is said.
    pub prove: Option<Length>,
    /// A program, with its arguments, that is run before each step; if it fails, the step is not done.
    pub before: Vec<String>,
    /// One that is run after each step.
    pub after: Vec<String>,
    /// How long each of the two may take: ten minutes, if nothing is said.
    pub hook_timeout: Length,
    /// By how much captures may begin later than their schedules say, so that not all begin at once: not at all, if nothing is said.
    pub jitter: Length,
}

impl Default for NightlySettings {
    fn default() -> Self {
        // A hundred gigabytes are read back within a hundred nights.
        Self {
            push: Vec::new(),
            prune_remotes: Vec::new(),
            verify: Size(1_000_000_000),
            prove: None,
            before: Vec::new(),
            after: Vec::new(),
            hook_timeout: Length(Duration::from_secs(600)),
            jitter: Length::default(),
        }
    }
}
