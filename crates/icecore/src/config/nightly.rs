//! What happens every night, in `icecore.toml`.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

use super::web::WebUrl;
use crate::quantity::{Length, Size};

/// No capture begins later than this.
const JITTER_MAX: SignedDuration = SignedDuration::from_hours(24 * 366);

/// What is done after the captures of a night.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NightlySettings {
    /// The remotes that snapshots are pushed to.
    pub push: Vec<String>,
    /// Those of them in which snapshots are pruned, and collected, as in the store here.
    pub prune_remotes: Vec<String>,
    /// Nobody else writes to the store or its remotes: asked for where a server does not keep conditions.
    pub exclusive: bool,
    /// How much of what was not verified for longest is read back: `1GB`, if nothing is said.
    pub verify: Size,
    /// How often a new snapshot is restored into something that is thrown away, to see whether it can be: `7d`; never, if nothing is said.
    pub prove: Option<Length>,
    /// A program, with its arguments, that is run before each step; if it fails, the step is not done.
    pub before: Vec<String>,
    /// One that is run after each step.
    pub after: Vec<String>,
    /// Where the steps of each service are posted to as JSON when they are over, and those of the store.
    pub webhook: Option<WebUrl>,
    /// The file whose first line is that URL; relative to `icecore.toml`.
    pub webhook_file: Option<PathBuf>,
    /// When they are: `always`, if nothing is said, or `failed`.
    pub webhook_when: WebhookWhen,
    /// Where it is told that the steps of the store begin, and how they ended.
    pub ping: Option<WebUrl>,
    /// How long each of `before` and `after` may take: ten minutes, if nothing is said.
    pub hook_timeout: Length,
    /// By how much captures may begin later than their schedules say, so that not all begin at once: not at all, if nothing is said.
    pub jitter: Length,
}

impl NightlySettings {
    /// The most by which a capture may begin later than its schedule says: what nobody can wait for is a year.
    pub fn jitter_max(&self) -> SignedDuration {
        SignedDuration::try_from(self.jitter.0).unwrap_or(SignedDuration::MAX).min(JITTER_MAX)
    }
}

/// When somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookWhen {
    /// Each time.
    Always,
    /// If not all went well.
    Failed,
}

impl Default for NightlySettings {
    fn default() -> Self {
        // A hundred gigabytes are read back within a hundred nights.
        Self {
            push: Vec::new(),
            prune_remotes: Vec::new(),
            exclusive: false,
            verify: Size(1_000_000_000),
            prove: None,
            before: Vec::new(),
            after: Vec::new(),
            webhook: None,
            webhook_file: None,
            webhook_when: WebhookWhen::Always,
            ping: None,
            hook_timeout: Length(Duration::from_secs(600)),
            jitter: Length::default(),
        }
    }
}
