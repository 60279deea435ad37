mod by_day;
mod model;
mod nights;
mod properties;
mod text;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;

/// A whole snapshot that nobody named.
fn automatic(time: &str) -> Candidate {
    Candidate {
        taken: Some(time.parse().unwrap()),
        tags: BTreeSet::new(),
        is_named: false,
        has_unread_label: false,
        is_whole: true,
    }
}

fn named(time: &str, tag: &str) -> Candidate {
    Candidate { tags: BTreeSet::from([tag.to_owned()]), is_named: true, ..automatic(time) }
}

fn partial(time: &str) -> Candidate {
    Candidate { is_whole: false, ..automatic(time) }
}

fn policies(policy: &str) -> Policies {
    Policies { automatic: Policy::parse(policy).unwrap(), named: Policy::all(), ages_from: AgesFrom::Newest }
}

/// The rules of the zone, as POSIX writes them: they need no database.
fn zone(rules: &str) -> TimeZone {
    TimeZone::posix(rules).unwrap()
}

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// The times of those that stay, in the order given.
fn stay(candidates: &[Candidate], policies: &Policies, now: &str, zone: &TimeZone) -> Vec<String> {
    let verdicts = decide(candidates, policies, now.parse::<Timestamp>().unwrap(), zone);
    let stays = candidates.iter().zip(verdicts).filter(|(_, verdict)| !verdict.goes());
    stays.map(|(candidate, _)| candidate.taken.map_or("?".to_owned(), |time| time.to_string())).collect()
}

/// The newest went, for no rule kept it, and those that were old compared with it were young then.
#[test]
fn what_ages_count_from_stays_so_that_nothing_grows_younger() {
    let zone = zone("UTC0");
    let partial = |taken: &str, is_named| Candidate {
        taken: Some(taken.parse().unwrap()),
        tags: BTreeSet::new(),
        is_named,
        has_unread_label: false,
        is_whole: false,
    };
    let candidates = [partial("2026-03-29T01:00:00Z", true), partial("2026-04-13T01:00:00Z", false)];
    let policy = |text: &str| Policy::parse(text).unwrap();
    let ages_from = AgesFrom::Newest;
    let policies = Policies { automatic: policy("tag a"), named: policy("1h all"), ages_from };
    let verdicts = decide(&candidates, &policies, "2026-04-14T00:00:00Z".parse().unwrap(), &zone);
    assert_eq!([verdicts[0].goes(), verdicts[1].goes()], [true, false]);
    assert_eq!(verdicts[1].reasons, [Reason::Newest]);
}
