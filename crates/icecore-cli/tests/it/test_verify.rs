use crate::support::{TestEnv, check_keys, noise};

#[test]
fn verify_in_json_has_exactly_the_promised_fields() {
    let env = TestEnv::new();
    env.write("f", noise(1, 500_000));
    env.ok(&["create", "f"]);
    let report = env.json(&["verify"]);
    check_keys(&report, &["ok", "snapshots", "chunks", "bytes_read", "findings"]);
    assert_eq!(report["ok"], true);
    assert_eq!(report["snapshots"], 1);
    assert!(report["bytes_read"].as_u64().unwrap() >= 500_000, "{report}");
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn verify_reads_no_more_than_it_is_asked_to() {
    let env = TestEnv::bare();
    env.ok(&["init", "--pack-size", "200kB"]);
    env.write("f", noise(1, 2_000_000));
    env.ok(&["create", "f"]);
    let read = |arguments: &[&str]| {
        let mut all = vec!["verify"];
        all.extend(arguments);
        env.json(&all)["bytes_read"].as_u64().unwrap()
    };
    let everything = read(&[]);
    assert!(everything >= 2_000_000);
    assert!(read(&["--structure"]) < 100_000);
    for some in [&["--sample", "25%"], &["--sample", "0.25"], &["--budget", "500kB"]] {
        let bytes = read(some);
        assert!(0 < bytes && bytes < everything * 2 / 3, "{some:?}: {bytes}");
    }
    env.fails(2, &["verify", "--sample", "10%", "--budget", "1MB"]);
    env.fails(2, &["verify", "--sample", "lots"]);
}

#[test]
fn one_snapshot_can_be_verified() {
    let env = TestEnv::new();
    env.write("f", "x");
    env.ok(&["create", "f"]);
    env.ok(&["create", "f"]);
    assert_eq!(env.json(&["verify", "f~1"])["snapshots"], 1);
    assert!(env.ok(&["verify"]).starts_with("All is well: 2 snapshots and "));
    env.fails(10, &["verify", "nothing"]);
}
