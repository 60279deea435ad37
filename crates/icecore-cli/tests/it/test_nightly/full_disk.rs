//! Nights on a disk that is full.

use serde_json::Value;

use crate::small_disk::SmallDisk;
use crate::support::noise;

/// What fits is captured, what does not fit fails, and what was there stays and can be restored. Once there is room, a night mends it all.
#[test]
fn what_does_not_fit_fails_alone_and_a_night_with_room_makes_up_for_it() {
    let disk = SmallDisk::new("6m");
    disk.env.write("a", noise(1, 1_500_000));
    disk.env.write("b", noise(2, 500_000));
    disk.env.write(
        "icecore.toml",
        "[retention]\ndefault = 'last 1'\n[services.a]\npath = 'a'\n[services.b]\npath = 'b'\n",
    );
    disk.icecore(&["init", "--pack-size", "300k"]).ok();
    disk.icecore(&["nightly"]).ok();
    // More than there is.
    disk.env.write("a", noise(3, 8_000_000));
    disk.env.write("b", noise(4, 200_000));
    let said = disk.icecore(&["nightly", "--json"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    let outcome = |service: &str, step: &str| {
        let steps = document["steps"].as_array().unwrap().iter();
        let mut found =
            steps.filter(|it| it["service"].as_str().unwrap_or("-") == service && it["step"] == step);
        found.next().unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!([outcome("a", "create"), outcome("a", "prune")], ["failed", "skipped"]);
    assert_eq!([outcome("b", "create"), outcome("b", "prune"), outcome("-", "gc")], ["done", "done", "done"]);
    assert!(document.to_string().contains("no space left on device"), "{document}");
    disk.icecore(&["verify"]).ok();
    disk.check_restore("a", &noise(1, 1_500_000));
    disk.check_restore("b", &noise(4, 200_000));
    disk.check_leftovers();
    disk.env.write("a", noise(5, 1_000_000));
    disk.icecore(&["nightly"]).ok();
    disk.check_restore("a", &noise(5, 1_000_000));
    disk.icecore(&["status"]).ok();
}
