//! Pushing and pulling that the user stops, or that dies: nothing is lost, and the next run goes on.

use icecore_testkit::s3::{S3Call, S3Fault, Trouble};
use rustix::process::Signal;

use super::site::{Site, URL, packs_here};
use crate::running::{Running, wait_until};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    CtrlC,
    Kill,
}

impl End {
    fn bring(self, site: &Site, running: Running) {
        match self {
            Self::Kill => running.kill(),
            Self::CtrlC => {
                running.send(Signal::INT);
                let said = running.said();
                site.check_secret(&said);
                assert!(said.status == 130 && said.stderr.contains("interrupted"), "{}", said.stderr);
            }
        }
    }
}

/// Waits until the server has been asked so often for packs, and then a moment for what it has let through.
fn wait_for(site: &Site, call: S3Call, count: usize) {
    let mut seen = 0;
    wait_until(|| {
        seen += site.packs_moved(call).len();
        seen >= count
    });
}

#[test]
fn a_push_that_ends_in_the_middle_goes_on_in_the_next_run() {
    for end in [End::CtrlC, End::Kill] {
        let site = Site::new();
        let one = site.machine(1);
        let mut there = 0;
        for passed in [2, 4] {
            site.server
                .inject(S3Fault::new(S3Call::Put, Trouble::Stall).key("packs/").after(passed).for_good());
            let running = site.start(&one, &["push", URL]);
            wait_for(&site, S3Call::Put, passed + 1);
            wait_until(|| site.objects("packs").len() >= there + passed);
            end.bring(&site, running);
            site.server.heal();
            there = site.objects("packs").len();
            assert!(site.objects("snapshots").is_empty(), "it is published, but not whole");
            // One that had time to tidy up has; the others leave one claim, which the next run finds.
            assert_eq!(site.objects("claims").len(), usize::from(end == End::Kill), "{end:?}");
        }
        one.ok(&["verify"]);
        let finished = site.objects("packs");
        site.server.take_requests();
        site.ok(&one, &["push", URL]);
        let again: Vec<_> =
            site.packs_moved(S3Call::Put).into_iter().filter(|name| finished.contains(name)).collect();
        assert!(again.is_empty(), "{end:?}: {again:?} go over again");
        assert!(site.objects("claims").is_empty(), "{end:?}: the claim of the dead one is left");
        site.check_both(&one, 1);
        // Nothing keeps a collection waiting.
        site.ok(&one, &["gc", "--remote", URL]);
    }
}

#[test]
fn a_pull_that_ends_in_the_middle_goes_on_in_the_next_run() {
    let site = Site::new();
    let one = site.machine(1);
    site.ok(&one, &["push", URL]);
    for end in [End::CtrlC, End::Kill] {
        let other = site.joined();
        // What the packs hold is known, so that all that is asked for now are packs.
        site.ok(&other, &["pull", "origin", "--dry-run"]);
        let mut here = 0;
        for passed in [2, 4] {
            site.server.take_requests();
            site.server.inject(
                S3Fault::new(S3Call::Get, Trouble::Stall).key("packs/").whole().after(passed).for_good(),
            );
            let running = site.start(&other, &["pull", "origin"]);
            wait_for(&site, S3Call::Get, passed + 1);
            wait_until(|| packs_here(&other).len() >= here + passed);
            end.bring(&site, running);
            site.server.heal();
            here = packs_here(&other).len();
            assert_eq!(other.count(), 0, "it is there, but not whole");
            other.ok(&["verify"]);
        }
        let finished = packs_here(&other);
        site.server.take_requests();
        site.ok(&other, &["pull", "origin"]);
        let again: Vec<_> =
            site.packs_moved(S3Call::Get).into_iter().filter(|name| finished.contains(name)).collect();
        assert!(again.is_empty(), "{end:?}: {again:?} are fetched again");
        // Here everybody sees at once that its maker is dead: nobody waits for it.
        other.ok(&["gc"]);
        assert!(other.files(".icecore/claims").is_empty(), "{end:?}: the claim of the dead one is left");
        site.check_both(&other, 1);
    }
}

#[test]
fn two_that_push_the_same_at_once_both_succeed() {
    let site = Site::new();
    let one = site.machine(1);
    site.ok(&one, &["push", URL, "--dry-run"]);
    let runs = [(); 3].map(|()| site.start(&one, &["push", URL]));
    for running in runs {
        running.said().ok();
    }
    assert!(site.objects("claims").is_empty());
    site.check_both(&one, 1);
    let listed = site.json(&one, &["list", "--remote", URL]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
}
