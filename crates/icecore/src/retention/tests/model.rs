//! The same, said quite differently: whether a snapshot stays is asked of it alone, by comparing it with each of the others.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::*;

/// When windows of this policy's rules begin, by civil time first and hours last.
fn start(text: &str, end: Timestamp, zone: &TimeZone) -> Timestamp {
    let from = end.to_zoned(zone.clone()).datetime();
    let mut civil = from;
    let mut hours = 0_i64;
    let mut digits = String::new();
    let mut unit = String::new();
    let mut apply = |digits: &mut String, unit: &mut String| {
        let Ok(count) = digits.parse::<i64>() else { return };
        match unit.as_str() {
            "y" => civil = civil.checked_sub(count.years()).unwrap(),
            "mo" => civil = civil.checked_sub(count.months()).unwrap(),
            "w" => civil = civil.checked_sub((7 * count).days()).unwrap(),
            "d" => civil = civil.checked_sub(count.days()).unwrap(),
            _ => hours += count,
        }
        digits.clear();
        unit.clear();
    };
    for c in text.chars() {
        if c.is_ascii_digit() && !unit.is_empty() {
            apply(&mut digits, &mut unit);
        }
        if c.is_ascii_digit() { digits.push(c) } else { unit.push(c) }
    }
    apply(&mut digits, &mut unit);
    // In an hour that comes twice, what did not move stays in the one it was in.
    let begin = if civil == from { end } else { civil.to_zoned(zone.clone()).unwrap().timestamp() };
    begin - hours.hours()
}

/// What a period is called.
fn name(period: Period, time: Timestamp, zone: &TimeZone) -> String {
    let format = match period {
        Period::Hour => "%Y-%m-%d %H %::z",
        Period::Day => "%Y-%m-%d",
        Period::Week => "%G-W%V",
        Period::Month => "%Y-%m",
        Period::Year => "%Y",
    };
    time.to_zoned(zone.clone()).strftime(format).to_string()
}

/// Whether each of them stays.
pub(super) fn stays(all: &[Candidate], policies: &Policies, now: Timestamp, zone: &TimeZone) -> Vec<bool> {
    let past = |at: usize| all[at].taken.filter(|time| *time <= now);
    let is_newer = |a: usize, b: usize| past(a) > past(b) || (past(a) == past(b) && a < b);
    let there: Vec<usize> = (0..all.len()).filter(|at| past(*at).is_some()).collect();
    let newest_of = |fits: &dyn Fn(&Candidate) -> bool| {
        there.iter().filter(|at| fits(&all[**at])).map(|at| past(*at).unwrap()).max()
    };
    let newest_whole = newest_of(&|it| it.is_whole);
    let newest = newest_of(&|_| true);
    let stays = |at: usize| {
        let Some(time) = past(at) else { return true };
        let it = &all[at];
        let is_last_good = it.is_whole
            && there.iter().all(|other| !all[*other].is_whole || *other == at || is_newer(at, *other));
        let has_ages = |policy: &Policy| {
            policy.rules().iter().any(|rule| matches!(rule, Rule::Within(_) | Rule::WithinEach(..)))
        };
        let counts_ages = has_ages(&policies.automatic) || has_ages(&policies.named);
        let is_newest = there.iter().all(|other| *other == at || is_newer(at, *other));
        let mut end = if it.is_whole { newest_whole } else { newest }.unwrap();
        if policies.ages_from == AgesFrom::Now {
            end = now;
        }
        let peers: Vec<usize> = there
            .iter()
            .copied()
            .filter(|other| all[*other].is_named == it.is_named && all[*other].is_whole == it.is_whole)
            .collect();
        let newer: Vec<usize> = peers.into_iter().filter(|other| is_newer(*other, at)).collect();
        let called = |period, at: usize| name(period, past(at).unwrap(), zone);
        let is_alone = |period| newer.iter().all(|other| called(period, *other) != called(period, at));
        let periods_since =
            |period| newer.iter().map(|other| called(period, *other)).collect::<BTreeSet<_>>().len();
        let policy = if it.is_named { &policies.named } else { &policies.automatic };
        is_last_good
            || (is_newest && counts_ages && policies.ages_from == AgesFrom::Newest)
            || it.has_unread_label
            || policy.rules().iter().any(|rule| match rule {
                Rule::All => true,
                Rule::Last(count) => newer.len() < *count as usize,
                Rule::Newest(count, period) => is_alone(*period) && periods_since(*period) < *count as usize,
                Rule::Within(window) => time >= start(&window.to_string(), end, zone),
                Rule::WithinEach(window, period) => {
                    is_alone(*period) && time >= start(&window.to_string(), end, zone)
                }
                Rule::Each(period) => is_alone(*period),
                Rule::Tag(tag) => it.tags.contains(tag),
            })
    };
    (0..all.len()).map(stays).collect()
}
