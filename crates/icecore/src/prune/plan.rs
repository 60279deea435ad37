//! Deciding what goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icecore_format::{SnapshotId, names};
use icecore_store::{Monitor, Snapshot, Store, StoreError};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::create::is_of_a_part;
use crate::origin::place_of;
use crate::retention::{AgesFrom, Candidate, Policies, Policy, Reason, Rule, Verdict, decide};
use crate::run::{AFTER_RUN_TAG, BEFORE_RUN_TAG};
use crate::select::{SAFETY_SUFFIX, SAFETY_TAG, Selector, select};
use crate::{Config, Error, Result};

/// What the user wants to be kept, and of which sources.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Only of these, and of what restores took of them; of all, if there are none.
    pub sources: Vec<String>,
    /// What is kept of snapshots that nobody named, instead of what `icecore.toml` says.
    pub policy: Option<Policy>,
    /// What is kept of those that somebody named, likewise.
    pub named: Option<Policy>,
    /// What has one of these tags is kept, too.
    pub keep_tags: Vec<String>,
}

/// A snapshot, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The number that `list` shows.
    pub index: usize,
    /// It.
    pub snapshot: Snapshot,
    /// Whether it goes, or why it stays.
    pub verdict: Verdict,
}

/// What becomes of the snapshots of one source.
#[derive(Debug, Clone)]
pub struct SeriesPlan {
    /// Its name.
    pub source: String,
    /// What is kept of it.
    pub policies: Policies,
    /// All that there are, newest first.
    pub snapshots: Vec<Judged>,
    /// From how many places they come. All of them count as one source.
    pub places: usize,
}

impl SeriesPlan {
    /// Those that go, newest first.
    pub fn going(&self) -> impl DoubleEndedIterator<Item = &Judged> {
        self.snapshots.iter().filter(|judged| judged.verdict.goes())
    }

    /// Those whose time is yet to come.
    pub fn ahead(&self) -> impl Iterator<Item = &Judged> {
        self.snapshots.iter().filter(|judged| judged.verdict.reasons.contains(&Reason::Ahead))
    }
}

/// What pruning would do. Print it, test it, or carry it out.
#[derive(Debug, Default)]
pub struct PrunePlan {
    /// By the sources' names.
    pub series: Vec<SeriesPlan>,
    /// Sources of which no policy says what to keep: they are left as they are.
    pub without_policy: Vec<String>,
    /// Snapshots that would be the last good ones of their sources, but that something is missing of.
    pub incomplete: BTreeSet<SnapshotId>,
    /// Records of snapshots, tags and notes that cannot be read.
    pub unread: Vec<StoreError>,
}

impl PrunePlan {
    /// The snapshots that go.
    pub fn going(&self) -> impl Iterator<Item = &Judged> {
        self.series.iter().flat_map(SeriesPlan::going)
    }
}

/// Judges the snapshots of a store. Changes nothing.
///
/// # Errors
/// If no policy says what to keep, at all or of a source that was named.
pub fn plan_prune(
    store: &Arc<Store>,
    config: &Config,
    options: &PruneOptions,
    (now, zone): (Timestamp, &TimeZone),
    monitor: &dyn Monitor,
) -> Result<PrunePlan> {
    let mut incomplete = BTreeSet::new();
    let mut looked_at = BTreeSet::new();
    loop {
        let plan = judge(store, config, options, (now, zone), &incomplete)?;
        // Of whatever something goes of, what would be left as the last good one must be there.
        let last_good: Vec<Snapshot> = plan
            .series
            .iter()
            .filter(|series| series.going().next().is_some())
            .flat_map(|series| &series.snapshots)
            .filter(|judged| judged.verdict.reasons.contains(&Reason::LastGood))
            .filter(|judged| looked_at.insert(judged.snapshot.id))
            .map(|judged| judged.snapshot.clone())
            .collect();
        if last_good.is_empty() {
            return Ok(plan);
        }
        incomplete.extend(store.incomplete(&last_good, monitor)?);
    }
}

/// Judges by what is known of damage.
pub(super) fn judge(
    store: &Store,
    config: &Config,
    options: &PruneOptions,
    (now, zone): (Timestamp, &TimeZone),
    incomplete: &BTreeSet<SnapshotId>,
) -> Result<PrunePlan> {
    if options.policy.is_none() && !config.has_retention() {
        return Err(Error::NoPolicy { name: None });
    }
    let (snapshots, unread) = store.snapshots()?;
    for name in options.sources.iter().filter(|name| !config.services.contains_key(*name)) {
        // What cannot be read may be of it.
        if unread.is_empty() {
            select(&snapshots, &Selector::Series(name.clone(), 0), now, zone)?;
        }
    }
    let unread_labels = with_unread_labels(&unread);
    let mut by_source: BTreeMap<&str, Vec<(usize, &Snapshot)>> = BTreeMap::new();
    for (index, snapshot) in (1..).zip(&snapshots) {
        by_source.entry(&snapshot.info().source).or_default().push((index, snapshot));
    }
    let mut plan = PrunePlan { incomplete: incomplete.clone(), ..PrunePlan::default() };
    for (source, members) in by_source.into_iter().filter(|(source, _)| is_meant(options, source)) {
        let Some(policies) = policies(config, options, source) else {
            if options.sources.iter().any(|named| named == source) {
                return Err(Error::NoPolicy { name: Some(source.to_owned()) });
            }
            plan.without_policy.push(source.to_owned());
            continue;
        };
        let candidates: Vec<Candidate> = members
            .iter()
            .map(|(_, snapshot)| Candidate {
                has_unread_label: unread_labels.contains(&snapshot.id),
                ..candidate(snapshot, config, incomplete)
            })
            .collect();
        let verdicts = decide(&candidates, &policies, now, zone);
        let judged = members.iter().zip(verdicts).map(|((index, snapshot), verdict)| Judged {
            index: *index,
            snapshot: (*snapshot).clone(),
            verdict,
        });
        let origins = members.iter().map(|(_, snapshot)| snapshot.info().origin.as_deref().map(place_of));
        plan.series.push(SeriesPlan {
            source: source.to_owned(),
            policies,
            snapshots: judged.collect(),
            places: origins.collect::<BTreeSet<_>>().len(),
        });
    }
    plan.unread = unread;
    Ok(plan)
}

/// Whether a series is among those that were named, by its own name or by that of what it was taken of.
fn is_meant(options: &PruneOptions, series: &str) -> bool {
    let is_named = |name: &str| options.sources.iter().any(|source| source == name);
    options.sources.is_empty() || is_named(series) || series.strip_suffix(SAFETY_SUFFIX).is_some_and(is_named)
}

fn policies(config: &Config, options: &PruneOptions, series: &str) -> Option<Policies> {
    let is_safety = series.ends_with(SAFETY_SUFFIX);
    // What restores took is kept for another reason than what is taken every night.
    let asked =
        options.policy.clone().filter(|_| !is_safety || options.sources.iter().any(|it| it == series));
    let mut policies = match (config.policies(series), asked) {
        (Some(policies), Some(automatic)) => Policies { automatic, ..policies },
        (Some(policies), None) => policies,
        (None, Some(automatic)) => {
            let named = config.named_of(series);
            Policies { automatic, named, ages_from: AgesFrom::Newest }
        }
        (None, None) => return None,
    };
    if let Some(named) = &options.named {
        policies.named = named.clone();
    }
    let with_tags = |policy: Policy| match policy.rules().contains(&Rule::All) {
        true => policy,
        false => policy.and_tags(&options.keep_tags),
    };
    let Policies { automatic, named, ages_from } = policies;
    Some(Policies { automatic: with_tags(automatic), named: with_tags(named), ages_from })
}

fn candidate(snapshot: &Snapshot, config: &Config, incomplete: &BTreeSet<SnapshotId>) -> Candidate {
    let (info, labels) = (snapshot.info(), &snapshot.labels);
    let names_nothing = |tag: &String| {
        [SAFETY_TAG, BEFORE_RUN_TAG, AFTER_RUN_TAG].contains(&tag.as_str())
            || config.retention.automatic_tags.contains(tag)
    };
    let is_partial = is_of_a_part(snapshot) || !info.findings.is_empty();
    let is_faulty = labels.faulty().next().is_some();
    Candidate {
        taken: info.created_at.parse().ok(),
        tags: labels.tags.clone(),
        is_named: labels.note.is_some() || !labels.tags.iter().all(names_nothing),
        has_unread_label: false,
        is_whole: !is_partial && !is_faulty && !incomplete.contains(&snapshot.id),
    }
}

/// The snapshots of which a tag or a note cannot be read.
fn with_unread_labels(errors: &[StoreError]) -> BTreeSet<SnapshotId> {
    let object = |error: &StoreError| match error {
        StoreError::Damaged { object, .. }
        | StoreError::Unread { object, .. }
        | StoreError::StoreTooNew { place: object, .. } => Some(names::parse_label(object)?.0),
        _ => None,
    };
    errors.iter().filter_map(object).collect()
}
