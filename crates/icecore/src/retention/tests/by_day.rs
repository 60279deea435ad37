use super::*;

#[test]
fn the_newest_of_each_day_stays_by_the_calendar_of_the_zone() {
    // 23:30 UTC is the next day in Berlin.
    let snapshots =
        ["2026-07-03T23:30:00Z", "2026-07-03T20:00:00Z", "2026-07-02T23:30:00Z", "2026-07-02T08:00:00Z"]
            .map(automatic);
    let now = "2026-07-04T12:00:00Z";
    let stays = |zone: &TimeZone| stay(&snapshots, &policies("7 daily"), now, zone);
    assert_eq!(stays(&TimeZone::UTC), ["2026-07-03T23:30:00Z", "2026-07-02T23:30:00Z"]);
    assert_eq!(
        stays(&zone(BERLIN)),
        ["2026-07-03T23:30:00Z", "2026-07-03T20:00:00Z", "2026-07-02T08:00:00Z"]
    );
}

#[test]
fn an_hour_that_comes_twice_is_two_and_the_night_of_25_hours_one_day() {
    let night = ["2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z", "2026-10-24T22:30:00Z"].map(automatic);
    let now = "2026-10-25T12:00:00Z";
    let kept = |policy: &str| stay(&night, &policies(policy), now, &zone(BERLIN)).len();
    assert_eq!(kept("10 hourly"), 3);
    assert_eq!(kept("10 daily"), 1);
}

/// There the clock goes back from one minute past midnight into the day before.
#[test]
fn a_day_that_is_entered_twice_is_one() {
    let zone = zone("NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01");
    // 23:50 on the 31st, 0:00:30 on the 1st, 23:20 on the 31st again, 0:10 on the 1st.
    let night =
        ["2026-11-01T03:40:00Z", "2026-11-01T02:50:00Z", "2026-11-01T02:30:30Z", "2026-11-01T02:20:00Z"]
            .map(automatic);
    let civil = night.each_ref().map(|it| it.taken.unwrap().to_zoned(zone.clone()).day());
    assert_eq!(civil, [1, 31, 1, 31]);
    let stays = stay(&night, &policies("5 daily"), "2026-11-02T00:00:00Z", &zone);
    assert_eq!(stays, ["2026-11-01T03:40:00Z", "2026-11-01T02:50:00Z"]);
}

#[test]
fn the_first_days_of_january_may_be_of_the_last_week_of_the_year_before() {
    // 2027-01-01 is a Friday of 2026-W53.
    let days = ["2027-01-04", "2027-01-03", "2027-01-01", "2026-12-31", "2026-12-28", "2026-12-27"];
    let snapshots = days.map(|day| automatic(&format!("{day}T12:00:00Z")));
    let now = "2027-01-05T00:00:00Z";
    let stays = |policy: &str| {
        let stays = stay(&snapshots, &policies(policy), now, &TimeZone::UTC);
        stays.iter().map(|time| time[..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(stays("9 weekly"), ["2027-01-04", "2027-01-03", "2026-12-27"]);
    assert_eq!(stays("9 yearly"), ["2027-01-04", "2026-12-31"]);
}

#[test]
fn a_year_before_a_leap_day_is_the_end_of_february() {
    let snapshots = ["2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z", "2023-02-28T11:00:00Z"].map(automatic);
    let stays = stay(&snapshots, &policies("1y all"), "2024-02-29T13:00:00Z", &TimeZone::UTC);
    assert_eq!(stays, ["2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z"]);
}

#[test]
fn of_two_at_the_same_instant_the_first_is_the_newer_one() {
    let time = "2026-11-20T10:00:00Z";
    let verdicts = decide(
        &[automatic(time), automatic(time)],
        &policies("last 1"),
        "2026-11-21T00:00:00Z".parse().unwrap(),
        &TimeZone::UTC,
    );
    assert_eq!(verdicts.iter().map(Verdict::goes).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn what_was_taken_in_the_future_stays_and_counts_for_nothing() {
    let snapshots = ["2027-11-20T10:00:00Z", "2026-11-20T10:00:00Z", "2026-11-19T10:00:00Z"].map(automatic);
    let verdicts =
        decide(&snapshots, &policies("last 1"), "2026-11-21T00:00:00Z".parse().unwrap(), &TimeZone::UTC);
    assert_eq!(verdicts[0].reasons, [Reason::Ahead]);
    assert_eq!(verdicts[1].reasons, [Reason::LastGood, Reason::Rule(Rule::Last(1))]);
    assert!(verdicts[2].goes());
}

#[test]
fn what_somebody_named_stays_and_takes_no_place_of_the_others() {
    let snapshots = [
        named("2026-11-20T12:00:00Z", "release"),
        automatic("2026-11-20T10:00:00Z"),
        named("2020-01-01T00:00:00Z", "first"),
        automatic("2026-11-19T10:00:00Z"),
    ];
    let now = "2026-11-21T00:00:00Z";
    let stays = stay(&snapshots, &policies("last 1"), now, &TimeZone::UTC);
    assert_eq!(stays, ["2026-11-20T12:00:00Z", "2026-11-20T10:00:00Z", "2020-01-01T00:00:00Z"]);
    let bounded = Policies { named: Policy::parse("1y all").unwrap(), ..policies("last 1") };
    let stays = stay(&snapshots, &bounded, now, &TimeZone::UTC);
    assert_eq!(stays, ["2026-11-20T12:00:00Z", "2026-11-20T10:00:00Z"]);
    let bounded = Policies { named: Policy::parse("1y all, tag first").unwrap(), ..policies("last 1") };
    assert_eq!(stay(&snapshots, &bounded, now, &TimeZone::UTC).len(), 3);
}

#[test]
fn what_is_not_whole_pushes_nothing_out_that_is() {
    let snapshots = [
        partial("2026-11-20T22:00:00Z"),
        partial("2026-11-20T20:00:00Z"),
        automatic("2026-11-20T10:00:00Z"),
        automatic("2026-11-20T09:00:00Z"),
        partial("2026-11-19T10:00:00Z"),
    ];
    let stays = stay(&snapshots, &policies("last 1"), "2026-11-21T00:00:00Z", &TimeZone::UTC);
    assert_eq!(stays, ["2026-11-20T22:00:00Z", "2026-11-20T10:00:00Z"]);
}

#[test]
fn nothing_grows_too_old_while_captures_fail() {
    let days = ["2026-03-03", "2026-03-02", "2026-03-01", "2026-02-20"];
    let mut snapshots: Vec<_> = days.map(|day| automatic(&format!("{day}T02:00:00Z"))).into();
    let late = "2026-11-21T00:00:00Z";
    assert_eq!(stay(&snapshots, &policies("7d all"), late, &TimeZone::UTC).len(), 3);
    // What is taken of it since, and is not whole, is no newer state of it.
    snapshots.insert(0, partial("2026-11-20T02:00:00Z"));
    assert_eq!(stay(&snapshots, &policies("7d all"), late, &TimeZone::UTC).len(), 4);
    let from_now = Policies { ages_from: AgesFrom::Now, ..policies("7d all") };
    let stays = stay(&snapshots, &from_now, late, &TimeZone::UTC);
    assert_eq!(stays, ["2026-11-20T02:00:00Z", "2026-03-03T02:00:00Z"]);
}

#[test]
fn whatever_the_policy_the_newest_whole_one_stays() {
    let snapshots = [
        partial("2026-11-20T02:00:00Z"),
        automatic("2026-11-01T02:00:00Z"),
        automatic("2026-10-01T02:00:00Z"),
    ];
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    let verdicts = decide(&snapshots, &policies("tag nothing"), now, &TimeZone::UTC);
    assert_eq!(verdicts[1].reasons, [Reason::LastGood]);
    assert!(verdicts[0].goes() && verdicts[2].goes());
}

#[test]
fn what_cannot_be_read_of_a_snapshot_keeps_it() {
    let undated = Candidate { taken: None, ..automatic("2026-11-01T02:00:00Z") };
    let unread = Candidate { has_unread_label: true, ..automatic("2026-10-01T02:00:00Z") };
    let snapshots = [automatic("2026-11-20T02:00:00Z"), undated, unread];
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    let verdicts = decide(&snapshots, &policies("last 1"), now, &TimeZone::UTC);
    assert_eq!(verdicts[1].reasons, [Reason::Undated]);
    assert_eq!(verdicts[2].reasons, [Reason::LabelUnread]);
}
