//! How long snapshots are kept, in `icecore.toml`.

use serde::Deserialize;

use super::Config;
use crate::Window;
use crate::create::PHYSICAL_SUFFIX;
use crate::retention::{AgesFrom, Policies, Policy, Rule};
use crate::select::SAFETY_SUFFIX;
use crate::service::Service;

/// What holds for every source, unless its service says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Of snapshots that nobody named.
    pub default: Option<Policy>,
    /// Of those that somebody named, by a tag or a note; all, if nothing is said.
    pub named: Option<Policy>,
    /// Of what restores took before they replaced something; those of a month, if nothing is said.
    pub safety: Option<Policy>,
    /// Tags that name nothing, for a program gives them to every snapshot.
    #[serde(default)]
    pub automatic_tags: Vec<String>,
}

impl Config {
    /// Whether any policy is written down.
    pub fn has_retention(&self) -> bool {
        let of_services = self.services.values().any(|service| service.retention.is_some());
        of_services || self.retention.default.is_some() || self.retention.safety.is_some()
    }

    /// What is kept of a series; `None` if nothing says so.
    pub fn policies(&self, series: &str) -> Option<Policies> {
        let named = self.named_of(series);
        if series.ends_with(SAFETY_SUFFIX) {
            let automatic = self.retention.safety.clone().unwrap_or_else(safety_default);
            return Some(Policies { automatic, named, ages_from: AgesFrom::Now });
        }
        let own = self.service_of_series(series).and_then(|service| service.retention.as_ref());
        let automatic = own.or(self.retention.default.as_ref())?.clone();
        Some(Policies { automatic, named, ages_from: AgesFrom::Newest })
    }

    /// What is kept of those snapshots of a series that somebody named.
    pub(crate) fn named_of(&self, series: &str) -> Policy {
        let own = self.service_of_series(series).and_then(|service| service.retention_named.as_ref());
        own.or(self.retention.named.as_ref()).cloned().unwrap_or_else(Policy::all)
    }

    fn service_of_series(&self, series: &str) -> Option<&Service> {
        let name = series.strip_suffix(SAFETY_SUFFIX).unwrap_or(series);
        // A base backup has its name from the database that it was asked through.
        let of_database = || self.services.get(name.strip_suffix(PHYSICAL_SUFFIX)?);
        self.services.get(name).or_else(of_database)
    }
}

/// Whoever wants to undo a restore notices within a month.
fn safety_default() -> Policy {
    Policy::of(vec![Rule::Within(Window::of_days(30))]).unwrap_or_else(Policy::all)
}
