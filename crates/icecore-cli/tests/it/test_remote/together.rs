//! Machines that share a bucket at once: one pushes, one pulls, deletes and collects, one works on it directly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::content;
use super::site::{Site, URL};
use crate::running::Done;
use crate::support::TestEnv;

/// How often each does what it does.
const ROUNDS: u64 = 5;

#[test]
fn what_machines_publish_while_another_one_collects_restores_at_the_end() {
    let site = Site::new();
    let pusher = TestEnv::new();
    site.ok(&pusher, &["push", URL]);
    let [collector, writer] = [(); 2].map(|()| site.joined());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _done = Done(&over);
        let push = scope.spawn(|| {
            for round in 0..ROUNDS {
                pusher.write("pushed", content(round));
                pusher.ok(&["create", "pushed", "--tag", &format!("round-{round}")]);
                site.ok(&pusher, &["push", URL]);
            }
        });
        let write = scope.spawn(|| {
            for round in 0..ROUNDS {
                writer.write("written", content(100 + round));
                site.ok(&writer, &["create", "written", "--store", URL, "--tag", &format!("round-{round}")]);
                // Half of it is in what stays.
                let mut half = content(100 + round);
                half.extend(content(200 + round));
                writer.write("scratch", half);
                site.ok(&writer, &["create", "scratch", "--store", URL]);
            }
        });
        let collect = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let said = site.run(&collector, &["delete", "scratch", "--remote", "origin", "--yes"]);
                // None may be there yet.
                assert!([0, 10].contains(&said.status), "{}", said.stderr);
                site.ok(&collector, &["gc", "--remote", "origin"]);
                site.ok(&collector, &["pull", "origin"]);
                site.ok(&collector, &["gc"]);
            }
        });
        push.join().unwrap();
        write.join().unwrap();
        over.store(true, Ordering::Relaxed);
        collect.join().unwrap();
    });
    site.ok(&collector, &["verify"]);
    site.ok(&pusher, &["verify", "--remote", URL]);
    assert!(site.objects("claims").is_empty(), "a claim is left");
    // Somebody who comes later finds it all.
    let later = site.joined();
    site.ok(&later, &["pull", "origin", "--all"]);
    for round in 0..ROUNDS {
        for (source, seed) in [("pushed", round), ("written", 100 + round)] {
            assert!(
                later.back(&format!("{source}@round-{round}")) == content(seed),
                "{source} of round {round}"
            );
        }
    }
    later.ok(&["verify"]);
}
