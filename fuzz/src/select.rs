//! What people type: selectors, times, sources, policies, and the settings of a project.

use std::path::{Component, Path};

use icecore::{
    AgesFrom, Candidate, Environment, Policies, Policy, Reason, Selector, Source, decide, format_time,
    parse_time_point, resolve, select,
};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::input::{split_tail, text};
use crate::snapshots::snapshots;

/// Where the tests take place: a zone with summer time, one far off, and none.
fn zone(choice: u8) -> TimeZone {
    match choice % 3 {
        0 => TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone"),
        1 => TimeZone::fixed(Offset::MIN),
        _ => TimeZone::UTC,
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

pub(crate) fn selector(input: &[u8]) {
    let text = text(input);
    let zone = zone(0);
    for count in [0, 1, 40] {
        let snapshots = snapshots(count);
        let parsed = select(&snapshots, &Selector::parse(&text), now(), &zone);
        match resolve(&snapshots, &text, now(), &zone) {
            Ok(found) => {
                assert!(snapshots.iter().any(|snapshot| std::ptr::eq(snapshot, found)));
                let is_source = snapshots.iter().any(|snapshot| snapshot.info().source == text);
                if is_source {
                    assert_eq!(found.info().source, text, "a source's own name comes first");
                } else {
                    assert!(parsed.is_ok_and(|parsed| std::ptr::eq(parsed, found)));
                }
            }
            Err(error) => assert!(error.to_string().len() <= 4096 + 4 * text.len()),
        }
    }
}

/// The beginning of the year 0, in seconds since 1970.
const YEAR_0: i64 = -62_167_219_200;

/// The last byte chooses the zone.
pub(crate) fn time_point(input: &[u8]) {
    let (front, [choice]) = split_tail(input);
    let text = text(front);
    let zone = zone(choice);
    let start = parse_time_point(&text, now(), &zone, false);
    let end = parse_time_point(&text, now(), &zone, true);
    if let (Ok(start), Ok(end)) = (&start, &end) {
        assert!(start <= end, "a day begins before it ends");
    }
    // RFC 3339 knows no years before 0, and no clock shows them.
    for time in [start, end].into_iter().flatten().filter(|time| time.as_second() > YEAR_0) {
        let shown = format_time(time);
        let again: Timestamp = shown.parse().expect("what is shown can be read");
        assert!(again.duration_since(time).unsigned_abs().as_micros() < 1, "{shown}");
    }
}

/// The last byte chooses the zone.
pub(crate) fn policy(input: &[u8]) {
    let (front, [choice]) = split_tail(input);
    let text = text(front);
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            return;
        }
    };
    assert_eq!(Policy::parse(&policy.to_string()), Ok(policy.clone()), "what is shown can be read");
    let start = now();
    let candidate = |days: i64| Candidate {
        taken: start.checked_sub(jiff::SignedDuration::from_hours(24 * days * days)).ok(),
        tags: (days % 5 == 0).then(|| "a".to_owned()).into_iter().collect(),
        is_named: days % 5 == 0,
        has_unread_label: false,
        is_whole: days % 3 != 0,
    };
    let candidates: Vec<Candidate> = (0..40).map(candidate).collect();
    let policies = Policies { automatic: policy.clone(), named: policy, ages_from: AgesFrom::Newest };
    let verdicts = decide(&candidates, &policies, start, &zone(choice));
    assert_eq!(verdicts.len(), candidates.len());
    let first = verdicts.get(1).expect("the newest whole one");
    assert!(first.reasons.contains(&Reason::LastGood));
}

pub(crate) fn source(input: &[u8]) {
    let text = text(input);
    // Nothing lies there, so that what is decided is decided by the text.
    let environment =
        Environment { cwd: Path::new("/nonexistent/icecore"), variable: &|_| None, user: &|| None };
    match Source::parse(Path::new(&text), &environment) {
        Ok(source) => {
            assert!(!source.default_name().is_empty());
            if let Source::Path(path) | Source::Sqlite(path) = &source {
                assert!(path.is_absolute() && path.components().next() == Some(Component::RootDir));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// `icecore.toml`.
pub(crate) fn settings(input: &[u8]) {
    let _ = toml::from_str::<icecore::Config>(&text(input)).map_err(|error| error.to_string());
}
