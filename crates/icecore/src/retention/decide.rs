//! Applying policies to the snapshots of one source.

use std::collections::{BTreeSet, HashSet};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{Period, Policy, Reason, Rule, Verdict, Window};

/// A snapshot of a source, as far as a policy is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// When it was taken; `None` if that cannot be read.
    pub taken: Option<Timestamp>,
    /// What it is tagged with.
    pub tags: BTreeSet<String>,
    /// Whether somebody named it, by a tag or a note.
    pub is_named: bool,
    /// Whether some tag or note of it cannot be read.
    pub has_unread_label: bool,
    /// Whether it has all of the source, was taken whole, and is not known to be damaged.
    pub is_whole: bool,
}

/// What is kept of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// Of snapshots that nobody named.
    pub automatic: Policy,
    /// Of those that somebody named.
    pub named: Policy,
    /// From where ages count.
    pub ages_from: AgesFrom,
}

impl Policies {
    /// Whether it matters how old a snapshot is.
    fn count_ages(&self) -> bool {
        let mut rules = self.automatic.rules().iter().chain(self.named.rules());
        rules.any(|rule| matches!(rule, Rule::Within(_) | Rule::WithinEach(..)))
    }
}

/// From where the age of a snapshot counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgesFrom {
    /// From the newest that is whole: what is taken regularly does not grow old while captures fail.
    Newest,
    /// From now: nobody takes these regularly.
    Now,
}

/// A candidate with its time.
struct Dated<'c> {
    at: usize,
    time: Timestamp,
    civil: Zoned,
    candidate: &'c Candidate,
}

/// What becomes of each of `candidates`, which are all there are of one source. Of two that were taken at the same instant, the one
/// that comes first counts as the newer one.
pub fn decide(
    candidates: &[Candidate],
    policies: &Policies,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::default(); candidates.len()];
    let mut dated: Vec<Dated<'_>> = Vec::new();
    for (at, (candidate, verdict)) in candidates.iter().zip(&mut verdicts).enumerate() {
        if candidate.has_unread_label {
            verdict.reasons.push(Reason::LabelUnread);
        }
        match candidate.taken {
            None => verdict.reasons.push(Reason::Undated),
            Some(time) if time > now => verdict.reasons.push(Reason::Ahead),
            Some(time) => dated.push(Dated { at, time, civil: time.to_zoned(zone.clone()), candidate }),
        }
    }
    // Stable: those of the same instant stay in their order.
    dated.sort_by_key(|dated| std::cmp::Reverse(dated.time));
    let newest_whole = dated.iter().find(|dated| dated.candidate.is_whole);
    if let Some(verdict) = newest_whole.and_then(|dated| verdicts.get_mut(dated.at)) {
        verdict.reasons.push(Reason::LastGood);
    }
    let newest_whole = newest_whole.map(|dated| dated.time);
    let newest = dated.first().map(|dated| dated.time);
    for (policy, is_named) in [(&policies.automatic, false), (&policies.named, true)] {
        for is_whole in [true, false] {
            let end = match policies.ages_from {
                AgesFrom::Now => Some(now),
                AgesFrom::Newest => newest_whole.filter(|_| is_whole).or(newest),
            };
            let series: Vec<&Dated<'_>> = dated
                .iter()
                .filter(|dated| (dated.candidate.is_named, dated.candidate.is_whole) == (is_named, is_whole))
                .collect();
            for rule in policy.rules() {
                for dated in kept(rule, &series, end.unwrap_or(now), zone) {
                    if let Some(verdict) = verdicts.get_mut(dated.at) {
                        verdict.reasons.push(Reason::Rule(rule.clone()));
                    }
                }
            }
        }
    }
    let newest = dated.first().filter(|_| policies.count_ages() && policies.ages_from == AgesFrom::Newest);
    if let Some(verdict) = newest.and_then(|dated| verdicts.get_mut(dated.at)).filter(|it| it.goes()) {
        verdict.reasons.push(Reason::Newest);
    }
    verdicts
}

/// What a rule keeps of a series, which is sorted, newest first.
fn kept<'a, 'c>(
    rule: &Rule,
    series: &[&'a Dated<'c>],
    end: Timestamp,
    zone: &TimeZone,
) -> Vec<&'a Dated<'c>> {
    let since = |window: &Window| {
        let start = window.start(end, zone);
        series.iter().copied().take_while(move |dated| dated.time >= start)
    };
    let all = || series.iter().copied();
    let many = |count: &u32| usize::try_from(*count).unwrap_or(usize::MAX);
    match rule {
        Rule::All => all().collect(),
        Rule::Last(count) => all().take(many(count)).collect(),
        Rule::Newest(count, period) => newest_of_each(all(), *period).take(many(count)).collect(),
        Rule::Within(window) => since(window).collect(),
        Rule::WithinEach(window, period) => newest_of_each(since(window), *period).collect(),
        Rule::Each(period) => newest_of_each(all(), *period).collect(),
        Rule::Tag(tag) => all().filter(|dated| dated.candidate.tags.contains(tag)).collect(),
    }
}

/// The newest of each period. It stays that for as long as it is there, for what is newer comes into later ones; and it is the last of
/// its period to grow too old. So whatever a rule keeps of a period that is over, it keeps until all of the period goes.
fn newest_of_each<'a, 'c: 'a>(
    series: impl Iterator<Item = &'a Dated<'c>>,
    period: Period,
) -> impl Iterator<Item = &'a Dated<'c>> {
    // All that were met, for the clock may go back over midnight.
    let mut met = HashSet::new();
    series.filter(move |dated| met.insert(period.number(&dated.civil)))
}
