//! What happens to snapshots between the plan and its execution, and after an interruption.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use icecore::{
    Config, Error, Monitor, Policy, PruneOptions, PrunePlan, Silent, SnapshotId, plan_prune, prune,
};
use icecore_format::Label;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::support::{Place, later};

/// So many snapshots of one file; the ids, oldest first.
fn taken(place: &Place, count: usize) -> Vec<SnapshotId> {
    let source = place.path("shop");
    (0..count)
        .map(|n| {
            fs::write(&source, format!("night {n}")).unwrap();
            place.create(&source).unwrap().id
        })
        .collect()
}

fn keeping(policy: &str) -> PruneOptions {
    PruneOptions { policy: Some(Policy::parse(policy).unwrap()), ..PruneOptions::default() }
}

fn planned(place: &Place, options: &PruneOptions, now: Timestamp) -> PrunePlan {
    plan_prune(&place.store, &Config::default(), options, (now, &TimeZone::UTC), &Silent).unwrap()
}

/// The ids of what is there, oldest first.
fn left(place: &Place) -> Vec<SnapshotId> {
    place.store.snapshots().unwrap().0.iter().rev().map(|snapshot| snapshot.id).collect()
}

#[test]
fn what_somebody_names_between_planning_and_deleting_stays() {
    let place = Place::new();
    let ids = taken(&place, 4);
    let (options, now) = (keeping("last 1"), later());
    let plan = planned(&place, &options, now);
    assert_eq!(plan.going().count(), 3);
    place.store.add_label(&ids[1], &Label::Note("the one before the move".to_owned())).unwrap();
    let clock = (now, &TimeZone::UTC);
    let pruned = prune(&place.store, &Config::default(), &options, clock, &plan, &Silent).unwrap();
    assert_eq!(pruned.deleted.len(), 2);
    assert_eq!(left(&place), [ids[1], ids[3]]);
}

#[test]
fn if_what_was_to_stay_is_deleted_meanwhile_the_one_before_stays() {
    let place = Place::new();
    let ids = taken(&place, 4);
    let (options, now) = (keeping("last 1"), later());
    let plan = planned(&place, &options, now);
    let newest = place.store.snapshots().unwrap().0.remove(0);
    place.store.delete_snapshot(&newest).unwrap();
    prune(&place.store, &Config::default(), &options, (now, &TimeZone::UTC), &plan, &Silent).unwrap();
    assert_eq!(left(&place), [ids[2]]);
}

#[test]
fn what_comes_between_planning_and_deleting_stays() {
    let place = Place::new();
    taken(&place, 3);
    let options = keeping("last 1");
    let plan = planned(&place, &options, later());
    let fresh = taken(&place, 2);
    prune(&place.store, &Config::default(), &options, (later(), &TimeZone::UTC), &plan, &Silent).unwrap();
    // What was the newest is not any more; but it was not shown to go.
    assert_eq!(left(&place).len(), 3);
    assert!(left(&place).ends_with(&fresh));
}

/// Interrupted when it is asked for the n-th time.
#[derive(Debug)]
struct StopAt(AtomicUsize);

impl Monitor for StopAt {
    fn count(&self, _: icecore::Counter, _: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 0
    }
}

#[test]
fn a_run_that_is_broken_off_anywhere_is_gone_on_with_by_the_next() {
    for stop in 0..5 {
        let place = Place::new();
        let ids = taken(&place, 7);
        let (options, now) = (keeping("last 2"), later());
        let clock = (now, &TimeZone::UTC);
        let plan = planned(&place, &options, now);
        let stopped =
            prune(&place.store, &Config::default(), &options, clock, &plan, &StopAt(AtomicUsize::new(stop)));
        assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
        // The oldest go first.
        assert_eq!(left(&place), ids[stop..]);
        let plan = planned(&place, &options, now);
        prune(&place.store, &Config::default(), &options, clock, &plan, &Silent).unwrap();
        assert_eq!(left(&place), ids[5..]);
    }
}
