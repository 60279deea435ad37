//! A network, a server or credentials that fail in the middle: it goes on, or says so and goes on in the next run, with what has arrived.

use std::collections::BTreeSet;

use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use super::site::{Site, URL, packs_here};
use crate::support::{Said, TestEnv};

/// What a patient client lives through.
fn bad_weather(site: &Site) {
    let faults = [
        S3Fault::new(S3Call::Put, Trouble::CutBefore).key("packs/").after(1),
        S3Fault::new(S3Call::Put, Trouble::CutRequest(10_000)).key("packs/"),
        S3Fault::new(S3Call::Put, Trouble::DropAnswer).key("packs/"),
        S3Fault::new(S3Call::Put, Trouble::Answer(503, "SlowDown")).key("packs/").times(3),
        S3Fault::new(S3Call::Put, Trouble::AnswerAfter(500, "InternalError")).key("packs/"),
        S3Fault::new(S3Call::Put, Trouble::DropAnswer).key("claims/"),
        S3Fault::new(S3Call::Put, Trouble::DropAnswer).key("snapshots/"),
        S3Fault::new(S3Call::Put, Trouble::DropAnswer).key("config"),
        S3Fault::new(S3Call::Get, Trouble::CutAnswer(1000)).key("packs/").whole().times(2),
        S3Fault::new(S3Call::Get, Trouble::Answer(500, "InternalError")).times(2),
        S3Fault::new(S3Call::Get, Trouble::DropAnswer).key("snapshots/"),
        S3Fault::new(S3Call::List, Trouble::Answer(503, "SlowDown")).times(2),
        S3Fault::new(S3Call::Head, Trouble::Answer(500, "")).times(2),
        S3Fault::new(S3Call::Delete, Trouble::DropAnswer),
    ];
    faults.into_iter().for_each(|fault| site.server.inject(fault));
}

#[test]
fn a_push_and_a_pull_go_on_through_bad_weather() {
    let site = Site::new();
    let one = site.machine(1);
    let patient = |env: &TestEnv, arguments: &[&str]| {
        Said::of(site.command(env, arguments).env_remove("AWS_MAX_ATTEMPTS")).ok();
    };
    bad_weather(&site);
    patient(&one, &["push", URL]);
    assert_eq!(site.objects("claims").len(), 0, "a claim is left");
    assert_eq!(site.objects("snapshots").len(), 1, "it is published once, though the answer was lost");
    bad_weather(&site);
    let other = TestEnv::bare();
    patient(&other, &["init", "--from", URL]);
    patient(&other, &["pull", URL]);
    site.server.heal();
    site.check_both(&one, 1);
    site.check_both(&other, 1);
}

/// What ends a command, from the pack on that comes after so many, and what is said then.
const ENDS: [(Trouble, &str); 4] = [
    (Trouble::CutBefore, "the connection broke"),
    (Trouble::Answer(503, "SlowDown"), "the server is busy or failed (503 SlowDown"),
    (Trouble::Answer(400, "ExpiredToken"), "the credentials have expired"),
    (Trouble::Answer(403, "AccessDenied"), "access is denied"),
];

#[test]
fn a_push_that_breaks_off_says_so_and_the_next_one_sends_no_finished_pack_again() {
    for (trouble, words) in ENDS {
        let site = Site::new();
        let one = site.machine(1);
        // All but the first packs, or everything from there on.
        for call in [S3Call::Put, S3Call::Any] {
            let there = site.objects("packs");
            site.server.inject(S3Fault::new(call, trouble).key("packs/").after(4).for_good());
            let told = site.fails(&one, 1, &["push", URL]);
            assert!(told.contains("s3://backups/team/db/packs/") && told.contains(words), "{told}");
            assert!(told.lines().count() == 2 && told.contains("hint: "), "{told}");
            site.server.heal();
            check_not_again(&site, S3Call::Put, &there);
            assert!(site.objects("packs").len() > there.len(), "nothing has arrived");
            assert!(site.objects("snapshots").is_empty(), "it is published, but not whole");
        }
        let there = site.objects("packs");
        site.ok(&one, &["push", URL]);
        check_not_again(&site, S3Call::Put, &there);
        assert!(site.objects("claims").is_empty(), "a claim is left");
        site.check_both(&one, 1);
    }
}

#[test]
fn a_pull_that_breaks_off_says_so_and_the_next_one_fetches_no_finished_pack_again() {
    let site = Site::new();
    let one = site.machine(1);
    site.ok(&one, &["push", URL]);
    for (trouble, words) in ENDS {
        let other = site.joined();
        site.server.take_requests();
        for _ in 0..2 {
            let here = packs_here(&other);
            site.server.inject(S3Fault::new(S3Call::Get, trouble).key("packs/").whole().after(3).for_good());
            let told = site.fails(&other, 1, &["pull", "origin"]);
            assert!(told.contains("s3://backups/team/db/packs/") && told.contains(words), "{told}");
            assert!(told.lines().count() == 2 && told.contains("hint: "), "{told}");
            site.server.heal();
            check_not_again(&site, S3Call::Get, &here);
            assert_eq!(other.count(), 0, "it is there, but not whole");
        }
        let here = packs_here(&other);
        assert!(!here.is_empty(), "nothing has arrived");
        site.ok(&other, &["pull", "origin"]);
        check_not_again(&site, S3Call::Get, &here);
        site.check_both(&other, 1);
    }
}

#[test]
fn credentials_may_expire_at_any_request() {
    let site = Site::new();
    let one = site.machine(1);
    for after in [1, 3, 6, 9, 12, 15] {
        let there = site.objects("packs");
        site.server
            .inject(S3Fault::new(S3Call::Any, Trouble::Answer(400, "ExpiredToken")).after(after).for_good());
        let told = site.fails(&one, 1, &["push", URL]);
        assert!(told.contains(URL) && told.contains("the credentials have expired"), "{told}");
        assert!(told.contains("hint: get new ones"), "{told}");
        site.server.heal();
        check_not_again(&site, S3Call::Put, &there);
    }
    let there = site.objects("packs");
    site.ok(&one, &["push", URL]);
    check_not_again(&site, S3Call::Put, &there);
    assert!(site.objects("claims").is_empty(), "a claim is left");
    site.check_both(&one, 1);
}

/// None of these has gone over once more.
#[track_caller]
fn check_not_again(site: &Site, call: S3Call, finished: &BTreeSet<String>) {
    let moved = site.packs_moved(call);
    let again: Vec<_> = moved.iter().filter(|name| finished.contains(*name)).collect();
    assert!(again.is_empty(), "{} of {} finished packs go over again", again.len(), finished.len());
}
