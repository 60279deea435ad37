use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const ZONES: [&str; 8] = [
    "UTC0",
    BERLIN,
    // Back into the day before, by rules of half hours.
    "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01",
    // By half an hour, in the south.
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "<+0545>-5:45",
    "<+14>-14",
    "<-12>12",
    // Midnight itself is skipped and repeated.
    "CST5CDT,M3.2.0/0,M11.1.0/1",
];

/// Moments at which calendars are strange.
const MOMENTS: [&str; 9] = [
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-11-01T02:31:00Z",
    "2024-02-29T12:00:00Z",
    "2024-03-01T00:00:00Z",
    "2027-01-01T00:00:00Z",
    "2021-01-03T23:59:59Z",
    "2019-12-30T00:00:00Z",
    "2026-04-04T15:00:00Z",
];

fn rule() -> impl Strategy<Value = String> {
    let period = || prop::sample::select(vec!["hourly", "daily", "weekly", "monthly", "yearly"]);
    let window = || prop::sample::select(vec!["1h", "3h", "1d", "7d", "2w1d", "1mo", "6mo", "1y", "1y6mo"]);
    prop_oneof![
        (1_u32..6).prop_map(|count| format!("last {count}")),
        (1_u32..6, period()).prop_map(|(count, period)| format!("{count} {period}")),
        window().prop_map(|window| format!("{window} all")),
        (window(), period()).prop_map(|(window, period)| format!("{window} {period}")),
        period().prop_map(|period| format!("then {period}")),
        Just("tag a".to_owned()),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    prop::collection::vec(rule(), 1..4).prop_map(|rules| Policy::parse(&rules.join(", ")).unwrap())
}

/// How far from a strange moment: often not at all, or the same as another one, or within the same second.
fn distance() -> impl Strategy<Value = SignedDuration> {
    let seconds = prop_oneof![
        -2_i64..3,
        (-8_i64..9).prop_map(|quarters| quarters * 900),
        -90_000_i64..90_000,
        -4_000_000_i64..4_000_000,
        -70_000_000_i64..70_000_000,
    ];
    let nanos = prop_oneof![3 => Just(0), 1 => 0..3_i32, 1 => 999_999_998..1_000_000_000_i32];
    (seconds, nanos).prop_map(|(seconds, nanos)| SignedDuration::new(seconds, nanos))
}

#[derive(Debug, Clone)]
struct Case {
    zone: TimeZone,
    now: Timestamp,
    candidates: Vec<Candidate>,
    policies: Policies,
}

fn case() -> impl Strategy<Value = Case> {
    let candidate = (distance(), 0..10_u8, 0..8_u8, prop::bool::weighted(0.05));
    (
        prop::sample::select(ZONES.to_vec()),
        prop::sample::select(MOMENTS.to_vec()),
        prop::collection::vec(candidate, 0..25),
        (policy(), policy(), any::<bool>()),
        -100_000_i64..10_000_000,
    )
        .prop_map(|(rules, moment, candidates, (automatic, named, from_now), since)| {
            let moment: Timestamp = moment.parse().unwrap();
            let at = |distance: SignedDuration| moment + distance;
            let candidates =
                candidates.into_iter().map(|(distance, naming, whole, has_unread_label)| Candidate {
                    taken: (whole != 7).then(|| at(distance)),
                    tags: if naming == 0 { BTreeSet::from(["a".to_owned()]) } else { BTreeSet::new() },
                    is_named: naming < 2,
                    has_unread_label,
                    is_whole: whole > 1,
                });
            let ages_from = if from_now { AgesFrom::Now } else { AgesFrom::Newest };
            Case {
                zone: zone(rules),
                now: at(SignedDuration::from_secs(since)),
                candidates: candidates.collect(),
                policies: Policies { automatic, named, ages_from },
            }
        })
}

fn decided(case: &Case, candidates: &[Candidate]) -> Vec<bool> {
    let verdicts = decide(candidates, &case.policies, case.now, &case.zone);
    verdicts.iter().map(|verdict| !verdict.goes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_stays_is_what_the_model_says(case in case()) {
        let model = model::stays(&case.candidates, &case.policies, case.now, &case.zone);
        prop_assert_eq!(decided(&case, &case.candidates), model);
    }

    /// A run that was broken off has deleted some of what was to go; the next one goes on.
    #[test]
    fn what_is_left_after_half_a_run_is_judged_the_same(case in case(), mask in any::<u32>()) {
        let stays = decided(&case, &case.candidates);
        let left: Vec<usize> =
            (0..stays.len()).filter(|at| stays[*at] || mask & (1 << (at % 32)) != 0).collect();
        let candidates: Vec<_> = left.iter().map(|at| case.candidates[*at].clone()).collect();
        let again = decided(&case, &candidates);
        prop_assert_eq!(again, left.iter().map(|at| stays[*at]).collect::<Vec<_>>());
    }

    /// Whoever is whole stays whole: of all that are not known to be damaged one is left, and no newer one went.
    #[test]
    fn a_source_never_loses_its_newest_whole_snapshot(case in case()) {
        let stays = decided(&case, &case.candidates);
        let whole = |at: &usize| {
            let it = &case.candidates[*at];
            it.is_whole && it.taken.is_some_and(|time| time <= case.now)
        };
        let newest = (0..stays.len()).filter(whole).map(|at| case.candidates[at].taken).max();
        let kept = (0..stays.len()).filter(whole).filter(|at| stays[*at]).map(|at| case.candidates[at].taken).max();
        prop_assert_eq!(newest, kept);
    }

    #[test]
    fn every_policy_is_read_as_it_is_written(policy in policy()) {
        prop_assert_eq!(Policy::parse(&policy.to_string()), Ok(policy));
    }
}
