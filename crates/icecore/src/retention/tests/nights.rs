//! Years of nights, each of which takes a snapshot and prunes.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::date;

use super::*;

/// Takes a snapshot at this time of every day and prunes, for so many days; hands what is left to `look` each time.
fn nights(policies: &Policies, zone: &TimeZone, days: i32, look: impl FnMut(Timestamp, &[Candidate])) {
    nights_with(policies, zone, days, |_, time| Some(automatic(time)), look);
}

/// The same with what `take` says that comes of a night: nothing, if its capture fails.
fn nights_with(
    policies: &Policies,
    zone: &TimeZone,
    days: i32,
    take: impl Fn(i32, &str) -> Option<Candidate>,
    mut look: impl FnMut(Timestamp, &[Candidate]),
) {
    let mut kept: Vec<Candidate> = Vec::new();
    for day in 0..days {
        // In the hour that is skipped in March and comes twice in October.
        let time = date(2023, 12, 20).checked_add(day.days()).unwrap().at(2, 30, 0, 0);
        let time = time.to_zoned(zone.clone()).unwrap().timestamp();
        kept.splice(0..0, take(day, &time.to_string()));
        let now = time + 10.minutes();
        let verdicts = decide(&kept, policies, now, zone);
        let mut verdicts = verdicts.iter();
        kept.retain(|_| !verdicts.next().unwrap().goes());
        look(now, &kept);
    }
}

#[test]
fn five_years_of_nights_leave_no_month_empty_and_few_snapshots() {
    let zone = zone(BERLIN);
    let policies = policies("7d all, 30d daily, 1y weekly, then monthly");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut last = Vec::new();
    nights(&policies, &zone, 5 * 365, |now, kept| {
        let now = now.to_zoned(zone.clone());
        let civil: Vec<_> = kept.iter().map(|it| it.taken.unwrap().to_zoned(zone.clone()).date()).collect();
        let month = |date: &jiff::civil::Date| date.strftime("%Y-%m").to_string();
        seen.entry(month(&now.date())).or_default();
        // Every month that ever was has one, and so has every week of a year, and every day of a month.
        for known in seen.keys() {
            assert!(civil.iter().any(|date| month(date) == *known), "{now}: {known} is empty");
        }
        let began = date(2023, 12, 20);
        for back in 0..30 {
            let day = now.date().checked_sub(back.days()).unwrap();
            assert!(day < began || civil.contains(&day), "{now}: {day} is empty");
        }
        for back in 0..52 {
            let week = now.date().checked_sub((7 * back).days()).unwrap().iso_week_date();
            let has_some = civil.iter().any(|date| {
                let it = date.iso_week_date();
                (it.year(), it.week()) == (week.year(), week.week())
            });
            assert!(week.date() < began || has_some, "{now}: {week:?} is empty");
        }
        // 31 days, 53 weeks beyond these, a month each.
        assert!(kept.len() <= 31 + 53 + seen.len(), "{now}: {}", kept.len());
        last = civil;
    });
    // What is older than a year has come to be the last day of each month.
    let old: Vec<_> = last.iter().filter(|date| **date < date_of("2027-12-01")).collect();
    assert!(old.iter().all(|date| date.day() == date.days_in_month()), "{old:?}");
    assert_eq!(old.len(), 48);
}

fn date_of(text: &str) -> jiff::civil::Date {
    text.parse().unwrap()
}

/// What is kept today as the one of its month is not given up later for one that is no better.
#[test]
fn the_snapshot_of_a_month_that_is_over_stays_the_same_for_ever() {
    let zone = zone("NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01");
    let mut of_month: BTreeMap<String, Timestamp> = BTreeMap::new();
    nights(&policies("3 daily, then monthly"), &zone, 900, |now, kept| {
        let month = |time: Timestamp| time.to_zoned(zone.clone()).strftime("%Y-%m").to_string();
        let this = month(now);
        for time in kept.iter().rev().map(|it| it.taken.unwrap()).filter(|time| month(*time) < this) {
            of_month.entry(month(time)).and_modify(|known| *known = time.max(*known)).or_insert(time);
        }
        for (month, time) in &of_month {
            assert!(kept.iter().any(|it| it.taken == Some(*time)), "{now}: {month} has lost its snapshot");
        }
    });
    assert_eq!(of_month.len(), 30);
}

/// Months of nights that fail or take no whole snapshot cost no month its whole one, nor do they let the last ones before grow too old.
#[test]
fn nights_that_fail_push_no_whole_snapshot_out() {
    let zone = zone(BERLIN);
    let take = |day: i32, time: &str| match day {
        // A hundred nights of failures, a hundred of what is not whole, and then now and then either.
        200..300 => None,
        400..500 => Some(partial(time)),
        _ if day % 7 == 3 => None,
        _ if day % 5 == 2 => Some(partial(time)),
        _ => Some(automatic(time)),
    };
    let policies = policies("7d all, 30d daily, then monthly");
    let mut months: BTreeSet<String> = BTreeSet::new();
    let mut before_failures = None;
    nights_with(&policies, &zone, 800, take, |now, kept| {
        let times: Vec<Timestamp> =
            kept.iter().filter(|it| it.is_whole).map(|it| it.taken.unwrap()).collect();
        let month = |time: &Timestamp| time.to_zoned(zone.clone()).strftime("%Y-%m").to_string();
        let kept_months: BTreeSet<_> = times.iter().map(month).collect();
        assert!(months.is_subset(&kept_months), "{now}: {months:?} {kept_months:?}");
        months = kept_months;
        let day = now.to_zoned(zone.clone()).date().since(date(2023, 12, 20)).unwrap().get_days();
        if (200..300).contains(&day) || (400..500).contains(&day) {
            assert_eq!(before_failures.get_or_insert_with(|| times.clone()), &times, "{now}");
        } else {
            before_failures = None;
        }
    });
    assert!(months.len() > 20);
}
